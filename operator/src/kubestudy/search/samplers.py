"""Samplers by name. Source: optuna.samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from kubestudy.api.problems import Problem
from kubestudy.api.study import Parameter, Sampler, SamplerName, StudySpec
from kubestudy.api.values import Value
from kubestudy.search.options import check_options
from kubestudy.search.space import grid, is_conditional

_TAKEN = frozenset({"seed"})
_CLASSES: Mapping[SamplerName, type[optuna.samplers.BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
}


class GridSampler(optuna.samplers.BaseSampler):
    """Tries every point of the grid once, trial n the n-th point of one shuffled order.

    Optuna's own GridSampler knows no conditional parameters and can stop only a study that Optuna itself runs. Here the
    trial's number is all the state there is, so nothing is repeated or left out by a restart or by parallel trials.

    Args:
        parameters: The space; every float has a step.
        seed: Shuffles the order.
    """

    def __init__(self, parameters: Sequence[Parameter], seed: int | None) -> None:
        points = list(grid(parameters))
        order = np.random.default_rng(0 if seed is None else seed).permutation(len(points))
        self._points = [points[i] for i in order]

    def __len__(self) -> int:
        return len(self._points)

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
        value: Value = self._points[trial.number % len(self._points)][param_name]
        return value


def sampler_problems(sampler: Sampler) -> list[Problem]:
    """Check a sampler's options, by trying them."""
    if sampler.name == "grid":
        return [
            Problem(f"spec.sampler.options.{name}", "there is no such option: grid has none")
            for name in sampler.options
        ]
    problems = check_options("spec.sampler.options", _CLASSES[sampler.name], sampler.options, _TAKEN)
    if not problems:
        try:
            _CLASSES[sampler.name](**sampler.options)
        except (TypeError, ValueError) as error:
            problems.append(Problem("spec.sampler.options", f"{sampler.name} refuses them: {error}"))
    return problems


def make_sampler(spec: StudySpec, trials: int) -> optuna.samplers.BaseSampler:
    """Make the study's sampler.

    Args:
        spec: The study.
        trials: How many trials there are already. The sampler's random state is not stored, so a restart derives a
            new seed from this; otherwise it would suggest again what it suggested first.
    """
    sampler = spec.sampler
    if sampler.name == "grid":
        return GridSampler(spec.parameters, sampler.seed)
    options = dict(sampler.options)
    if sampler.name == "tpe" and is_conditional(spec.parameters) and options.get("multivariate") is not False:
        # Without it, whatever is conditional is left out of the joint model (Optuna's TPESampler, `group`).
        options.setdefault("group", True)
        options.setdefault("multivariate", True)
    seed = seed_after(sampler.seed, trials)
    return _CLASSES[sampler.name](seed=seed, **options)  # type: ignore[call-arg]


def seed_after(seed: int | None, trials: int) -> int | None:
    """Derive the seed that a study goes on with once it has some trials; the first start has the seed itself."""
    if seed is None or trials == 0:
        return seed
    return int(np.random.SeedSequence((seed, trials)).generate_state(1)[0])
