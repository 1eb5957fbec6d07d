"""When a study ends, and why: budgets, target, patience, exhausted search."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kubestudy.api.study import StudySpec
from kubestudy.planning.facts import Facts

# When nothing but failures came so far, more of them tell nothing new.
FIRST_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a study ends.

    Attributes:
        reason: One CamelCase word, the condition's reason.
        message: A sentence for people.
        failed: Whether the study ends Failed rather than Complete.
        early: Whether it cuts running trials short (a target, a budget of time), rather than having run them all.
    """

    reason: str
    message: str
    failed: bool = False
    early: bool = True


def ending(spec: StudySpec, facts: Facts) -> Ending | None:
    """Say whether, and why, no further trial is to be started.

    Args:
        spec: What the user wants now.
        facts: Where the study is.

    Returns:
        The ending that weighs most: failures first, then what the user asked for, a target reached, the budgets.
        None while the study goes on.
    """
    found = _cause(spec, facts)
    if found is None or found.failed or not is_over(facts, found):
        return found
    if facts.complete:
        barren = facts.infeasible == facts.complete
        return replace(found, message=f"{found.message}; no trial kept every constraint") if barren else found
    return Ending("NoTrialCompleted", _nothing_completed(facts, found), failed=True, early=found.early)


def _cause(spec: StudySpec, facts: Facts) -> Ending | None:
    budget = spec.budget
    if budget.max_failed_trials is not None and facts.failed >= budget.max_failed_trials:
        why = f"; the last: {facts.last_failure}" if facts.last_failure else ""
        return Ending(
            "MaxFailedTrialsReached",
            f"{facts.failed} trials failed and maxFailedTrials is {budget.max_failed_trials}{why}",
            failed=True,
        )
    if budget.max_failed_trials is None and facts.failed >= FIRST_FAILURES and facts.failed == facts.finished:
        why = f"; the last: {facts.last_failure}" if facts.last_failure else ""
        return Ending(
            "EveryTrialFails",
            f"the first {FIRST_FAILURES} trials all failed; to go on, mend what is wrong and set maxFailedTrials above"
            f" that{why}",
            failed=True,
        )
    if spec.stop:
        return Ending("StopRequested", "spec.stop is true")
    if facts.target_reached:
        return Ending("TargetReached", "a trial reached the target")
    if budget.max_seconds is not None and facts.seconds >= budget.max_seconds:
        return Ending("MaxDurationReached", f"the study ran for maxDuration ({budget.max_duration})")
    if budget.max_gpu_seconds is not None and facts.gpu_seconds >= budget.max_gpu_seconds:
        return Ending("MaxGpuHoursReached", f"the trials used maxGpuHours ({budget.max_gpu_hours:g})")
    if budget.patience is not None and facts.since_improvement >= budget.patience:
        return Ending(
            "PatienceExhausted",
            f"{facts.since_improvement} trials in a row brought no improvement (patience)",
        )
    if budget.max_trials is not None and facts.total >= budget.max_trials:
        return Ending("MaxTrialsReached", f"maxTrials ({budget.max_trials}) is reached", early=False)
    if facts.exhausted:
        return Ending(
            "SearchSpaceExhausted",
            f"the grid is exhausted: each of its {facts.total} points was tried",
            early=False,
        )
    return None


def is_over(facts: Facts, found: Ending) -> bool:
    """Tell whether nothing is left to wait for, given why the study ends."""
    return not facts.live and not facts.measuring and (found.early or not facts.queued)


def _nothing_completed(facts: Facts, found: Ending) -> str:
    counts = {"failed": facts.failed, "were pruned": facts.pruned, "were stopped": facts.stopped}
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    why = f"; the last failure: {facts.last_failure}" if facts.last_failure else ""
    return f"no trial completed: {', '.join(parts) or 'none was started'} ({found.message}){why}"
