"""What a run says to the supervisor of its trials, and what it hears from it: typed messages, a line of JSON each.

The only place where they are encoded and decoded. It knows nothing of the two ends: standard library only, no import
of KubeStudy, no path and no descriptor of a machine. What a trial is to run stands in the order that starts it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

# An order holds a trial's arguments and environment, of which Linux takes 2 MB; escaped, some are longer.
MAX_LINE_BYTES = 8 * 1024 * 1024
_SHOWN = 80


class ProtocolError(ValueError):
    """A line is no message of this protocol, or a message fits into no line; the sentence says why."""


class Cause(StrEnum):
    """Why a trial was told to end."""

    STOPPED = "stopped"
    DEADLINE = "deadline"


class Fault(StrEnum):
    """What keeps a supervisor from running any trial."""

    TRAINER = "trainer"  # the ready trainer cannot be loaded
    ORDER = "order"  # it was sent something that is no order


# --- orders: from the run to the supervisor ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Start a trial; one that is being run already is left as it is.

    Attributes:
        number: The trial's number, by which every later message names it.
        attempt: 0 for its first execution, then counting retries.
        argv: The program and its arguments; None for the trainer that the supervisor has loaded.
        args: The loaded trainer's arguments.
        environment: Its whole environment.
        folder: Its working directory.
        log: The file that its output is appended to.
        exit_file: The file that `Ended` is kept in, for a run that does not come to hear it.
        grace: Seconds between SIGTERM and SIGKILL.
        deadline: Seconds after which it is told to end; None for no limit.
    """

    number: int
    attempt: int
    argv: tuple[str, ...] | None
    args: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    log: str
    exit_file: str
    grace: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell a trial to end: SIGTERM, and SIGKILL after its grace period."""

    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Take what is left of their grace period from the trials that were told to end."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Stop every trial, start no other, and end."""


# --- reports: from the supervisor to the run --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """A trial's process was started.

    Attributes:
        number: The trial's number.
        at: Unix time.
    """

    number: int
    at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A trial's process has ended, and all that it left running with it.

    Attributes:
        number: The trial's number.
        attempt: The attempt that its `Start` named.
        code: Exit code; 128 + n for a process that signal n ended, as a container reports it.
        cause: Why it was told to end; None if it was not.
        started: Unix time.
        ended: Unix time; what lies between the two is what really passed, whoever sets the clock.
    """

    number: int
    attempt: int
    code: int
    cause: Cause | None
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Broken:
    """No trial can be run; the supervisor ends.

    Attributes:
        fault: What is wrong.
        why: The sentence that says it.
    """

    fault: Fault
    why: str


Order: TypeAlias = Start | Stop | Kill | Quit
Report: TypeAlias = Started | Ended | Broken
M = TypeVar("M", Order, Report)

_ORDERS: Mapping[str, type[Order]] = {"start": Start, "stop": Stop, "kill": Kill, "quit": Quit}
_REPORTS: Mapping[str, type[Report]] = {"started": Started, "ended": Ended, "broken": Broken}
_NAMES: Mapping[type, str] = {kind: name for name, kind in (*_ORDERS.items(), *_REPORTS.items())}


# --- encoding ---------------------------------------------------------------------------------------------------------


def encode(message: Order | Report) -> bytes:
    """Return a message as a line, its end included.

    Raises:
        ProtocolError: It is longer than a line may be, or holds a number that JSON has not.
    """
    name = _NAMES[type(message)]
    content = {field.name: getattr(message, field.name) for field in fields(message)}
    try:
        line = json.dumps({"op": name, **content}, allow_nan=False).encode() + b"\n"
    except ValueError as error:
        raise ProtocolError(f"{name}: {error}") from None
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(f"{name} takes {len(line)} bytes, more than the {MAX_LINE_BYTES} of a line")
    return line


def decode_order(line: bytes) -> Order:
    """Read a line that a run sent.

    Raises:
        ProtocolError: It is no order.
    """
    return _decode(line, _ORDERS, "order")


def decode_report(line: bytes) -> Report:
    """Read a line that a supervisor sent.

    Raises:
        ProtocolError: It is no report.
    """
    return _decode(line, _REPORTS, "report")


def ended_record(ended: Ended) -> str:
    """Return the text by which a trial's end is kept in its folder, which knows the trial's number."""
    return json.dumps({field.name: getattr(ended, field.name) for field in fields(ended) if field.name != "number"})


def ended_in(number: int, record: bytes) -> Ended:
    """Read such a text.

    Args:
        number: The trial's number.
        record: The text.

    Raises:
        ProtocolError: It is none.
    """
    try:
        said = json.loads(record)
    except (ValueError, RecursionError):
        raise ProtocolError(f"{_shown(record)} is no JSON") from None
    if not isinstance(said, dict):
        raise ProtocolError(f"{_shown(record)} is no record of an end")
    return Ended(**_fields("ended", Ended, {**said, "number": number}))


class Lines:
    """Cuts what arrives into lines, however it arrives."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Take what arrived; return the lines that are whole now, without their ends.

        Raises:
            ProtocolError: A line is longer than one may be.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, (*lines, self._rest))) >= MAX_LINE_BYTES:
            raise ProtocolError(f"a line has more than {MAX_LINE_BYTES} bytes")
        return lines


def _decode(line: bytes, kinds: Mapping[str, type[M]], what: str) -> M:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError(f"{_shown(line)} is no JSON") from None
    if not isinstance(said, dict) or not isinstance(said.get("op"), str):
        raise ProtocolError(f"{_shown(line)} is no {what}: it has no op")
    name = said.pop("op")
    kind = kinds.get(name)
    if kind is None:
        raise ProtocolError(f"{_shown(name)} is no {what}: known are {', '.join(kinds)}")
    return kind(**_fields(name, kind, said))


def _fields(name: str, kind: type, said: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {field.name: str(field.type) for field in fields(kind)}
    if unknown := said.keys() - wanted.keys():
        raise ProtocolError(f"{name} has no field {_shown(min(unknown))}")
    if missing := wanted.keys() - said.keys():
        raise ProtocolError(f"{name} lacks {', '.join(sorted(missing))}")
    read = {}
    for field, annotation in wanted.items():
        wants, reader = _READERS[annotation]
        try:
            read[field] = reader(said[field])
        except (TypeError, ValueError, OverflowError):
            raise ProtocolError(f"{name}.{field} must be {wants}, and is {_shown(said[field])}") from None
    return read


def _shown(value: Any) -> str:
    """Write what was sent into an error, shortened: it may be anything of any length."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError
    return tuple(map(_str, value))


def _mapping(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {name: _str(text) for name, text in value.items()}


def _or_none(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else reader(value)


# By a field's annotation: what it must be, in words, and what reads it.
_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "int": ("an integer", _int),
    "float": ("a finite number", _float),
    "float | None": ("a finite number or null", _or_none(_float)),
    "str": ("a text", _str),
    "tuple[str, ...]": ("a list of texts", _texts),
    "tuple[str, ...] | None": ("a list of texts or null", _or_none(_texts)),
    "Mapping[str, str]": ("an object of texts", _mapping),
    "Cause | None": (f"{', '.join(Cause)} or null", _or_none(Cause)),
    "Fault": (" or ".join(Fault), Fault),
}
