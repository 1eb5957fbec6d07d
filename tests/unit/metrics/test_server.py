"""Answers of Prometheus, by real servers on loopback that mean no good, and as texts: no reading raises."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.limits import ANSWER_BYTES, READING_TRIALS
from kubestudy.metrics.answers import AnswerTooLongError, PrometheusError, Series, answered, series_in
from kubestudy.metrics.expressions import PrometheusEvaluator
from kubestudy.metrics.prometheus import PrometheusMetrics, samples_in, trial_of
from kubestudy.metrics.server import Access, PrometheusServer
from kubestudy.study.ports import MeasureError
from kubestudy.study.trial import End, Observed, TrialPhase

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes([web.post("/api/v1/query", handler)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def vector(*series: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(series)}}


def pair(number: int, value: float = 0.5, step: float = 7, metric: str = "loss", **more: str) -> list[dict[str, Any]]:
    labels = {"namespace": "team", "pod": f"demo-{number}-x", "metric": metric} | more
    return [
        {"metric": labels | {"__name__": f"kubestudy_trial_{name}"}, "value": [0, str(number)]}
        for name, number in (("metric", value), ("step", step))
    ]


def running(count: int) -> list[Observed]:
    return [Observed(number, TrialPhase.RUNNING, 0.0, pod=f"demo-{number}-x") for number in range(count)]


ENDED = Observed(0, TrialPhase.ENDED, 100.0, end=End(True, False, "", "", None, at=160.0), pods=("demo-0-x",))


def evaluator(server: PrometheusServer, text: str = "max(power)", *, confined: bool = False) -> PrometheusEvaluator:
    return PrometheusEvaluator(server, {"e": text}, "team", "demo", "demo-{}".format, 0.0, confined=confined)


def test_an_answer_without_end_is_refused_at_its_bound_and_says_so() -> None:
    async def play() -> None:
        sent = 0

        async def handler(request: web.Request) -> web.StreamResponse:
            nonlocal sent
            answer = web.StreamResponse()
            await answer.prepare(request)
            while True:
                await answer.write(b"[" * 65_536)
                sent += 65_536

        async with serving(handler) as host:
            server = PrometheusServer(Access(f"http://{host}"))
            with pytest.raises(AnswerTooLongError, match="more than 1 MB, which is not read: select fewer series"):
                await server.query("x", timeout=60)
            with pytest.raises(MeasureError, match="more than 1 MB") as refused:
                await evaluator(server).measure(ENDED)
            assert refused.value.reason == "ExpressionRefused"
            said = await evaluator(server).check(0.0)
            assert said is not None
            assert "more than 1 MB" in said
            metrics = PrometheusMetrics(server, "team", "demo-", ["loss"])
            assert await metrics.read(running(5)) == {}
            trouble = metrics.trouble()
            assert trouble is not None
            assert "more than 1 MB" in trouble.message
            await server.close()
        # Of each of the answers a megabyte, and what sockets hold.
        assert sent < 100 * ANSWER_BYTES.value

    asyncio.run(play())


def test_fewer_trials_are_asked_for_at_once_where_an_answer_is_too_long() -> None:
    """Labels of one's own, a pair of servers: how long a trial's series are, nobody knows beforehand."""
    asked: list[int] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        which = str(form["query"]).partition("(")[2].partition(")")[0]
        numbers = range(300) if which == "[0-9]+" else [int(number) for number in which.split("|")]
        asked.append(len(numbers))
        return web.json_response(vector(*(one for n in numbers for one in pair(n, label="x" * 4000))))

    async def play() -> None:
        async with serving(handler) as host:
            server = PrometheusServer(Access(f"http://{host}"))
            metrics = PrometheusMetrics(server, "team", "demo-", ["loss"])
            assert len(await metrics.read(running(300))) == 300
            assert metrics.trouble() is None
            assert asked == [300, 150, 75, 75, 75, 75]
            asked.clear()
            assert len(await metrics.read(running(300))) == 300
            assert asked == [75, 75, 75, 75], "what was learnt stays"
            await server.close()

    asyncio.run(play())


def test_so_many_trials_are_one_query_and_more_are_several() -> None:
    asked: list[Mapping[str, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(dict(await request.post()))
        return web.json_response(vector())

    async def play() -> None:
        async with serving(handler) as host:
            server = PrometheusServer(Access(f"http://{host}"))
            metrics = PrometheusMetrics(server, "team", "demo-", ["loss", "a.b"])
            await metrics.read(running(READING_TRIALS.value))
            await metrics.read(running(READING_TRIALS.value + 1))
            assert await PrometheusMetrics(server, "team", "demo-", []).read(running(3)) == {}
            await server.close()

    asyncio.run(play())
    assert len(asked) == 3
    assert asked[0]["query"] == (
        '{__name__=~"kubestudy_trial_metric|kubestudy_trial_step",namespace="team",pod=~"demo\\\\-([0-9]+)-.+",'
        'metric=~"loss|a\\\\.b"}'
    )
    assert f'pod=~"demo\\\\-({READING_TRIALS.value})-.+"' in asked[2]["query"]
    assert int(asked[0]["limit"]) == READING_TRIALS.value * 5 * 32
    assert asked[0]["timeout"] == "10s"


def test_an_expression_of_many_series_is_refused_before_a_trial_is_run() -> None:
    limits = []

    async def handler(request: web.Request) -> web.StreamResponse:
        limit = int(str((await request.post())["limit"]))
        limits.append(limit)
        return web.json_response(vector(*({"metric": {"a": str(n)}, "value": [0, "1"]} for n in range(limit))))

    async def play() -> None:
        async with serving(handler) as host:
            server = PrometheusServer(Access(f"http://{host}"))
            said = await evaluator(server, "power").check(0.0)
            assert said is not None
            assert said.startswith("the expression gave 20 values, or more, where one is needed, so aggregate them")
            assert limits == [20]
            said = await evaluator(server, '{__name__=~".+"}').check(0.0)
            assert said is not None
            assert said.startswith('{__name__=~".+"} names no metric, and may read every series there is')
            assert limits == [20], "it was not even asked for"
            await server.close()

    asyncio.run(play())


def test_what_grows_with_its_variables_is_not_sent() -> None:
    async def play() -> None:
        server = PrometheusServer(Access("http://127.0.0.1:1"))
        many = Observed(0, TrialPhase.ENDED, 1.0, end=ENDED.end, pods=tuple(f"demo-0-{n:050}" for n in range(100)))
        with pytest.raises(MeasureError, match=r"name \$\(pods\) once") as refused:
            await evaluator(server, f'max(x{{pod=~"{"$(pods)" * 12}"}})').measure(many)
        assert len(str(refused.value)) < 1000
        await server.close()

    asyncio.run(play())


def test_a_password_in_the_url_is_sent_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"status": "error", "error": "no"}, status=500 if len(seen) == 1 else 400)

    async def play() -> None:
        caplog.set_level(logging.DEBUG)
        async with serving(handler) as host:
            server = PrometheusServer(Access(f"http://me:s%2Fecr3t@{host}/"))
            metrics = PrometheusMetrics(server, "team", "demo-", ["loss"])
            await metrics.read(running(1))
            trouble = metrics.trouble()
            assert trouble is not None
            assert host in trouble.message
            said = await evaluator(server).check(0.0)
            texts = [trouble.message, str(said), repr(server), repr(Access(f"http://me:s%2Fecr3t@{host}/"))]
        gone = PrometheusServer(Access(f"http://me:s%2Fecr3t@{host}/"))
        with pytest.raises(PrometheusError) as raised:
            await gone.query("x")
        texts += [str(raised.value), repr(raised.value.__cause__), caplog.text]
        for text in texts:
            assert "ecr3t" not in text
            assert "me:" not in text
        await server.close()
        await gone.close()

    asyncio.run(play())
    assert seen == ["Basic bWU6cy9lY3IzdA=="] * 2  # me:s/ecr3t


def test_a_header_that_cannot_be_sent_is_a_trouble_that_does_not_show_it() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        raise AssertionError(request)

    async def play() -> None:
        async with serving(never) as host:
            server = PrometheusServer(Access(f"http://{host}", headers={"X": "s3cret\nY: z"}))
            with pytest.raises(PrometheusError, match="look at its token, password and headers") as raised:
                await server.query("x")
            assert raised.value.passing
            assert "s3cret" not in str(raised.value)
            await server.close()

    asyncio.run(play())


def test_a_proxy_that_keeps_tenants_apart_is_told_the_namespace() -> None:
    seen = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.query.get("namespace"), (await request.post())["query"]))
        return web.json_response(vector({"metric": {}, "value": [0, "1"]}))

    async def play() -> None:
        async with serving(handler) as host:
            server = PrometheusServer(Access(f"http://{host}", namespace_parameter="namespace"))
            assert await evaluator(server, "max(power)", confined=True).measure(ENDED) == {"e": 1.0}
            await PrometheusMetrics(server, "team", "demo-", ["loss"]).read(running(1))
            await server.close()

    asyncio.run(play())
    assert [namespace for namespace, _ in seen] == ["team", "team"]
    assert seen[0][1] == 'max(power{namespace="team"})'


REAL = vector(
    *pair(3), *pair(4, math.nan, math.inf), {"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL"}, "value": [1, "9"]}
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
        ["vector", "scalar", "matrix", "success", "1", "NaN", "9" * 5000, "kubestudy_trial_step", "demo-3-x"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["status", "data", "result", "resultType", "metric", "value", "error", "trial", "pod", "x"]),
        inner, max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place in a JSON value."""
    found = [at]
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in places(inner, (*at, key))]
    elif isinstance(value, list):
        found += [place for key, inner in enumerate(value) for place in places(inner, (*at, key))]
    return found


def replaced(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    if not place:
        return other
    key, *rest = place
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = replaced(value[key], tuple(rest), other)
    return copy


def take(status: int, text: str | bytes) -> None:
    """Read an answer as readings and expressions do: it is a refusal, or it is samples."""
    try:
        series = series_in(answered(status, text, "http://prometheus"))
    except PrometheusError as error:
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        return
    for samples in samples_in(series, {3: "demo-3-x", 4: None}, "demo-", ("loss",)).values():
        for sample in samples:
            assert 0 <= sample.step < 2**31
            assert isinstance(sample.value, float)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(places(REAL)), JSON, st.sampled_from([200, 400, 422, 500]))
def test_a_wrong_value_at_any_place_never_raises(place: tuple[Any, ...], other: Any, status: int) -> None:
    take(status, json.dumps(replaced(REAL, place, other)))


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(json.dumps(REAL))), st.binary(max_size=4), st.binary(max_size=30))
def test_damaged_bytes_never_raise(at: int, put: bytes, text: bytes) -> None:
    real = json.dumps(REAL).encode()
    take(200, real[:at] + put + real[at + 1 :])
    take(200, real[:at])
    take(400, text)


@pytest.mark.parametrize(
    "text",
    ['{"status": "success"}', "[" * 500_000, '{"a":' * 100_000, "1" * 100_000, "null", "[]", "", '"x"', "NaN"],
    ids=["no-data", "lists", "objects", "digits", "null", "list", "empty", "string", "nan"],
)
def test_what_is_no_answer_is_a_trouble(text: str) -> None:
    with pytest.raises(PrometheusError, match=r"http://prometheus says \(HTTP 200\)") as raised:
        answered(200, text, "http://prometheus")
    assert raised.value.passing
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    ("pod", "number"),
    [
        ("demo-3-x", 3), ("demo-12-a-b", 12), ("demo--x", -1), ("demo-3", -1), ("other-3-x", -1), ("demo-3x-y", -1),
        (f"demo-{'9' * 5000}-x", -1), ("demo-٣-x", -1), ("", -1),
    ],
)  # fmt: skip
def test_a_pods_trial_is_read_from_its_name(pod: str, number: int) -> None:
    assert trial_of(pod, "demo-") == number


def test_what_a_trial_says_of_itself_makes_it_no_other() -> None:
    """The labels trial and study are the program's own words; the pod and its namespace are Prometheus'."""
    told = [Series(one["metric"] | {"trial": "4", "study": "other"}, float(one["value"][1])) for one in pair(3)]
    assert list(samples_in(told, {3: "demo-3-x", 4: "demo-4-x"}, "demo-", ("loss",))) == [3]
    assert samples_in(told, {3: "demo-3-x"}, "demo-", ("accuracy",)) == {}
