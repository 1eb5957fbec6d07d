"""When a study ends, and why: budgets, target, patience, exhausted search."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kubestudy.api.reasons import Ended
from kubestudy.api.study import StudySpec
from kubestudy.planning.facts import Facts

# When nothing but failures came so far, more of them tell nothing new.
FIRST_FAILURES = 10
# A fault that is no matter of parameters burns a trial each time.
SAME_FAILURES = 3


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
    return Ending(Ended.NOTHING_COMPLETED, _nothing_completed(facts, found), failed=True, early=found.early)


def _cause(spec: StudySpec, facts: Facts) -> Ending | None:
    budget = spec.budget
    if budget.max_failed_trials is not None and facts.failed >= budget.max_failed_trials:
        why = f"; the last: {facts.last_failure}" if facts.last_failure else ""
        return Ending(
            Ended.MAX_FAILED,
            f"{facts.failed} trials failed and maxFailedTrials is {budget.max_failed_trials}{why}",
            failed=True,
        )
    # Whoever starts a study again after it ended has mended something: what failed before says nothing any more.
    failed = facts.failed - facts.forgiven
    if min(facts.alike, failed) >= SAME_FAILURES:
        return Ending(
            Ended.SAME_FAILURE,
            f"{SAME_FAILURES} trials in a row failed alike, and so would all others: {facts.fault}; mend that and start"
            " the study again",
            failed=True,
        )
    if budget.max_failed_trials is None and failed >= FIRST_FAILURES and facts.failed == facts.finished:
        why = f"; the last: {facts.last_failure}" if facts.last_failure else ""
        return Ending(
            Ended.EVERY_TRIAL_FAILS,
            f"the first {FIRST_FAILURES} trials all failed; mend what is wrong and start the study again{why}",
            failed=True,
        )
    if spec.stop:
        return Ending(Ended.STOP_REQUESTED, "it was told to stop")
    if facts.target_reached:
        return Ending(Ended.TARGET, "a trial reached the target")
    if budget.max_seconds is not None and facts.seconds >= budget.max_seconds:
        return Ending(Ended.MAX_DURATION, f"the study ran for maxDuration ({budget.max_duration})")
    if budget.max_gpu_seconds is not None and facts.gpu_seconds >= budget.max_gpu_seconds:
        return Ending(Ended.MAX_GPU_HOURS, f"the trials used maxGpuHours ({budget.max_gpu_hours:g})")
    if budget.patience is not None and facts.since_improvement >= budget.patience:
        return Ending(
            Ended.PATIENCE,
            f"{facts.since_improvement} trials in a row brought no improvement (patience)",
        )
    if budget.max_trials is not None and facts.total >= budget.max_trials:
        return Ending(Ended.MAX_TRIALS, f"maxTrials ({budget.max_trials}) is reached", early=False)
    if facts.exhausted:
        return Ending(
            Ended.EXHAUSTED,
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
