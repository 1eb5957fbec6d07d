"""Kubernetes' own `$(NAME)` expansion in command, args and env, and nothing more.

Source: k8s.io/kubernetes/third_party/forked/golang/expansion. `$(NAME)` is replaced when NAME is defined and left as
written when it is not; `$$` is one literal `$`; a `$` before anything else stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kubestudy.api.text import clean


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text into (piece, is it a reference?) pairs; a reference's piece is the bare name."""
    start = 0
    last_end = text.rfind(")")
    at = text.find("$")
    while at >= 0:
        after = at + 2
        match text[at + 1 : after]:
            case "$":
                yield text[start : at + 1], False
                start = after
            # Looked for only where there is one: else each of many openings would search the whole rest.
            case "(" if after <= last_end:
                end = text.index(")", after)
                yield text[start:at], False
                yield text[after:end], True
                start = after = end + 1
            case _:
                after = at + 1
        at = text.find("$", after)
    yield text[start:], False


def expand(text: str, values: Mapping[str, str], most: int | None = None) -> str:
    """Expand the references in a text.

    Args:
        text: A command's or argument's or env value's text.
        values: The variables that are defined.
        most: How many characters may come of it; None for any number.

    Returns:
        The text with each `$(NAME)` that is defined replaced, `$$` made one `$`, all else as it was.

    Raises:
        ValueError: More than that came of it.
    """
    pieces, length = [], 0
    for piece, is_reference in _tokens(text):
        pieces.append(values.get(piece, f"$({piece})") if is_reference else piece)
        length += len(pieces[-1])
        if most is not None and length > most:
            raise ValueError(f"unfolds to more than {most} characters: {clean(text, 60)}")
    return "".join(pieces)


def references(text: str) -> list[str]:
    """Return the names that a text refers to by `$(NAME)`, in order; `$$(NAME)` is none."""
    return [piece for piece, is_reference in _tokens(text) if is_reference]
