"""The operator's HTTP ports: liveness, readiness and metrics on one; routes of others on others. Source: aiohttp."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from kubestudy.controller.work_pool import WorkPool
from kubestudy.metrics.own import CONTENT_TYPE, OperatorMetrics

# Loops turn every 30 s at least; one that has not for so long hangs. That is told of its study and in the metrics; the
# probe is about the event loop alone, since a restart for one study's sake would hit all others.
STALE_SECONDS = 300.0


class PortError(Exception):
    """A port cannot be listened on; the sentence says which, why, and what names another."""


class Health:
    """What the probes ask for.

    Args:
        heartbeats: When each study's loop last turned (monotonic seconds).
        clock: Monotonic seconds.
    """

    def __init__(self, heartbeats: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._heartbeats = heartbeats
        self._now = clock
        self.ready = False

    def stale(self) -> list[str]:
        """Return the uids of studies whose loop does not turn any more."""
        now = self._now()
        return [uid for uid, beat in self._heartbeats.items() if now - beat > STALE_SECONDS]


def health_routes(health: Health, metrics: OperatorMetrics, pool: WorkPool | None = None) -> list[web.RouteDef]:
    """Return the routes of the probes and of the operator's own metrics.

    Args:
        health: What the probes ask for.
        metrics: The operator's own.
        pool: The threads for studies' searches, of which the metrics tell.
    """

    async def healthz(_: web.Request) -> web.Response:
        # An answer is all that there is to say: the event loop turns.
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n" if health.ready else "not ready\n", status=200 if health.ready else 503)

    exposition_text = _OneAtATime(metrics.text)

    async def exposition(_: web.Request) -> web.Response:
        metrics.stale_loops.set(len(health.stale()))
        if pool is not None:
            metrics.search_threads.set(pool.threads)
            metrics.stuck_searches.set(len(pool.stuck))
        return web.Response(body=await exposition_text.get(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)]


class _OneAtATime:
    """Makes a text in a thread, for all who ask meanwhile: that of a thousand studies takes a quarter of a second, in
    which the event loop goes on, however many ask.

    Args:
        make: Makes the text.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._making: asyncio.Task[bytes] | None = None

    async def get(self) -> bytes:
        """Return a text that was begun no longer ago than another one takes."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(asyncio.to_thread(self._make))
        return await asyncio.shield(self._making)


async def serve(address: str, port: int, routes: Sequence[web.RouteDef], flag: str) -> web.AppRunner:
    """Serve until the returned runner is cleaned up.

    Args:
        address: Where to listen.
        port: Where to listen; 0 for a free port.
        routes: What is served.
        flag: The flag that names another port, for the error.

    Raises:
        PortError: The port is taken, or is not this process' to take.
    """
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError as error:
        await runner.cleanup()
        why = os.strerror(error.errno) if error.errno else str(error)
        raise PortError(f"cannot serve on {address}:{port}: {why}; name another port with {flag}") from error
    return runner
