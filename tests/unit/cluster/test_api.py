"""Requests to an API server, which is a stand-in here: it answers as told, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client

from kubestudy.cluster import api as module
from kubestudy.cluster.api import ApiError, ConflictError, KubeApi, NotFoundError, UnreachableError
from kubestudy.planning.backoff import Backoff

JOBS = "/apis/batch/v1/namespaces/ns/jobs"
Answer = tuple[int, str]


class Server:
    """Gives its answers, first to last, and the last again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, dict(request.query), dict(request.headers)))
        status, text = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text=text, content_type="application/json")

    def run(self, scene: Callable[[KubeApi], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            configuration = client.Configuration()
            configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
            api = KubeApi(configuration)
            try:
                return await scene(api)
            finally:
                await api.close()
                await runner.cleanup()

        return asyncio.run(run())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF", Backoff(0.001, 0.001))


def _status(code: int, reason: str = "", message: str = "") -> Answer:
    return code, json.dumps({"kind": "Status", "reason": reason, "message": message})


def test_whatever_is_written_names_who_writes_it() -> None:
    async def scene(api: KubeApi) -> None:
        await api.create(JOBS, {}, dryRun="All")
        await api.patch(f"{JOBS}/a", {})
        await api.replace(f"{JOBS}/a", {})
        await api.get(f"{JOBS}/a")

    server = Server((200, "{}"))
    server.run(scene)
    assert [(verb, query) for verb, query, _ in server.asked] == [
        ("POST", {"fieldManager": "kubestudy", "dryRun": "All"}),
        ("PATCH", {"fieldManager": "kubestudy"}),
        ("PUT", {"fieldManager": "kubestudy"}),
        ("GET", {}),
    ]
    assert all(headers["User-Agent"].startswith("kubestudy/") for *_, headers in server.asked)


def test_a_crowded_server_is_asked_again() -> None:
    server = Server(_status(429, message="too many requests"), _status(503), (200, '{"kind": "Job"}'))
    assert server.run(lambda api: api.get(f"{JOBS}/a")) == {"kind": "Job"}
    assert len(server.asked) == 3


@pytest.mark.parametrize("text", ["<html>sign in</html>", "", "[]"])
def test_an_answer_that_is_no_object_is_nobodys_answer(text: str) -> None:
    server = Server((200, text))
    with pytest.raises(UnreachableError, match="is no JSON object"):
        server.run(lambda api: api.get(JOBS))


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (_status(404, "NotFound", "jobs.batch \"a\" not found"), NotFoundError, "not found"),
        (_status(409, "AlreadyExists", "there already"), ConflictError, "there already"),
        (_status(422, "Invalid", "spec: Required"), ApiError, "spec: Required"),
        ((520, "unknown"), ApiError, "520"),
        ((403, "[]"), ApiError, "403"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_servers_words(answer: Answer, kind: type[ApiError], says: str) -> None:
    with pytest.raises(kind) as error:
        Server(answer).run(lambda api: api.create(JOBS, {}))
    assert type(error.value) is kind
    assert says in str(error.value)
