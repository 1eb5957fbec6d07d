"""What an API server answered, or a proxy in its place: errors as what they mean, and no answer of a wrong shape passed
on.

An API server refuses with a Status object. Whatever else says no, or yes without an object, is somebody in front of
it: nothing is known of the request then, and it may be tried again.

Source: Kubernetes API concepts; metav1 Status.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from kubestudy.api.text import clean

RETRY_AFTER_LIMIT = 30.0
_RETRIED = frozenset({429, 500, 502, 503, 504})
_ANSWER_LENGTH = 200
_MESSAGE_LENGTH = 1000
_WORD_LENGTH = 100
_PIECE_BYTES = 2**16


class ApiError(Exception):
    """The API server refused a request; the sentence is its own, cut to a bounded line.

    Attributes:
        status: HTTP status.
        reason: The status object's reason, for instance AlreadyExists.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(clean(message, _MESSAGE_LENGTH))
        self.status = status
        self.reason = clean(reason, _WORD_LENGTH)

    @property
    def over_quota(self) -> bool:
        """Whether a quota is what refused it."""
        return self.status == HTTPStatus.FORBIDDEN and "exceeded quota" in str(self)


class NotFoundError(ApiError):
    """There is no such object."""


class ConflictError(ApiError):
    """The object exists already, or was changed meanwhile."""


class AnswerTooLargeError(ApiError):
    """The answer is larger than what is read of one."""


class UnreachableError(ApiError):
    """The API server does not answer, or asks to be left alone for now; nothing is known of the request.

    Attributes:
        retry_after: For how many seconds it asks to be left alone.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


async def read_bounded(response: aiohttp.ClientResponse, most: int, *, whole: bool) -> bytes:
    """Read an answer, piece by piece.

    Args:
        response: The answer.
        most: How many bytes of it are read.
        whole: Whether one that is longer is an error; else the rest is left out.

    Raises:
        AnswerTooLargeError: It is longer.
    """
    data = bytearray()
    if not whole or (response.content_length or 0) <= most:
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            data += piece
            if len(data) > most:
                break
        else:
            return bytes(data)
        if not whole:
            return bytes(data[:most])
    raise AnswerTooLargeError(response.status, "", f"the API server's answer is longer than {most} bytes")


def object_in(data: bytes) -> dict[str, Any]:
    """Read an answer.

    Raises:
        UnreachableError: It is no object of an API server's, all of which have a kind: it comes from something in
            front of it.
    """
    found = _json(data)
    if isinstance(found, dict) and isinstance(found.get("kind"), str):
        return found
    raise UnreachableError(0, "", f"the API server's answer is none of its objects: {_excerpt(data)!r}")


def refusal(status: int, data: bytes, headers: Mapping[str, str]) -> ApiError:
    """Return what an answer with an HTTP status other than success means."""
    found = _json(data)
    said = found if isinstance(found, dict) and found.get("kind") == "Status" else None
    reason = "" if said is None else str(said.get("reason") or "")
    message = str((said or {}).get("message") or f"HTTP status {status}")
    if status in _RETRIED:
        return UnreachableError(status, reason, message, _seconds(headers.get("Retry-After")))
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError(status, reason, message)  # a group that is not served has no Status
    if said is None:
        why = f"something before the API server answers with HTTP status {status}: {_excerpt(data)!r}"
        return UnreachableError(status, "", why)
    return (ConflictError if status == HTTPStatus.CONFLICT else ApiError)(status, reason, message)


def items_of(listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a listing.

    Raises:
        UnreachableError: It is none.
    """
    items = listed.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise UnreachableError(0, "", f"the API server's answer is no list: it has the fields {sorted(listed)[:5]}")
    return items


def continue_of(listed: Mapping[str, Any]) -> str:
    """Return what asks for the next page of a listing; empty after the last."""
    metadata = listed.get("metadata")
    return str(metadata.get("continue") or "") if isinstance(metadata, dict) else ""


def version_of(listed: Mapping[str, Any]) -> int:
    """Return a listing's resource version; 0 if it has none."""
    metadata = listed.get("metadata")
    with contextlib.suppress(ValueError, TypeError):
        return int(metadata.get("resourceVersion") or 0) if isinstance(metadata, dict) else 0
    return 0


def _json(data: bytes) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(data)
    return None


def _excerpt(data: bytes) -> str:
    return clean(data[: 4 * _ANSWER_LENGTH].decode(errors="replace"), _ANSWER_LENGTH)


def _seconds(retry_after: str | None) -> float:
    try:
        seconds = float(retry_after or 0)
    except ValueError:
        return 0.0
    return min(max(0.0, seconds), RETRY_AFTER_LIMIT) if math.isfinite(seconds) else 0.0
