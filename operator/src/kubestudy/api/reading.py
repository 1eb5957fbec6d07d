"""What of a manifest can be read: each part by itself, so that a fault in one hides none in another.

pydantic reads the whole. Where it refuses, the parts are read: each field of a model, each item of a list, each value
of a mapping. A field that cannot be read is absent from its model; an item, or a mapping's value, is UNREAD.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from kubestudy.api.limits import PROBLEMS
from kubestudy.api.problems import Loc, Problem, nearest, path_of
from kubestudy.api.sentences import is_slip, missing, refused, unknown, untextual
from kubestudy.api.study import HyperparameterStudy

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class _Unread(Enum):
    UNREAD = "unread"


UNREAD: Any = _Unread.UNREAD


def was_read(value: object) -> bool:
    """Tell whether an item, or a mapping's value, could be read."""
    return value is not UNREAD


def readable(items: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Go through the items of a list that could be read, each with its place."""
    return ((i, item) for i, item in enumerate(items) if was_read(item))


def entries(mapping: Mapping[str, T]) -> Iterator[tuple[str, T]]:
    """Go through the entries of a mapping whose value could be read."""
    return ((key, value) for key, value in mapping.items() if was_read(value))


def complete(value: object) -> bool:
    """Tell whether all of a value could be read."""
    if isinstance(value, BaseModel):
        held = value.__dict__
        return held.keys() >= type(value).model_fields.keys() and all(map(complete, held.values()))
    if isinstance(value, dict):
        return all(map(complete, value.values()))
    return all(map(complete, value)) if isinstance(value, list) else was_read(value)


def partial(model: type[M], values: Mapping[str, Any]) -> M:
    """Return an instance of a model that holds some of its fields and no others: asking for one is an AttributeError.

    Args:
        model: The model.
        values: The fields, by their attributes' names.
    """
    made = model.__new__(model)  # as pydantic's own model_construct, which would add every default
    for slot, held in (("__dict__", dict(values)), ("__pydantic_fields_set__", set(values))):
        object.__setattr__(made, slot, held)
    for slot in ("__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(made, slot, None)
    return made


def read_study(data: Mapping[Any, Any]) -> tuple[HyperparameterStudy, list[Problem]]:
    """Read as much of a manifest's data as can be read.

    Returns:
        The study, and what is wrong with its single fields; a study without problems is a whole one.
    """
    found: list[Problem] = []
    study: HyperparameterStudy = _read(_kind(HyperparameterStudy), data, (), found)
    return study, found


@dataclass(eq=False)
class _Kind:
    """What may stand at a place, and what its parts are.

    Attributes:
        annotation: Its type, with what is demanded of it.
        model: The model it is, if it is one.
        items: What the items of a list are.
        values: What the values of a mapping are.
    """

    annotation: Any
    model: type[BaseModel] | None = None
    items: _Kind | None = None
    values: _Kind | None = None

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """What reads the whole; most of them are never needed."""
        if self.model is not None:  # which has a configuration of its own
            return TypeAdapter(self.annotation)
        return TypeAdapter(self.annotation, config=ConfigDict(strict=True, allow_inf_nan=True))

    @property
    def pattern(self) -> str | None:
        """What a text there has to fit, if anything."""
        return _pattern(self.annotation)


def _kind(annotation: Any) -> _Kind:
    plain = _plain(annotation)
    origin, inner = typing.get_origin(plain), typing.get_args(plain)
    if origin is None and isinstance(plain, type) and issubclass(plain, BaseModel):
        return _Kind(annotation, model=plain)
    return _Kind(
        annotation,
        items=_kind(inner[0]) if origin is list else None,
        values=_kind(inner[1]) if origin is dict else None,
    )


def _plain(annotation: Any) -> Any:
    """Return an annotation without what it is annotated with, and without None beside it."""
    if typing.get_origin(annotation) is Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        return _plain(members[0]) if len(members) == 1 else annotation
    return annotation


def _pattern(annotation: Any) -> str | None:
    for part in typing.get_args(annotation):
        for note in part.metadata if isinstance(part, FieldInfo) else (part,):
            pattern = getattr(note, "pattern", None)
            if isinstance(pattern, str):
                return pattern
        found = _pattern(part)
        if found is not None:
            return found
    return None


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, tuple[str, FieldInfo, _Kind]]:
    """Return a model's fields by the names that manifests have for them."""
    return {info.alias or name: (name, info, _kind(_annotation(info))) for name, info in model.model_fields.items()}


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _read(kind: _Kind, data: Any, at: Loc, found: list[Problem]) -> Any:
    """Return what can be read of a value, UNREAD if that is nothing; append what is wrong to `found`."""
    details: list[ErrorDetails] = []
    if not _is_misspelt(kind, data):
        try:
            # By the names that the API server knows, not by those of the attributes.
            return kind.adapter.validate_python(data, by_alias=True, by_name=False)
        except ValidationError as error:
            details = error.errors(include_url=False)
    known = len(found)
    value = UNREAD
    if kind.model is not None and isinstance(data, dict):
        value = _read_model(kind.model, data, at, found)
    elif kind.items is not None and isinstance(data, list):
        items = kind.items
        value = [_read(items, item, (*at, i), found) for i, item in enumerate(data[: _most(details)])]
        value = _whole(value + [UNREAD] * (len(data) - len(value)), details, at, found)
    elif kind.values is not None and isinstance(data, dict):
        value = _whole(_read_mapping(kind.values, data, _most(details), at, found), details, at, found)
    if len(found) == known:
        found.append(Problem(path_of(at), refused(details, data, kind.pattern)))
    return value


def _read_model(model: type[BaseModel], data: Mapping[Any, Any], at: Loc, found: list[Problem]) -> BaseModel:
    fields, values, misspelt = _fields(model), {}, _misspelt(model, data)
    for name, (attribute, info, kind) in fields.items():
        value = info.get_default(call_default_factory=True)
        if name in data:
            value = _read(kind, data[name], (*at, name), found)
        elif info.is_required():
            found.append(Problem(path_of((*at, name)), missing(name, data)))
            value = UNREAD
        elif name in misspelt.values():
            value = UNREAD
        if was_read(value):
            values[attribute] = value
    keys = (key for key in data if not isinstance(key, str))
    found += [Problem(path_of((*at, str(key))), untextual(key)) for key in islice(keys, PROBLEMS.value)]
    found += [Problem(path_of((*at, key)), unknown(key, near, fields)) for key, near in misspelt.items()]
    return partial(model, values)


def _misspelt(model: type[BaseModel], data: Mapping[Any, Any]) -> dict[str, str | None]:
    """Return what is no field of a model, with the field that was most likely meant.

    Of a Kubernetes object's part only some fields are read: there it is what is nearly one of those, since its other
    fields only the API server can check.
    """
    fields = _fields(model)
    others = list(islice((key for key in data if isinstance(key, str) and key not in fields), PROBLEMS.value))
    if model.model_config.get("extra") == "forbid":
        return {key: nearest(key, fields) for key in others}
    slips = {key: next((name for name in fields if is_slip(key, name)), None) for key in others}
    # Where a required field is missing, that says what was meant.
    return {key: name for key, name in slips.items() if name and (name in data or not fields[name][1].is_required())}


def _is_misspelt(kind: _Kind, data: Any) -> bool:
    """Tell whether a part of a Kubernetes object has a misspelt field, which pydantic takes for one of the others."""
    if kind.model is not None and isinstance(data, dict):
        if kind.model.model_config.get("extra") == "allow" and _misspelt(kind.model, data):
            return True
        return any(_is_misspelt(inner, data.get(name)) for name, (_, _, inner) in _fields(kind.model).items())
    if kind.items is not None and kind.items.model is not None and isinstance(data, list):
        return any(_is_misspelt(kind.items, item) for item in data)
    return False


def _read_mapping(kind: _Kind, data: Mapping[Any, Any], most: int | None, at: Loc, found: list[Problem]) -> Any:
    values = {}
    for i, (key, value) in enumerate(data.items()):
        if not isinstance(key, str):
            found.append(Problem(path_of((*at, str(key))), untextual(key)))
        elif most is None or i < most:
            values[key] = _read(kind, value, (*at, key), found)
        else:
            values[key] = UNREAD
    return values


def _most(details: Iterable[ErrorDetails]) -> int | None:
    """Return how many items there may be, where there are more: reading no more keeps an endless list short."""
    return next((d["ctx"]["max_length"] for d in details if d["type"] == "too_long" and not d["loc"]), None)


def _whole(value: Any, details: Iterable[ErrorDetails], at: Loc, found: list[Problem]) -> Any:
    """Say what is wrong with a list or mapping itself, its length; an empty one that must not be is as good as none."""
    own = [detail for detail in details if not detail["loc"]]
    if own:
        found.append(Problem(path_of(at), refused(own, value)))
    return UNREAD if any(detail["type"] == "too_short" for detail in own) else value
