"""The lines that say how a study ended."""

from __future__ import annotations

from collections.abc import Sequence

from kubestudy.api.status import StudyStatus
from kubestudy.api.study import Objective
from kubestudy.cli.output import say
from kubestudy.cli.study_output import why
from kubestudy.cli.words import short


def print_end(name: str, status: StudyStatus, objectives: Sequence[Objective], logs: str = "") -> None:
    """Print on stdout how a study ended, and its best trials.

    Args:
        name: The study's name.
        status: Its status.
        objectives: What was optimised.
        logs: Where the logs of failed trials are.
    """
    say(f"{name}: {status.phase}: {why(status)}")
    first = objectives[0].name
    front = sorted(status.pareto_front or [], key=lambda trial: (trial.values[first], trial.number))
    for trial in [status.best] if status.best else front:
        values = " ".join(f"{name}={value:.6g}" for name, value in trial.values.items())
        params = " ".join(f"{name}={short(value)}" for name, value in trial.params.items())
        say(f"  trial {trial.number}: {values}  ({params})")
    counts = status.trials
    ended = f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed"
    ended += f", {counts.stopped} stopped" if counts.stopped else ""
    where = f"; logs: {logs}" if counts.failed and logs else ""
    say(f"  trials: {ended}{where}")
