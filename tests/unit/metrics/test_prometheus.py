"""Samples out of what Prometheus answers: pairs of value and step, one for each trial and metric."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from kubestudy.metrics.answers import PrometheusError, Series, answered, series_in
from kubestudy.metrics.prometheus import PrometheusMetrics, quoted
from kubestudy.metrics.prometheus import samples_in as samples_of
from kubestudy.metrics.server import Access, PrometheusServer
from kubestudy.study.trial import Observed, Sample, TrialPhase


def series(what: str, value: float, **labels: str) -> Series:
    given = {"trial": "3", "metric": "loss", "pod": "demo-3-abc"} | labels
    return Series({"__name__": f"kubestudy_trial_{what}", **given}, value)


def samples_in(found: list[Series], pods: Mapping[int, str | None]) -> dict[int, list[Sample]]:
    return samples_of(found, pods, "demo-", ("loss", "accuracy"))


def both(value: float, step: float, **labels: str) -> list[Series]:
    return [series("metric", value, **labels), series("step", step, **labels)]


def test_value_and_step_of_one_series_go_together() -> None:
    found = samples_in([*both(0.5, 7), *both(0.9, 7, metric="accuracy")], {3: "demo-3-abc"})
    assert sorted(found[3], key=lambda s: s.metric) == [Sample("accuracy", 7, 0.9), Sample("loss", 7, 0.5)]


def test_duplicates_of_a_pair_of_servers_count_once_and_the_furthest_step_wins() -> None:
    twice = [*both(0.5, 7, replica="a"), *both(0.4, 8, replica="b")]
    assert samples_in(twice, {3: "demo-3-abc"}) == {3: [Sample("loss", 8, 0.4)]}


def test_the_present_pod_wins_over_one_before_it_that_had_come_further() -> None:
    old_and_new = [*both(0.1, 90, pod="demo-3-old"), *both(0.6, 4)]
    assert samples_in(old_and_new, {3: "demo-3-abc"}) == {3: [Sample("loss", 4, 0.6)]}


@pytest.mark.parametrize(
    "odd",
    [
        [series("metric", 0.5)],
        [series("step", 1)],
        both(0.5, float("nan")),
        both(0.5, 1, pod="demo-x-abc"),
        both(0.5, 1, pod="demo-4-abc"),
        [Series({}, 1.0)],
    ],
    ids=["no-step", "no-value", "nan-step", "no-number", "another-trial", "no-labels"],
)
def test_what_is_no_pair_of_a_running_trial_is_left_out(odd: list[Series]) -> None:
    assert samples_in(odd, {3: "demo-3-abc"}) == {}


def test_a_server_that_is_not_there_is_a_trouble_that_says_so_and_is_asked_less_and_less() -> None:
    async def play() -> None:
        server = PrometheusServer(Access("http://127.0.0.1:1"))
        metrics = PrometheusMetrics(server, "ns", "demo-", ["loss"], interval=1)
        assert metrics.trouble() is None
        for expected in (2, 4, 8, 16, 32, 60, 60):
            assert await metrics.read([Observed(3, TrialPhase.RUNNING)]) == {}
            assert metrics.interval == expected
        trouble = metrics.trouble()
        assert trouble is not None
        assert trouble.reason == "MetricsUnavailable"
        assert "http://127.0.0.1:1" in trouble.message
        with pytest.raises(PrometheusError) as refused:
            await server.query("up")
        assert refused.value.passing
        await server.close()

    asyncio.run(play())


def test_a_text_becomes_a_promql_string() -> None:
    assert quoted('a"b\\c\n') == '"a\\"b\\\\c\\n"'


def gpu(value: float, **labels: str) -> Series:
    return Series({"__name__": "DCGM_FI_DEV_GPU_UTIL", "gpu": "0", "UUID": "GPU-0"} | labels, value)


def test_how_busy_the_gpus_are_is_their_mean_whichever_label_names_the_pod() -> None:
    found = samples_in(
        [
            *both(0.5, 7),
            gpu(90.0, pod="demo-3-abc"),
            gpu(70.0, exported_pod="demo-3-abc", pod="dcgm-exporter-x", UUID="GPU-1"),
            gpu(10.0, pod="somebody-else"),
        ],
        {3: "demo-3-abc"},
    )
    assert found == {3: [Sample("loss", 7, 0.5), Sample("DCGM_FI_DEV_GPU_UTIL", 0, 80.0)]}


@pytest.mark.parametrize(
    ("status", "body", "refused"),
    [
        (400, '{"status": "error", "errorType": "bad_data", "error": "parse error"}', True),
        (422, '{"status": "error", "errorType": "execution", "error": "many-to-many matching"}', True),
        (400, "<html>a proxy's own page</html>", False),
        (401, "Unauthorized", False),
        (404, '{"error": "no route"}', False),
        (503, '{"status": "error", "errorType": "unavailable", "error": "starting"}', False),
        (520, "", False),
    ],
)
def test_only_prometheus_own_word_makes_an_expression_wrong(status: int, body: str, refused: bool) -> None:
    with pytest.raises(PrometheusError, match=f"HTTP {status}") as raised:
        answered(status, body, "http://prometheus")
    assert raised.value.passing is not refused


def test_a_vector_of_histograms_is_no_number() -> None:
    with pytest.raises(PrometheusError, match="vector of histograms"):
        series_in({"resultType": "vector", "result": [{"metric": {}, "histogram": [0, {"count": "3"}]}]})
