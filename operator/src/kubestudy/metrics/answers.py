"""What a Prometheus server answers, read with suspicion. Pure.

Source: Prometheus HTTP API, https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubestudy.api.limits import SERVER_WORDS
from kubestudy.api.text import clean

# What Prometheus answers to a question that is wrong; anything else is about the way to it, and may be mended.
_REFUSALS = frozenset({400, 422})
_NUMBER_LENGTH = 64


class PrometheusError(Exception):
    """A query was not answered; the sentence says why.

    Attributes:
        passing: Whether asking again may help.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class AnswerTooLongError(PrometheusError):
    """A server answered with more than is read."""

    def __init__(self, message: str) -> None:
        super().__init__(message, passing=False)


@dataclass(frozen=True, slots=True)
class Series:
    """One element of an instant vector; a scalar has no labels."""

    labels: Mapping[str, str]
    value: float


def answered(status: int, text: str | bytes, url: str) -> Any:
    """Return what a server's answer holds.

    Args:
        status: HTTP's.
        text: The body.
        url: What errors call the server.

    Raises:
        PrometheusError: It holds no answer to the question.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or brackets without end
        said = {}
    if status == HTTPStatus.OK and isinstance(said, dict) and said.get("status") == "success" and "data" in said:
        return said["data"]
    why = said.get("error") if isinstance(said, dict) else None
    shown = text[: SERVER_WORDS.value * 4]
    body = shown.decode(errors="replace") if isinstance(shown, bytes) else shown
    message = clean(why if isinstance(why, str) and why else body, SERVER_WORDS.value) or "nothing more"
    refused = status in _REFUSALS and bool(why)
    raise PrometheusError(f"Prometheus at {url} says (HTTP {status}): {message}", passing=not refused)


def series_in(data: Any) -> list[Series]:
    """Return an answer's numbers.

    Raises:
        PrometheusError: It holds something else.
    """
    kind = data.get("resultType") if isinstance(data, dict) else None
    result = data.get("result") if isinstance(data, dict) else None
    match kind, result:
        case "vector", list():
            if any(isinstance(one, dict) and "histogram" in one for one in result):
                raise _no_number("vector of histograms")
            return [_series(one) for one in result]
        case "scalar", list():
            return [Series({}, _value(result))]
    raise _no_number(clean(kind, _NUMBER_LENGTH) if isinstance(kind, str) else "value")


def _no_number(kind: str) -> PrometheusError:
    return PrometheusError(
        f"the expression gives a {kind} where one number is needed: an instant vector or a scalar", passing=False
    )


def _series(one: Any) -> Series:
    match one:
        case {"metric": dict(labels), "value": value} if all(isinstance(text, str) for text in labels.values()):
            return Series(labels, _value(value))
    raise _unreadable("a series without labels or a value")


def _value(pair: Any) -> float:
    """Return the number of a pair of a timestamp, which nobody looks at, and a number as text."""
    match pair:
        case [_, str(text)] if len(text) <= _NUMBER_LENGTH:
            try:
                return float(text)
            except ValueError:
                pass
    raise _unreadable("a value that is no number")


def _unreadable(what: str) -> PrometheusError:
    """Return what is said of an answer that Prometheus would not give: something stands between, or is at fault."""
    return PrometheusError(f"Prometheus' answer cannot be read, it has {what}: what answers there?", passing=True)
