"""What only Optuna can say about a manifest."""

from __future__ import annotations

from kubestudy.api.problems import Problem
from kubestudy.api.study import StudySpec
from kubestudy.search.pruners import pruner_problems
from kubestudy.search.samplers import sampler_problems


def search_problems(spec: StudySpec) -> list[Problem]:
    """Check the sampler and pruner of a valid spec against Optuna's real signatures and constructors."""
    return [*sampler_problems(spec), *pruner_problems(spec.pruner)]
