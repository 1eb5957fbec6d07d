"""Writes docs/reference from the code and the chart (`make docs`). A test keeps both equal."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from kubestudy.api import reasons as words
from kubestudy.api.algorithms import PRUNERS, SAMPLERS, PrunerAlgorithm, SamplerAlgorithm
from kubestudy.api.crd import definition
from kubestudy.api.limits import LIMITS
from kubestudy.controller.settings import Settings
from kubestudy.search.classes import class_of
from kubestudy.search.options import bound_text, options_of, type_name

FOLDER = Path(__file__).parent / "reference"
SECURITY = Path(__file__).parent / "security.md"
CHART = Path(__file__).parents[1] / "charts" / "kubestudy" / "README.md"
_FLAGS = {
    "storage", "prometheus_url", "log_format", "resync_seconds", "health_port", "history_port",
    "health_address", "service", "lease_namespace",
}  # fmt: skip
_REASONS: Mapping[str, type[words.Explained]] = {
    f"{words.ConditionType.PROGRESSING}, {words.ConditionType.SUSPENDED}": words.Going,
    f"{words.ConditionType.COMPLETE}, {words.ConditionType.FAILED}": words.Ended,
    words.ConditionType.DEGRADED: words.Hindrance,
    words.ConditionType.CONTESTED: words.Contest,
    "Trials": words.Failure,
    "Events": words.Told,
}
_TABLE_BEGINS = "<!-- Generated from kubestudy.api.limits. -->"
_TABLE_ENDS = "<!-- The end of the table. -->"
_NAMESPACES, _ELECTION = "`--namespace` (several)", "`--leader-election`, `--no-leader-election`"


def study() -> str:
    """Return the page of a study's fields, from the CRD's schema."""
    schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    lines = [
        "# Every field of a study",
        "",
        "Generated from the models, as `kubectl explain hps.spec` prints it; [the manifest](../manifest.md) explains.",
    ]
    for part in ("spec", "status"):
        lines += ["", f"## {part}", "", "| field | type | default | |", "|---|---|---|---|"]
        lines += [
            f"| `{path}` | {kind} | {default} | {text} |" for path, kind, default, text in _rows(schema[part], part)
        ]
    return "\n".join(lines) + "\n"


def _rows(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        at = f"{path}.{name}"
        array = field.get("type") == "array"
        inner = field["items"] if array else field
        kind = field.get("type", "any") + (f" of {inner.get('type', 'any')}" if array else "")
        if "enum" in inner:
            kind = ", ".join(f"`{word}`" for word in inner["enum"])
        default = "required" if name in required else _shown(field.get("default"))
        yield at, kind, default, field.get("description", "").replace("|", "\\|")
        if inner.get("properties"):
            yield from _rows(inner, at + ("[]" if array else ""))


def _shown(default: Any) -> str:
    if default is None or default in ([], {}) or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def algorithms() -> str:
    """Return the page of samplers and pruners, from their tables and Optuna's signatures."""
    lines = [
        "# Samplers and pruners",
        "",
        "Generated from `kubestudy.api.algorithms` and Optuna's signatures;"
        " [the manifest](../manifest.md#sampler-and-pruner) explains.",
        "",
        "## Samplers",
        "",
        "| name | several objectives | learns from broken constraints | |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{s.name}` | {_yes(s.several_objectives)} | {_yes(s.constraints)} | {s.meaning} |"
        for s in SAMPLERS.values()
    ]
    for sampler in SAMPLERS.values():
        lines += _options(sampler, {"seed", "parameters"} if sampler.finite else {"seed"})
    lines += ["", "## Pruners", "", "| name | |", "|---|---|"]
    lines += [f"| `{pruner.name}` | {pruner.meaning} |" for pruner in PRUNERS.values()]
    for pruner in PRUNERS.values():
        lines += _options(pruner, {pruner.wraps} if pruner.wraps else set())
    return "\n".join(lines) + "\n"


def _options(algorithm: SamplerAlgorithm | PrunerAlgorithm, taken: Set[str]) -> list[str]:
    known = options_of(class_of(algorithm), taken)
    wraps = algorithm.wraps if isinstance(algorithm, PrunerAlgorithm) else None
    if not known and not wraps:
        return []
    lines = ["", f"### {algorithm.name}", "", f"`{algorithm.target}`", ""]
    lines += ["| option | type | default | bounds |", "|---|---|---|---|"]
    if wraps:
        lines.append(f"| `{wraps}` | another pruner: `{{name: ..., options: {{...}}}}` | | |")
    defaults = inspect.signature(class_of(algorithm)).parameters
    for name, hint in known.items():
        bound = bound_text(algorithm.bounds[name]) if name in algorithm.bounds else ""
        default = "required" if name in algorithm.required else f"`{json.dumps(defaults[name].default)}`"
        lines.append(f"| `{name}` | {type_name(hint).replace('|', 'or')} | {default} | {bound} |")
    return lines


def _yes(fact: bool) -> str:
    return "yes" if fact else ""


def reasons() -> str:
    """Return the page of the reasons that conditions, trials and events have."""
    lines = [
        "# Every reason",
        "",
        "Generated from `kubestudy.api.reasons`. What to do about them:"
        " [the operator](../operator.md#when-something-is-wrong), [troubleshooting](../troubleshooting.md).",
    ]
    for title, reasons in _REASONS.items():
        lines += ["", f"## {title}", "", inspect.getdoc(reasons) or "", "", "| reason | |", "|---|---|"]
        lines += [f"| `{reason}` | {reason.meaning} |" for reason in reasons]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """Return the page of the operator's settings."""
    lines = [
        "# The operator's settings",
        "",
        "Each by flag, else by variable; [the operator](../operator.md) explains.",
        "",
        "| flag | variable | default | |",
        "|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        flag = {"namespaces": _NAMESPACES, "leader_election": _ELECTION}.get(name)
        flag = flag or (f"`--{name.replace('_', '-')}`" if name in _FLAGS else "")
        made = field.default_factory is not None or field.default is None
        default = "" if made or field.default == () else f"`{field.default}`"
        lines.append(f"| {flag} | `KUBESTUDY_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def chart() -> str:
    """Return the page of the chart, which helm-docs makes of its values."""
    return CHART.read_text()


def security() -> str:
    """Return the page of security with its table of bounds written anew."""
    lines = ["| what comes from outside | bound | past it |", "|---|---|---|"]
    lines += [f"| {limit.input} | {limit.value:,} {limit.unit} | {limit.past} |" for limit in LIMITS.values()]
    before, _, rest = SECURITY.read_text().partition(_TABLE_BEGINS)
    _, _, after = rest.partition(_TABLE_ENDS)
    return "".join((before, _TABLE_BEGINS, "\n", "\n".join(lines), "\n", _TABLE_ENDS, after))


def files() -> dict[Path, str]:
    """Return the pages' texts by file."""
    return {
        FOLDER / "study.md": study(),
        FOLDER / "algorithms.md": algorithms(),
        FOLDER / "reasons.md": reasons(),
        FOLDER / "settings.md": settings(),
        FOLDER / "chart.md": chart(),
        SECURITY: security(),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
