"""What an edit of the manifest means to a run that is under way: what of it the run goes by, and what not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubestudy.api.job import JobTemplate, PodSpec
from kubestudy.api.problems import Problem
from kubestudy.api.study import HyperparameterStudy, StudySpec
from kubestudy.api.validation import validate
from kubestudy.cli.difference import differences
from kubestudy.search.search_checks import search_problems

_FIXED = ("objectives", "constraints", "parameters", "sampler")
_NEXT_RUN = ("pruner",)
_CONTAINER = "spec.jobTemplate.spec.template.spec.containers"


@dataclass(frozen=True, slots=True)
class LiveEdit:
    """What an edit comes to.

    Attributes:
        study: What the run goes by from now on.
        taken: What of the edit it goes by, a sentence each.
        left: What of the edit it does not go by, a sentence each, with the remedy.
    """

    study: HyperparameterStudy
    taken: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def live_edit(current: HyperparameterStudy, wanted: HyperparameterStudy) -> LiveEdit:
    """Work out what of an edited manifest a run that is under way can go by.

    Args:
        current: What the run goes by.
        wanted: The edited manifest, valid.
    """
    spec = wanted.spec.model_copy(
        update={
            **{field: getattr(current.spec, field) for field in (*_FIXED, *_NEXT_RUN)},
            "job_template": _with_container_of(current.spec, wanted.spec),
        }
    )
    mixed = current.model_copy(update={"spec": spec})
    left = tuple(f"{path}: {what}: {_remedy(path)}" for path, what in _differences(mixed, wanted))
    # Each is valid by itself, which the two together need not be: without its grid, a study may have no end.
    study, problems = validate(mixed.model_dump(mode="json", by_alias=True, exclude_unset=True), search_problems)
    if study is None:
        return LiveEdit(current, (), (*left, *(_together(problem) for problem in problems)))
    taken = tuple(f"{path}: {what}" for path, what in _differences(current, mixed))
    return LiveEdit(mixed, taken, left)


def _with_container_of(current: StudySpec, wanted: StudySpec) -> JobTemplate:
    """Return the wanted Job template with the container that trains as it is: results are compared by it."""
    job = wanted.job_template.spec
    pod: PodSpec = job.template.spec
    containers = list(pod.containers)
    containers[pod.trainer_index] = current.job_template.spec.template.spec.trainer
    pod = pod.model_copy(update={"containers": containers})
    template = job.template.model_copy(update={"spec": pod})
    return wanted.job_template.model_copy(update={"spec": job.model_copy(update={"template": template})})


def _differences(before: HyperparameterStudy, after: HyperparameterStudy) -> list[tuple[str, str]]:
    renamed = differences(before.metadata.name, after.metadata.name, "metadata.name")
    return [*renamed, *differences(_data(before), _data(after), "spec")]


def _data(study: HyperparameterStudy) -> Any:
    return study.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _remedy(path: str) -> str:
    if path.startswith(_CONTAINER):
        return "the next run takes it with --accept-changes, or with --restart, which starts anew"
    if path.startswith(tuple(f"spec.{field}" for field in _NEXT_RUN)):
        return "the next run goes by it"
    if path == "metadata.name":
        return "a study keeps its name"
    return "cannot change once the study has started; --restart starts anew and keeps the old study aside"


def _together(problem: Problem) -> str:
    return f"{problem.path}: {problem.sentence} (with what cannot change): nothing of the edit is taken"
