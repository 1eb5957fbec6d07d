"""The checks between fields in CEL, so that the API server refuses what `checks` refuses.

Source: Kubernetes' CRD validation rules (`x-kubernetes-validations`). What CEL cannot see stays with `checks` and
the operator: a Job template's insides, and `choices` and `when`, whose items may be of any type.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubestudy.api.algorithms import SAMPLERS
from kubestudy.api.checks.parameters import RESERVED_NAMES, RESERVED_PREFIXES

Rule = dict[str, str]

_RESERVED = "^(" + "|".join([*RESERVED_NAMES, *(f"{prefix}.*" for prefix in RESERVED_PREFIXES)]) + ")$"
_NUMERIC = "self.type != 'categorical'"
_ENDS_BY_ITSELF = " || ".join(
    f"(has(self.sampler) && self.sampler.name == '{name}')" for name, sampler in SAMPLERS.items() if sampler.finite
)


def _rule(rule: str, message: str, field: str | None = None) -> Rule:
    return {"rule": rule, "message": message} | ({"fieldPath": field} if field else {})


def _fixed(field: str) -> Rule:
    return _rule(
        f"!has(oldSelf.status) || !has(oldSelf.status.startTime) || {_same(field)}",
        f"spec.{field} cannot change once the study has started: create a study of another name",
        f".spec.{field}",
    )


def _same(field: str) -> str:
    both, neither = f"has(self.spec.{field}) && has(oldSelf.spec.{field})", f"!has(self.spec.{field})"
    if field in ("sampler", "constraints"):
        return f"({both} && self.spec.{field} == oldSelf.spec.{field}) || ({neither} && !has(oldSelf.spec.{field}))"
    return f"self.spec.{field} == oldSelf.spec.{field}"


_MEASURED = (
    _rule("has(self.metric) != has(self.promql)", "needs exactly one of metric and promql"),
    _rule("!has(self.metric) || !has(self.name)", "belongs to promql: a metric has a name already", ".name"),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "HyperparameterStudy": (_fixed("objectives"), _fixed("parameters"), _fixed("constraints"), _fixed("sampler")),
    "Objective": _MEASURED,
    "Constraint": (
        *_MEASURED,
        _rule("has(self.min) || has(self.max)", "limits nothing: set min or max"),
        _rule("!has(self.min) || !has(self.max) || self.min <= self.max", "is above max", ".min"),
    ),
    "Parameter": (
        _rule(
            "self.name.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
            "cannot be an environment variable: use letters, digits and underscores, no digit first",
            ".name",
        ),
        _rule(
            f"!self.name.matches('{_RESERVED}')",
            f"would hide a variable the system needs: {', '.join(RESERVED_NAMES)} and names that start with "
            f"{', '.join(RESERVED_PREFIXES)} are taken",
            ".name",
        ),
        _rule(
            f"{_NUMERIC} || !(has(self.low) || has(self.high) || has(self.step) || (has(self.log) && self.log))",
            "low, high, step and log belong to float and int parameters: a categorical one has choices",
        ),
        _rule(
            f"!({_NUMERIC}) || (has(self.low) && has(self.high))",
            "low and high are required for float and int",
        ),
        _rule(
            "!has(self.low) || !has(self.high) || self.low < self.high",
            "low must be below high",
            ".low",
        ),
        _rule(
            "!has(self.log) || !self.log || !has(self.low) || self.low > 0.0",
            "has no logarithm: with log, low must be above 0",
            ".low",
        ),
        _rule(
            "!has(self.log) || !self.log || !has(self.step)",
            "cannot go with log: leave out one of the two",
            ".step",
        ),
        _rule(
            "!has(self.step) || (self.step > 0.0 && (!has(self.low) || !has(self.high)"
            " || self.step <= self.high - self.low))",
            "must be above 0 and at most high - low",
            ".step",
        ),
        _rule(
            "self.type != 'int' || [has(self.low) ? self.low : 0.0, has(self.high) ? self.high : 0.0,"
            " has(self.step) ? self.step : 1.0].all(x, x == double(int(x)))",
            "low, high and step of an int parameter are whole numbers; or use type float",
        ),
    ),
    "StudySpec": (
        _rule(
            "!has(self.pruner) || self.pruner.name == 'none' || size(self.objectives) == 1",
            "compares trials by one objective: use none, or one objective",
            ".pruner",
        ),
        _rule(
            "!has(self.pruner) || self.pruner.name == 'none' || !has(self.objectives[0].promql)",
            "follows a metric that running trials report: use none with a promql objective",
            ".pruner",
        ),
        _rule(
            "(has(self.budget) && (has(self.budget.maxTrials) || has(self.budget.maxDuration)"
            " || has(self.budget.maxGpuHours) || has(self.budget.patience)))"
            " || self.objectives.exists(o, has(o.target))"
            f" || {_ENDS_BY_ITSELF}",
            "the study would never end: set maxTrials, maxDuration, maxGpuHours or patience, or a target",
            ".budget",
        ),
        _rule(
            "self.objectives.all(o, self.objectives.exists_one(p,"
            " (has(o.metric) && has(p.metric) && o.metric == p.metric)"
            " || (has(o.promql) && has(p.promql) && o.promql == p.promql)))",
            "one metric is an objective twice: name each one once",
            ".objectives",
        ),
    ),
}
