"""The CustomResourceDefinition, generated from the models: one source for what validates here and on the API server.

Source: Kubernetes' structural schemas. Every reference is inlined, `X | None` becomes X, everything has an upper bound
(else the API server refuses the CEL rules for their possible cost), and places of free form keep unknown fields.
"""

from __future__ import annotations

from typing import Any

import yaml

from kubestudy.api.rules import RULES
from kubestudy.api.study import GROUP, KIND, VERSION, HyperparameterStudy

PLURAL = "hyperparameterstudies"
NAME = f"{PLURAL}.{GROUP}"
FILE_NAME = f"{NAME}.yaml"

_KEPT = {
    "type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required",
}  # fmt: skip
_FORMATS = {"integer": "int64", "number": "double"}
_LIST_KEYS = {"parameters": "name", "conditions": "type"}

_COLUMNS = (
    ("Phase", "string", ".status.phase", "Where the study is", 0),
    ("Trials", "string", ".status.progress", "Trials that ended, of those the budget allows", 0),
    ("Running", "integer", ".status.trials.running", "Trials that run now", 0),
    ("Best", "string", ".status.bestValue", "The best trial's value of each objective", 0),
    ("Degraded", "string", '.status.conditions[?(@.type=="Degraded")].status', "Whether something is in the way", 0),
    ("Failed", "integer", ".status.trials.failed", "Trials that failed by their own fault", 1),
    ("Pruned", "integer", ".status.trials.pruned", "Trials stopped early", 1),
    ("Age", "date", ".metadata.creationTimestamp", "", 0),
)


def _inline(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Replace a reference, and `X | None`, by X; what stands beside it wins. Keeps the model's name in `title`."""
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return {
            "title": name,
            **_inline({**defs[name], "title": name}, defs),
            **_without(node, "$ref", "title"),
        }
    for key in ("anyOf", "allOf"):
        members = [member for member in node.get(key, ()) if member.get("type") != "null"]
        if len(members) == 1:
            return {**_inline(members[0], defs), **_without(node, key, "title")}
    return node


def _without(node: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in keys}


def _no_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _no_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _structural(node: dict[str, Any], defs: dict[str, Any], name: str = "") -> dict[str, Any]:
    node = _inline(node, defs)
    title = node.get("title", "")
    if "anyOf" in node or title == "JobTemplate" or not {"type", "const", "enum"} & node.keys():
        return _free_form(node, title)
    schema = {key: value for key, value in node.items() if key in _KEPT}
    if "const" in node:
        schema["enum"] = [node["const"]]
    if "exclusiveMinimum" in node:
        schema |= {"minimum": node["exclusiveMinimum"], "exclusiveMinimum": True}
    if node.get("default") is not None:
        schema["default"] = _no_nulls(node["default"])
    if schema.get("type") in _FORMATS:
        schema["format"] = _FORMATS[schema["type"]]
    if schema.get("type") == "array":
        schema["items"] = _structural(node["items"], defs)
        if name in _LIST_KEYS:
            schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [_LIST_KEYS[name]]}
    if schema.get("type") == "object":
        schema |= _fields(node, defs)
    if title in RULES:
        schema["x-kubernetes-validations"] = list(RULES[title])
    return schema


def _free_form(node: dict[str, Any], title: str) -> dict[str, Any]:
    """Return the schema of a place whose fields, or even type, are not fixed here."""
    free: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
    if title == "JobTemplate":
        free["type"] = "object"
    return free | ({"description": node["description"]} if "description" in node else {})


def _fields(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return the part of an object's schema that says what is in it."""
    if "properties" in node:
        return {"properties": {key: _structural(value, defs, key) for key, value in node["properties"].items()}}
    extra = node.get("additionalProperties")
    if isinstance(extra, dict) and extra:
        return {"additionalProperties": _structural(extra, defs)}
    return {"x-kubernetes-preserve-unknown-fields": True}


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of HyperparameterStudy (`apiextensions.k8s.io/v1`)."""
    generated = HyperparameterStudy.model_json_schema(by_alias=True)
    defs = generated.pop("$defs")
    schema = _structural({**generated, "title": KIND}, defs)
    properties = schema["properties"]
    # The API server owns these three; a schema of ours may only say that they are there.
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    schema["required"] = ["spec"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["hps", "study"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind, "jsonPath": path, "priority": priority}
                        | ({"description": description} if description else {})
                        for name, kind, path, description, priority in _COLUMNS
                    ],
                }
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Writes repeated parts out instead of as aliases, which people misread."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml() -> str:
    """Return the CRD as the YAML text that is committed under `crds/`."""
    header = "# Generated by `kubestudy crd`: change the models in kubestudy.api, not this file.\n"
    text = yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return header + text
