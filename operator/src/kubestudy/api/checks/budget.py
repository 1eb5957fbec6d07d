"""What ends a study."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kubestudy.api.algorithms import SAMPLERS
from kubestudy.api.checks.containers import CONTAINERS, POD
from kubestudy.api.checks.registry import once
from kubestudy.api.gpus import may_hold_gpus
from kubestudy.api.problems import Problem
from kubestudy.api.study import StudySpec


@once("budget.max_gpu_hours")
def gpu_hours_are_finite(spec: StudySpec) -> Iterator[Problem]:
    """Find a budget of GPU hours that is no number to compare with."""
    hours = spec.budget.max_gpu_hours
    if hours is not None and not math.isfinite(hours):
        yield Problem("spec.budget.maxGpuHours", f"{hours} is no finite number")


@once("budget.max_gpu_hours", f"{CONTAINERS}.resources.limits", f"{POD}.resource_claims?")
def gpu_hours_are_used(spec: StudySpec) -> Iterator[Problem]:
    """Find a budget of GPU hours where no trial uses a GPU."""
    hours = spec.budget.max_gpu_hours
    if hours is not None and math.isfinite(hours) and not may_hold_gpus(spec.job_template.spec.template.spec):
        yield Problem(
            "spec.budget.maxGpuHours",
            "is never used up: no container has a limit of GPUs (nvidia.com/gpu: 1); set one or use maxDuration",
        )


@once("budget.max_duration")
def duration_is_positive(spec: StudySpec) -> Iterator[Problem]:
    """Find a study that ends as it begins."""
    if spec.budget.max_seconds == 0:
        yield Problem("spec.budget.maxDuration", "must be above zero")


@once(
    *(f"budget.{end}" for end in ("max_trials", "max_duration", "patience", "max_gpu_hours")),
    "objectives.target",
    "sampler.name",
)
def study_ends(spec: StudySpec) -> Iterator[Problem]:
    """Find a study that never ends."""
    budget = spec.budget
    ends = (budget.max_trials, budget.max_duration, budget.patience, budget.max_gpu_hours)
    if (
        all(end is None for end in ends)
        and all(objective.target is None for objective in spec.objectives)
        and not SAMPLERS[spec.sampler.name].finite
    ):
        yield Problem(
            "spec.budget",
            "the study would never end: set maxTrials, maxDuration, maxGpuHours or patience, or a target",
        )


CHECKS = (gpu_hours_are_finite, gpu_hours_are_used, duration_is_positive, study_ends)
