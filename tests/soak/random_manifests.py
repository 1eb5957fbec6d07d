"""Random manifests from the CRD's own schema: a valid one, some of whose parts are drawn anew. Source: hypothesis."""

from __future__ import annotations

import copy
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from kubestudy.api.crd import definition

_MOST = 4
_SIZE = 6
# A pattern of the schema is one of Go's; those that hypothesis cannot read are drawn as plain text.
_WORDS = st.sampled_from(["", "x", "y", "0", "-1", "1h", "$(x)", "$(y", "é", "\u202e", "trainer", "none", "x" * 200])

_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return what draws values that a structural schema allows, and some that only its rules refuse."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            return _object(schema)
        case "object":
            inner = schema.get("additionalProperties")
            most = min(schema.get("maxProperties", _MOST), _MOST)
            values = values_of(inner) if isinstance(inner, dict) else _ANYTHING
            return st.dictionaries(
                _text(schema) | _WORDS, values, min_size=schema.get("minProperties", 0), max_size=most
            )
        case "array":
            most = min(schema.get("maxItems", _MOST), _MOST)
            return st.lists(values_of(schema.get("items", {})), min_size=schema.get("minItems", 0), max_size=most)
        case "string":
            return _text(schema)
        case "integer":
            return st.integers(int(schema.get("minimum", -(2**53))), int(schema.get("maximum", 2**53)))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
    return _ANYTHING


def _object(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    each = {name: values_of(part) for name, part in schema["properties"].items()}
    required = {name: each[name] for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional={k: v for k, v in each.items() if k not in required})


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", _SIZE)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].replace("$", r"\Z"), fullmatch=False).filter(lambda t: len(t) <= most)
    return (
        st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=min(most, max(_SIZE, least)))
        | _WORDS
    )


def random_manifests(count: int, seed: int, base: dict[str, Any]) -> list[dict[str, Any]]:
    """Return manifests: the base, with parts of its spec drawn anew.

    Args:
        count: How many.
        seed: What is drawn from.
        base: A valid manifest.
    """
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    found: list[dict[str, Any]] = []

    @hypothesis.seed(seed)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate])  # fmt: skip
    @hypothesis.given(st.sets(st.sampled_from(sorted(schema)), min_size=1, max_size=3), st.data())
    def draw(parts: set[str], data: st.DataObject) -> None:
        made = copy.deepcopy(base)
        for part in sorted(parts):
            made["spec"][part] = data.draw(values_of(schema[part]))
        found.append(made)

    draw()
    return found
