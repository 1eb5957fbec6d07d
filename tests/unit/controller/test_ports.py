"""The operator's two ports: what each serves, and what is said when one is taken."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from kubestudy.api.contract import history_path, live_path
from kubestudy.controller.history_endpoint import history_routes
from kubestudy.controller.http import STALE_SECONDS, Health, PortError, health_routes, serve
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.search.archive import Archive

ADDRESS = "127.0.0.1"
UID = "0b2f7714-0000-4000-8000-000000000000"
STUDY = ("team", "demo", UID)


async def _answers(port: int, *paths: str) -> list[int]:
    async with aiohttp.ClientSession(f"http://{ADDRESS}:{port}") as session:
        statuses = []
        for path in paths:
            async with session.get(path) as answer:
                statuses.append(answer.status)
        return statuses


def test_the_history_has_a_port_of_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        health = await serve(ADDRESS, 0, health_routes(Health({}), OperatorMetrics()), "--health-port")
        archive = Archive(tmp_path)
        history = await serve(ADDRESS, 0, history_routes(archive, lambda uid: [] if uid == UID else None), "--x")
        try:
            health_port, history_port = (runner.addresses[0][1] for runner in (health, history))
            assert await _answers(health_port, "/healthz", "/readyz", "/metrics", live_path(*STUDY)) == [
                200, 503, 200, 404,
            ]  # fmt: skip
            assert await _answers(history_port, live_path(*STUDY), history_path(*STUDY)) == [200, 404]
            assert await _answers(history_port, "/metrics", "/healthz", "/") == [404, 404, 404]
        finally:
            await health.cleanup()
            await history.cleanup()

    asyncio.run(scene())


def test_a_study_whose_loop_does_not_turn_is_no_reason_to_restart_the_operator(tmp_path: Path) -> None:
    async def scene() -> None:
        metrics = OperatorMetrics()
        health = Health({UID: 100.0}, lambda: 100.0 + STALE_SECONDS + 1)
        runner = await serve(ADDRESS, 0, health_routes(health, metrics), "--health-port")
        try:
            url = f"http://{ADDRESS}:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
            async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
                text = await answer.text()
            assert "kubestudy_stale_loops 1.0" in text
            assert UID not in text
        finally:
            await runner.cleanup()

    asyncio.run(scene())


def test_a_port_that_is_taken_is_named_with_the_flag_that_names_another() -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError) as error:
            asyncio.run(serve(ADDRESS, port, [], "--history-port"))
    said = f"cannot serve on {ADDRESS}:{port}: Address already in use; name another port with --history-port"
    assert str(error.value) == said
