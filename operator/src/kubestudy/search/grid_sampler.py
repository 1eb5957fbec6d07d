"""A sampler that tries every point of a grid once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from kubestudy.api.study import Parameter
from kubestudy.api.values import Value
from kubestudy.search.grid import Grid


class GridSampler(optuna.samplers.BaseSampler):
    """Tries every point of the grid once, trial n the n-th point of one shuffled order.

    Optuna's own GridSampler knows no conditional parameters and can stop only a study that Optuna itself runs. Here the
    trial's number is all the state there is, so nothing is repeated or left out by a restart or by parallel trials.

    Args:
        parameters: The space; every float has a step.
        seed: Shuffles the order.
    """

    def __init__(self, parameters: Sequence[Parameter], seed: int | None) -> None:
        self._grid = Grid(parameters)
        self._seed = 0 if seed is None else seed
        self._last: tuple[int, dict[str, Value]] | None = None

    def __len__(self) -> int:
        return len(self._grid)

    def _point(self, number: int) -> dict[str, Value]:
        """Return a trial's point. The order of the whole grid is made anew each time: it takes less time than room."""
        if self._last is None or self._last[0] != number:
            order = np.random.default_rng(self._seed).permutation(len(self._grid))
            self._last = number, self._grid[int(order[number % len(self._grid)])]
        return self._last[1]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: each parameter is given independently."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing: each parameter is given independently."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Value:
        """Return the parameter's value at the trial's point."""
        return self._point(trial.number)[param_name]
