"""Requests to an API server, which is a stand-in here: it answers as told, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.aio import client

from kubestudy.cluster import api as module
from kubestudy.cluster.api import (
    AnswerTooLargeError,
    ApiError,
    ConflictError,
    KubeApi,
    NotFoundError,
    UnreachableError,
    continue_of,
    items_of,
    version_of,
)
from kubestudy.planning.backoff import Backoff

JOBS = "/apis/batch/v1/namespaces/ns/jobs"
Answer = tuple[int, str]


class Server:
    """Gives its answers, first to last, and the last again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []

    async def _answer(self, request: web.Request) -> web.StreamResponse:
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

    server = Server((200, '{"kind": "Job"}'))
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


@pytest.mark.parametrize("text", ["<html>sign in</html>", "", "[]", "{}", '{"kind": null}'])
def test_an_answer_that_is_no_object_is_nobodys_answer(text: str) -> None:
    server = Server((200, text))
    with pytest.raises(UnreachableError, match="is none of its objects"):
        server.run(lambda api: api.get(JOBS))


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (_status(404, "NotFound", "jobs.batch \"a\" not found"), NotFoundError, "not found"),
        (_status(409, "AlreadyExists", "there already"), ConflictError, "there already"),
        (_status(422, "Invalid", "spec: Required"), ApiError, "spec: Required"),
        ((404, "404 page not found"), NotFoundError, "404"),
        # Nobody's word: a proxy's, and nothing is known of the request.
        ((520, "unknown"), UnreachableError, "520"),
        ((403, "[]"), UnreachableError, "403"),
        ((403, "null"), UnreachableError, "403"),
        ((499, "{}"), UnreachableError, "499"),
        ((409, "<html>"), UnreachableError, "409"),
        ((422, "[" * 60_000), UnreachableError, "422"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_the_servers_words(answer: Answer, kind: type[ApiError], says: str) -> None:
    with pytest.raises(kind) as error:
        Server(answer).run(lambda api: api.create(JOBS, {}))
    assert type(error.value) is kind
    assert says in str(error.value)


def test_a_service_behind_the_proxy_is_asked_again_where_it_is_busy_and_gets_the_callers_headers() -> None:
    server = Server((429, "too many"), (429, "too many"), (200, "line"))
    assert server.run(lambda api: api.read(JOBS, {"X-KubeStudy-Token": "secret"})) == b"line"
    assert [headers["X-KubeStudy-Token"] for _, _, headers in server.asked] == ["secret"] * 3
    for status in (401, 503):  # which may take long to mend
        refusing = Server((status, "no"))
        with pytest.raises(ApiError):
            refusing.run(lambda api: api.read(JOBS))
        assert len(refusing.asked) == 1


def test_a_refusals_text_is_cut_and_has_no_line_breaks() -> None:
    with pytest.raises(ApiError) as error:
        Server(_status(422, "In\nvalid", "a\x1b[31m\n" * 5000)).run(lambda api: api.create(JOBS, {}))
    assert len(str(error.value)) <= 1000 and str(error.value).isprintable()
    assert error.value.reason.isprintable()


def test_an_answer_is_read_up_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "API_ANSWER_BYTES", replace(module.API_ANSWER_BYTES, value=100_000))
    server = Server((200, json.dumps({"kind": "x" * 200_000})))
    with pytest.raises(AnswerTooLargeError, match="longer than 100000 bytes"):
        server.run(lambda api: api.get(JOBS))
    assert len(server.asked) == 1
    assert Server((200, json.dumps({"kind": "x" * 90_000}))).run(lambda api: api.get(JOBS))
    with pytest.raises(ApiError):
        Server((422, json.dumps({"kind": "Status", "message": "x" * 200_000}))).run(lambda api: api.get(JOBS))


@pytest.mark.parametrize("answer", [(200, "{}"), (404, "<html>not here</html>"), (200, "[]")])
def test_a_deletion_is_done_only_if_the_api_server_says_so(answer: Answer) -> None:
    with pytest.raises(ApiError):
        Server(answer).run(lambda api: api.delete(f"{JOBS}/a"))


class Torn(Server):
    """Says how long its answer is, and breaks off before the end; `headers` are whatever somebody makes up."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str], kept: int) -> None:
        super().__init__((status, ""))
        self.status, self.body, self.headers, self.kept = status, body, headers, kept

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status, headers=self.headers)
        response.content_length = len(self.body)
        await response.prepare(request)
        await response.write(self.body[: self.kept])
        if self.kept < len(self.body) and request.transport is not None:
            request.transport.abort()
        return response


_values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_json = st.recursive(
    _values,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "metadata", "items", "message", "reason", "code", "details"]), inner, max_size=4
        )
    ),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())
_bodies = _json | st.binary(max_size=300) | st.just(b"[" * 50_000) | st.just(b"x" * 300_000)
_statuses = st.sampled_from([200, 201, 202, 206, 299, 400, 401, 403, 404, 409, 410, 422, 429, 499, 500, 503, 520, 599])
_headers = st.dictionaries(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Encoding"]),
    st.sampled_from(["nan", "-1", "1e999", "soon", "text/html", "gzip", "deflate", "0"]),
    max_size=2,
)


@settings(max_examples=60, deadline=None)
@given(_statuses, _bodies, _headers, st.floats(0, 1))
def test_whatever_is_answered_no_other_error_passes(
    status: int, body: bytes, headers: dict[str, str], part: float
) -> None:
    async def scene(api: KubeApi) -> None:
        ways = (
            lambda: api.get(JOBS), lambda: api.create(JOBS, {}), lambda: api.patch(JOBS, {}),
            lambda: api.delete(f"{JOBS}/a"), lambda: api.read(JOBS),
        )  # fmt: skip
        for way in ways:
            try:
                found = await way()
            except ApiError as error:
                assert len(str(error)) <= 1000
            else:
                if isinstance(found, dict):
                    version_of(found), continue_of(found)
                    with contextlib.suppress(ApiError):
                        assert all(isinstance(item, dict) for item in items_of(found))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kubestudy.cluster.answers.RETRY_AFTER_LIMIT", 0.001)
        patch.setattr(module, "_BACKOFF", Backoff(0.001, 0.001))
        Torn(status, body, headers, round(part * len(body))).run(scene)
