"""The operator's HTTP port: liveness, readiness, metrics. Source: aiohttp."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from kubestudy.metrics.own import CONTENT_TYPE, OperatorMetrics

# Loops turn every 30 s at least; one that has not for so long hangs.
STALE_SECONDS = 300.0


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


async def serve(
    address: str, port: int, health: Health, metrics: OperatorMetrics, more: Sequence[web.RouteDef] = ()
) -> web.AppRunner:
    """Serve until the returned runner is cleaned up.

    Args:
        address: Where to listen.
        port: Where to listen.
        health: Answers the probes.
        metrics: The operator's own.
        more: Further routes.

    Raises:
        OSError: The port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        stale = health.stale()
        text = f"loops that do not turn: {', '.join(stale)}\n" if stale else "ok\n"
        return web.Response(text=text, status=500 if stale else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n" if health.ready else "not ready\n", status=200 if health.ready else 503)

    async def exposition(_: web.Request) -> web.Response:
        metrics.stale_loops.set(len(health.stale()))
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition), *more])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner
