"""Whether a parameter's value reaches a trial's program, as far as the manifest tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from kubestudy.api.expansion import references
from kubestudy.api.job import Container, runs_ready_trainer
from kubestudy.api.problems import Problem
from kubestudy.api.study import Parameter, StudySpec
from kubestudy.api.text import alternatives


def reaching(container: Container, parameters: Iterable[Parameter]) -> set[str]:
    """Return the parameters whose values stand in a container's arguments, or decide over others.

    Args:
        container: The container that trains. Its arguments may name a variable of its env that names a parameter.
        parameters: All parameters; those that others depend on count as reaching.
    """
    by_variable = {variable.name: references(variable.value or "") for variable in container.env}
    reached: set[str] = set()
    todo = [name for text in container.args for name in references(text)]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += by_variable.get(name, ())
    return reached | _parents(parameters)


def option_for(name: str) -> str:
    """Return the argument that passes a parameter on."""
    return f"--{name.replace('_', '-')}=$({name})"


def warnings_of(
    spec: StudySpec, scripts: Mapping[str, str] | None = None, command: Sequence[str] = ()
) -> list[Problem]:
    """Say what of a valid spec is no fault but most likely a mistake: a parameter that the program is not seen to use.

    It may still read it from its environment. Of the ready trainer, which reads only its arguments, that is a fault,
    which the checks find.

    Args:
        spec: The spec.
        scripts: The texts of the scripts that the command names, where they could be read, by what it calls them.
        command: What is run instead of the container's own command, if anything.
    """
    container = spec.job_template.spec.template.spec.trainer
    if runs_ready_trainer(container) and not command:
        return []
    own = (part for variable in container.env for part in (variable.name, variable.value or ""))
    texts = (*(command or container.command), *container.args, *own, *(scripts or {}).values())
    named = {word for text in texts for word in re.findall(r"\w+", text)} | _parents(spec.parameters)
    unnamed = {i: parameter.name for i, parameter in enumerate(spec.parameters) if parameter.name not in named}
    places = alternatives(["command", "args", "env", *(scripts or {})])
    if len(unnamed) == len(spec.parameters) > 1:
        return [Problem("spec.parameters", f"none stands in {places}: {_in_vain('them', unnamed[0])}")]
    return [
        Problem(f"spec.parameters[{i}].name", f"{name} stands nowhere in {places}: {_in_vain('it', name)}")
        for i, name in unnamed.items()
    ]


def _in_vain(what: str, name: str) -> str:
    return (
        f"unless the program reads {what} from its environment, the search for {what} is in vain;"
        f" {option_for(name)} in args passes {name} on"
    )


def _parents(parameters: Iterable[Parameter]) -> set[str]:
    return {name for parameter in parameters for name in parameter.when or ()}
