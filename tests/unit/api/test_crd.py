"""The CRD is what the models say, and what an API server accepts as a structural schema."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic_core
import pytest
import yaml
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel

from kubestudy.api.crd import FILE_NAME, as_yaml, definition
from kubestudy.api.job import JobTemplate
from kubestudy.api.status import StudyStatus
from kubestudy.api.study import StudySpec

CRDS = Path(__file__).parents[3] / "crds"
SCHEMA = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

_META = {"minimum": Ge, "maximum": Le, "exclusiveMinimum": Gt}


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through every schema inside a schema."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + sign)


def model_fields(model: type[BaseModel], path: str) -> Iterator[tuple[str, Any]]:
    """Go through every field of a model and of the models inside, with its path in the schema."""
    for name, field in model.model_fields.items():
        at = f"{path}.{field.alias or name}"
        yield at, field
        for inner, sign in _models(field.annotation, ""):
            if inner is not JobTemplate:
                yield from model_fields(inner, at + sign)


def _models(annotation: Any, sign: str) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and not typing.get_origin(annotation) and issubclass(annotation, BaseModel):
        yield annotation, sign
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        for part in args:
            yield from _models(part, sign)
    elif origin is list:
        yield from _models(args[0], sign + "[]")
    elif origin is dict:
        yield from _models(args[1], sign + "{}")


FIELDS = [*model_fields(StudySpec, ".spec"), *model_fields(StudyStatus, ".status")]
BY_PATH = dict(nodes(SCHEMA))


def test_the_committed_file_is_the_generated_one() -> None:
    assert (CRDS / FILE_NAME).read_text() == as_yaml(), "run `kubestudy crd` and commit what it writes"


def test_the_text_is_yaml_of_the_definition() -> None:
    assert yaml.safe_load(as_yaml()) == definition()


@pytest.mark.parametrize("field", FIELDS, ids=[path for path, _ in FIELDS])
def test_every_default_and_bound_of_the_models_is_in_the_schema(field: tuple[str, Any]) -> None:
    path, info = field
    schema = BY_PATH[path]
    default = info.get_default(call_default_factory=True)
    if default is not pydantic_core.PydanticUndefined and default is not None:
        if isinstance(default, BaseModel):
            default = default.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert schema["default"] == default
    else:
        assert "default" not in schema
    if typing.get_origin(info.annotation) is typing.Literal:
        assert schema["enum"] == list(typing.get_args(info.annotation))
    assert schema.get("description", "") == (info.description or schema.get("description", ""))
    found = [*info.metadata, *(m for a in typing.get_args(info.annotation) for m in getattr(a, "__metadata__", ()))]
    ends = {"string": "Length", "array": "Items", "object": "Properties"}
    for item in found:
        if isinstance(item, Ge):
            assert schema["minimum"] == item.ge
        elif isinstance(item, Gt):
            assert (schema["minimum"], schema["exclusiveMinimum"]) == (item.gt, True)
        elif isinstance(item, Le):
            assert schema["maximum"] == item.le
        elif isinstance(item, MinLen):
            assert schema["min" + ends[schema["type"]]] == item.min_length
        elif isinstance(item, MaxLen):
            assert schema["max" + ends[schema["type"]]] == item.max_length
        elif getattr(item, "pattern", None):
            assert schema["pattern"] == item.pattern


def test_required_fields_are_those_without_a_default() -> None:
    for path, schema in BY_PATH.items():
        if "properties" in schema and path.startswith((".spec", ".status")):
            expected = {
                name.rpartition(".")[2]
                for name, info in FIELDS
                if name.rpartition(".")[0] == path and info.is_required()
            }
            assert set(schema.get("required", [])) == expected, path


def test_the_schema_is_structural() -> None:
    forbidden = {
        "$ref",
        "$defs",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
        "nullable",
        "const",
        "title",
        "examples",
        "definitions",
    }
    for path, schema in BY_PATH.items():
        assert not forbidden & schema.keys(), path
        assert "type" in schema or schema.get("x-kubernetes-preserve-unknown-fields"), path
        assert schema.get("type") != "null", path
        # Kubernetes forbids to have both.
        assert not {"properties", "additionalProperties"} <= schema.keys(), path


def _nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_nulls(inner) for inner in value.values())
    if isinstance(value, list):
        return any(_nulls(inner) for inner in value)
    return value is None


def test_no_null_is_left() -> None:
    assert not _nulls(definition())


def test_every_place_that_the_rules_read_is_bounded() -> None:
    limits = {"array": "maxItems", "string": "maxLength", "object": "maxProperties"}
    unbounded = [
        path
        for path, schema in BY_PATH.items()
        if path.startswith((".spec.objectives", ".spec.parameters", ".spec.sampler", ".spec.pruner", ".spec.budget"))
        and schema.get("type") in limits
        and "properties" not in schema
        and "enum" not in schema
        and limits[schema["type"]] not in schema
    ]
    assert unbounded == []


def test_the_job_template_is_kept_as_written() -> None:
    kept = BY_PATH[".spec.jobTemplate"]
    assert kept["type"] == "object"
    assert kept["x-kubernetes-preserve-unknown-fields"] is True


def test_list_map_keys_are_required_fields() -> None:
    for path, schema in BY_PATH.items():
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            assert key in schema["items"]["required"], path


def test_rules_stand_where_their_fields_are() -> None:
    import re

    for path, schema in BY_PATH.items():
        for rule in schema.get("x-kubernetes-validations", ()):
            assert rule["message"] and "\n" not in rule["rule"], path
            for chain in re.findall(r"\bself((?:\.[a-zA-Z]+)+)", rule["rule"]):
                here = schema
                for name in chain.strip(".").split("."):
                    if "properties" not in here or name not in here["properties"]:
                        assert name in {"matches", "all", "exists", "exists_one", "size"}, f"{path}: {rule['rule']}"
                        break
                    here = here["properties"][name]
            field = rule.get("fieldPath", "").strip(".")
            here = schema
            for name in filter(None, field.split(".")):
                here = here["properties"][name]


def test_columns_read_fields_that_exist() -> None:
    for column in definition()["spec"]["versions"][0]["additionalPrinterColumns"]:
        path = re.sub(r"\[\?\(.*?\)\]", "[]", column["jsonPath"])
        assert path in BY_PATH or path.startswith(".metadata."), path
