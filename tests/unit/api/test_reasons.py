"""Every reason has a meaning, and some code gives it."""

from __future__ import annotations

from enum import EnumType
from pathlib import Path

from kubestudy.api import reasons

SOURCES = Path(reasons.__file__).parents[1]
KINDS = [kind for kind in vars(reasons).values() if isinstance(kind, EnumType) and len(kind)]


def test_every_reason_is_given_by_some_code() -> None:
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.py") if path.name != "reasons.py")
    unused = [
        f"{kind.__name__}.{word.name}"
        for kind in KINDS
        for word in kind
        if f"{kind.__name__}.{word.name}" not in code and f'"{word.value}"' not in code
    ]
    assert unused == []


def test_a_word_means_one_thing_of_a_kind() -> None:
    for kind in KINDS:
        assert len({word.value for word in kind}) == len(kind.__members__), kind
