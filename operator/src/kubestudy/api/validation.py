"""From a manifest's data to the model, or to every problem at once."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence, Set
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kubestudy.api.checks import check
from kubestudy.api.job import Container, JobSpec, PodSpec
from kubestudy.api.problems import Loc, Problem, did_you_mean, nearest, path_of
from kubestudy.api.study import API_VERSION, KIND, HyperparameterStudy, Parameter, StudySpec
from kubestudy.api.yaml_text import MAX_DEPTH, too_deep

_UNION_TAGS = {"bool", "int", "float", "str"}
_STAND_INS: dict[str, dict[str, Any]] = {
    "parameters": {"name": "_", "type": "categorical", "choices": ["_"]},
    "objectives": {"metric": "_", "goal": "minimize"},
    "constraints": {"metric": "_", "max": 0.0},
    "containers": {"name": "_"},
    "env": {"name": "_"},
}
_PARTS: dict[Loc, Any] = {
    ("apiVersion",): API_VERSION,
    ("kind",): KIND,
    ("metadata",): {"name": "x"},
    ("metadata", "name"): "x",
    ("spec", "objectives"): [_STAND_INS["objectives"]],
    ("spec", "parameters"): [_STAND_INS["parameters"]],
    ("spec", "jobTemplate"): {"spec": {"template": {"spec": {"containers": [_STAND_INS["containers"]]}}}},
}
_ATTEMPTS = 5
_DURATIONS = frozenset({"maxDuration", "gracePeriod", "trialStartTimeout", "failedJobsHistoryTTL", "settlingTime"})


Check = Callable[[StudySpec], Sequence[Problem]]


def validate(data: Any, also: Check | None = None) -> tuple[HyperparameterStudy | None, list[Problem]]:
    """Validate a manifest's data.

    Args:
        data: What the manifest's YAML or JSON holds.
        also: A further check of the spec, for what only another room can check.

    Returns:
        The study and no problem, or None and every problem found: those of single fields first, then those between
        fields, as far as what remains can still be checked.
    """
    if not isinstance(data, dict):
        return None, [Problem("", f"is no {KIND}: a mapping with apiVersion, kind, metadata and spec is needed")]
    if too_deep(data):
        return None, [Problem("", f"is nested too deeply: {MAX_DEPTH} levels at most")]
    try:
        study = _parsed(data)
    except ValidationError as error:
        found = _structural(error)
        return None, [*found, *_check_the_rest(data, error, found, also)]
    problems = [*_typos(data), *_checked(study.spec, also)]
    return (None, problems) if problems else (study, [])


def _checked(spec: StudySpec, also: Check | None, also_known: Set[str] = frozenset()) -> list[Problem]:
    problems = check(spec, also_known=also_known)
    if also is None:
        return problems
    if any(problem.path.startswith("spec.parameters") for problem in problems):
        # The rest can be checked over any space, this one cannot be.
        stand_in = Parameter.model_validate(_STAND_INS["parameters"])
        spec = spec.model_copy(update={"parameters": [stand_in]})
    return [*problems, *also(spec)]


def _parsed(data: Any) -> HyperparameterStudy:
    # By the names that the API server knows, not by those of the attributes.
    return HyperparameterStudy.model_validate(data, by_alias=True, by_name=False)


def _structural(error: ValidationError) -> list[Problem]:
    problems: dict[str, Problem] = {}
    for detail in error.errors():
        path = path_of(_place(detail))
        # A union reports one error per member: the first says enough.
        problems.setdefault(path, Problem(path, _sentence(detail)))
    return list(problems.values())


def _place(detail: ErrorDetails) -> Loc:
    """Return where an error is, without what pydantic adds: names of a union's members, marks of keys."""
    loc = detail["loc"]
    if loc[-1:] == ("[key]",):
        return loc[:-2]
    if detail["type"] not in ("missing", "extra_forbidden") and loc[-1:] and loc[-1] in _UNION_TAGS:
        return loc[:-1]
    return loc


def _sentence(detail: ErrorDetails) -> str:
    kind, context, given = detail["type"], detail.get("ctx", {}), detail["input"]
    field = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["loc"][-1:] == ("[key]",):
        return f"the key {_shown(given)} is no text: put it in quotes"
    match kind:
        case "missing":
            slip = (
                next((str(key) for key in given if _is_slip(str(key), field)), None)
                if isinstance(given, dict)
                else None
            )
            return "is required" + (f": {slip} is no field, did you mean {field}?" if slip else "")
        case "extra_forbidden":
            return f"there is no such field: {did_you_mean(field, _fields_at(detail['loc'][:-1]))}"
        case "literal_error":
            expected = context["expected"].replace("'", "")
            near = nearest(str(given), expected.replace(" or ", ", ").split(", "))
            return f"{_shown(given)} is not {expected}" + (f": did you mean {near}?" if near else "")
        case "string_pattern_mismatch" | "string_type" if field in _DURATIONS:
            return f"{_shown(given)} is no duration: write it as 90s, 45m, 1h30m or 2d"
        case "string_pattern_mismatch" if detail["loc"][-2:] == ("metadata", "name"):
            return f"{_shown(given)} is no name for an object: use lowercase letters, digits, - and ."
        case "string_pattern_mismatch":
            return f"{_shown(given)} is no metric's name: use letters, digits, _ . : / and -, a letter or _ first"
        case "greater_than_equal" | "greater_than":
            bound = context.get("ge", context.get("gt"))
            return f"{_shown(given)} must be {'at least' if 'ge' in context else 'above'} {bound}"
        case "less_than_equal":
            return f"{_shown(given)} must be at most {context['le']}"
        case "too_short" | "string_too_short":
            return "must not be empty"
        case "too_long" | "string_too_long":
            return f"is too long: {context.get('max_length')} at most"
    return f"{_shown(given)} is {_expected(kind, given)}"


def _expected(kind: str, given: Any) -> str:
    wanted = {
        "string_type": "no text" + (": put it in quotes" if isinstance(given, bool | int | float) else ""),
        "int_type": "no whole number" + (": take the quotes away" if isinstance(given, str) else ""),
        "int_from_float": "no whole number",
        "float_type": "no number" + (": take the quotes away" if _is_number(given) else ""),
        "bool_type": "neither true nor false" + (": take the quotes away" if isinstance(given, str) else ""),
        "list_type": f"no list: write [{', '.join(str(given).split())}]"
        if isinstance(given, str | int | float)
        else "no list",
        "dict_type": "no mapping of names to values",
        "model_type": "no mapping of fields to values",
    }
    return wanted.get(kind, f"not valid here ({kind.replace('_', ' ')})")


def _is_number(given: Any) -> bool:
    """Tell whether a text holds a number."""
    try:
        return isinstance(given, str) and math.isfinite(float(given))
    except ValueError:
        return False


def _shown(given: Any) -> str:
    try:
        text = "nothing" if given is None else repr(given)
    except ValueError:  # a whole number of more digits than Python writes out
        text = "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def _fields_at(loc: Loc) -> list[str]:
    """Return the names of the fields that are known at a place of the manifest."""
    model: Any = HyperparameterStudy
    for part in loc:
        if isinstance(part, int):
            continue
        fields = {info.alias or name: info.annotation for name, info in model.model_fields.items()}
        model = _model_in(fields.get(part))
        if model is None:
            return []
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside an annotation such as `list[Annotated[Model, ...]] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _check_the_rest(
    data: dict[str, Any], error: ValidationError, found: list[Problem], also: Check | None
) -> list[Problem]:
    """Run the checks between fields on what is left once the faulty fields are taken out.

    A list's item that cannot be read is replaced by a stand-in, so that the others keep their places; nothing is
    said about a stand-in, nor about a place that a fault was already found in.
    """
    rest = copy.deepcopy(data)
    silent: set[str] = {problem.path for problem in found}
    for attempt in range(_ATTEMPTS):
        for detail in sorted(error.errors(), key=lambda d: len(d["loc"]), reverse=True):
            silent.add(_take_out(rest, _place(detail), last=attempt == _ATTEMPTS - 1))
        try:
            study = _parsed(rest)
        except ValidationError as again:
            error = again
            continue
        found_paths = {problem.path for problem in found}
        # Options can be checked only by the name they belong to.
        named = found_paths & {"spec.sampler.name", "spec.pruner.name"}
        return [
            problem
            for problem in (*_typos(rest), *_checked(study.spec, also, _names(data)))
            if not any(_within(problem.path, place) for place in silent)
            and not ("spec.parameters" in silent and "$(" in problem.sentence)
            and not any(_within(place, problem.path) for place in found_paths)
            and not any(_within(problem.path, place.removesuffix("name") + "options") for place in named)
        ]
    return []


def _within(path: str, place: str) -> bool:
    return path == place or (bool(place) and path.startswith((place + ".", place + "[")))


def _take_out(rest: Any, loc: Loc, *, last: bool) -> str:
    """Take away the value at a location, or put a stand-in for what cannot be missing; return the place that was lost.

    Args:
        rest: The manifest's data, which is changed.
        loc: Where an error is.
        last: Whether finer repairs did not help: a whole part of the spec is replaced then.
    """
    for part in (loc[:2], loc[:1]) if last else ():
        if part in _PARTS:
            _put(rest, part)
            return path_of(part)
    if loc in _PARTS:
        _put(rest, loc)
        return path_of(loc)
    holder = rest
    trail: list[Any] = [rest]
    for step in loc[:-1]:
        try:
            holder = holder[step]
        except (KeyError, IndexError, TypeError):
            break
        trail.append(holder)
    if len(trail) == len(loc) and isinstance(holder, dict) and loc and loc[-1] in holder:
        del holder[loc[-1]]
        return path_of(loc)
    return _replace_item(loc, trail)


def _put(rest: Any, part: Loc) -> None:
    holder = rest
    for step in part[:-1]:
        if not isinstance(holder.get(step), dict):
            holder[step] = {}
        holder = holder[step]
    holder[part[-1]] = copy.deepcopy(_PARTS[part])


def _replace_item(loc: Loc, trail: list[Any]) -> str:
    """Put a stand-in for a field of the innermost list item around a location, or for the whole item."""
    for depth in range(len(loc) - 1, 0, -1):
        item, group = loc[depth], loc[depth - 1]
        items = trail[depth] if len(trail) > depth else None
        if isinstance(item, int) and isinstance(items, list) and item < len(items):
            stand_in = _STAND_INS.get(str(group), {})
            field = loc[-1]
            if len(loc) == depth + 2 and isinstance(items[item], dict) and field in stand_in and field != "type":
                items[item][field] = stand_in[field]
                return path_of(loc)
            items[item] = stand_in | _kept_name(items[item])
            return path_of(loc[: depth + 1])
    return path_of(loc)


def _kept_name(item: Any) -> dict[str, str]:
    name = item.get("name") if isinstance(item, dict) else None
    return {"name": name} if isinstance(name, str) and name else {}


def _names(data: dict[str, Any]) -> frozenset[str]:
    try:
        items = data["spec"]["parameters"]
        return frozenset(item["name"] for item in items if isinstance(item, dict) and isinstance(item.get("name"), str))
    except (KeyError, TypeError):
        return frozenset()


def _typos(data: dict[str, Any]) -> list[Problem]:
    """Find fields of the Job template that are no field there but nearly one that is read here.

    The template's other fields are Kubernetes' own and only the API server can check them.
    """
    at = "spec.jobTemplate.spec"
    try:
        job = data["spec"]["jobTemplate"]["spec"]
        pod = job["template"]["spec"]
        places: list[tuple[str, Any, type[BaseModel]]] = [
            (at, job, JobSpec),
            (f"{at}.template.spec", pod, PodSpec),
            *((f"{at}.template.spec.containers[{i}]", c, Container) for i, c in enumerate(pod["containers"])),
        ]
    except (KeyError, TypeError):
        return []
    problems = []
    for path, mapping, model in places:
        known = [info.alias or name for name, info in model.model_fields.items()]
        for key in mapping:
            near = nearest(str(key), known)
            if key not in known and near is not None and _is_slip(str(key), near):
                problems.append(Problem(f"{path}.{key}", f"there is no such field: did you mean {near}?"))
    return problems


def _is_slip(a: str, b: str) -> bool:
    """Tell whether one changed, missing, doubled or swapped letter makes one word of the other."""
    if a.lower() == b.lower():
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    short, long = sorted((a, b), key=len)
    if len(short) < len(long):
        return any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
    differing = [i for i in range(len(a)) if a[i] != b[i]]
    return len(differing) == 1 or (
        len(differing) == 2 and sorted(a[i] for i in differing) == sorted(b[i] for i in differing)
    )
