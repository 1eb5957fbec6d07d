"""Storages that earlier releases wrote: read whole, gone on with, and ended."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest

from kubestudy.search.archive import Archive
from kubestudy.search.attributes import ATTR_VERSION, VERSION
from kubestudy.search.history import History
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.ports import StudyError
from kubestudy.study.progress import Progress
from unit.search.fixtures.make_storage import RECORDS, UID, study_of

FIXTURES = Path(__file__).parent / "fixtures"
RELEASES = ["0.1.0"]


@dataclasses.dataclass(frozen=True)
class Kept:
    """A copy of what a release wrote."""

    archive: Archive
    places: dict[str, Path | str]
    expected: dict[str, Any]

    def open(self, name: str) -> OptunaSearch:
        return self.archive.open(RECORDS[name], study_of(name).spec)

    def history(self, name: str) -> History:
        return History(open_storage(self.places[name]), RECORDS[name].study_name, "it")


@pytest.fixture(params=[(release, kind) for release in RELEASES for kind in ("journals", "database")], ids="-".join)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    hush_optuna()
    release, kind = request.param
    shutil.copytree(FIXTURES / release, tmp_path, dirs_exist_ok=True)
    expected = json.loads((tmp_path / f"{kind}.expected.json").read_text())
    if kind == "database":
        url = f"sqlite:///{tmp_path / 'storage.db'}"
        return Kept(Archive(url), dict.fromkeys(RECORDS, url), expected)
    folder = tmp_path / "journals"
    return Kept(Archive(folder), {name: folder / "team" / f"{name}.{UID}.log" for name in RECORDS}, expected)


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(value), default=str))


def known(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the release did not know of."""
    return {key: found[key] for key in expected}


@pytest.mark.parametrize("name", list(RECORDS))
def test_all_that_an_earlier_release_kept_is_read(kept: Kept, name: str) -> None:
    expected = kept.expected[name]
    assert sorted(kept.archive.records(), key=lambda record: record.name) == list(RECORDS.values())
    history = kept.history(name)
    for record, row in zip(history.trials(), expected["trials"], strict=True):
        found = as_json(record) | {"seconds": record.seconds}
        assert known(found, row) == row
        assert record.started is not None
    assert [record.number for record in history.best()] == expected["best"]
    assert history.fixed_part == expected["fixed"]
    curves = [{str(step): v for step, v in trial.intermediate_values.items()} for trial in history.study.trials]
    assert curves == expected["curves"]
    search = kept.open(name)
    assert known(as_json(search.tally), expected["tally"]) == expected["tally"]
    assert [as_json(unfinished) for unfinished in search.unfinished()] == expected["unfinished"]
    assert known(as_json(search.load_progress()), expected["progress"]) == expected["progress"]
    assert search.asked == expected["asked"]


def test_a_study_of_an_earlier_release_goes_on_and_ends(kept: Kept) -> None:
    search = kept.open("digits")
    before = search.tally
    five, six, eight = (unfinished.suggestion.number for unfinished in search.unfinished())
    violations = {"memory": -1.0, "latency": -1.0, "sum(rate(errors[5m]))": -1.0}
    search.spend(five, 3.0, 25.0)  # that execution is known already
    search.spend(five, 4.0, 5.0)
    search.tell(five, Complete((0.05,), {"loss": ((1, 0.5), (7, 0.8))}, violations))
    search.tell(six, Failed("Error", "boom", {}))
    search.tell(eight, Pruned({}))
    asked = search.ask()
    assert asked is not None and asked.number == 9
    search.tell(asked.number, Stopped({}))
    search.save_progress(dataclasses.replace(search.load_progress(), completed=1.8e9))

    again = kept.open("digits")
    tally = again.tally
    assert tally == search.tally and not again.unfinished()
    assert (tally.complete, tally.failed, tally.pruned, tally.stopped) == (
        before.complete + 1,
        before.failed + 1,
        before.pruned + 1,
        before.stopped + 1,
    )
    assert [scored.number for scored in tally.front] == [five]
    assert tally.gpu_seconds == before.gpu_seconds + 5.0
    assert again.load_progress().completed == 1.8e9
    trial = kept.history("digits").study.trials[five]
    assert trial.intermediate_values == {1: 0.5, 7: 0.9}
    assert trial.state is optuna.trial.TrialState.COMPLETE


def test_a_study_that_is_gone_on_with_carries_a_version_from_then_on(kept: Kept) -> None:
    assert ATTR_VERSION not in kept.history("digits").study.user_attrs
    kept.open("digits")
    assert kept.history("digits").study.user_attrs[ATTR_VERSION] == VERSION
    before = dict(kept.history("digits").study.user_attrs)
    kept.open("digits")
    assert kept.history("digits").study.user_attrs == before


@pytest.mark.parametrize("place", ["journal", "database"])
def test_a_new_study_carries_the_version_and_keys_that_stay(tmp_path: Path, place: str) -> None:
    hush_optuna()
    storage = open_storage(tmp_path / "journal.log" if place == "journal" else f"sqlite:///{tmp_path / 'db'}")
    search = OptunaSearch(study_of("digits").spec, storage, "one", "it")
    search.save_progress(Progress())
    kept = optuna.load_study(study_name="one", storage=storage).user_attrs
    assert kept["kubestudy:version"] == 1
    assert kept.keys() == {"kubestudy:version", "kubestudy:spec", "kubestudy:memory"}


@pytest.mark.parametrize("version", [VERSION + 1, 0, "2", None, True])
def test_records_of_a_later_release_are_refused_and_left_alone(tmp_path: Path, version: Any) -> None:
    hush_optuna()
    journal = tmp_path / "journal.log"
    spec = study_of("digits").spec
    OptunaSearch(spec, open_storage(journal), "one", "it").ask()
    optuna.load_study(study_name="one", storage=open_storage(journal)).set_user_attr(ATTR_VERSION, version)
    records = journal.read_text().count('"op_code":')
    for opening in (
        lambda: OptunaSearch(spec, open_storage(journal), "one", "the folder x"),
        lambda: History(open_storage(journal), "one", "the folder x"),
    ):
        with pytest.raises(StudyError) as caught:
            opening()
        assert "the study one in the storage the folder x was written by a later release" in str(caught.value)
        assert "upgrade KubeStudy" in str(caught.value)
    # Opening asks for the study to be there, which is a record by itself; nothing else was written.
    assert journal.read_text().count('"op_code":') <= records + 1
