"""What a study keeps beside Optuna's own records: user attributes of the study and of its trials, and their version.

Anybody may read them; only KubeStudy writes them. Their keys stay what they are once a release has written them, so
`kubestudy:memory` still holds what the code calls progress.

Version 1: all keys below. 0.1.0 wrote no version, and no metrics; its records are read as version 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from kubestudy.api.limits import REASON_LENGTH, SENTENCE_LENGTH
from kubestudy.api.text import clean
from kubestudy.planning.clock import StudyClock
from kubestudy.search.trial_metrics import TrialMetrics, metrics_in
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.ports import StudyError
from kubestudy.study.progress import Progress

VERSION = 1

# Of the study.
ATTR_VERSION = "kubestudy:version"
ATTR_SPEC = "kubestudy:spec"
ATTR_PROGRESS = "kubestudy:memory"
# Of a trial.
ATTR_STOP = "kubestudy:stop"
ATTR_END = "kubestudy:end"
ATTR_GPU_SECONDS = "kubestudy:gpuSeconds"
ATTR_GPU_UTILIZATION = "kubestudy:gpuUtilization"
ATTR_METRICS = "kubestudy:metrics"


def check_version(attributes: Mapping[str, Any], name: str, where: str) -> None:
    """Refuse a study whose records a later release has written in a way that this one does not know.

    Args:
        attributes: The study's user attributes.
        name: The study's name in the storage.
        where: What errors call the storage.

    Raises:
        StudyError: Its version is not known here.
    """
    found = attributes.get(ATTR_VERSION, VERSION)
    if type(found) is not int or not 1 <= found <= VERSION:
        raise StudyError(
            f"the study {name} in the storage {where} was written by a later release of KubeStudy (its records have"
            f" version {found!r}, this release reads versions up to {VERSION}): upgrade KubeStudy; nothing was changed"
        )


def progress_as_data(progress: Progress) -> dict[str, Any]:
    """Return what a study remembers beside its trials in the form that is kept."""
    clock = progress.clock
    return {
        "clock": {"seconds": clock.seconds, "as_of": clock.as_of, "paused": clock.paused},
        "started": progress.started,
        "ending_since": progress.ending_since,
        "completed": progress.completed,
        "forgiven": progress.forgiven,
    }


def progress_in(attributes: Mapping[str, Any]) -> Progress:
    """Return what a study remembered last; a new study remembers nothing."""
    kept = attributes.get(ATTR_PROGRESS)
    if kept is None:
        return Progress()
    clock = kept["clock"]
    return Progress(
        clock=StudyClock(clock["seconds"], clock["as_of"], clock["paused"]),
        started=kept["started"],
        ending_since=kept["ending_since"],
        completed=kept["completed"],
        forgiven=kept.get("forgiven", 0),  # not written by 0.1.0
    )


def outcome_in(trial: FrozenTrial) -> Complete | Pruned | Failed | Stopped:
    """Read from a finished trial's record what became of it."""
    if trial.state is TrialState.COMPLETE:
        return Complete(tuple(trial.values or ()), {}, trial.constraints)
    if trial.state is TrialState.PRUNED:
        return Pruned({})
    end = trial.user_attrs.get(ATTR_END, {})
    if end.get("state") == "Stopped":
        return Stopped({})
    # As a trial's own words are read; an older release kept them as they were.
    reason = clean(str(end.get("reason", "Error")), REASON_LENGTH.value)
    message = clean(str(end.get("message", "it was recorded as failed")), SENTENCE_LENGTH.value)
    return Failed(reason, message, {})


def metrics_of(trial: FrozenTrial, objective: str | None) -> TrialMetrics:
    """Read from a trial's record everything that it reported.

    Args:
        trial: The record.
        objective: The objective whose curve is Optuna's intermediate values; None where there are several.
    """
    kept = metrics_in(trial.user_attrs.get(ATTR_METRICS, {}))
    if objective is None or not trial.intermediate_values:
        return kept
    points = tuple(sorted(trial.intermediate_values.items()))
    return TrialMetrics(kept.values, {objective: points, **kept.curves})
