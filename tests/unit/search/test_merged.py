"""All journals of an operator as one storage: ids that never meet, new journals as they come, nothing written."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from kubestudy.cli.find import open_all
from kubestudy.search.archive import Archive, Record
from kubestudy.search.merged import MergedStorage
from kubestudy.study.outcome import Complete
from kubestudy.study.ports import StudyError
from support.manifests import spec_of


def run(archive: Archive, name: str, values: list[float]) -> None:
    search = archive.open(Record("team", name, f"uid-{name}", "Retain"), spec_of())
    for value in values:
        trial = search.ask()
        assert trial is not None
        search.tell(trial.number, Complete((value,), {}))


def test_studies_of_all_journals_are_there_with_their_own_trials(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    run(archive, "one", [3.0, 1.0])
    merged = MergedStorage(tmp_path)
    assert optuna.get_all_study_names(merged) == ["team/one/uid-one"]
    run(archive, "another", [7.0])
    assert sorted(optuna.get_all_study_names(merged)) == ["team/another/uid-another", "team/one/uid-one"]
    one = optuna.load_study(study_name="team/one/uid-one", storage=merged)
    other = optuna.load_study(study_name="team/another/uid-another", storage=merged)
    assert (one.best_value, other.best_value) == (1.0, 7.0)
    assert one.direction is optuna.study.StudyDirection.MINIMIZE and one.metric_names == ["loss"]
    trials = [*one.trials, *other.trials]
    assert len({trial._trial_id for trial in trials}) == 3
    assert [merged.get_trial(trial._trial_id).value for trial in trials] == [3.0, 1.0, 7.0]


def test_what_is_running_shows_as_it_goes_on(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    search = archive.open(Record("team", "one", "u", "Retain"), spec_of())
    trial = search.ask()
    merged = MergedStorage(tmp_path)
    study = optuna.load_study(study_name="team/one/u", storage=merged)
    assert [t.state.name for t in study.trials] == ["RUNNING"]
    assert trial is not None
    search.tell(trial.number, Complete((2.0,), {}))
    assert [t.state.name for t in study.get_trials()] == ["COMPLETE"]


def test_nothing_can_be_written(tmp_path: Path) -> None:
    run(Archive(tmp_path), "one", [1.0])
    study = optuna.load_study(study_name="team/one/uid-one", storage=MergedStorage(tmp_path))
    with pytest.raises(StudyError, match="not changed"):
        study.set_user_attr("a", 1)
    with pytest.raises(StudyError, match="not changed"):
        study.ask()


def test_what_is_not_there_is_a_key_error(tmp_path: Path) -> None:
    merged = MergedStorage(tmp_path)
    for asked in (lambda: merged.get_trial(0), lambda: merged.get_study_id_from_name("none")):
        with pytest.raises(KeyError):
            asked()


def test_a_database_can_be_looked_at_and_not_changed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db'}"
    run(Archive(url), "one", [3.0, 1.0])
    seen = open_all(url)
    study = optuna.load_study(study_name="team/one/uid-one", storage=seen)
    assert study.best_value == 1.0 and study.metric_names == ["loss"]
    with pytest.raises(StudyError, match="not changed"):
        optuna.delete_study(study_name="team/one/uid-one", storage=seen)
    assert len(study.trials) == 2


def test_a_folder_of_local_runs_is_no_operators(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "journal.log").touch()
    for folder in (tmp_path, tmp_path / "digits"):
        with pytest.raises(StudyError, match="run on this machine: name one"):
            open_all(str(folder))
    with pytest.raises(StudyError, match="there is no folder"):
        open_all(str(tmp_path / "none"))


def test_what_else_lies_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    run(Archive(tmp_path), "one", [1.0])
    (tmp_path / "team" / "supervisor.log").write_text("no journal")
    assert optuna.get_all_study_names(open_all(str(tmp_path))) == ["team/one/uid-one"]
