"""What of a valid manifest is no fault but most likely a mistake: warnings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from kubestudy.api.gpus import gpus_in
from kubestudy.api.job import runs_ready_trainer
from kubestudy.api.problems import Problem
from kubestudy.api.reach import option_for, parents_among
from kubestudy.api.study import StudySpec
from kubestudy.api.text import alternatives


def warnings_of(
    spec: StudySpec, scripts: Mapping[str, str] | None = None, command: Sequence[str] = (), absent: Sequence[str] = ()
) -> list[Problem]:
    """Say what of a valid spec is most likely a mistake.

    Args:
        spec: The spec.
        scripts: The texts of the scripts that the command names, where they could be read, by what it calls them.
        command: What is run instead of the container's own command, if anything.
        absent: Scripts that it names and that are not on this machine.
    """
    return [*_unnamed_parameters(spec, scripts or {}, command, absent), *_unknown_devices(spec)]


def _unnamed_parameters(
    spec: StudySpec, scripts: Mapping[str, str], command: Sequence[str], absent: Sequence[str]
) -> Iterator[Problem]:
    """Find parameters that the program is not seen to use: it may still read them from its environment.

    Of the ready trainer, which reads only its arguments, that is a fault, which the checks find.
    """
    container = spec.job_template.spec.template.spec.trainer
    if runs_ready_trainer(container) and not command:
        return
    own = (part for variable in container.env for part in (variable.name, variable.value or ""))
    texts = (*(command or container.command), *container.args, *own, *scripts.values())
    named = {word for text in texts for word in re.findall(r"\w+", text)} | parents_among(spec.parameters)
    unnamed = {i: parameter.name for i, parameter in enumerate(spec.parameters) if parameter.name not in named}
    if unnamed and absent:
        pod = spec.job_template.spec.template.spec
        at = f"spec.jobTemplate.spec.template.spec.containers[{pod.trainer_index}]"
        yield Problem(
            "--exec" if command else at,
            f"{alternatives(absent)} is not on this machine, so whether it uses {alternatives(list(unnamed.values()))}"
            " was not looked at",
        )
        return
    places = alternatives(["command", "args", "env", *scripts])
    if len(unnamed) == len(spec.parameters) > 1:
        yield Problem("spec.parameters", f"none stands in {places}: {_in_vain('them', unnamed[0])}")
        return
    for i, name in unnamed.items():
        yield Problem(f"spec.parameters[{i}].name", f"{name} stands nowhere in {places}: {_in_vain('it', name)}")


def _in_vain(what: str, name: str) -> str:
    return (
        f"unless the program reads {what} from its environment, the search for {what} is in vain;"
        f" {option_for(name)} in args passes {name} on"
    )


def _unknown_devices(spec: StudySpec) -> Iterator[Problem]:
    """Find a budget of GPU hours for devices that are GPUs only where an operator is told so."""
    pod = spec.job_template.spec.template.spec
    if spec.budget.max_gpu_hours is not None and not pod.resource_claims and not gpus_in(pod):
        devices = {name for container in pod.containers for name in container.resources.limits if "/" in name}
        yield Problem(
            "spec.budget.maxGpuHours",
            f"counts no {alternatives(sorted(devices))}, unless the operator is told what share of a GPU one is"
            " (operator.gpuResources)",
        )
