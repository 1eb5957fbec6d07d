"""A study's history and its living trials, read-only, on a port of their own.

It is reached through the API server's service proxy, so Kubernetes' own RBAC decides who may ask; a path holds the
study's uid, so that only who may read a study can ask about it. That proxy authenticates nobody towards the pod: it
takes the caller's credentials away, and has none of its own here. So whoever reaches the port past it is kept out by a
NetworkPolicy, and, where that is not enough, by a token that callers send along in a header, which the proxy passes on.
A deleted study's history is served as long as it is kept.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

from aiohttp import web

from kubestudy.api.contract import TOKEN_HEADER, history_path, live_path
from kubestudy.api.limits import DATABASE_COPIES, EXPORT_SECONDS, EXPORTS_AT_ONCE, TOKEN_LENGTH
from kubestudy.controller.log_lines import about
from kubestudy.controller.work_pool import PoolLimits, WorkPool
from kubestudy.search.archive import Archive, Record
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial, live_as_data

log = logging.getLogger(__name__)

_PLACEHOLDERS = ("{namespace}", "{name}", "{uid}")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_UID = re.compile(r"[0-9a-f-]{36}")
_RETRY_SECONDS = 5
_BUSY = "too many histories are being read; try again in a moment\n"

Live = Callable[[str], Sequence[LiveTrial] | None]


class Histories:
    """What is served.

    Args:
        archive: The storage.
        live: Returns a study's living trials, by uid; None where this operator does not look after it.
        token: A file that holds the token that callers are to send along; None if they need none.
    """

    def __init__(self, archive: Archive, live: Live, token: Path | None = None) -> None:
        self._archive, self._live, self._token = archive, live, token
        self._serving = 0
        self._numbers = count()
        # Threads of their own: what people read does not hold up studies.
        limits = PoolLimits(threads=EXPORTS_AT_ONCE.value, spare=EXPORTS_AT_ONCE.value)
        self._pool = WorkPool(limits=limits, name="history")

    async def close(self) -> None:
        """Serve nothing more."""
        await self._pool.close(0)

    async def history(self, request: web.Request) -> web.StreamResponse:
        """Serve a study's history."""
        namespace, name, uid = self._asked(request)
        copies = self._archive.journal(Record(namespace, name, uid, "")) is None
        most = DATABASE_COPIES.value if copies else EXPORTS_AT_ONCE.value
        async with self._turn(most):
            try:
                async with asyncio.timeout(EXPORT_SECONDS.value):
                    return await self._serve(request, namespace, name, uid)
            except StudyError as error:
                with about(namespace, name):
                    log.warning("the history is not served: %s", error)
                raise web.HTTPServiceUnavailable(text=f"{error}\n") from error

    async def trials(self, request: web.Request) -> web.Response:
        """Serve a study's living trials."""
        namespace, name, uid = self._asked(request)
        found = self._live(uid)
        if found is None:
            raise web.HTTPNotFound(text=f"{namespace}/{name} ({uid}) is not looked after here\n")
        return web.json_response([live_as_data(trial) for trial in found])

    @asynccontextmanager
    async def _turn(self, most: int) -> AsyncIterator[None]:
        if self._serving >= most:
            raise web.HTTPTooManyRequests(text=_BUSY, headers={"Retry-After": str(_RETRY_SECONDS)})
        self._serving += 1
        try:
            yield
        finally:
            self._serving -= 1

    async def _serve(self, request: web.Request, namespace: str, name: str, uid: str) -> web.StreamResponse:
        key = str(next(self._numbers))
        chunks = await self._pool.call(key, partial(self._archive.export, namespace, name, uid))
        if chunks is None:
            raise web.HTTPNotFound(text=f"the storage holds nothing of {namespace}/{name} ({uid})\n")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.enable_compression()
        await response.prepare(request)
        while chunk := await self._pool.call(key, partial(_next, chunks)):
            await response.write(chunk)
        await response.write_eof()
        return response

    def _asked(self, request: web.Request) -> tuple[str, str, str]:
        """Return namespace, name and uid: nothing else may become part of a file's name."""
        self._check(request.headers.get(TOKEN_HEADER, ""))
        namespace, name, uid = (request.match_info[key] for key in ("namespace", "name", "uid"))
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name) and _UID.fullmatch(uid)):
            raise web.HTTPNotFound(text="no such study\n")
        return namespace, name, uid

    def _check(self, given: str) -> None:
        """Refuse whoever does not know the token; it is read anew each time, since it may be changed."""
        if self._token is None:
            return
        try:
            with self._token.open("rb") as file:
                wanted = file.read(TOKEN_LENGTH.value).strip()
        except OSError as error:
            log.warning("histories are not served: the token cannot be read: %s", error)
            raise web.HTTPServiceUnavailable(text="the operator cannot read its token\n") from error
        if not wanted or not hmac.compare_digest(wanted, given.encode(errors="replace")):
            raise web.HTTPUnauthorized(text=f"the header {TOKEN_HEADER} has to hold this operator's token\n")


def _next(chunks: Iterator[bytes]) -> bytes:
    """Return the next piece that is not empty; nothing at the end."""
    return next(chunks, b"")


def history_routes(histories: Histories) -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.get(history_path(*_PLACEHOLDERS), histories.history),
        web.get(live_path(*_PLACEHOLDERS), histories.trials),
    ]
