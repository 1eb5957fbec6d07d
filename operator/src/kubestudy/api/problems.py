"""What is wrong with a manifest: one sentence per problem, each at a path a person can find."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MAX_LENGTH = 450
Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a manifest.

    Attributes:
        path: Where it is, as one would write it for `kubectl explain`: `spec.parameters[0].low`.
        sentence: What is wrong and what would be right.
    """

    path: str
    sentence: str

    def __post_init__(self) -> None:
        """Keep what a manifest may hold from a terminal, and from filling it."""
        object.__setattr__(self, "path", _tame(self.path))
        object.__setattr__(self, "sentence", _tame(self.sentence))

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence


def _tame(text: str) -> str:
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 3]}..."


class ManifestError(ValueError):
    """A manifest cannot be used; carries every problem found, not only the first.

    Args:
        source: The file (or object) the problems are in.
        problems: All of them, in the manifest's order.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


def path_of(loc: Iterable[str | int]) -> str:
    """Write a location as people write it: `("spec", "parameters", 0, "low")` is `spec.parameters[0].low`."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.replace("-", "").replace("_", "").isalnum():
            path += f".{part}" if path else part
        else:
            path += f"[{part!r}]"
    return path


def in_order(problems: Iterable[Problem], data: Any) -> list[Problem]:
    """Return problems in the order in which their places stand in a manifest's data.

    What is missing there has the place of what it is missing from.
    """
    ranks = {path: rank for rank, path in enumerate(_paths(data, ()))}

    def rank(problem: Problem) -> int:
        path = problem.path
        while path and path not in ranks:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return ranks.get(path, 0)

    return sorted(problems, key=rank)


def _paths(data: Any, at: Loc) -> Iterator[str]:
    yield path_of(at)
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, inner in parts:
        yield from _paths(inner, (*at, key if isinstance(key, int) and isinstance(data, list) else str(key)))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, or None."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return advice for an unknown name: `did you mean X?`, or all known names when none is near."""
    names = sorted(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near}?"
    return f"known here: {', '.join(names)}"
