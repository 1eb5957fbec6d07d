"""Whoever may not write any more writes nothing: not to the API server, not to a storage."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from kubestudy.cluster import api as module
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.fence import Fence, NotLeadingError, boot_clock
from kubestudy.planning.backoff import Backoff
from kubestudy.search.archive import Archive, Record
from kubestudy.search.search import hush_optuna
from kubestudy.study.outcome import Complete
from kubestudy.study.ports import StudyError
from support.manifests import spec_of

RECORD = Record("ns", "demo", "0b2f7714-0000-4000-8000-000000000000", "Retain")


class Server:
    """Answers everything; a GET only once it is let."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            self.asked.set()
            await self.let.wait()
        else:
            self.changes.append(request.method)
        return web.json_response({"kind": "Thing"})


async def serving(server: Server, fence: Fence) -> tuple[KubeApi, web.AppRunner]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return KubeApi(configuration, before_change=fence.check_request), runner


def test_what_waited_for_a_connection_is_not_sent_once_the_lease_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CONNECTIONS", 1)

    async def scene() -> None:
        server, fence = Server(), Fence()
        api, runner = await serving(server, fence)
        other = api.another()
        try:
            await api.create("/a", {})
            reading = asyncio.create_task(api.get("/a"))
            await server.asked.wait()
            ways: list[Any] = [api.create("/a", {}), api.patch("/a", {}), api.replace("/a", {}), api.delete("/a")]
            waiting = [asyncio.create_task(way) for way in ways]
            await asyncio.sleep(0.05)
            fence.close()
            server.let.set()
            assert await reading == {"kind": "Thing"}
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(error) for error in found] == [NotLeadingError] * 4
            assert server.changes == ["POST"]
            # Reading goes on, and so does the election, which has a client of its own.
            assert await api.get("/a") == {"kind": "Thing"}
            await other.replace("/a", {})
            assert server.changes == ["POST", "PUT"]
        finally:
            await other.close()
            await api.close()
            await runner.cleanup()

    asyncio.run(scene())


def test_a_request_whose_headers_are_ready_is_not_sent_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between headers and body others have their turn: a process may have stood still there."""
    monkeypatch.setattr(module, "_BACKOFF", Backoff(0.001, 0.001))

    async def scene() -> None:
        server, fence, asked = Server(), Fence(), 0

        class Late(Fence):
            def check_request(self) -> None:
                nonlocal asked
                asked += 1
                if asked > 1:
                    fence.close()
                fence.check_request()

        api, runner = await serving(server, Late())
        try:
            with pytest.raises(NotLeadingError):
                await api.create("/a", {"some": "body"})
            assert asked > 1 and not server.changes
        finally:
            await api.close()
            await runner.cleanup()

    asyncio.run(scene())


@pytest.mark.parametrize("kind", ["journal", "database"])
def test_nothing_is_recorded_once_the_lease_is_over_and_reading_goes_on(kind: str, tmp_path: Path) -> None:
    hush_optuna()
    place = tmp_path if kind == "journal" else f"sqlite:///{tmp_path}/db"
    fence = Fence()
    archive = Archive(place, before_write=fence.check_storage)
    search = archive.open(RECORD, spec_of())
    trial = search.ask()
    assert trial is not None
    fence.open_until(boot_clock() - 1)
    outcome = Complete((1.0,), {})
    changes: list[Any] = [
        search.ask, lambda: search.tell(trial.number, outcome), lambda: search.spend(trial.number, 1.0, 2.0),
        lambda: archive.note(RECORD), lambda: archive.delete(RECORD),
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(StudyError, match="lease is over"):
            change()
    assert archive.records() == [RECORD]
    exported = archive.export(RECORD.namespace, RECORD.name, RECORD.uid)
    assert exported is not None and b"".join(exported)
    # The lock is not left behind: another operator goes on at once.
    begun = time.monotonic()
    other = Archive(place).open(RECORD, spec_of())
    assert [known.suggestion for known in other.unfinished()] == [trial]
    other.tell(trial.number, outcome)
    assert other.tally.complete == 1
    assert time.monotonic() - begun < 4


def test_the_clock_of_a_fence_goes_on_while_a_machine_sleeps() -> None:
    known = getattr(time, "CLOCK_BOOTTIME", None)
    if known is not None:
        assert abs(boot_clock() - time.clock_gettime(known)) < 60
    now = [0.0]
    fence = Fence(lambda: now[0])
    fence.check_request()
    fence.open_until(10.0)
    now[0] = 9.9
    fence.check_storage()
    now[0] = 10.0
    with pytest.raises(NotLeadingError):
        fence.check_request()
