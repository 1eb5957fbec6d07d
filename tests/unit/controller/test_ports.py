"""The operator's two ports: what each serves, and what is said when one is taken."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from kubestudy.api.contract import TOKEN_HEADER, history_path, live_path
from kubestudy.api.limits import DATABASE_COPIES, EXPORTS_AT_ONCE
from kubestudy.controller.history_endpoint import Histories, history_routes
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
        histories = Histories(archive, lambda uid: [] if uid == UID else None)
        history = await serve(ADDRESS, 0, history_routes(histories), "--x")
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


def test_however_many_ask_for_the_metrics_at_once_they_are_made_in_one_thread_and_the_loop_goes_on() -> None:
    class Slow(OperatorMetrics):
        def __init__(self) -> None:
            super().__init__()
            self.made, self.go = 0, threading.Event()

        def text(self) -> bytes:
            self.made += 1
            assert self.go.wait(60)
            return super().text()

    async def scene() -> None:
        metrics = Slow()
        runner = await serve(ADDRESS, 0, health_routes(Health({}), metrics), "--health-port")
        try:
            port = runner.addresses[0][1]
            asked = [asyncio.create_task(_answers(port, "/metrics")) for _ in range(20)]
            while metrics.made == 0:
                await asyncio.sleep(0.01)
            assert await _answers(port, "/healthz") == [200]
            metrics.go.set()
            assert await asyncio.gather(*asked) == [[200]] * 20
            assert metrics.made < 20
        finally:
            await runner.cleanup()

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


class SlowArchive(Archive):
    """Has a history of every study, of which the second piece comes once it is let."""

    def __init__(self, place: Path | str) -> None:
        super().__init__(place)
        self.let = threading.Event()

    def export(self, namespace: str, name: str, uid: str) -> Iterator[bytes]:
        yield b"{}\n"
        assert self.let.wait(60)
        yield b"{}\n"


@pytest.mark.parametrize(("place", "most"), [("folder", EXPORTS_AT_ONCE.value), ("sqlite://", DATABASE_COPIES.value)])
def test_so_many_histories_are_read_at_once_and_no_more(place: str, most: int, tmp_path: Path) -> None:
    async def scene() -> None:
        archive = SlowArchive(place if "://" in place else tmp_path)
        histories = Histories(archive, lambda _: None)
        runner = await serve(ADDRESS, 0, history_routes(histories), "--x")
        url = f"http://{ADDRESS}:{runner.addresses[0][1]}{history_path(*STUDY)}"
        try:
            async with aiohttp.ClientSession() as session:
                reading = [await session.get(url) for _ in range(most)]
                async with session.get(url) as refused:
                    assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
                archive.let.set()
                assert [await answer.text() for answer in reading] == ["{}\n{}\n"] * most
                async with session.get(url) as again:
                    assert again.status == 200
        finally:
            await runner.cleanup()
            await histories.close()

    asyncio.run(scene())


def test_a_token_keeps_out_whoever_does_not_know_it_and_may_be_changed(tmp_path: Path) -> None:
    async def scene() -> None:
        token = tmp_path / "token"
        histories = Histories(Archive(tmp_path), lambda uid: [] if uid == UID else None, token)
        runner = await serve(ADDRESS, 0, history_routes(histories), "--x")
        url = f"http://{ADDRESS}:{runner.addresses[0][1]}"

        async def asked(given: str | None) -> list[int]:
            headers = {} if given is None else {TOKEN_HEADER: given}
            statuses = []
            async with aiohttp.ClientSession(headers=headers) as session:
                for path in (live_path(*STUDY), history_path(*STUDY)):
                    async with session.get(url + path) as answer:
                        statuses.append(answer.status)
            return statuses

        try:
            assert await asked("secret") == [503, 503]  # the file is not there: nobody is let in
            token.write_text("")
            assert await asked("") == [401, 401]
            token.write_text("secret\n")
            assert await asked("secret") == [200, 404]
            for wrong in (None, "", "secre", "secret2", "\u00fc"):
                assert await asked(wrong) == [401, 401]
            token.write_text("other")
            assert (await asked("secret"), await asked("other")) == ([401, 401], [200, 404])
        finally:
            await runner.cleanup()
            await histories.close()

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
