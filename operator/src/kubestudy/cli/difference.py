"""What differs between two versions of a manifest's part, field by field."""

from __future__ import annotations

import json
from typing import Any


def differences(before: Any, after: Any, path: str) -> list[tuple[str, str]]:
    """Compare two pieces of JSON data.

    Args:
        before: As it was.
        after: As it is.
        path: Where they stand in the manifest.

    Returns:
        (path, sentence) pairs, for instance ("spec.parameters[lr].high", "was 1.0 and is now 2.0").
    """
    if before == after and type(before) is type(after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*before, *(key for key in after if key not in before)]
        return [d for key in keys for d in differences(before.get(key), after.get(key), f"{path}.{key}")]
    if isinstance(before, list) and isinstance(after, list):
        old, new = _named(before), _named(after)
        if old is not None and new is not None:
            names = [*old, *(name for name in new if name not in old)]
            found = [d for n in names for d in differences(old.get(n), new.get(n), f"{path}[{n}]")]
            return found or [(path, f"was in the order {', '.join(old)} and is now in {', '.join(new)}")]
    if before is None:
        return [(path, f"is new ({_text(after)})")]
    if after is None:
        return [(path, f"was {_text(before)} and is gone")]
    return [(path, f"was {_text(before)} and is now {_text(after)}")]


def _named(items: list[Any]) -> dict[str, Any] | None:
    """Return a list of things with names by name, so that an inserted one does not shift all others."""
    if not all(isinstance(item, dict) for item in items):
        return None
    names = [item.get("name") or item.get("metric") for item in items]
    return dict(zip(names, items, strict=True)) if all(names) and len(set(names)) == len(names) else None


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
