"""Optuna's TPE, which learns from as many trials as an ask can afford.

What TPE compares grows with trials, parameters and candidates, and where there are several objectives its sorting of
trials grows much faster than their number: left to itself, one ask of a study with eight objectives and a few hundred
trials takes minutes, with the interpreter's lock held.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kubestudy.api.limits import TPE_COMPARED, TPE_MANY_OBJECTIVES, TPE_THREE_OBJECTIVES, TPE_TWO_OBJECTIVES
from kubestudy.search.optuna_internals import StudyOfTrials, past_startup, startup_and_candidates

_FEWEST = 100


class BoundedTPESampler(optuna.samplers.TPESampler):
    """Optuna's TPE over a bounded number of trials. Up to that number nothing is different."""

    _view: tuple[int, optuna.Study] | None = None

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Suggest what is suggested together."""
        seen = self._bounded(study, trial, len(search_space))
        if seen is None:
            return super().sample_relative(study, trial, search_space)
        return optuna.samplers.TPESampler.sample_relative(past_startup(self), seen, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Suggest a parameter by itself."""
        seen = self._bounded(study, trial, len(trial.params) + 1)
        if seen is None:
            return super().sample_independent(study, trial, param_name, param_distribution)
        sampler = past_startup(self)
        return optuna.samplers.TPESampler.sample_independent(sampler, seen, trial, param_name, param_distribution)

    def _bounded(self, study: optuna.Study, trial: FrozenTrial, parameters: int) -> optuna.Study | None:
        """Return the study as it is to be seen; None where there is no need, or nothing is learned from it yet."""
        if self._view is not None and self._view[0] == trial.number:
            return self._view[1]
        trials = study.get_trials(deepcopy=False)
        startup, candidates = startup_and_candidates(self)
        limit = most_trials(len(study.directions), candidates, max(parameters, _parameters_of(trials)))
        if len(trials) <= limit or sum(t.state in _LEARNED for t in trials) < startup:
            return None
        self._view = trial.number, StudyOfTrials(study, chosen(trials, study.directions, limit))
        return self._view[1]


_LEARNED = (TrialState.COMPLETE, TrialState.PRUNED)


def _parameters_of(trials: Sequence[FrozenTrial]) -> int:
    return len(trials[-2].params) if len(trials) > 1 else 0


def most_trials(objectives: int, candidates: int, parameters: int) -> int:
    """Return how many trials TPE may look at.

    Args:
        objectives: How many objectives there are.
        candidates: How many candidates it compares.
        parameters: How many parameters a trial has.
    """
    by_product = max(_FEWEST, TPE_COMPARED.value // max(1, candidates * parameters))
    match objectives:
        case 1:
            return by_product
        case 2:
            return min(by_product, TPE_TWO_OBJECTIVES.value)
        case 3:
            return min(by_product, TPE_THREE_OBJECTIVES.value)
    return min(by_product, TPE_MANY_OBJECTIVES.value)


def chosen(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], limit: int) -> list[FrozenTrial]:
    """Choose the trials that are looked at: of each objective the best, which make up a half, and the newest.

    Args:
        trials: All trials by number.
        directions: Which way the objectives go.
        limit: How many.

    Returns:
        The chosen trials by number.
    """
    complete = [t for t in trials if t.state is TrialState.COMPLETE and not any(v > 0 for v in t.constraints.values())]
    each = limit // (2 * len(directions))
    numbers: set[int] = set()
    for i, direction in enumerate(directions):
        sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
        best = heapq.nsmallest(each, complete, key=lambda t: sign * t.values[i])
        numbers |= {t.number for t in best}
    newest = (t.number for t in reversed(trials) if t.number not in numbers)
    numbers |= {number for number, _ in zip(newest, range(limit - len(numbers)), strict=False)}
    return [t for t in trials if t.number in numbers]
