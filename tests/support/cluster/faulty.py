"""Proxies in front of the real API server that disturb what passes: a crowded server, watches that break, no answer."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from pathlib import Path
from typing import Self

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

_WATCH_SECONDS = 1.5
GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410,
         "message": "too old resource version"}  # fmt: skip
CROWDED = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests", "code": 429,
            "message": "too many requests, please try again later"}  # fmt: skip

# What the audit log has of who asked, where that was by a proxy.
BY_PROXY = "by-proxy"


class Proxy:
    """Passes on what it is asked. Use it as a context manager.

    Args:
        server: The API server's URL.
        authority: Its CA.
    """

    def __init__(self, server: str, authority: Path) -> None:
        self._server = server
        self._context = ssl.create_default_context(cafile=str(authority))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.counts: Counter[str] = Counter()
        self.url = ""

    def __enter__(self) -> Self:
        """Start it."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def _start(self) -> None:
        timeout = ClientTimeout(total=None)
        self._session = ClientSession(connector=TCPConnector(ssl=self._context, limit=0), timeout=timeout)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request)

    async def _pass(self, request: web.Request, watch_seconds: float | None = None) -> web.StreamResponse:
        """Pass a request on; break a watch off after some seconds, where told to."""
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length")}
        headers["User-Agent"] = f"{request.headers.get('User-Agent', '')} {BY_PROXY}"
        url = f"{self._server}{request.path_qs}"
        async with self._session.request(
            request.method, url, headers=headers, data=await request.read() or None, auto_decompress=False
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("content-length", "transfer-encoding")}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if not is_watch(request):
                await response.write(await answer.read())
                await response.write_eof()
                return response
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(watch_seconds):
                    async for chunk in answer.content.iter_any():
                        await self._forward(response, chunk)
            if request.transport is not None:
                request.transport.abort()  # in the middle of a line, for all it knows
            return response

    async def _forward(self, response: web.StreamResponse, chunk: bytes) -> None:
        await response.write(chunk)


def is_watch(request: web.Request) -> bool:
    """Tell whether a request asks for a watch."""
    return request.query.get("watch") in ("true", "True", "1")


class FaultyProxy(Proxy):
    """Refuses every third creation or deletion of a Job (429), breaks every watch soon, ends each third with 410."""

    def _every_third(self, what: str) -> bool:
        self.counts[what] += 1
        return self.counts[what] % 3 == 0

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.method in ("POST", "DELETE") and "/jobs" in request.path and self._every_third("jobs"):
            return web.json_response(CROWDED, status=429, headers={"Retry-After": "1"})
        if is_watch(request) and "resourceVersion" in request.query:
            self.counts["watches"] += 1
            # Each resource's third, not everybody's: three resources are watched in turn.
            if self._every_third(request.path):
                return web.json_response({"type": "ERROR", "object": GONE})  # as the real one says it
        return await self._pass(request, _WATCH_SECONDS)


_LIES = (
    (520, b"<html>who knows</html>"),
    (499, b""),
    (403, b"null"),
    (200, b"<html>sign in</html>"),
    (200, b"[]"),
    (200, b"{}"),
    (200, b'{"kind": "Job", "metadata": {"na'),
    (404, b"<html>nothing here</html>"),
    (409, b"[" * 50_000),
    (200, b'{"kind": "' + b"x" * 20_000_000 + b'"}'),
)
_TORN_LINES = (
    b"<html>\n",
    b"{}\n",
    b'{"type": "ADDED", "object": null}\n',
    b'{"type": "BOOKMARK", "object": {"metadata": []}}\n',
)


class LyingProxy(Proxy):
    """Answers every second request of a kind itself, with something that no API server says, one after the other.

    Of watches it answers every second so, or breaks into it with a line that is none. The election is left alone.
    """

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        kind = f"{request.method} {request.path.split('/')[-1]} {is_watch(request)}"
        told = self.counts.total() // 2 % len(_LIES)
        watched = request.path.rsplit("/", 1)[-1] in ("jobs", "pods", "hyperparameterstudies")
        if "/leases" in request.path or (request.method == "GET" and not watched and "/jobs/" not in request.path):
            return await self._pass(request)
        self.counts[kind] += 1
        if self.counts[kind] % 2:
            return await self._pass(request, _WATCH_SECONDS)
        status, body = _LIES[told]
        if is_watch(request) and told % 2:
            status, body = 200, _TORN_LINES[told // 2 % len(_TORN_LINES)]
        return web.Response(status=status, body=body, content_type="application/json")


class HangingProxy(Proxy):
    """Passes everything on until it is told to hang: from then on nothing is answered, and no connection ends."""

    def __init__(self, server: str, authority: Path) -> None:
        super().__init__(server, authority)
        self._hanging = threading.Event()

    def hang(self) -> None:
        """Answer nothing from now on."""
        self._hanging.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await self._hang()
        return await self._pass(request)

    async def _forward(self, response: web.StreamResponse, chunk: bytes) -> None:
        await self._hang()
        await super()._forward(response, chunk)

    async def _hang(self) -> None:
        if self._hanging.is_set():
            await asyncio.sleep(3600)


class RefusingProxy(Proxy):
    """Passes everything on, but while it is told to refuse: connections end, and there is nobody to connect to."""

    def refuse(self) -> None:
        """Refuse connections from now on."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)

    def accept(self) -> None:
        """Accept connections again."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)

    async def _close(self) -> None:
        for site in list(self._runner.sites):
            await site.stop()
        assert self._runner.server is not None
        for connection in list(self._runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def _open(self) -> None:
        await web.TCPSite(self._runner, "127.0.0.1", int(self.url.rpartition(":")[2]), reuse_address=True).start()
