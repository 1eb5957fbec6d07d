"""Whether a parameter's value reaches a trial's program, as far as the manifest tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from kubestudy.api.expansion import references
from kubestudy.api.job import Container
from kubestudy.api.study import Parameter


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
    return reached | parents_among(parameters)


def option_for(name: str) -> str:
    """Return the argument that passes a parameter on."""
    return f"--{name.replace('_', '-')}=$({name})"


def parents_among(parameters: Iterable[Parameter]) -> set[str]:
    """Return the parameters that others depend on."""
    return {name for parameter in parameters for name in parameter.when or ()}
