"""Kubernetes' own `$(NAME)` expansion in command, args and env, and nothing more.

Source: k8s.io/kubernetes/third_party/forked/golang/expansion. `$(NAME)` is replaced when NAME is defined and left as
written when it is not; `$$` is one literal `$`; a `$` before anything else stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text into (piece, is it a reference?) pairs; a reference's piece is the bare name."""
    at = 0
    start = 0
    while at < len(text):
        if text[at] == "$" and at + 1 < len(text):
            following = text[at + 1]
            if following == "$":
                yield text[start:at] + "$", False
                at = start = at + 2
                continue
            if following == "(":
                end = text.find(")", at + 2)
                if end >= 0:
                    yield text[start:at], False
                    yield text[at + 2 : end], True
                    at = start = end + 1
                    continue
        at += 1
    yield text[start:], False


def expand(text: str, values: Mapping[str, str]) -> str:
    """Expand the references in a text.

    Args:
        text: A command's or argument's or env value's text.
        values: The variables that are defined.

    Returns:
        The text with each `$(NAME)` that is defined replaced, `$$` made one `$`, all else as it was.
    """
    return "".join(values.get(piece, f"$({piece})") if is_reference else piece for piece, is_reference in _tokens(text))


def references(text: str) -> list[str]:
    """Return the names that a text refers to by `$(NAME)`, in order; `$$(NAME)` is none."""
    return [piece for piece, is_reference in _tokens(text) if is_reference]
