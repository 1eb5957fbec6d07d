"""Everything a trial reported is kept with it: bounded, through any storage, and shown."""

from __future__ import annotations

import itertools
import json
import logging
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.cli.trial_output import as_data, as_shown
from kubestudy.search.attributes import ATTR_METRICS
from kubestudy.search.history import History, TrialRecord
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.search.trial_metrics import (
    MAX_BYTES,
    MAX_METRICS,
    MAX_POINTS,
    TrialMetrics,
    kept_of,
    metrics_in,
    thin,
)
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.trial import Sample
from support.manifests import LOSS, spec_of

NAMES = st.text(min_size=1, max_size=200)
NUMBERS = st.floats()
CURVES = st.lists(st.tuples(st.integers(0, 2**40), NUMBERS), max_size=5).map(tuple)


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@given(st.dictionaries(NAMES, NUMBERS, max_size=60), st.dictionaries(NAMES, CURVES, max_size=60))
def test_what_is_kept_is_read_again_and_has_a_bound(values: Any, curves: Any) -> None:
    kept = kept_of(TrialMetrics(values, curves), first=list(values)[:1])
    text = json.dumps(kept.record, allow_nan=False)
    assert len(text) <= MAX_BYTES
    read = metrics_in(json.loads(text))
    assert len({*read.values, *read.curves}) <= MAX_METRICS
    assert all(same(value, values[name]) for name, value in read.values.items())
    for name, points in read.curves.items():
        assert [step for step, _ in points] == [step for step, _ in curves[name]]
        assert all(same(v, float(f"{w:.6g}")) for (_, v), (_, w) in zip(points, curves[name], strict=True))
    if not kept.cut:
        assert read.values.keys() == values.keys()
        assert read.curves.keys() == {name for name, points in curves.items() if points}


def test_the_last_value_is_the_final_one_or_the_end_of_the_curve() -> None:
    metrics = TrialMetrics({"a": 1.0}, {"a": ((1, 9.0),), "b": ((1, 3.0), (2, 2.0)), "c": ()})
    assert metrics.last == {"a": 1.0, "b": 2.0}


def test_many_metrics_leave_the_objectives_in() -> None:
    values = {f"m{i}": float(i) for i in range(80)}
    kept = kept_of(TrialMetrics(values), first=["m79"])
    read = metrics_in(kept.record).values
    assert list(read) == ["m79", *(f"m{i}" for i in range(MAX_METRICS - 1))]
    assert kept.cut == "50 of 80 metrics are kept"


def test_long_curves_are_thinned_evenly_with_both_ends() -> None:
    curve = tuple((step, float(step)) for step in range(1001))
    kept = kept_of(TrialMetrics({}, {"a": curve}))
    read = metrics_in(kept.record).curves["a"]
    steps = [step for step, _ in read]
    assert len(steps) == MAX_POINTS and (steps[0], steps[-1]) == (0, 1000)
    assert max(b - a for a, b in itertools.pairwise(steps)) <= 17
    assert kept.cut == "", "as thin as any curve"
    assert thin(curve, 1) == ((1000, 1000.0),)


def test_too_much_of_everything_loses_points_first_and_metrics_last() -> None:
    curves = {f"m{i}": tuple((step * 10**9, 1.23456e-100) for step in range(64)) for i in range(MAX_METRICS)}
    kept = kept_of(TrialMetrics(dict.fromkeys(curves, 0.1), curves))
    read = metrics_in(kept.record)
    assert len(read.values) == MAX_METRICS
    assert {len(points) for points in read.curves.values()} == {32}
    assert kept.cut == "32 points of each curve are kept"
    wide = {f"{i:02}" + "\N{EXTRATERRESTRIAL ALIEN}" * 126: 0.1 for i in range(MAX_METRICS)}  # 12 bytes each in JSON
    few = metrics_in(kept_of(TrialMetrics(wide)).record).values
    assert 0 < len(few) < MAX_METRICS


def test_what_no_screen_can_show_is_no_metric() -> None:
    metrics = TrialMetrics({"": 1.0, "a\nb": 1.0, "\ud800": 1.0, "x" * 129: 1.0, "good one": 2.0})
    kept = kept_of(metrics)
    assert kept.record == {"values": {"good one": 2.0}}
    assert kept.cut == "1 of 5 metrics are kept"


@pytest.fixture(params=["journal", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    hush_optuna()
    return tmp_path / "journal.log" if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


CURVE = {"loss": ((1, 0.9), (2, 0.5)), "train_loss": ((1, 0.8), (2, 0.25))}


def rows(place: Path | str) -> list[TrialRecord]:
    return History(open_storage(place), "example", "").trials()


def test_every_metric_of_every_trial_is_kept_and_listed(place: Path | str) -> None:
    search = OptunaSearch(spec_of(), open_storage(place, sole_writer=True), "example", "it")
    for _ in range(6):
        search.ask()
    search.tell(0, Complete((0.4,), CURVE, metrics={"loss": 0.4, "train_loss": 0.2, "parameters": 10.0}))
    search.tell(1, Pruned(CURVE))
    search.tell(2, Failed("NonFiniteMetric", "m", {}, metrics={"loss": math.nan, "train_loss": math.inf}))
    search.tell(3, Stopped({}))
    search.report([(4, Sample("loss", 3, 0.7))])
    complete, pruned, failed, stopped, running, new = rows(place)
    assert complete.metrics == {"loss": 0.4, "train_loss": 0.2, "parameters": 10.0}
    assert complete.curves == pruned.curves == CURVE
    assert pruned.metrics == {"loss": 0.5, "train_loss": 0.25}
    assert math.isnan(failed.metrics["loss"]) and failed.metrics["train_loss"] == math.inf
    assert (stopped.metrics, stopped.curves) == ({}, {})
    assert running.metrics == {"loss": 0.7} and new.metrics == {}
    data = [as_data(trial) for trial in as_shown((complete, pruned, failed, running), ["loss"], None)]
    assert [each["metrics"] for each in data] == [
        complete.metrics,
        pruned.metrics,
        {"loss": "nan", "train_loss": "inf"},
        {"loss": 0.7},
    ]
    assert [each["lastValue"] for each in data] == [0.5, 0.5, None, 0.7]
    assert [each["values"] for each in data] == [{"loss": 0.4}, {}, {}, {}]


def test_curves_of_several_objectives_are_kept_too(place: Path | str) -> None:
    spec = spec_of(objectives=[LOSS, {"metric": "time", "goal": "maximize"}])
    search = OptunaSearch(spec, open_storage(place, sole_writer=True), "example", "it")
    search.ask()
    search.tell(0, Complete((0.5, 1.0), CURVE, metrics={"loss": 0.5, "time": 1.0}))
    (row,) = rows(place)
    assert row.curves == CURVE and row.metrics == {"loss": 0.5, "time": 1.0, "train_loss": 0.25}


def test_the_single_objectives_curve_is_kept_once(place: Path | str) -> None:
    search = OptunaSearch(spec_of(), open_storage(place, sole_writer=True), "example", "it")
    search.ask()
    search.tell(0, Complete((0.5,), CURVE, metrics={"loss": 0.5}))
    (trial,) = optuna.load_study(study_name="example", storage=open_storage(place)).trials
    assert trial.intermediate_values == {1: 0.9, 2: 0.5}
    kept = trial.user_attrs[ATTR_METRICS]
    assert kept == {"values": {"loss": 0.5}, "curves": '{"train_loss":[[1,0.8],[2,0.25]]}'}


def test_what_is_cut_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search = OptunaSearch(spec_of(), open_storage(tmp_path / "j", sole_writer=True), "example", "it")
    many = {f"m{i}": 1.0 for i in range(51)}
    with caplog.at_level(logging.WARNING, "kubestudy"):
        for number in range(3):
            search.ask()
            search.tell(number, Complete((0.5,), {}, metrics={**many, "loss": 0.5}))
    assert [record.getMessage() for record in caplog.records] == [
        "trial 0 reports more than is kept with a trial: of it, 50 of 52 metrics are kept"
    ]


def test_a_result_is_two_writes_however_much_it_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = OptunaSearch(spec_of(), open_storage(tmp_path / "j", sole_writer=True), "example", "it")
    search.ask()
    writes: list[int] = []
    append = optuna.storages.journal.JournalFileBackend.append_logs

    def counted(self: Any, logs: list[dict[str, Any]]) -> None:
        writes.append(len(logs))
        append(self, logs)

    monkeypatch.setattr(optuna.storages.journal.JournalFileBackend, "append_logs", counted)
    curve = {name: tuple((step, 1.0) for step in range(1, 21)) for name in ("loss", "train_loss")}
    search.tell(0, Complete((0.5,), curve, metrics={"loss": 0.5}), 50.0)
    assert writes == [22, 1], "curve, metrics and GPU utilization in one, then the state"
