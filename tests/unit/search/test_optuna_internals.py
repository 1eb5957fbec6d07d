"""What leans on Optuna's private parts still holds, and nothing outside one module touches them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

import kubestudy
from kubestudy.search.cached_study import CachedStudy
from kubestudy.search.optuna_internals import (
    FrozenStudy,
    JournalOffsets,
    StudyProxy,
    raised_in_storage,
    reattached,
    record_of,
    study_id_of,
    study_with_id_moved,
    trial_with_id_moved,
)
from kubestudy.search.search import hush_optuna

ROOT = Path(kubestudy.__file__).parent
INTERNALS = ROOT / "search" / "optuna_internals.py"


@pytest.fixture(autouse=True)
def _hushed() -> None:
    hush_optuna()


def opened(kind: str, folder: Path) -> BaseStorage:
    if kind == "journal":
        return JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    return RDBStorage(f"sqlite:///{folder / 'study.db'}")


@pytest.fixture(params=["journal", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def study(kind: str, tmp_path: Path) -> optuna.Study:
    return optuna.create_study(study_name="one", storage=opened(kind, tmp_path), directions=["minimize"])


# --- each of them ---


def test_the_record_of_a_running_trial_is_current_and_not_copied(study: optuna.Study) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(0.5, 3)
    trial.set_user_attr("a", 1)
    trial.set_constraint("c", -1.0)
    record = record_of(trial)
    assert type(record) is FrozenTrial
    assert (record.number, record.state, record.params) == (trial.number, TrialState.RUNNING, trial.params)
    assert (record.intermediate_values, record.user_attrs, record.constraints) == ({3: 0.5}, {"a": 1}, {"c": -1.0})
    trial.report(0.4, 4)
    assert record_of(trial).intermediate_values == {3: 0.5, 4: 0.4}


def test_a_journals_records_are_not_copied(tmp_path: Path) -> None:
    trial = optuna.create_study(storage=opened("journal", tmp_path)).ask()
    assert record_of(trial) is record_of(trial)


def test_a_trial_of_another_process_is_gone_on_with(study: optuna.Study, kind: str, tmp_path: Path) -> None:
    begun = study.ask()
    x = begun.suggest_float("x", 0, 1)
    other = optuna.load_study(study_name="one", storage=opened(kind, tmp_path))
    (record,) = other.get_trials(deepcopy=False)
    trial = reattached(other, record)
    assert type(trial) is optuna.Trial and trial.number == begun.number
    assert trial.suggest_float("x", 0, 1) == x, "what it has comes back"
    y = trial.suggest_float("y", 0, 1)
    trial.report(1.0, 1)
    assert not trial.should_prune()
    other.tell(trial, 2.0)
    (ended,) = optuna.load_study(study_name="one", storage=opened(kind, tmp_path)).trials
    assert (ended.params, ended.value, ended.intermediate_values) == ({"x": x, "y": y}, 2.0, {1: 1.0})


def test_ids_are_moved_in_copies(study: optuna.Study) -> None:
    study.ask()
    (record,) = study.get_trials(deepcopy=False)
    moved = trial_with_id_moved(record, 100)
    assert type(moved) is FrozenTrial and moved.number == record.number and moved.params == record.params
    (listed,) = study_of(study).get_all_studies()
    assert isinstance(listed, FrozenStudy)
    later = study_with_id_moved(listed, 100)
    assert study_id_of(later) == study_id_of(listed) + 100
    assert study_id_of(listed) == study_of(study).get_study_id_from_name("one"), "the original stays"
    assert (later.study_name, later.directions) == ("one", [StudyDirection.MINIMIZE])
    again = trial_with_id_moved(moved, -100)
    assert again == record and moved != record


def study_of(study: optuna.Study) -> BaseStorage:
    return study.ask().storage


def test_a_proxy_has_all_that_a_study_has(study: optuna.Study) -> None:
    """An attribute that a release adds, or makes in another way, has to be looked at."""
    assert set(vars(study)) == {
        "study_name",
        "sampler",
        "pruner",
        "_study_id",
        "_storage",
        "_directions",
        "_thread_local",
        "_stop_flag",
    }
    assert vars(StudyProxy(study)) == vars(study)


def test_a_proxy_shows_the_studys_trials_and_other_directions(study: optuna.Study) -> None:
    study.set_metric_names(["loss"])
    study.set_user_attr("a", 1)
    for value in (3.0, 1.0, 2.0):
        study.tell(study.ask(), value)
    proxy = StudyProxy(study)
    assert (proxy.direction, proxy.directions) == (StudyDirection.MINIMIZE, [StudyDirection.MINIMIZE])
    assert (proxy.metric_names, proxy.user_attrs, proxy.study_name) == (["loss"], {"a": 1}, "one")
    assert proxy.trials == study.trials and proxy.best_trials == study.best_trials
    turned = StudyProxy(study, [StudyDirection.MAXIMIZE])
    assert turned.direction is StudyDirection.MAXIMIZE
    assert [trial.value for trial in turned.best_trials] == [3.0]
    assert study.direction is StudyDirection.MINIMIZE


class _Listing(StudyProxy):
    """Counts who asks for the trials."""

    asked = 0

    def get_trials(self, *args: Any, **options: Any) -> list[FrozenTrial]:
        self.asked += 1
        return super().get_trials(*args, **options)


@pytest.mark.parametrize(
    "pruner",
    [
        optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0),
        optuna.pruners.PercentilePruner(50.0, n_startup_trials=1),
        optuna.pruners.SuccessiveHalvingPruner(min_resource=1),
    ],
    ids=lambda pruner: type(pruner).__name__,
)
def test_pruners_ask_what_a_proxy_overrides(study: optuna.Study, pruner: optuna.pruners.BasePruner) -> None:
    for value in (1.0, 2.0):
        trial = study.ask()
        trial.report(value, 1)
        study.tell(trial, value)
    trial = study.ask()
    trial.report(9.0, 1)
    listing = _Listing(study)
    assert pruner.prune(listing, record_of(trial)) == pruner.prune(study, record_of(trial))
    assert listing.asked >= 1


def test_a_cached_study_lists_finished_trials_once(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = study.ask()
    trial.report(1.0, 1)
    study.tell(trial, 1.0)
    cached = CachedStudy(study)
    complete = (TrialState.COMPLETE,)
    first = cached.get_trials(deepcopy=False, states=complete)
    study.tell(study.ask(), 2.0)
    assert cached.get_trials(deepcopy=False, states=complete) is first
    assert len(CachedStudy(study).get_trials(deepcopy=False, states=complete)) == 2
    assert len(cached.get_trials(deepcopy=False)) == 2


def test_a_journals_offsets_are_where_its_records_begin(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    backend = JournalFileBackend(str(path))
    offsets = JournalOffsets(backend)
    assert offsets.get(0) == 0 and offsets.get(1) is None
    backend.append_logs([{"a": 1}, {"a": 22}])
    assert offsets.get(1) is None, "what was written is not read yet"
    assert [record["a"] for record in backend.read_logs(0)] == [1, 22]
    first = len(json.dumps({"a": 1}, separators=(",", ":"))) + 1
    assert (offsets.get(1), offsets.get(2)) == (first, path.stat().st_size)
    fresh = JournalFileBackend(str(path))
    JournalOffsets(fresh).set(1, first)
    assert [record["a"] for record in fresh.read_logs(1)] == [22], "it is where reading begins"
    JournalOffsets(fresh).set(1, path.stat().st_size)
    assert list(fresh.read_logs(1)) == []


def test_damage_is_told_from_a_fault_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_text("no json\n\n")
    with pytest.raises(ValueError) as damaged:
        JournalStorage(JournalFileBackend(str(path)))
    assert raised_in_storage(damaged.value)
    with pytest.raises(ValueError) as own:
        int("x")
    assert not raised_in_storage(own.value)


# --- and nowhere else ---


# What Optuna's objects hold privately that a study, a trial or a storage is got at by.
HELD = frozenset(
    {
        "_storage",
        "_backend",
        "_trial_id",
        "_study_id",
        "_directions",
        "_log_number_offset",
        "_file_path",
        "_thread_local",
    }
)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(tree: ast.Module) -> set[str]:
    """Return the private names that a module itself defines or sets."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case (
                ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self"))
                | ast.Name(id=name, ctx=ast.Store())
            ):
                names.add(name)
    return names


def intrusions(source: str, *, knows_optuna: bool = True) -> Iterator[str]:
    """Find private attributes that a module reads but does not have, and imports of Optuna's private modules.

    Of a module that does not know Optuna only those are looked for by which Optuna's objects are got at.
    """
    tree = ast.parse(source)
    own = own_names(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, value=ast.Name(id="os")):
                continue  # os._exit
            case ast.Attribute(attr=name) if private(name) and name not in own and (knows_optuna or name in HELD):
                yield f"line {node.lineno}: .{name}"
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "optuna":
                found = [*module.split("."), *(alias.name for alias in names)]
                yield from (f"line {node.lineno}: {name}" for name in found if private(name))
            case ast.Constant(value=str(text)) if text in HELD:
                yield f"line {node.lineno}: {text!r}"


@pytest.mark.parametrize(
    "source",
    [
        "study._storage.get_trial(0)",
        "from optuna.study._frozen import FrozenStudy",
        "from optuna.trial import _trial",
        "getattr(storage, '_backend', None)",
        "class Mine(JournalFileBackend):\n    def f(self): return self._file_path",
        "import optuna\nx = optuna.study._frozen",
    ],
)
def test_an_intrusion_is_found(source: str) -> None:
    assert len(list(intrusions(source))) == 1


@pytest.mark.parametrize("room", ["search", "report", "cli", "controller"])
def test_only_one_module_touches_optunas_private_parts(room: str) -> None:
    found = {
        str(path.relative_to(ROOT)): where
        for path in sorted((ROOT / room).rglob("*.py"))
        if path != INTERNALS
        and (where := list(intrusions(path.read_text(), knows_optuna=room in ("search", "report"))))
    }
    assert found == {}


def test_the_module_says_what_each_leans_on() -> None:
    tree = ast.parse(INTERNALS.read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert "Leans on" in (ast.get_docstring(node) or ""), node.name
