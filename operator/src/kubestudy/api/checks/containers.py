"""The containers of a trial's pod: what they refer to, what they are given, and whether parameters reach them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from kubestudy.api.checks.registry import Check, each, each_beside
from kubestudy.api.contract import SYSTEM_ENV
from kubestudy.api.expansion import references
from kubestudy.api.gpus import is_extended
from kubestudy.api.job import Container, runs_ready_trainer
from kubestudy.api.problems import Problem, did_you_mean
from kubestudy.api.quantity import number_of
from kubestudy.api.reach import option_for, reaching
from kubestudy.api.reading import entries, readable
from kubestudy.api.study import StudySpec

POD = "job_template.spec.template.spec"
CONTAINERS = f"{POD}.containers"
# What could be meant as a variable; anything else, such as $(wc -l < file), is a shell's and stays as it is.
_REFERENCE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def _trains(at: str, spec: StudySpec) -> bool:
    return at.endswith(f"[{spec.job_template.spec.template.spec.trainer_index}]")


def references_are_known(field: str) -> Check:
    """Return the check that finds a `$(NAME)` in command or args that nothing defines."""

    @each_beside(CONTAINERS, f"{field}?", "env.name", "env_from?", spec=("parameters.name", f"{CONTAINERS}.name"))
    def check(at: str, container: Container, spec: StudySpec) -> Iterator[Problem]:
        if container.env_from:
            return
        trains = _trains(at, spec)
        known = {variable.name for variable in container.env}
        if trains:
            known |= {parameter.name for parameter in spec.parameters} | set(SYSTEM_ENV)
        for i, text in readable(getattr(container, field)):
            for name in references(text):
                if name not in known and not name.startswith("KUBERNETES_") and _REFERENCE.fullmatch(name):
                    yield _unknown(f"{at}.{field}[{i}]", name, known if trains else None)

    return check


def _unknown(where: str, name: str, known: Set[str] | None) -> Problem:
    advice = (
        "parameters reach the trainer's container only"
        if known is None
        else did_you_mean(name, known - set(SYSTEM_ENV))
    )
    return Problem(
        where,
        f"$({name}) is neither a parameter nor in the container's env: {advice} ($$({name}) keeps it as a text)",
    )


@each_beside(CONTAINERS, "env?.name", spec=("parameters?.name", f"{CONTAINERS}.name"))
def env_hides_no_parameter(at: str, container: Container, spec: StudySpec) -> Iterator[Problem]:
    """Find a variable of a name that a parameter, or KubeStudy, has."""
    if not _trains(at, spec):
        return
    parameters = {parameter.name for _, parameter in readable(spec.parameters)}
    for i, variable in readable(container.env):
        if variable.name in parameters:
            yield Problem(f"{at}.env[{i}].name", f"{variable.name} is a parameter too: rename one of them")
        elif variable.name.startswith("KUBESTUDY_"):
            yield Problem(f"{at}.env[{i}].name", "names that start with KUBESTUDY_ are set by KubeStudy")


@each(CONTAINERS, "env?.value", "env?.value_from?")
def env_has_one_source(at: str, container: Container) -> Iterator[Problem]:
    """Find a variable that is given twice."""
    for i, variable in readable(container.env):
        if variable.value is not None and variable.value_from is not None:
            yield Problem(f"{at}.env[{i}]", "has both value and valueFrom: keep one")


def quantities_are_numbers(group: str) -> Check:
    """Return the check that finds what is no quantity among a container's limits or requests."""

    @each(CONTAINERS, f"resources.{group}?")
    def check(at: str, container: Container) -> Iterator[Problem]:
        for name, quantity in entries(getattr(container.resources, group)):
            where = f"{at}.resources.{group}[{name!r}]"
            try:
                number = number_of(quantity)
            except ValueError as error:
                yield Problem(where, str(error))
                continue
            if number < 0 or (is_extended(name) and number != int(number)):
                yield Problem(where, f"{quantity} must be a whole number, zero or above")

    return check


@each_beside(
    CONTAINERS,
    "image", "command?", "args", "env.name", "env.value",
    spec=("parameters.name", "parameters.when?", f"{CONTAINERS}.name"),
)  # fmt: skip
def parameters_reach_the_ready_trainer(at: str, container: Container, spec: StudySpec) -> Iterator[Problem]:
    """Find a parameter that the ready trainer never sees: it reads only its arguments."""
    if not _trains(at, spec) or not runs_ready_trainer(container):
        return
    reached = reaching(container, spec.parameters)
    for i, parameter in enumerate(spec.parameters):
        if parameter.name not in reached:
            yield Problem(
                f"spec.parameters[{i}].name",
                f"{parameter.name} reaches nothing: the ready trainer reads only its arguments; add"
                f" {option_for(parameter.name)} to args",
            )


CHECKS = (
    references_are_known("command"),
    references_are_known("args"),
    env_hides_no_parameter,
    env_has_one_source,
    quantities_are_numbers("limits"),
    quantities_are_numbers("requests"),
    parameters_reach_the_ready_trainer,
)
