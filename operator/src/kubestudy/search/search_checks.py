"""What only Optuna, or the search for itself, can say about a manifest."""

from __future__ import annotations

from kubestudy.api.algorithms import SAMPLERS
from kubestudy.api.checks.registry import Checks, once
from kubestudy.api.problems import Problem
from kubestudy.api.study import StudySpec
from kubestudy.search.grid_checks import grid_problems
from kubestudy.search.pruners import pruner_problems
from kubestudy.search.samplers import objective_problems, sampler_problems


@once("sampler.name", "sampler.options")
def sampler_takes_its_options(spec: StudySpec) -> list[Problem]:
    """Check the sampler's options against Optuna's real signature and constructor."""
    return sampler_problems(spec.sampler)


@once("sampler.name", "objectives")
def sampler_takes_the_objectives(spec: StudySpec) -> list[Problem]:
    """Check whether the sampler can search for as many objectives."""
    return objective_problems(spec)


# A wrong space has no grid to count.
@once("sampler.name", "parameters", sound=("parameters",))
def space_has_a_grid(spec: StudySpec) -> list[Problem]:
    """Check whether a sampler that goes through the whole space can do so."""
    return grid_problems(spec.parameters) if SAMPLERS[spec.sampler.name].finite else []


@once("pruner.name", "pruner.options")
def pruner_takes_its_options(spec: StudySpec) -> list[Problem]:
    """Check the pruner's options against Optuna's real signature and constructor."""
    return pruner_problems(spec.pruner)


search_problems = Checks(
    (sampler_takes_its_options, sampler_takes_the_objectives, space_has_a_grid, pruner_takes_its_options)
)
