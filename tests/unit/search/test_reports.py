"""Reports of running trials: written in one go, and pruned as Optuna itself prunes, whatever the pruner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from kubestudy.search.batched_journal import BatchedJournal
from kubestudy.search.pruners import make_pruner
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete, Pruned
from kubestudy.study.trial import Sample
from support.manifests import spec_of

STEPS = 27
PRUNERS: list[dict[str, Any]] = [
    {"name": "median", "options": {"n_startup_trials": 2}},
    {"name": "percentile", "options": {"percentile": 40.0, "n_startup_trials": 2}},
    {"name": "successivehalving", "options": {"min_resource": 1, "reduction_factor": 3}},
    {"name": "hyperband", "options": {"min_resource": 1, "max_resource": STEPS, "reduction_factor": 3}},
    {"name": "patient", "options": {"patience": 2, "wrapped_pruner": {"name": "median"}}},
]


def loss(number: int, step: int) -> float:
    return ((number * 7) % 10) / 10 + abs(step - 5) / 20


@pytest.fixture(autouse=True)
def _hushed() -> None:
    hush_optuna()


@pytest.mark.parametrize("pruner", PRUNERS, ids=lambda pruner: pruner["name"])
def test_every_pruner_decides_as_optuna_does(tmp_path: Path, pruner: dict[str, Any]) -> None:
    spec = spec_of(pruner=pruner, sampler={"name": "random", "seed": 1}, budget={"maxTrials": 30})
    ours = OptunaSearch(spec, open_storage(tmp_path / "journal.log", sole_writer=True), "same", "journal")
    theirs = optuna.create_study(study_name="same", pruner=make_pruner(spec.pruner))
    stopped = 0
    for number in range(12):
        suggestion, trial = ours.ask(), theirs.ask()
        assert suggestion is not None
        for step in range(1, STEPS + 1):
            value = loss(number, step)
            trial.report(value, step)
            expected = trial.should_prune()
            assert ours.report([(number, Sample("loss", step, value))]) == ({number} if expected else set())
            if expected:
                stopped += 1
                ours.tell(number, Pruned({}))
                theirs.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            ours.tell(number, Complete((value,), {}))
            theirs.tell(trial, value)
    assert 0 < stopped < 12


def test_many_reports_are_one_write_and_outlive_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    append = optuna.storages.journal.JournalFileBackend.append_logs

    def counted(self: Any, logs: list[dict[str, Any]]) -> None:
        writes.append(len(logs))
        append(self, logs)

    monkeypatch.setattr(optuna.storages.journal.JournalFileBackend, "append_logs", counted)
    journal = tmp_path / "journal.log"
    spec = spec_of(pruner={"name": "median"})

    def opened() -> OptunaSearch:
        return OptunaSearch(spec, open_storage(journal, sole_writer=True), "one", "journal")

    search = opened()
    for _ in range(5):
        search.ask()
    writes.clear()
    for step in (1, 2):
        search.report([(number, Sample("loss", step, number / step)) for number in range(5)])
    assert writes == [5, 5]
    search.tell(0, Complete((0.5,), {}))
    study = optuna.load_study(study_name="one", storage=open_storage(journal))
    assert [trial.intermediate_values for trial in study.trials] == [{1: n / 1, 2: n / 2} for n in range(5)]
    again = opened()
    assert [u.suggestion.number for u in again.unfinished()] == [1, 2, 3, 4]
    assert again.tally.complete == 1


def test_what_was_held_back_is_written_even_after_an_error(tmp_path: Path) -> None:
    search = OptunaSearch(
        spec_of(pruner={"name": "median"}), open_storage(tmp_path / "j", sole_writer=True), "one", "journal"
    )
    search.ask()
    with pytest.raises(KeyError):
        search.report([(0, Sample("loss", 1, 0.5)), (7, Sample("loss", 1, 0.5))])
    study = optuna.load_study(study_name="one", storage=open_storage(tmp_path / "j"))
    assert study.trials[0].intermediate_values == {1: 0.5}


def test_a_journal_that_others_write_is_read_on(tmp_path: Path) -> None:
    mine, other = (BatchedJournal(str(tmp_path / "j")) for _ in range(2))
    mine.append_logs([{"a": 1}])
    other.append_logs([{"a": 2}])
    assert [record["a"] for record in mine.read_logs(0)] == [1, 2]
    with mine.batched():
        mine.append_logs([{"a": 3}, {"a": 4}])
        assert [record["a"] for record in mine.read_logs(2)] == [3, 4]
    mine.append_logs([{"a": 5}])
    assert [record["a"] for record in mine.read_logs(4)] == [5]
    assert [record["a"] for record in other.read_logs(0)] == [1, 2, 3, 4, 5]


def test_a_second_writer_costs_nothing(tmp_path: Path) -> None:
    """Optuna Dashboard, or a notebook, may write notes into the journal of a study that runs."""
    journal = tmp_path / "journal.log"
    spec = spec_of(pruner={"name": "median"})
    search = OptunaSearch(spec, open_storage(journal, sole_writer=True), "one", "journal")
    other = optuna.load_study(study_name="one", storage=open_storage(journal))
    for _ in range(3):
        search.ask()
    for step in range(1, 6):
        other.set_user_attr(f"note {step}", step)
        search.report([(number, Sample("loss", step, number / step)) for number in range(3)])
        search.report([(number, Sample("loss", 10 * step, number / step)) for number in range(3)])
    search.tell(0, Complete((0.5,), {}))
    study = optuna.load_study(study_name="one", storage=open_storage(journal))
    assert [sorted(t.intermediate_values) for t in study.trials] == [sorted({*range(1, 6), 10, 20, 30, 40, 50})] * 3
    assert study.user_attrs["note 5"] == 5
    assert study.trials[0].state.name == "COMPLETE"
