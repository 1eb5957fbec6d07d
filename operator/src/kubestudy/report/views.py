"""A study as one plot sees it: some of its trials, one of its objectives.

Optuna's plots read a study through its trials, directions and metric names, so these are all that a view replaces.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kubestudy.search.optuna_internals import StudyProxy

# Values that span more than this cannot be told apart on a linear axis.
WIDE_SPAN = 100.0


class StudyView(StudyProxy):
    """A study with other trials than its storage holds. Nothing may be written through it.

    Args:
        study: The study.
        trials: What it shows as its trials.
        directions: What it shows as its directions.
        names: What it shows as its objectives' names.
    """

    def __init__(
        self, study: optuna.Study, trials: Sequence[FrozenTrial], directions: list[StudyDirection], names: list[str]
    ) -> None:
        super().__init__(study, directions)
        self._shown = trials
        self._names = names

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials shown."""
        chosen = [trial for trial in self._shown if states is None or trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    @property
    def metric_names(self) -> list[str] | None:
        """The names of the objectives shown."""
        return self._names

    def only(self, trials: Sequence[FrozenTrial]) -> StudyView:
        """Return the same view of fewer trials."""
        return StudyView(self, trials, self.directions, self._names)


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective of a study, looked at as if it were the only one.

    Attributes:
        name: Its name.
        minimized: Whether low values are good.
        view: The study with this objective alone.
        complete: The complete trials, the best first.
        wide: Whether its values span so much that they need a logarithmic axis.
    """

    name: str
    minimized: bool
    view: StudyView
    complete: list[FrozenTrial]
    wide: bool

    @property
    def axis(self) -> dict[str, object]:
        """The axis its values need: logarithmic with a tick per decade, or whatever the plot has."""
        if not self.wide:
            return {}
        decades = math.log10(self.complete[-1].values[0]) - math.log10(self.complete[0].values[0])
        return {"type": "log", "dtick": max(1, math.ceil(decades / 8))}

    def logarithmic(self) -> Goal:
        """Return the objective's decimal logarithm, for colours that would else all look alike."""
        return _goal(self.view, 0, f"log10 {self.name}", math.log10)


def view_of(study: optuna.Study, names: list[str]) -> StudyView:
    """Return a view of a whole study; its storage is read once, here."""
    return StudyView(study, study.get_trials(deepcopy=False), study.directions, names)


def goals_of(view: StudyView, names: list[str]) -> list[Goal]:
    """Return each objective of a study on its own."""
    return [_goal(view, i, name, float) for i, name in enumerate(names)]


def _goal(view: StudyView, index: int, name: str, scale: Callable[[float], float]) -> Goal:
    trials = [_with_one_value(trial, index, scale) for trial in view.get_trials(deepcopy=False)]
    direction = view.directions[index]
    minimized = direction is StudyDirection.MINIMIZE
    sign = 1.0 if minimized else -1.0
    complete = sorted((t for t in trials if t.state is TrialState.COMPLETE), key=lambda t: sign * t.values[0])
    values = [t.values[0] for t in complete]
    wide = minimized and bool(values) and values[0] > 0 and values[-1] / values[0] > WIDE_SPAN
    return Goal(name, minimized, StudyView(view, trials, [direction], [name]), complete, wide)


def _with_one_value(trial: FrozenTrial, index: int, scale: Callable[[float], float]) -> FrozenTrial:
    if trial.state is not TrialState.COMPLETE:
        return trial
    alone = copy.copy(trial)
    alone.values = [scale(trial.values[index])]
    return alone


def excerpt(
    trials: Sequence[FrozenTrial], limit: int, best: Sequence[FrozenTrial], drawn: str = "trials"
) -> tuple[list[FrozenTrial], str]:
    """Choose which trials a plot draws: the best ones, and the rest spread evenly over the study.

    Args:
        trials: All trials that the plot could draw.
        limit: How many a browser can bear.
        best: The ones to prefer, in this order: at most half of the limit.
        drawn: What the sentence calls them.

    Returns:
        The chosen trials by number, and a sentence that says what was left out; empty when nothing was.
    """
    if len(trials) <= limit:
        return list(trials), ""
    first = {trial.number: trial for trial in best[: limit // 2]}
    others = [trial for trial in trials if trial.number not in first]
    room = limit - len(first)
    spread = [others[i * len(others) // room] for i in range(room)]
    chosen = sorted([*first.values(), *spread], key=lambda trial: trial.number)
    which = f"the {len(first)} best, and {room} spread evenly over the rest" if first else "spread evenly"
    return chosen, f" Drawn are {limit:,} of {len(trials):,} {drawn}: {which}."
