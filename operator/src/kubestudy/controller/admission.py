"""Whether a study can begin: its manifest, its Job template, its expressions. Each refusal says what to mend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubestudy.api.problems import Problem
from kubestudy.api.study import HyperparameterStudy, StudySpec
from kubestudy.api.validation import validate
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.template import template_problem
from kubestudy.metrics.expressions import PrometheusEvaluator
from kubestudy.metrics.server import PrometheusError
from kubestudy.search.search_checks import search_problems
from kubestudy.study.measuring import NO_EVALUATOR
from kubestudy.study.ports import ExpressionEvaluator, Trouble

NO_PROMETHEUS = "NoPrometheus"
# More is of no use to a reader, and an object's status is small.
_PROBLEMS_SHOWN = 10


class MetricsUnavailableError(Exception):
    """Prometheus does not answer, and a study that needs it cannot begin."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A study that can be run, and what evaluates its expressions."""

    study: HyperparameterStudy
    evaluator: ExpressionEvaluator


async def admit(
    manifest: Mapping[str, Any],
    owner: Owner,
    api: KubeApi,
    evaluator_of: Callable[[StudySpec], PrometheusEvaluator | None],
    now: float,
    *,
    begun: bool,
) -> Admitted | Trouble:
    """Admit a study; return what it needs to run, or why it cannot be run as it is written.

    Args:
        manifest: The object, without its status.
        owner: The study as its Jobs' owner.
        api: The API server, which checks the Job template.
        evaluator_of: Returns what evaluates a study's expressions; None where there is no Prometheus.
        now: Unix time.
        begun: Whether it has trials already: then its expressions were checked before.

    Raises:
        ApiError: The API server does not answer.
        MetricsUnavailableError: Prometheus does not.
    """
    study, problems = await asyncio.to_thread(validate, manifest, search_problems)
    if study is None:
        return Trouble("InvalidSpec", listed(problems))
    problem = await template_problem(owner, study.spec, api)
    if problem is not None:
        return Trouble("InvalidJobTemplate", f"{problem}; mend spec.jobTemplate and apply it again")
    if not study.spec.expressions:
        return Admitted(study, NO_EVALUATOR)
    evaluator = evaluator_of(study.spec)
    if evaluator is None:
        return Trouble(
            NO_PROMETHEUS,
            "the study has promql expressions and the operator no Prometheus: start it with --prometheus-url (in the"
            " chart: prometheus.url), or use metrics that trials report",
        )
    refusal = None if begun else await _refused_by(evaluator, now)
    return refusal or Admitted(study, evaluator)


async def _refused_by(evaluator: PrometheusEvaluator, now: float) -> Trouble | None:
    try:
        problem = await evaluator.check(now)
    except (PrometheusError, OSError) as error:
        raise MetricsUnavailableError(f"the study's expressions cannot be checked yet: {error}") from error
    return None if problem is None else Trouble("InvalidExpression", f"{problem}; mend it and apply the study again")


def listed(problems: Sequence[Problem]) -> str:
    """Return problems as one sentence."""
    shown = "; ".join(map(str, problems[:_PROBLEMS_SHOWN]))
    return shown + (f"; and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else "")
