"""From a manifest's data to the model, or to every problem at once."""

from __future__ import annotations

from typing import Any

from kubestudy.api.checks import budget, containers, measured, parameters, when
from kubestudy.api.checks.registry import Checks
from kubestudy.api.limits import MANIFEST_DEPTH, PROBLEMS
from kubestudy.api.problems import Problem, in_order
from kubestudy.api.reading import UNREAD, read_study, was_read
from kubestudy.api.study import KIND, HyperparameterStudy
from kubestudy.api.yaml_text import too_deep

CHECKS = Checks((*measured.CHECKS, *parameters.CHECKS, *when.CHECKS, *budget.CHECKS, *containers.CHECKS))


def validate(data: Any, also: Checks | None = None) -> tuple[HyperparameterStudy | None, list[Problem]]:
    """Validate a manifest's data.

    Args:
        data: What the manifest's YAML or JSON holds.
        also: Further checks of the spec, for what only another room can check.

    Returns:
        The study and no problem, or None and every problem found, in the manifest's order; of very many the first.
    """
    if not isinstance(data, dict):
        return None, [Problem("", f"is no {KIND}: a mapping with apiVersion, kind, metadata and spec is needed")]
    if too_deep(data):
        return None, [Problem("", f"is nested too deeply: {MANIFEST_DEPTH.value} levels at most")]
    study, problems = read_study(data)
    spec = getattr(study, "spec", UNREAD)
    for checks in (CHECKS, also):
        if checks is not None and was_read(spec):
            problems += checks(spec, problems)
    return (None, in_order(problems, data)[: PROBLEMS.value]) if problems else (study, [])
