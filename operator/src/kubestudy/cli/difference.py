"""What differs between two versions of a manifest's part, field by field."""

from __future__ import annotations

import json
from typing import Any

_LENGTH = 80
# How much of what is equal stands before a difference.
_BEFORE = 30


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
        if len(before) == len(after):
            pairs = enumerate(zip(before, after, strict=True))
            return [d for i, (was, is_) in pairs for d in differences(was, is_, f"{path}[{i}]")]
    if before is None:
        return [(path, f"is new ({_text(after)})")]
    if after is None:
        return [(path, f"was {_text(before)} and is gone")]
    was, now = json.dumps(before), json.dumps(after)
    same = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), 0)
    return [(path, f"was {_excerpt(was, same)} and is now {_excerpt(now, same)}")]


def _named(items: list[Any]) -> dict[str, Any] | None:
    """Return a list of things with names by name, so that an inserted one does not shift all others."""
    if not all(isinstance(item, dict) for item in items):
        return None
    names = [item.get("name") or item.get("metric") for item in items]
    return dict(zip(names, items, strict=True)) if all(names) and len(set(names)) == len(names) else None


def _text(value: Any) -> str:
    return _excerpt(json.dumps(value), 0)


def _excerpt(text: str, same: int) -> str:
    """Return a text, of a long one the part where it begins to differ.

    Args:
        text: The text.
        same: How many characters it begins with that the other one begins with too.
    """
    if len(text) <= _LENGTH:
        return text
    start = max(0, min(same - _BEFORE, len(text) - _LENGTH))
    shown = text[start : start + _LENGTH]
    return f"{'...' if start else ''}{shown}{'...' if start + _LENGTH < len(text) else ''}"
