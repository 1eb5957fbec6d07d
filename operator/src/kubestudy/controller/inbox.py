"""Where the newest version of a study's object waits until the study's task takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Version:
    """A study's object with one spec.

    Attributes:
        generation: Which one: the API server counts them.
        body: The object, as the API server sends it.
    """

    generation: int
    body: Mapping[str, Any] = field(compare=False, repr=False)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Version:
        """Return an object's version."""
        return cls(int(body["metadata"].get("generation") or 0), body)

    @property
    def spec(self) -> Mapping[str, Any]:
        """The spec as it is written; whether it is valid is another question."""
        spec = self.body.get("spec")
        return spec if isinstance(spec, Mapping) else {}


class Inbox:
    """Holds the newest version of one object. An older one that comes later is passed over, and so is one whose spec
    is known: whoever reads it wants the newest, and once.

    Args:
        body: The object as it was first seen.
        wake: Called when there is something new to take.
    """

    def __init__(self, body: Mapping[str, Any], wake: Callable[[], None]) -> None:
        self.newest = Version.of(body)
        self._taken = False
        self._wake = wake

    def put(self, body: Mapping[str, Any]) -> bool:
        """Take in an object; return whether its spec is new."""
        version = Version.of(body)
        if version.generation <= self.newest.generation:
            return False
        self.newest, self._taken = version, False
        self._wake()
        return True

    def take(self) -> Version | None:
        """Return the newest version, once; None until there is a newer one."""
        if self._taken:
            return None
        self._taken = True
        return self.newest
