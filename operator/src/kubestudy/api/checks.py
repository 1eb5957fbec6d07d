"""The checks of a manifest that look at more than one field. Pure: a spec in, problems out.

`crd.py` says the same in CEL wherever CEL can, so that the API server refuses what is refused here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Set

from kubestudy.api.algorithms import NO_PRUNER, SAMPLERS
from kubestudy.api.contract import PROMQL_VARIABLES, SYSTEM_ENV
from kubestudy.api.expansion import references
from kubestudy.api.gpus import gpus_in, share_of
from kubestudy.api.job import Container
from kubestudy.api.problems import Problem, did_you_mean, nearest, path_of
from kubestudy.api.quantity import number_of
from kubestudy.api.study import Measured, Objective, Parameter, StudySpec
from kubestudy.api.values import Value, as_text, same

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What could be meant as a variable; anything else, such as $(wc -l < file), is a shell's and stays as it is.
_REFERENCE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
RESERVED_NAMES = ("PATH", "HOME")
RESERVED_PREFIXES = ("LD_", "PYTHON", "KUBERNETES_", "KUBESTUDY_", "CUDA_", "NVIDIA_", "NCCL_")
MAX_CHOICE_LENGTH = 1024
_EXACT_INT = 2**53


def check(spec: StudySpec, also_known: Set[str] = frozenset()) -> list[Problem]:
    """Check everything about a spec that needs more than one field.

    Args:
        spec: The spec, whose fields are valid one by one.
        also_known: Names of parameters that exist but could not be read: references to them are no problem.

    Returns:
        All problems, in the manifest's order; empty for a spec that can run.
    """
    return [
        *_objectives(spec),
        *_constraints(spec),
        *_parameters(spec, also_known),
        *_pruner(spec),
        *_end(spec),
        *_job(spec, also_known),
    ]


def _objectives(spec: StudySpec) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, objective in enumerate(spec.objectives):
        at = f"spec.objectives[{i}]"
        yield from _measured(at, objective)
        yield from _target(at, objective)
        if objective.name in seen:
            yield Problem(at, f"{objective.name} is an objective twice: name each one once")
        seen.add(objective.name)


def _constraints(spec: StudySpec) -> Iterator[Problem]:
    sources = {objective.name: objective.promql for objective in spec.objectives}
    seen: set[str] = set()
    for i, constraint in enumerate(spec.constraints):
        at = f"spec.constraints[{i}]"
        yield from _measured(at, constraint)
        if constraint.name in seen:
            yield Problem(at, f"{constraint.name} is a constraint twice: give it min and max in one")
        seen.add(constraint.name)
        if sources.get(constraint.name, constraint.promql) != constraint.promql:
            yield Problem(f"{at}.name", f"{constraint.name} is the name of something else among the objectives")
        limits = {"min": constraint.min, "max": constraint.max}
        if all(limit is None for limit in limits.values()):
            yield Problem(at, "limits nothing: set min or max")
        for field, limit in limits.items():
            if limit is not None and not math.isfinite(limit):
                yield Problem(f"{at}.{field}", f"{limit} is no finite number")
        if constraint.min is not None and constraint.max is not None and constraint.min > constraint.max:
            yield Problem(f"{at}.min", f"{constraint.min:g} is above max ({constraint.max:g}): nothing is between")


def _measured(at: str, measured: Measured) -> Iterator[Problem]:
    if (measured.metric is None) == (measured.promql is None):
        yield Problem(at, "needs exactly one of metric and promql")
    elif measured.metric is not None and measured.label is not None:
        yield Problem(f"{at}.name", "belongs to promql: a metric has a name already")
    for name in references(measured.promql or ""):
        if name not in PROMQL_VARIABLES:
            advice = did_you_mean(name, PROMQL_VARIABLES)
            yield Problem(f"{at}.promql", f"$({name}) is no variable of an expression: {advice}")


def _target(at: str, objective: Objective) -> Iterator[Problem]:
    if objective.target is not None and not math.isfinite(objective.target):
        yield Problem(f"{at}.target", f"{objective.target} can never be reached: give a finite number or leave it out")


def _parameters(spec: StudySpec, also_known: Set[str]) -> Iterator[Problem]:
    by_name: dict[str, Parameter] = {}
    for i, parameter in enumerate(spec.parameters):
        at = f"spec.parameters[{i}]"
        yield from _name(f"{at}.name", parameter.name)
        if parameter.name in by_name:
            yield Problem(f"{at}.name", f"{parameter.name} is the name of two parameters: rename one")
        by_name.setdefault(parameter.name, parameter)
        yield from (_choices(at, parameter) if parameter.type == "categorical" else _range(at, parameter))
    for i, parameter in enumerate(spec.parameters):
        yield from _when(f"spec.parameters[{i}].when", parameter, by_name, also_known)
    yield from _cycles(spec.parameters)


def _name(at: str, name: str) -> Iterator[Problem]:
    if not ENV_NAME.fullmatch(name):
        yield Problem(
            at,
            f"{name!r} cannot be an environment variable: use letters, digits and underscores, no digit first",
        )
    elif name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
        yield Problem(
            at,
            f"{name} would hide a variable the system needs: choose a name other than PATH and HOME that starts"
            f" with none of {', '.join(RESERVED_PREFIXES)}",
        )


def _choices(at: str, parameter: Parameter) -> Iterator[Problem]:
    for field in ("low", "high", "step"):
        if getattr(parameter, field) is not None:
            yield Problem(f"{at}.{field}", "belongs to float and int parameters: a categorical one has choices")
    if parameter.log:
        yield Problem(f"{at}.log", "belongs to float and int parameters: a categorical one has choices")
    if parameter.choices is None:
        yield Problem(f"{at}.choices", "is required for a categorical parameter: list its values")
        return
    texts: dict[str, Value] = {}
    for i, choice in enumerate(parameter.choices):
        where = f"{at}.choices[{i}]"
        text = as_text(choice)
        if isinstance(choice, float) and not math.isfinite(choice):
            yield Problem(where, f"{choice} is no finite number")
        if "\0" in text or len(text) > MAX_CHOICE_LENGTH:
            yield Problem(
                where,
                f"does not fit an environment variable: {MAX_CHOICE_LENGTH} characters at most, no NUL",
            )
        twin = next((other for seen, other in texts.items() if seen == text or other == choice), None)
        if twin is not None:
            # Optuna compares choices as Python does, where 1, 1.0 and true are equal.
            unquoted = " (yes, no, on and off without quotes are true and false)" if choice is twin else ""
            yield Problem(where, f"{text} cannot be told from the choice {as_text(twin)}: keep one of them{unquoted}")
        texts[text] = choice


def _range(at: str, parameter: Parameter) -> Iterator[Problem]:
    if parameter.choices is not None:
        yield Problem(
            f"{at}.choices",
            f"belongs to categorical parameters: a parameter of type {parameter.type} has low and high",
        )
    bounds = {"low": parameter.low, "high": parameter.high, "step": parameter.step}
    fine = True
    for field, bound in bounds.items():
        if bound is None:
            if field != "step":
                yield Problem(f"{at}.{field}", f"is required for a parameter of type {parameter.type}")
                fine = False
        elif not math.isfinite(bound):
            yield Problem(f"{at}.{field}", f"{bound} is no finite number")
            fine = False
        elif parameter.type == "int" and (bound != int(bound) or abs(bound) > _EXACT_INT):
            yield Problem(
                f"{at}.{field}",
                f"{bound:g} is no whole number within 2^53, which type int needs; or use type float",
            )
            fine = False
    if parameter.log and parameter.step is not None:
        yield Problem(f"{at}.step", "cannot go with log: leave out one of the two")
    if not fine or parameter.low is None or parameter.high is None:
        return
    if not math.isfinite(parameter.high - parameter.low):
        yield Problem(f"{at}.high", "is too far from low: no number is that large")
        return
    if parameter.low >= parameter.high:
        yield Problem(f"{at}.low", f"{parameter.low:g} is not below high ({parameter.high:g})")
    elif parameter.step is not None and not 0 < parameter.step <= parameter.high - parameter.low:
        yield Problem(
            f"{at}.step",
            f"{parameter.step:g} must be above 0 and at most high - low ({parameter.high - parameter.low:g})",
        )
    if parameter.log and parameter.low <= 0:
        yield Problem(f"{at}.low", f"{parameter.low:g} has no logarithm: with log, low must be above 0")


def _when(at: str, parameter: Parameter, by_name: Mapping[str, Parameter], also_known: Set[str]) -> Iterator[Problem]:
    for parent_name, values in (parameter.when or {}).items():
        where = path_of(("x", parent_name))[1:]
        parent = by_name.get(parent_name)
        if parent is None:
            if parent_name not in also_known:
                advice = did_you_mean(parent_name, by_name.keys() - {parameter.name})
                yield Problem(f"{at}{where}", f"there is no parameter {parent_name}: {advice}")
            continue
        if parent_name == parameter.name:
            yield Problem(f"{at}{where}", f"{parent_name} cannot depend on itself")
            continue
        if not values:
            yield Problem(f"{at}{where}", f"lists no value: name those of {parent_name} that make it active")
        if parent.type == "float":
            yield Problem(
                f"{at}{where}",
                f"{parent_name} is a float: only categorical and int parameters can be conditions",
            )
            continue
        for i, value in enumerate(values):
            if not _can_be(parent, value):
                yield Problem(
                    f"{at}{where}[{i}]",
                    f"{as_text(value)} is no value of {parent_name}: {_domain(parent, value)}",
                )


def _can_be(parent: Parameter, value: Value) -> bool:
    if parent.type == "categorical":
        return parent.choices is None or any(same(value, choice) for choice in parent.choices)
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    if parent.low is None or parent.high is None:
        return True
    if abs(value) > _EXACT_INT:
        return False
    return parent.low <= value <= parent.high and (value - parent.low) % (parent.step or 1) == 0


def _domain(parent: Parameter, value: Value) -> str:
    if parent.type == "int":
        return f"it is an int from {parent.low:g} to {parent.high:g}" + (
            f" in steps of {parent.step:g}" if parent.step else ""
        )
    texts = [as_text(choice) for choice in parent.choices or ()]
    if as_text(value) in texts:
        return "it is written differently among its choices; quotes make a text of it"
    near = nearest(as_text(value), texts)
    return f"did you mean {near}?" if near else f"its choices are {', '.join(texts)}"


def _cycles(parameters: list[Parameter]) -> Iterator[Problem]:
    parents = {parameter.name: set(parameter.when or ()) - {parameter.name} for parameter in parameters}
    free = {name for name in parents if not parents[name]}
    settled: set[str] = set()
    while free:
        settled |= free
        free = {n for n, needs in parents.items() if n not in settled and not (needs & parents.keys()) - settled}
    stuck = [name for name in parents if name not in settled]
    on_cycle = [name for name in stuck if _reaches(name, name, parents)]
    if on_cycle:
        i = next(i for i, parameter in enumerate(parameters) if parameter.name == on_cycle[0])
        yield Problem(
            f"spec.parameters[{i}].when",
            f"{' and '.join(on_cycle)} depend on each other in a circle: take one condition away",
        )


def _reaches(start: str, goal: str, parents: Mapping[str, Set[str]]) -> bool:
    todo, seen = [start], set[str]()
    while todo:
        for parent in parents.get(todo.pop(), frozenset()):
            if parent == goal:
                return True
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return False


def _pruner(spec: StudySpec) -> Iterator[Problem]:
    if spec.pruner.name == NO_PRUNER:
        return
    if len(spec.objectives) > 1:
        yield Problem(
            "spec.pruner",
            f"{spec.pruner.name} compares trials by one objective and there are {len(spec.objectives)}:"
            " use none, or one objective",
        )
    elif spec.objectives[0].promql is not None:
        yield Problem("spec.pruner", "follows a metric that running trials report: use none with a promql objective")


def _end(spec: StudySpec) -> Iterator[Problem]:
    budget = spec.budget
    pod = spec.job_template.spec.template.spec
    ends = (budget.max_trials, budget.max_duration, budget.patience, budget.max_gpu_hours)
    if budget.max_gpu_hours is not None:
        if not math.isfinite(budget.max_gpu_hours):
            yield Problem("spec.budget.maxGpuHours", f"{budget.max_gpu_hours} is no finite number")
        elif not gpus_in(pod) and not pod.resource_claims:
            yield Problem(
                "spec.budget.maxGpuHours",
                "is never used up: no container has a limit of GPUs (nvidia.com/gpu: 1); set one or use maxDuration",
            )
    if budget.max_seconds == 0:
        yield Problem("spec.budget.maxDuration", "must be above zero")
    if (
        all(end is None for end in ends)
        and all(objective.target is None for objective in spec.objectives)
        and not SAMPLERS[spec.sampler.name].finite
    ):
        yield Problem(
            "spec.budget",
            "the study would never end: set maxTrials, maxDuration, maxGpuHours or patience, or a target",
        )


def _job(spec: StudySpec, also_known: Set[str]) -> Iterator[Problem]:
    pod = spec.job_template.spec.template.spec
    parameters = {parameter.name for parameter in spec.parameters} | also_known
    for i, container in enumerate(pod.containers):
        at = f"spec.jobTemplate.spec.template.spec.containers[{i}]"
        own = {variable.name for variable in container.env}
        is_trainer = i == pod.trainer_index
        known = own | (parameters | set(SYSTEM_ENV) if is_trainer else set())
        if not container.env_from:
            yield from _references(at, container, known, parameters if is_trainer else set())
        if is_trainer:
            yield from _environment(at, container, parameters)
        yield from _quantities(at, container)


def _references(at: str, container: Container, known: Set[str], parameters: Set[str]) -> Iterator[Problem]:
    for field, texts in (("command", container.command), ("args", container.args)):
        for i, text in enumerate(texts):
            for name in references(text):
                if name in known or name.startswith("KUBERNETES_") or not _REFERENCE.fullmatch(name):
                    continue
                if parameters:
                    advice = did_you_mean(name, known - set(SYSTEM_ENV))
                else:
                    advice = "parameters reach the trainer's container only"
                yield Problem(
                    f"{at}.{field}[{i}]",
                    f"$({name}) is neither a parameter nor in the container's env: {advice}"
                    f" ($$({name}) keeps it as a text)",
                )


def _environment(at: str, container: Container, parameters: Set[str]) -> Iterator[Problem]:
    for i, variable in enumerate(container.env):
        if variable.name in parameters:
            yield Problem(f"{at}.env[{i}].name", f"{variable.name} is a parameter too: rename one of them")
        elif variable.name.startswith("KUBESTUDY_"):
            yield Problem(f"{at}.env[{i}].name", "names that start with KUBESTUDY_ are set by KubeStudy")
        if variable.value is not None and variable.value_from is not None:
            yield Problem(f"{at}.env[{i}]", "has both value and valueFrom: keep one")


def _quantities(at: str, container: Container) -> Iterator[Problem]:
    for group in ("limits", "requests"):
        for name, quantity in getattr(container.resources, group).items():
            where = f"{at}.resources.{group}[{name!r}]"
            try:
                number = number_of(quantity)
            except ValueError as error:
                yield Problem(where, str(error))
                continue
            if number < 0 or (share_of(name) > 0 and number != int(number)):
                yield Problem(where, f"{quantity} must be a whole number, zero or above")
