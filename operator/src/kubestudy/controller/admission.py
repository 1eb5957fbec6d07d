"""Whether a study can begin: its manifest, its Job template, its claims, its expressions. Each refusal says what to
mend.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kubestudy.api.gpus import gpus_in
from kubestudy.api.problems import Problem
from kubestudy.api.reasons import Ended, Hindrance
from kubestudy.api.study import HyperparameterStudy, StudySpec
from kubestudy.api.validation import validate
from kubestudy.cluster.api import ApiError
from kubestudy.cluster.claims import ClaimMissingError, claimed_devices
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.names import job_name
from kubestudy.cluster.template import template_problem
from kubestudy.controller.inbox import Version
from kubestudy.controller.services import Services
from kubestudy.controller.verdicts import Admitted, Delayed, Rejected, Runnable, Verdict
from kubestudy.controller.work_pool import StuckError
from kubestudy.metrics.answers import PrometheusError
from kubestudy.metrics.expressions import PrometheusEvaluator
from kubestudy.search.search_checks import search_problems
from kubestudy.study.measuring import NO_EVALUATOR
from kubestudy.study.ports import ExpressionEvaluator, Trouble

log = logging.getLogger(__name__)

# More is of no use to a reader, and an object's status is small.
_PROBLEMS_SHOWN = 10
_NO_PROMETHEUS = Trouble(
    Ended.NO_PROMETHEUS,
    "the study has promql expressions and the operator no Prometheus: start it with --prometheus-url (in the chart:"
    " prometheus.url), or use metrics that trials report",
)


async def admit(version: Version, services: Services, runs: Runnable | None, *, begun: bool) -> Verdict:
    """Admit a study. Whatever goes wrong is a verdict.

    Args:
        version: The object.
        services: What the operator has.
        runs: What it is run by now, if it is: what did not change since is not asked again.
        begun: Whether it has trials already: then its expressions were checked before.
    """
    try:
        return await _admit(version, services, runs, begun=begun)
    except ApiError as error:
        return Delayed(Trouble(Hindrance.API_SERVER, str(error)))
    except StuckError as error:
        return Delayed(Trouble(Hindrance.SEARCH_STUCK, str(error)))
    except ClaimMissingError as error:
        return Delayed(Trouble(Hindrance.CLAIM_MISSING, str(error)))
    except Exception as error:  # whatever it is, other studies go on
        log.exception("an error of the operator's own")
        return Delayed(internal_error(error))


async def _admit(version: Version, services: Services, runs: Runnable | None, *, begun: bool) -> Verdict:
    owner = owner_of(version.body)
    check = partial(validate, manifest_of(version.body), search_problems)
    study, problems = await services.pool.call(owner.uid, check)
    if study is None:
        return Rejected(Trouble(Ended.INVALID_SPEC, listed(problems)))
    if runs is not None and runs.owner.template == owner.template:
        # Whatever the API server says of it today, a study can still be suspended or get a larger budget.
        gpus = runs.gpus
    else:
        async with services.template_checks:
            problem = await template_problem(owner, study.spec, services.api)
            if problem is not None:
                why = f"{problem}; mend spec.jobTemplate and apply it again"
                return Rejected(Trouble(Ended.INVALID_TEMPLATE, why))
            gpus = await _gpus(owner, study, services)
    evaluator: ExpressionEvaluator = NO_EVALUATOR
    if study.spec.expressions:
        found = _evaluator(owner, study.spec, services)
        if found is None:
            return Rejected(_NO_PROMETHEUS)
        refusal = None if begun else await _refusal(found, services.clock())
        if refusal is not None:
            return refusal
        evaluator = found
    return Admitted(Runnable(study, owner, evaluator, gpus, history_policy(version)))


async def _refusal(evaluator: PrometheusEvaluator, now: float) -> Rejected | Delayed | None:
    """Return what Prometheus has against a study's expressions; None if nothing."""
    try:
        problem = await evaluator.check(now)
    except (PrometheusError, OSError) as error:
        return Delayed(Trouble(Hindrance.METRICS, f"the study's expressions cannot be checked yet: {error}"))
    if problem is None:
        return None
    return Rejected(Trouble(Ended.INVALID_EXPRESSION, f"{problem}; mend it and apply the study again"))


async def _gpus(owner: Owner, study: HyperparameterStudy, services: Services) -> float:
    """Return how many GPUs a trial holds, by its limits and its claims."""
    claimed = await claimed_devices(owner.template, owner.namespace, services.api)
    return gpus_in(study.spec.job_template.spec.template.spec, services.gpu_shares, claimed)


def _evaluator(owner: Owner, spec: StudySpec, services: Services) -> PrometheusEvaluator | None:
    """Return what evaluates a study's expressions; None where there is no Prometheus."""
    if services.prometheus is None:
        return None
    job = partial(job_name, owner.name, owner.uid)
    return PrometheusEvaluator(
        services.prometheus, spec.expressions, owner.namespace, owner.name, job, services.settling,
        confined=services.confined,
    )  # fmt: skip


def internal_error(error: Exception) -> Trouble:
    """Return what is said of an error of the operator's own."""
    return Trouble(Hindrance.INTERNAL, f"{type(error).__name__}: {error}; the operator's log says more")


def owner_of(body: Mapping[str, Any]) -> Owner:
    """Return a study as its Jobs' owner."""
    metadata = body["metadata"]
    template = (body.get("spec") or {}).get("jobTemplate") or {}
    return Owner(metadata["name"], metadata["namespace"], metadata["uid"], template)


def history_policy(version: Version) -> str:
    """Return what is to become of a study's history once it is deleted: Retain or Delete."""
    return str(version.spec.get("historyPolicy") or "Retain")


def metadata_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an object's metadata a manifest has."""
    return {key: body["metadata"].get(key) for key in ("name", "namespace", "generation")}


def manifest_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study as its user wrote it: without its status."""
    return {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": metadata_of(body),
        "spec": body.get("spec"),
    }


def listed(problems: Sequence[Problem]) -> str:
    """Return problems as one sentence."""
    shown = "; ".join(map(str, problems[:_PROBLEMS_SHOWN]))
    return shown + (f"; and {len(problems) - _PROBLEMS_SHOWN} more" if len(problems) > _PROBLEMS_SHOWN else "")
