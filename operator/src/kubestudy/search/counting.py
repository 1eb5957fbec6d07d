"""What the finished trials of a storage add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from optuna.trial import FrozenTrial

from kubestudy.api.study import Objective
from kubestudy.api.values import Value
from kubestudy.planning.tally import Scored, Tally
from kubestudy.search.attributes import ATTR_GPU_SECONDS, outcome_in
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped


def tally_of(trials: Iterable[FrozenTrial], objectives: Sequence[Objective]) -> Tally:
    """Count trials anew, in the order in which they ended."""
    trials = list(trials)
    spent = sum(sum(trial.user_attrs.get(ATTR_GPU_SECONDS, {}).values()) for trial in trials)
    tally = Tally().with_gpu_seconds(spent)
    finished = [t for t in trials if t.state.is_finished() and t.datetime_complete is not None]
    for trial in sorted(finished, key=lambda t: (t.datetime_complete, t.number)):
        tally = counted(tally, objectives, outcome_in(trial), trial.number, trial.params)
    return tally


def counted(
    tally: Tally,
    objectives: Sequence[Objective],
    outcome: Complete | Pruned | Failed | Stopped,
    number: int,
    params: Mapping[str, Value],
) -> Tally:
    """Return a tally with one more finished trial."""
    match outcome:
        case Complete(values):
            return tally.with_complete(objectives, Scored(number, values, params, outcome.feasible))
        case Pruned():
            return tally.with_pruned()
        case Failed(reason, message):
            fault = f"{reason}: {message}" if outcome.certain else None
            return tally.with_failed(f"trial {number}: {reason}: {message}", fault)
        case Stopped():
            return tally.with_stopped()
