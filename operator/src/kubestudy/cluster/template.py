"""Asking the API server whether a study's Job template is valid, before any trial: a dry run of its first Job."""

from __future__ import annotations

import re
from http import HTTPStatus

from kubestudy.api.study import Parameter, StudySpec
from kubestudy.api.values import Value
from kubestudy.cluster.api import ApiError, KubeApi, UnreachableError
from kubestudy.cluster.jobs import Owner, job_of
from kubestudy.cluster.paths import collection
from kubestudy.study.trial import Suggestion

_LENGTH = 1500
# Refusals that are not about the template: a token that is being rotated, a quota that changes at this moment.
_PASSING = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.CONFLICT})


async def template_problem(owner: Owner, spec: StudySpec, api: KubeApi) -> str | None:
    """Return what the API server has against the template, with the field's path in the study; None if nothing.

    Raises:
        ApiError: It does not answer, or its answer is not about the template.
    """
    body = job_of(owner, spec, Suggestion(0, {p.name: _any_value(p) for p in spec.parameters}))
    body["metadata"]["generateName"] = body["metadata"].pop("name")[:50] + "-"
    try:
        await api.create(collection("batch/v1", "jobs", owner.namespace), body, dryRun="All")
    except ApiError as error:
        if error.status // 100 != 4 or error.status in _PASSING or isinstance(error, UnreachableError):
            raise  # the API server does not answer, or the request was not even sent
        if error.over_quota or error.status == HTTPStatus.NOT_FOUND:
            return None  # for now; the template is not at fault
        return in_study(str(error))[:_LENGTH]
    return None


def in_study(message: str) -> str:
    """Rewrite a Job's error so that its paths are those of the study."""
    message = re.sub(r'^Job\.batch "[^"]*" is invalid: ', "", message)
    return re.sub(r"(?<![\w.])(spec|metadata)\.(?=[a-zA-Z])", r"spec.jobTemplate.\1.", message)


def _any_value(parameter: Parameter) -> Value:
    if parameter.choices:
        return parameter.choices[0]
    low = parameter.low or 0.0
    return int(low) if parameter.type == "int" else low
