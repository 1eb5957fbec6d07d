"""The proxy between the operator and the API server: passes everything on, or disturbs it in one of several ways."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from aiohttp import ClientError, web

from support.cluster.faulty import CROWDED, GONE, Proxy, is_watch

_CONFLICT = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
             "message": "the object has been modified; please apply your changes to the latest version"}  # fmt: skip
_EXISTS = _CONFLICT | {"reason": "AlreadyExists", "message": "it already exists"}
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_TURN = 3


class Way(StrEnum):
    """How requests are disturbed."""

    CROWDED = "every third write is answered with 429"
    CONFLICTS = "every third change is answered with 409, and so is a creation that was carried out"
    EXPIRED = "watches are answered with 410"
    LOST = "every third write is carried out, and its answer is lost"
    ODD = "every third request is answered with what no API server says"


class DisturbingProxy(Proxy):
    """Passes on what it is asked, until told to disturb it. The Lease is left alone by answers of its own."""

    def __init__(self, server: str, authority: Path) -> None:
        super().__init__(server, authority)
        self._way: Way | None = None
        self._watches: set[asyncio.Task[Any]] = set()
        self._odd = itertools.cycle(_odd_answers())

    @contextlib.contextmanager
    def disturbing(self, way: Way) -> Iterator[None]:
        """Disturb what is asked for a while."""
        self._way = way
        if way is Way.EXPIRED:
            self.cut()
        try:
            yield
        finally:
            self._way = None

    def cut(self) -> None:
        """Break off every watch."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._watches])

    async def _stop(self) -> None:
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await super()._stop()

    def _turn(self, what: str) -> bool:
        self.counts[what] += 1
        return self.counts[what] % _TURN == 0

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._disturbed(request) or await self._passed(request)
        except (ClientError, ConnectionError):
            return _abort(request)

    async def _passed(self, request: web.Request) -> web.StreamResponse:
        if not is_watch(request):
            return await self._pass(request)
        task = asyncio.ensure_future(self._pass(request))
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)
        try:
            return await task
        except asyncio.CancelledError:
            task.cancel()
            return _abort(request)

    async def _disturbed(self, request: web.Request) -> web.StreamResponse | None:
        """Return an answer instead of the API server's; None where it is asked."""
        way, write = self._way, request.method in _WRITES
        if way is None or "/leases" in request.path:
            return None
        if way is Way.EXPIRED and is_watch(request) and self._turn(way):
            return web.json_response({"type": "ERROR", "object": GONE})
        if way is Way.CROWDED and write and self._turn(way):
            return web.json_response(CROWDED, status=429, headers={"Retry-After": "1"})
        if way is Way.CONFLICTS and write and self._turn(way):
            if request.method != "POST":
                return web.json_response(_CONFLICT, status=409)
            await self._carried_out(request)
            return web.json_response(_EXISTS, status=409)
        if way is Way.LOST and write and self._turn(way):
            await self._carried_out(request)
            return _abort(request)
        if way is Way.ODD and not is_watch(request) and self._turn(way):
            status, text, kind = next(self._odd)
            return web.Response(status=status, text=text, content_type=kind)
        return None

    async def _carried_out(self, request: web.Request) -> None:
        """Pass a request on, and drop what is answered."""
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length")}
        url = f"{self._server}{request.path_qs}"
        async with self._session.request(request.method, url, headers=headers, data=await request.read()) as answer:
            await answer.read()


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


def _odd_answers() -> list[tuple[int, str, str]]:
    page = "<html><body>" + "sign in, please " * 5000 + "</body></html>"
    return [
        (520, page, "text/html"),
        (499, "", "text/plain"),
        (403, "null", "application/json"),
        (200, page, "text/html"),
        (200, "", "application/json"),
        (502, "[]", "application/json"),
        (500, '{"message": null, "reason": 7}', "application/json"),
        (404, '"no"', "application/json"),
        (418, "{" * 5000, "application/json"),
    ]
