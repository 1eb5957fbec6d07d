"""What only Optuna can say about a manifest."""

from __future__ import annotations

from kubestudy.api.algorithms import SAMPLERS
from kubestudy.api.checks.registry import Checks, once
from kubestudy.api.problems import Problem
from kubestudy.api.study import StudySpec
from kubestudy.search.pruners import pruner_problems
from kubestudy.search.samplers import sampler_problems
from kubestudy.search.space import grid_problems


@once("sampler.name", "sampler.options")
def sampler_takes_its_options(spec: StudySpec) -> list[Problem]:
    """Check the sampler's options against Optuna's real signature and constructor."""
    return sampler_problems(spec.sampler)


@once("sampler.name", "objectives")
def sampler_knows_the_objectives(spec: StudySpec) -> list[Problem]:
    """Check whether the sampler searches for as many objectives as there are."""
    name, count = spec.sampler.name, len(spec.objectives)
    if SAMPLERS[name].several_objectives or count == 1:
        return []
    others = ", ".join(other.name for other in SAMPLERS.values() if other.several_objectives)
    sentence = f"{name} searches for one objective and there are {count}: use one of {others}"
    return [Problem("spec.sampler.name", sentence)]


# A wrong space has no grid to count.
@once("sampler.name", "parameters", sound=("parameters",))
def space_has_a_grid(spec: StudySpec) -> list[Problem]:
    """Check whether a sampler that tries each point once can go through the space."""
    return grid_problems(spec.parameters) if SAMPLERS[spec.sampler.name].finite else []


@once("pruner.name", "pruner.options")
def pruner_takes_its_options(spec: StudySpec) -> list[Problem]:
    """Check the pruner's options against Optuna's real signature and constructor."""
    return pruner_problems(spec.pruner)


search_problems = Checks(
    (sampler_takes_its_options, sampler_knows_the_objectives, space_has_a_grid, pruner_takes_its_options)
)
