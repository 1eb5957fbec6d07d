"""A parameter by itself: its name, its range or its choices."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from kubestudy.api.checks.registry import Check, each, once
from kubestudy.api.limits import CHOICES, CHOICES_LENGTH
from kubestudy.api.problems import Problem
from kubestudy.api.reading import readable
from kubestudy.api.study import Parameter, StudySpec
from kubestudy.api.values import Value, as_text

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_NAMES = ("PATH", "HOME")
RESERVED_PREFIXES = ("LD_", "PYTHON", "KUBERNETES_", "KUBESTUDY_", "CUDA_", "NVIDIA_", "NCCL_")
MAX_CHOICE_LENGTH = 1024
EXACT_INT = 2**53


@each("parameters", "name")
def name_is_a_variable(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a name that no variable of an environment can have, or none of a trial's."""
    name = parameter.name
    if not ENV_NAME.fullmatch(name):
        yield Problem(
            f"{at}.name",
            f"{name!r} cannot be an environment variable: use letters, digits and underscores, no digit first",
        )
    elif name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
        yield Problem(
            f"{at}.name",
            f"{name} would hide a variable the system needs: choose a name other than PATH and HOME that starts"
            f" with none of {', '.join(RESERVED_PREFIXES)}",
        )


@once("parameters?.name")
def names_differ(spec: StudySpec) -> Iterator[Problem]:
    """Find two parameters of one name."""
    seen: set[str] = set()
    for i, parameter in readable(spec.parameters):
        if parameter.name in seen:
            yield Problem(f"spec.parameters[{i}].name", f"{parameter.name} is the name of two parameters: rename one")
        seen.add(parameter.name)


def range_belongs_to_numbers(field: str) -> Check:
    """Return the check that finds a field of a range on a categorical parameter."""

    @each("parameters", "type", field)
    def check(at: str, parameter: Parameter) -> Iterator[Problem]:
        if parameter.type == "categorical" and getattr(parameter, field) not in (None, False):
            yield Problem(f"{at}.{field}", "belongs to float and int parameters: a categorical one has choices")

    return check


@each("parameters", "type", "choices?")
def choices_belong_to_categorical(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a categorical parameter without choices, and another with some."""
    if parameter.type == "categorical" and parameter.choices is None:
        yield Problem(f"{at}.choices", "is required for a categorical parameter: list its values")
    elif parameter.type != "categorical" and parameter.choices is not None:
        yield Problem(
            f"{at}.choices",
            f"belongs to categorical parameters: a parameter of type {parameter.type} has low and high",
        )


@each("parameters", "type", "choices?")
def choices_are_values(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a choice that no environment variable holds, or that looks like another there."""
    if parameter.type != "categorical":
        return
    texts: dict[str, Value] = {}
    for i, choice in readable(parameter.choices or ()):
        where = f"{at}.choices[{i}]"
        text = as_text(choice)
        if isinstance(choice, float) and not math.isfinite(choice):
            yield Problem(where, f"{choice} is no finite number")
        if "\0" in text or len(text) > MAX_CHOICE_LENGTH:
            yield Problem(
                where,
                f"does not fit an environment variable: {MAX_CHOICE_LENGTH} characters at most, no NUL",
            )
        twin = next((other for seen, other in texts.items() if seen == text or other == choice), None)
        if twin is not None:
            # Optuna compares choices as Python does, where 1, 1.0 and true are equal.
            unquoted = " (yes, no, on and off without quotes are true and false)" if choice is twin else ""
            yield Problem(where, f"{text} cannot be told from the choice {as_text(twin)}: keep one of them{unquoted}")
        texts[text] = choice


@once("parameters?.type", "parameters?.choices?")
def choices_are_few_in_all(spec: StudySpec) -> Iterator[Problem]:
    """Find more choices than each trial's record can hold: it holds those of every parameter."""
    texts = [as_text(c) for _, p in readable(spec.parameters) for _, c in readable(p.choices or ())]
    characters = sum(map(len, texts))
    if len(texts) > CHOICES.value or characters > CHOICES_LENGTH.value:
        yield Problem(
            "spec.parameters",
            f"have {len(texts)} choices of {characters} characters in all, which each trial's record would hold:"
            f" {CHOICES.value} choices and {CHOICES_LENGTH.value} characters at most; use fewer, or shorter ones",
        )


def bound_is_a_number(field: str) -> Check:
    """Return the check that finds a bound, or a step, which is missing, infinite, or no whole number."""

    @each("parameters", "type", field)
    def check(at: str, parameter: Parameter) -> Iterator[Problem]:
        bound = getattr(parameter, field)
        if parameter.type == "categorical":
            return
        if bound is None:
            if field != "step":
                yield Problem(f"{at}.{field}", f"is required for a parameter of type {parameter.type}")
        elif not math.isfinite(bound):
            yield Problem(f"{at}.{field}", f"{bound} is no finite number")
        elif parameter.type == "int" and (bound != int(bound) or abs(bound) > EXACT_INT):
            yield Problem(
                f"{at}.{field}",
                f"{bound:g} is no whole number within 2^53, which type int needs; or use type float",
            )

    return check


@each("parameters", "type", "low", "high")
def low_is_below_high(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a range with nothing in it, or with more than a number can tell apart."""
    ends = _ends(parameter)
    if ends is None:
        return
    low, high = ends
    if low >= high:
        yield Problem(f"{at}.low", f"{low:g} is not below high ({high:g})")
    elif not math.isfinite(high - low):
        yield Problem(f"{at}.high", "is too far from low: no number is that large")


@each("parameters", "type", "low", "high", "step")
def step_fits_the_range(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a step that is longer than the way from low to high."""
    ends, step = _ends(parameter), parameter.step
    if ends is None or step is None or not math.isfinite(step):
        return
    length = ends[1] - ends[0]
    if step > length > 0:
        yield Problem(f"{at}.step", f"{step:g} must be above 0 and at most high - low ({length:g})")


@each("parameters", "type", "step")
def step_is_positive(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a step that leads nowhere."""
    step = parameter.step
    if parameter.type != "categorical" and step is not None and -math.inf < step <= 0:
        yield Problem(f"{at}.step", f"{step:g} must be above 0 and at most high - low")


@each("parameters", "type", "log", "step")
def log_has_no_step(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find steps on a logarithmic scale."""
    if parameter.type != "categorical" and parameter.log and parameter.step is not None:
        yield Problem(f"{at}.step", "cannot go with log: leave out one of the two")


@each("parameters", "type", "log", "low")
def low_has_a_logarithm(at: str, parameter: Parameter) -> Iterator[Problem]:
    """Find a logarithmic scale that reaches zero."""
    low = parameter.low
    if parameter.type != "categorical" and parameter.log and low is not None and -math.inf < low <= 0:
        yield Problem(f"{at}.low", f"{low:g} has no logarithm: with log, low must be above 0")


def _ends(parameter: Parameter) -> tuple[float, float] | None:
    """Return a numeric parameter's bounds, if both are numbers to reckon with."""
    low, high = parameter.low, parameter.high
    if parameter.type == "categorical" or low is None or high is None:
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


CHECKS = (
    name_is_a_variable,
    names_differ,
    *(range_belongs_to_numbers(field) for field in ("low", "high", "step", "log")),
    choices_belong_to_categorical,
    choices_are_values,
    choices_are_few_in_all,
    *(bound_is_a_number(field) for field in ("low", "high", "step")),
    log_has_no_step,
    low_is_below_high,
    step_is_positive,
    step_fits_the_range,
    low_has_a_logarithm,
)
