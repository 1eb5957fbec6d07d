"""Samplers by name: their options checked, and the sampler made. Source: optuna.samplers.

Importing this does not import Optuna: a manifest whose sampler has no options is checked without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubestudy.api.algorithms import SAMPLERS, SamplerAlgorithm
from kubestudy.api.problems import Problem
from kubestudy.api.study import Sampler, StudySpec
from kubestudy.search.classes import class_of
from kubestudy.search.options import check_options, trying
from kubestudy.search.space import is_conditional

if TYPE_CHECKING:
    import optuna

_TAKEN = frozenset({"seed"})


def sampler_problems(sampler: Sampler) -> list[Problem]:
    """Check a sampler's options, by trying them."""
    algorithm, path, given = SAMPLERS[sampler.name], "spec.sampler.options", sampler.options
    if algorithm.finite:
        return [Problem(f"{path}.{name}", f"there is no such option: {algorithm.name} has none") for name in given]
    if not given and not algorithm.required:
        return []
    problems = check_options(path, algorithm, given, _TAKEN)
    if not problems:
        problems += trying(path, algorithm, lambda: class_of(algorithm)(**given))
    return problems


def objective_problems(spec: StudySpec) -> list[Problem]:
    """Check whether the sampler can search for as many objectives."""
    algorithm = SAMPLERS[spec.sampler.name]
    if algorithm.several_objectives or len(spec.objectives) == 1:
        return []
    others = ", ".join(other.name for other in SAMPLERS.values() if other.several_objectives)
    return [
        Problem(
            "spec.sampler.name",
            f"{algorithm.name} searches for one objective and there are {len(spec.objectives)}: use one of {others}",
        )
    ]


def make_sampler(spec: StudySpec, trials: int) -> optuna.samplers.BaseSampler:
    """Make the study's sampler.

    Args:
        spec: The study.
        trials: How many trials there are already. The sampler's random state is not stored, so a restart derives a
            new seed from this; otherwise it would suggest again what it suggested first.
    """
    algorithm = SAMPLERS[spec.sampler.name]
    made: optuna.samplers.BaseSampler
    if algorithm.finite:
        made = class_of(algorithm)(spec.parameters, spec.sampler.seed)
    else:
        made = class_of(algorithm)(seed=seed_after(spec.sampler.seed, trials), **_options(spec, algorithm))
    return made


def _options(spec: StudySpec, algorithm: SamplerAlgorithm) -> dict[str, Any]:
    options = dict(spec.sampler.options)
    for name, value in algorithm.if_conditional.items() if is_conditional(spec.parameters) else ():
        if options.setdefault(name, value) != value:
            break
    return options


def seed_after(seed: int | None, trials: int) -> int | None:
    """Derive the seed that a study goes on with once it has some trials; the first start has the seed itself."""
    if seed is None or trials == 0:
        return seed
    import numpy as np  # noqa: PLC0415  (checking a manifest needs no random numbers)

    return int(np.random.SeedSequence((seed, trials)).generate_state(1)[0])
