"""What changes between two runs of a study, or while it runs: told, taken, or refused; never mixed in silence."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.study import KUBESTUDY, SQUARE, kubestudy, manifest, start, trials, write
from support.wait import until


def scripted(folder: Path, text: str, **spec: Any) -> dict[str, Any]:
    """Return a study of a script in a file."""
    (folder / "train.sh").write_text(text)
    return manifest("", container={"command": ["sh", "train.sh"]}, **spec)


SCRIPT = "echo '{\"values\": {\"y\": '$x'}}' > $KUBESTUDY_TERMINATION_LOG\n"


def test_a_changed_script_is_told_and_does_not_go_on_by_itself(tmp_path: Path) -> None:
    study = scripted(tmp_path, SCRIPT)
    path = write(tmp_path, study)
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    (tmp_path / "train.sh").write_text("# mended\n" + SCRIPT)
    study["spec"]["budget"]["maxTrials"] = 6
    write(tmp_path, study)
    refused = kubestudy("run", path, cwd=tmp_path)
    assert refused.code == 2
    assert "train.sh: has changed: 4 trials ended with what it was" in refused.err
    assert "--accept-changes" in refused.err
    assert "--restart" in refused.err
    accepted = kubestudy("run", path, "--accept-changes", "-o", "json", cwd=tmp_path)
    assert accepted.code == 0, accepted.err
    assert "train.sh: has changed; results of both stand side by side" in accepted.err
    assert accepted.json["status"]["trials"]["complete"] == 6
    again = kubestudy("run", path, cwd=tmp_path)  # it is what trials run now
    assert again.code == 0, again.err


def test_a_changed_template_is_told_with_its_difference_and_restart_begins_anew(tmp_path: Path) -> None:
    study = manifest()
    path = write(tmp_path, study)
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    container = study["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["command"][2] += " # another"
    container["env"] = [{"name": "DATA", "value": "v2"}]
    write(tmp_path, study)
    refused = kubestudy("run", path, cwd=tmp_path)
    assert refused.code == 2
    assert "containers[0].command[2]: was " in refused.err
    assert '# another"' in refused.err
    assert "containers[0].env: is new" in refused.err
    anew = kubestudy("run", path, "--restart", "-o", "json", cwd=tmp_path)
    assert anew.code == 0, anew.err
    assert anew.json["status"]["trials"]["complete"] == 4


def test_what_says_only_how_long_a_trial_may_take_can_change(tmp_path: Path) -> None:
    study = manifest()
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0
    study["spec"]["jobTemplate"]["spec"] |= {"activeDeadlineSeconds": 60, "backoffLimit": 1}
    study["spec"]["budget"]["maxTrials"] = 5
    done = kubestudy("run", write(tmp_path, study), "-o", "json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["status"]["trials"]["complete"] == 5


def test_a_study_without_any_result_goes_on_by_the_mended_script(tmp_path: Path) -> None:
    study = scripted(tmp_path, "exit 1\n", budget={"maxTrials": 2}, parallelism=1)
    path = write(tmp_path, study)
    assert kubestudy("run", path, cwd=tmp_path).code == 1
    (tmp_path / "train.sh").write_text(SCRIPT)
    study["spec"]["budget"]["maxTrials"] = 4
    done = kubestudy("run", write(tmp_path, study), cwd=tmp_path)
    assert done.code == 0, done.err
    assert "train.sh: has changed; there are no results of what it was" in done.err


def test_a_trial_that_left_a_checkpoint_counts_as_a_result(tmp_path: Path) -> None:
    text = 'echo 1 > "$KUBESTUDY_CHECKPOINT_DIR/state"; sleep 60\n'
    path = write(tmp_path, scripted(tmp_path, text, budget={"maxTrials": 1}, parallelism=1))
    running = start("run", path, cwd=tmp_path)
    until(lambda: list(tmp_path.glob(".kubestudy/demo/trials/*/checkpoint/state")))
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    (tmp_path / "train.sh").write_text(SCRIPT)
    refused = kubestudy("run", path, cwd=tmp_path)
    assert refused.code == 2
    assert "train.sh: has changed: a trial began with what it was" in refused.err


def test_a_folder_of_an_older_version_goes_on(tmp_path: Path) -> None:
    study = scripted(tmp_path, SCRIPT)
    path = write(tmp_path, study)
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    record = tmp_path / ".kubestudy/demo/storage.json"
    kept = json.loads(record.read_text())
    record.write_text(json.dumps({name: kept[name] for name in ("study", "storage", "database")}))
    (tmp_path / "train.sh").write_text("# another\n" + SCRIPT)
    study["spec"]["budget"]["maxTrials"] = 5
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0
    assert json.loads(record.read_text())["recipe"]["files"].keys() == {"train.sh"}


def test_another_studys_folder_is_not_taken_over(tmp_path: Path) -> None:
    slow = write(tmp_path, manifest(name="slow", budget={"maxTrials": 1}), "slow.yaml")
    three = write(tmp_path, manifest(name="three"), "three.yaml")
    assert kubestudy("run", slow, cwd=tmp_path).code == 0

    def is_refused(*more: str) -> None:
        refused = kubestudy("run", three, "--dir", ".kubestudy/slow", *more, cwd=tmp_path)
        assert refused.code == 2
        assert "the folder .kubestudy/slow holds the study slow (1 trial), not three" in refused.err
        assert "name another folder with --dir, or leave --dir out for .kubestudy/three" in refused.err

    is_refused()
    is_refused("--restart", "--accept-changes")
    # As version 0.1.0 wrote it, without the study's name in the manifest.
    (tmp_path / ".kubestudy/slow/storage.json").write_text('{"study": "slow", "storage": null, "database": false}')
    is_refused()
    assert not (tmp_path / ".kubestudy/three").exists()
    assert len(trials(tmp_path, "slow")) == 1


# --- while it runs ----------------------------------------------------------------------------------------------------


class Running:
    """A run in the background whose stderr can be waited for."""

    def __init__(self, path: Path) -> None:
        self._said = path.parent / "stderr"
        with self._said.open("wb") as err:
            command = [KUBESTUDY, "run", str(path), "-o", "json"]
            self.process = subprocess.Popen(command, cwd=path.parent, stdout=subprocess.PIPE, stderr=err, text=True)

    @property
    def said(self) -> str:
        return self._said.read_text()

    def says(self, text: str) -> None:
        until(lambda: text in self.said, 120, what=f"{text!r} in {self.said!r}")

    def end(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=120)
        result: dict[str, Any] = json.loads(out)
        return result


# Runs until it is told to go on, so that nothing hangs on how fast an edit is seen.
PATIENT = "while [ ! -e go ]; do sleep 0.1; done; " + SQUARE


def test_an_edit_of_the_budget_is_taken_while_the_study_runs_and_the_rest_is_told(tmp_path: Path) -> None:
    study = manifest(PATIENT, budget={"maxTrials": 2})
    path = write(tmp_path, study)
    running = Running(path)
    until(lambda: len(list(tmp_path.glob(".kubestudy/demo/trials/*/trial.log"))) == 2)

    (tmp_path / "new.yaml").write_text("spec: [")
    (tmp_path / "new.yaml").replace(path)  # as many editors save
    running.says("study.yaml was changed and is not valid now; the study goes on by what it was")

    study["spec"] |= {"parallelism": 3, "budget": {"maxTrials": 5}}
    study["spec"]["parameters"][0]["high"] = 2.0
    write(tmp_path, study)
    running.says("spec.budget.maxTrials: was 2 and is now 5: the study goes by it from now on")
    running.says("spec.parallelism: was 2 and is now 3: the study goes by it from now on")
    running.says("spec.parameters[x].high: was 1.0 and is now 2.0: cannot change once the study has started")
    until(lambda: len(list(tmp_path.glob(".kubestudy/demo/trials/*/trial.log"))) == 3, what="the third trial")
    (tmp_path / "go").touch()
    done = running.end()
    assert running.process.returncode == 0
    assert done["status"]["trials"]["complete"] == 5
    assert (done["spec"]["budget"]["maxTrials"], done["spec"]["parameters"][0]["high"]) == (5, 1.0)
    kept = (tmp_path / ".kubestudy/demo/study.yaml").read_text()
    assert "maxTrials: 5" in kept
    assert "high: 1.0" in kept
    assert "goes by it from now on" in (tmp_path / ".kubestudy/demo/run.log").read_text()


@pytest.mark.parametrize(("edit", "code", "phase"), [("suspend", 130, "Suspended"), ("stop", 0, "Complete")])
def test_suspend_and_stop_are_taken_while_the_study_runs(tmp_path: Path, edit: str, code: int, phase: str) -> None:
    first = "[ -e first ] || { touch first; " + SQUARE + "; exit; }; sleep 300"
    study = manifest(first, budget={"maxTrials": 4, "gracePeriod": "0s"}, parallelism=1)
    path = write(tmp_path, study)
    running = Running(path)
    until((tmp_path / ".kubestudy/demo/trials/00001/trial.log").exists)
    study["spec"][edit] = True
    write(tmp_path, study)
    done = running.end()
    assert (running.process.returncode, done["status"]["phase"]) == (code, phase), running.said
    assert f"spec.{edit}: is new (true): the study goes by it from now on" in running.said


def test_a_script_that_changes_while_the_study_runs_is_told_and_so_is_a_manifest_that_is_gone(tmp_path: Path) -> None:
    text = "while [ ! -e go ]; do sleep 0.1; done\n" + SCRIPT
    path = write(tmp_path, scripted(tmp_path, text, budget={"maxTrials": 2}))
    running = Running(path)
    until(lambda: len(list(tmp_path.glob(".kubestudy/demo/trials/*/trial.log"))) == 2)
    # Another file of the name: a shell reads its script while it runs.
    (tmp_path / "new.sh").write_text("# another\n" + text)
    (tmp_path / "new.sh").replace(tmp_path / "train.sh")
    running.says("train.sh has changed while the study runs: trials that start from now on run what it is now")
    path.unlink()
    running.says("study.yaml is gone; the study goes on by what it was")
    (tmp_path / "go").touch()
    assert running.end()["status"]["trials"]["complete"] == 2
