"""What is wrong with a manifest: one sentence per problem, each at a path a person can find."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kubestudy.api.limits import MANIFEST_NODES, NAME_COMPARED, NAMES_COMPARED

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
    text = text[: MAX_LENGTH + 1]
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
        path = _inner(path, part)
    return path


def _inner(path: str, part: str | int) -> str:
    if isinstance(part, int):
        return f"{path}[{part}]"
    if part.replace("-", "").replace("_", "").isalnum():
        return f"{path}.{part}" if path else part
    return f"{path}[{part!r}]"


def in_order(problems: Iterable[Problem], data: Any) -> list[Problem]:
    """Return problems in the order in which their places stand in a manifest's data.

    What is missing there has the place of what it is missing from.
    """
    ranks = {path: rank for rank, path in enumerate(islice(_paths(data, ""), MANIFEST_NODES.value))}

    def rank(problem: Problem) -> int:
        path = problem.path
        while path and path not in ranks:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return ranks.get(path, 0)

    return sorted(problems, key=rank)


def _paths(data: Any, at: str) -> Iterator[str]:
    """Go through the places of a manifest's data that a problem can name: no longer ones."""
    yield at
    if len(at) > MAX_LENGTH:
        return
    if isinstance(data, dict):
        for key, inner in data.items():
            yield from _paths(inner, _inner(at, str(key)))
    elif isinstance(data, list):
        for i, inner in enumerate(data):
            yield from _paths(inner, f"{at}[{i}]")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was most likely meant to be, or None.

    Long names, and more than a few hundred, are not compared: it takes as long as the product of the lengths.
    """
    if len(name) > NAME_COMPARED.value:
        return None
    short = (candidate for candidate in known if len(candidate) <= NAME_COMPARED.value)
    by_lower = {candidate.lower(): candidate for candidate in islice(short, NAMES_COMPARED.value)}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return advice for an unknown name: `did you mean X?`, or all known names when none is near."""
    names = sorted(known)
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near}?"
    return f"known here: {', '.join(names[: NAMES_COMPARED.value])}"
