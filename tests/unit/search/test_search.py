"""One study in Optuna, on a real journal and a real database: ask, report, tell, crash and go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from kubestudy.api.study import StudySpec
from kubestudy.planning.clock import StudyClock
from kubestudy.planning.plan import StopCause
from kubestudy.search.grid import Grid
from kubestudy.search.history import History
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.progress import Progress
from kubestudy.study.trial import Sample
from support.manifests import LAYERS, LOSS, LR, OPTIMIZER, spec_of

SPACE = (LR, LAYERS, OPTIMIZER)
MOMENTUM = {"name": "momentum", "type": "float", "low": 0.0, "high": 0.9, "step": 0.3, "when": {"optimizer": ["sgd"]}}
NESTEROV = {"name": "nesterov", "type": "categorical", "choices": [True, False], "when": {"optimizer": ["sgd"]}}


@pytest.fixture(autouse=True)
def _hushed() -> None:
    hush_optuna()


@pytest.fixture(params=["journal", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "journal.log" if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def reopen(spec: StudySpec, place: Path | str) -> OptunaSearch:
    return OptunaSearch(spec, open_storage(place, sole_writer=True), "example", str(place))


def raw(place: Path | str) -> optuna.Study:
    return optuna.load_study(study_name="example", storage=open_storage(place))


def loss_of(params: Any) -> float:
    return float(params["lr"]) + float(params.get("layers", 0))


def test_a_finished_trial_stays_as_it_is_and_a_running_one_comes_back_unchanged(place: Path | str) -> None:
    spec = spec_of(parameters=SPACE, sampler={"seed": 1})
    search = reopen(spec, place)
    asked = [search.ask() for _ in range(5)]
    assert all(asked)
    first, second, third, fourth, fifth = (s for s in asked if s)
    search.tell(first.number, Complete((0.5,), {}))
    search.tell(second.number, Failed("Error", "boom", {}))
    search.tell(third.number, Pruned({}))
    search.mark_stopping(fourth.number, StopCause.ENDED)
    before = search.tally

    search = reopen(spec, place)
    assert search.tally == before
    assert [(u.suggestion, u.stop_cause) for u in search.unfinished()] == [
        (fourth, StopCause.ENDED),
        (fifth, None),
    ]
    search.tell(fourth.number, Stopped({}))
    search.tell(first.number, Complete((9.9,), {}))  # told already: changes nothing
    assert search.tally.front[0].values == (0.5,)
    assert (search.tally.complete, search.tally.stopped) == (1, 1)
    states = [(record.state, record.params) for record in History(open_storage(place), "example", "").trials()]
    assert states == [
        ("Complete", first.params),
        ("Failed", second.params),
        ("Pruned", third.params),
        ("Stopped", fourth.params),
        ("Running", fifth.params),
    ]


def test_what_the_study_remembers_survives(place: Path | str) -> None:
    progress = Progress(StudyClock(12.5, 1e9, paused=False), started=1e9, ending_since=3.0)
    search = reopen(spec_of(), place)
    assert search.load_progress() == Progress()
    search.save_progress(progress)
    assert reopen(spec_of(), place).load_progress() == progress


def test_a_crash_before_the_parameters_were_stored_is_completed(place: Path | str) -> None:
    spec = spec_of(parameters=[*SPACE, MOMENTUM], sampler={"seed": 1})
    reopen(spec, place).ask()
    torn = raw(place).ask()  # the trial is there, its parameters are not
    half = raw(place).ask()
    half.suggest_float("lr", LR["low"], LR["high"])

    search = reopen(spec, place)
    unfinished = {u.suggestion.number: u.suggestion for u in search.unfinished()}
    assert set(unfinished) == {0, torn.number, half.number}
    for suggestion in unfinished.values():
        assert {"lr", "layers", "optimizer"} <= suggestion.params.keys()
        assert ("momentum" in suggestion.params) == (suggestion.params["optimizer"] == "sgd")
    assert unfinished[half.number].params["lr"] == half.params["lr"]
    again = {u.suggestion.number: u.suggestion for u in reopen(spec, place).unfinished()}
    assert again == unfinished, "stored at once"


def test_a_restart_does_not_repeat_what_was_suggested(journal: Path) -> None:
    spec = spec_of(sampler={"name": "random", "seed": 5})
    seen = []
    for _ in range(4):
        search = reopen(spec, journal)
        seen += [s.params["lr"] for s in (search.ask(), search.ask()) if s]
    assert len(set(seen)) == 8


def test_the_same_seed_gives_the_same_search_restarts_included(tmp_path: Path) -> None:
    def run(folder: Path) -> list[Any]:
        seen = []
        for _ in range(3):
            search = reopen(spec_of(parameters=SPACE, sampler={"seed": 3}), folder / "journal.log")
            for _ in range(6):
                suggestion = search.ask()
                assert suggestion is not None
                seen.append(dict(suggestion.params))
                search.tell(suggestion.number, Complete((loss_of(suggestion.params),), {}))
        return seen

    assert run(tmp_path / "a") == run(tmp_path / "b")


def test_tpe_suggests_what_optunas_own_tpe_suggests(journal: Path) -> None:
    search = reopen(spec_of(parameters=SPACE, sampler={"seed": 11}), journal)
    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=11))
    for _ in range(6):
        batch = [search.ask() for _ in range(4)]
        trials = [study.ask() for _ in range(4)]
        for suggestion, trial in zip(batch, trials, strict=True):
            trial.suggest_float("lr", LR["low"], LR["high"])
            trial.suggest_int("layers", 1, 4)
            trial.suggest_categorical("optimizer", ["sgd", "adam"])
            assert suggestion is not None
        # Batches are asked for before any is told; parameters are drawn at once by one, at the end by the other.
        for suggestion, trial in zip(batch, trials, strict=True):
            assert suggestion is not None
            assert suggestion.params == trial.params
            search.tell(suggestion.number, Complete((loss_of(trial.params),), {}))
            study.tell(trial, loss_of(trial.params))


def test_values_keep_their_types_through_the_storage(place: Path | str) -> None:
    spec = spec_of(
        parameters=[
            {"name": "c", "type": "categorical", "choices": [2, 2.5, "2.50", True, "ä", ""]},
            {"name": "i", "type": "int", "low": 2, "high": 8, "step": 2},
            {"name": "f", "type": "float", "low": 0, "high": 1},
        ],
        sampler={"name": "random", "seed": 1},
    )
    search = reopen(spec, place)
    asked = {s.number: s.params for s in (search.ask() for _ in range(12)) if s}
    back = {u.suggestion.number: u.suggestion.params for u in reopen(spec, place).unfinished()}
    for number, params in asked.items():
        assert {n: (type(v), v) for n, v in back[number].items()} == {n: (type(v), v) for n, v in params.items()}
        assert type(params["i"]) is int and params["i"] in (2, 4, 6, 8)
        assert type(params["f"]) is float


@pytest.mark.parametrize(
    "parameters",
    [
        (LAYERS, OPTIMIZER),
        (MOMENTUM, OPTIMIZER, NESTEROV),
        ({**LAYERS, "high": 2, "when": {"optimizer": ["adam"]}}, OPTIMIZER, MOMENTUM),
    ],
)
def test_a_grid_ends_with_each_point_tried_once_across_restarts(journal: Path, parameters: Any) -> None:
    spec = spec_of(parameters=parameters, sampler={"name": "grid", "seed": 1}, budget={})
    expected = {tuple(sorted(point.items())) for point in Grid(spec.parameters)}
    tried = []
    for _ in range(len(expected) + 2):
        search = reopen(spec, journal)
        search.unfinished()
        for _ in range(2):
            suggestion = search.ask()
            if suggestion is not None:
                tried.append(tuple(sorted(suggestion.params.items())))
                search.tell(suggestion.number, Complete((1.0,), {}))
    assert search.exhausted and search.ask() is None
    assert len(tried) == len(expected) and set(tried) == expected


def test_a_grid_point_lost_in_a_crash_is_not_lost(journal: Path) -> None:
    spec = spec_of(parameters=[LAYERS, OPTIMIZER], sampler={"name": "grid"}, budget={})
    reopen(spec, journal).ask()
    raw(journal).ask()
    search = reopen(spec, journal)
    seen = [u.suggestion.params for u in search.unfinished()]
    while (suggestion := search.ask()) is not None:
        seen.append(suggestion.params)
    assert sorted(map(str, seen)) == sorted(map(str, Grid(spec.parameters)))


def pruning(spec: StudySpec, place: Path) -> OptunaSearch:
    search = reopen(spec, place)
    for _ in range(3):
        good = search.ask()
        assert good is not None
        for step in range(1, 6):
            assert not search.report([(good.number, Sample("loss", step, 1.0 / step))])
        search.tell(good.number, Complete((0.2,), {}))
    return search


def test_the_median_pruner_gives_a_hopeless_trial_up_and_leaves_a_good_one(journal: Path) -> None:
    options = {"n_startup_trials": 3, "n_warmup_steps": 2}
    search = pruning(spec_of(pruner={"name": "median", "options": options}), journal)
    bad, good = search.ask(), search.ask()
    assert bad and good
    assert not search.report([(bad.number, Sample("loss", 1, 99.0))]), "still warming up"
    assert not search.report([(good.number, Sample("loss", 3, 0.01))])
    assert search.report([(bad.number, Sample("loss", 3, 99.0))])
    search.tell(bad.number, Pruned({}))
    assert search.tally.pruned == 1
    assert raw(journal).trials[bad.number].state is optuna.trial.TrialState.PRUNED


def test_a_step_counts_once_however_often_it_is_read(journal: Path) -> None:
    search = pruning(spec_of(pruner={"name": "median", "options": {"n_startup_trials": 1}}), journal)
    bad = search.ask()
    assert bad
    assert search.report([(bad.number, Sample("loss", 3, 99.0))])
    assert not search.report([(bad.number, Sample("loss", 3, 99.0))])
    assert not search.report([(bad.number, Sample("loss", 3, 0.0))])
    assert raw(journal).trials[bad.number].intermediate_values == {3: 99.0}


def test_the_whole_curve_is_kept_though_few_steps_were_seen(journal: Path) -> None:
    search = reopen(spec_of(), journal)
    asked = search.ask()
    assert asked
    search.report([(asked.number, Sample("loss", 2, 5.0))])
    curve = {"loss": ((1, 9.0), (2, 7.0), (100, 3.0), (101, 2.5)), "other": ((50, 1.0),)}
    search.tell(asked.number, Complete((2.0,), curve))
    assert raw(journal).trials[0].intermediate_values == {1: 9.0, 2: 5.0, 100: 3.0}


def test_several_objectives_take_curves_without_reporting_them(journal: Path) -> None:
    spec = spec_of(objectives=[LOSS, {"metric": "time", "goal": "maximize"}])
    search = reopen(spec, journal)
    for values in ((1.0, 1.0), (2.0, 2.0), (2.0, 1.0)):
        asked = search.ask()
        assert asked
        search.tell(asked.number, Complete(values, {"loss": ((1, 1.0),)}))
    assert {scored.number for scored in search.tally.front} == {0, 1}
    assert reopen(spec, journal).tally == search.tally
    assert {record.number for record in History(open_storage(journal), "example", "").best()} == {0, 1}


def test_a_tally_is_the_same_after_a_restart(place: Path | str) -> None:
    spec = spec_of(budget={"patience": 99})
    search = reopen(spec, place)
    outcomes: list[Any] = [
        Complete((3.0,), {}),
        Pruned({}),
        Complete((2.0,), {}),
        Failed("OOM", "m", {}),
        Complete((2.0,), {}),
    ]
    numbers = [s.number for s in (search.ask() for _ in outcomes) if s]
    for number, outcome in zip(reversed(numbers), outcomes, strict=True):  # they end in another order than they began
        search.spend(number, 1.0, 10.0)
        search.tell(number, outcome)
    assert search.tally.since_improvement == 1
    assert reopen(spec, place).tally == search.tally


def test_gpu_time_of_a_trial_that_runs_again_is_not_forgotten_by_a_restart(journal: Path) -> None:
    search = reopen(spec_of(), journal)
    asked = search.ask()
    assert asked
    search.spend(asked.number, 1.0, 100.0)  # suspended: it runs again later
    assert search.tally.gpu_seconds == 100.0
    search = reopen(spec_of(), journal)
    search.unfinished()
    assert search.tally.gpu_seconds == 100.0
    search.spend(asked.number, 2.0, 50.0)
    search.tell(asked.number, Complete((1.0,), {}))
    assert search.tally.gpu_seconds == 150.0
    assert reopen(spec_of(), journal).tally.gpu_seconds == 150.0


@pytest.fixture
def extremes() -> Iterator[dict[str, Any]]:
    yield {"name": "x", "type": "float", "low": -1.7e308, "high": 1.7e308}


def test_a_space_that_optuna_cannot_search_is_refused_before_the_study_starts(
    journal: Path, extremes: dict[str, Any]
) -> None:
    from kubestudy.api.validation import validate
    from kubestudy.search.search_checks import search_problems
    from support.manifests import manifest

    study, problems = validate(manifest(parameters=[extremes]))
    if study is not None:
        problems = search_problems(study.spec)
    if not problems:
        assert study is not None
        asked = reopen(study.spec, journal).ask()
        assert asked is not None
