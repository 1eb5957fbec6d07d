"""Studies of this machine by their names: listed, looked at, suspended, gone on with, stopped, deleted."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from support.forks import Process
from support.study import KUBESTUDY, SQUARE, kubestudy, manifest, start, trials, write
from support.terminal import Terminal
from support.wait import until

# Reports step after step until it is let go.
REPORTING = (
    "python3 -c 'import os, time; from kubestudy_trainer import Trial; t = Trial.current()\n"
    "for s in range(1, 100000):\n  t.report(s, y=1.0 / s, other=2.0); time.sleep(0.1)\n"
    '  os.path.exists("go") and t.finish(y=0.5)\n'
    '  if t.should_stop: t.stop()\n  if os.path.exists("go"): break\''
)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Path, Process]]:
    """A folder in which a study is being run, two trials at once, one complete."""
    study = manifest(f"if mkdir first; then {SQUARE}; else {REPORTING}; fi", budget={"maxTrials": 4})
    running = start("run", write(tmp_path, study), cwd=tmp_path)
    status = tmp_path / ".kubestudy/demo/status.json"

    def reported() -> bool:
        live = json.loads(status.read_text())["live"] if status.exists() else []
        return sum(bool(trial["values"]) for trial in live) == 2

    try:
        until(reported, 120, what="two trials that report")
        yield tmp_path, running
    finally:
        running.kill()
        running.communicate()


def phase(folder: Path) -> Any:
    return kubestudy("status", "demo", "-o", "json", cwd=folder).json["status"]["phase"]


def test_a_study_that_runs_is_seen_from_another_terminal(slow: tuple[Path, Process]) -> None:
    folder, _ = slow
    header, row = kubestudy("list", cwd=folder).out.splitlines()
    assert header.split() == ["NAME", "PHASE", "TRIALS", "RUNNING", "BEST", "AGE"]
    assert row.split()[:4] == ["demo", "Running", "1/4", "2"]
    told = kubestudy("status", "demo", cwd=folder).out
    for line in (r"Run: +goes on", r"Trials: +3: 1 complete, 2 running", r"NUMBER +STATE +TIME +STEP +LAST VALUES"):
        assert re.search(line, told), told
    assert re.search(r"^  \d +running +\d+s +\d+ +.*y=0", told, re.MULTILINE)

    listed = trials(folder)
    assert sorted(t["state"] for t in listed) == ["Complete", "Running", "Running"]
    assert listed[2]["lastStep"] > 0
    table = kubestudy("trials", "demo", cwd=folder).out.splitlines()
    assert table[0].split() == ["NUMBER", "STATE", "y", "x", "STEP"]
    number, state, value, _, step = table[3].split()
    assert (number, state) == ("2", "Running")
    assert float(value) == pytest.approx(1 / int(step), rel=1e-4)


def test_suspended_by_its_name_it_ends_its_run_and_resume_goes_on_here(
    slow: tuple[Path, Process],
) -> None:
    folder, running = slow
    asked = kubestudy("suspend", "demo", cwd=folder)
    assert (asked.code, asked.err) == (0, "demo suspended: its run stops its trials, and ends\n")
    _, told = running.communicate(timeout=120)
    assert running.returncode == 130
    assert "suspended (kubestudy suspend)" in told
    assert "To go on: kubestudy resume demo" in told
    assert phase(folder) == "Suspended"
    again = kubestudy("run", "study.yaml", cwd=folder)  # what is asked for stays
    assert (again.code, "To go on: kubestudy resume demo" in again.err) == (130, True)
    (folder / "go").touch()
    went_on = kubestudy("resume", "demo", cwd=folder)
    assert went_on.code == 0, went_on.err
    assert went_on.out.startswith("demo: Complete: maxTrials (4) is reached\n")
    assert [trial["state"] for trial in trials(folder)] == ["Complete"] * 4
    assert kubestudy("suspend", "demo", cwd=folder).err == "demo is Complete: nothing to do\n"


def test_stopped_by_its_name_it_is_complete(slow: tuple[Path, Process]) -> None:
    folder, running = slow
    assert kubestudy("stop", "demo", cwd=folder).err == "demo stopped: its run stops its trials, and ends\n"
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 0
    assert out.startswith("demo: Complete: it was told to stop\n")
    assert sorted(t["state"] for t in trials(folder)) == ["Complete", "Stopped", "Stopped"]
    # Going on with it is a wish of its own.
    assert kubestudy("run", "study.yaml", cwd=folder).code == 0
    assert len(trials(folder)) == 3
    (folder / "go").touch()
    assert kubestudy("resume", "demo", cwd=folder).code == 0
    assert sorted(t["state"] for t in trials(folder)) == ["Complete", "Complete", "Stopped", "Stopped"]


def test_a_study_that_nobody_runs_is_suspended_and_stopped_too(tmp_path: Path) -> None:
    path = write(tmp_path, manifest("sleep 1; " + SQUARE, budget={"maxTrials": 50}))
    running = start("run", path, cwd=tmp_path)
    until((tmp_path / ".kubestudy/demo/trials/00002").exists, 120)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert phase(tmp_path) == "Suspended"
    asked = kubestudy("suspend", "demo", cwd=tmp_path)
    assert asked.err == "demo suspended: kubestudy resume demo goes on with it\n"
    stopped = kubestudy("stop", "demo", cwd=tmp_path)
    assert stopped.code == 0
    assert stopped.out.startswith("demo: Complete: it was told to stop\n")
    assert (tmp_path / ".kubestudy/demo/report.html").exists()


def test_a_study_whose_run_was_killed_stands_still(slow: tuple[Path, Process]) -> None:
    folder, running = slow
    running.kill()
    running.communicate()
    until(lambda: phase(folder) == "Suspended", 60)
    told = kubestudy("status", "demo", cwd=folder).out
    assert "Run:         none; kubestudy run demo goes on with the study" in told
    assert {t["state"] for t in trials(folder)} == {"Complete", "Waiting"}


def test_by_its_name_it_goes_on_as_it_was_run(tmp_path: Path) -> None:
    """The manifest, the folder that its programs run in, and --exec are those of the last run."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "data").write_text("7")
    program = f"x=$(cat data); {SQUARE}"
    path = write(project, manifest("exit 9", budget={"maxTrials": 2}))
    assert kubestudy("run", path, "--exec", f"sh -c '{program}'", cwd=tmp_path).code == 0
    kept = tmp_path / ".kubestudy/demo/study.yaml"
    kept.write_text(kept.read_text().replace("maxTrials: 2", "maxTrials: 3"))
    path.unlink()
    more = kubestudy("run", "demo", cwd=tmp_path)
    assert more.code == 0, more.err
    assert [trial["values"] for trial in trials(tmp_path)] == [{"y": 49.0}] * 3
    anew = kubestudy("run", "demo", "--restart", cwd=tmp_path)
    assert anew.code == 0, anew.err
    names = [row.split()[0] for row in kubestudy("list", cwd=tmp_path).out.splitlines()]
    assert names == ["NAME", "demo", "demo.old-1"]
    old = kubestudy("run", "demo.old-1", cwd=tmp_path)
    assert (old.code, "it had ended before, and nothing ran now" in old.err) == (0, True)


def test_a_name_that_is_none(tmp_path: Path) -> None:
    done = kubestudy("run", "dmeo", cwd=tmp_path)
    assert done.code == 2
    assert "dmeo: there is no such file, and no study was run in .kubestudy/dmeo" in done.err
    for command in ("status", "suspend", "resume", "stop"):
        done = kubestudy(command, "dmeo", cwd=tmp_path)
        assert done.code == 1
        assert done.err.startswith("error: no study was run in .kubestudy/dmeo (from ")
    assert kubestudy("list", cwd=tmp_path).err.startswith("no study was run here (in ")
    assert kubestudy("list", "-o", "json", cwd=tmp_path).json == []


def test_logs(slow: tuple[Path, Process], tmp_path: Path) -> None:
    folder, _ = slow
    done = kubestudy("logs", "demo", "1", cwd=folder)
    assert (done.code, done.err) == (0, "")
    following = start("logs", "demo", "1", "-f", cwd=folder)
    assert following.poll() is None
    (folder / "go").touch()
    out, err = following.communicate(timeout=120)  # the trial ends, and so does its log
    assert (following.returncode, err) == (0, "")
    assert out == (folder / ".kubestudy/demo/trials/00001/trial.log").read_text()
    unknown = kubestudy("logs", "demo", "77", cwd=folder)
    assert unknown.code == 1
    assert unknown.err == "error: demo has no trial 77, or it was not started yet\n"


def test_delete_asks_and_never_deletes_what_runs(slow: tuple[Path, Process]) -> None:
    folder, running = slow
    refused = kubestudy("delete", "demo", "--yes", cwd=folder)
    assert refused.code == 1
    assert "is being run already" in refused.err
    running.kill()
    running.communicate()
    unasked = subprocess.run(
        [KUBESTUDY, "delete", "demo"], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert unasked.returncode == 2
    for answer, left in (("n\n", True), ("y\n", False)):
        terminal = Terminal([KUBESTUDY, "delete", "demo"], folder)
        terminal.until(lambda seen: "[y/N]" in seen)
        terminal.type(answer)
        assert (terminal.end() != 0) is left
        assert (folder / ".kubestudy/demo").exists() is left
    assert kubestudy("list", "-o", "json", cwd=folder).json == []


def test_delete_leaves_what_no_run_made_and_clears_a_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    path = write(tmp_path, manifest(budget={"maxTrials": 1}))
    assert kubestudy("run", path, "--storage", url, "--dir", ".", cwd=tmp_path).code == 0
    deleted = kubestudy("delete", "demo", "--dir", ".", "--yes", cwd=tmp_path)
    assert deleted.code == 0, deleted.err
    # The folder's own copy of the manifest had the name of the user's.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["studies.db"]
    assert "studies.db" in deleted.err
    assert optuna.get_all_study_names(url) == []


def test_trials_as_csv(tmp_path: Path) -> None:
    study = manifest(f'[ -d first ] || {{ mkdir first; echo "a, \\"b\\"" >&2; exit 5; }}; {SQUARE}', parallelism=1)
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0
    rows = list(csv.DictReader(io.StringIO(kubestudy("trials", "demo", "-o", "csv", cwd=tmp_path).out)))
    listed = trials(tmp_path)
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[0]["reason"] == 'Error: exit code 5: a, "b"'
    assert [float(row["values_y"]) for row in rows[1:]] == [trial["values"]["y"] for trial in listed[1:]]
    assert [float(row["params_x"]) for row in rows] == [trial["params"]["x"] for trial in listed]
    best = list(csv.DictReader(io.StringIO(kubestudy("best", "demo", "-o", "csv", cwd=tmp_path).out)))
    assert [row["state"] for row in best] == ["Complete"]
    (study_row,) = csv.DictReader(io.StringIO(kubestudy("list", "-o", "csv", cwd=tmp_path).out))
    assert (study_row["name"], study_row["complete"], study_row["failed"]) == ("demo", "3", "1")
    elsewhere = kubestudy("list", "--dir", str(tmp_path / ".kubestudy"), "-o", "csv", cwd=Path("/"))
    assert [row["name"] for row in csv.DictReader(io.StringIO(elsewhere.out))] == ["demo"]


def test_pruned_trials_show_the_value_they_were_pruned_at(tmp_path: Path) -> None:
    program = (
        "python3 -c 'import os, time; from kubestudy_trainer import Trial; t = Trial.current(); n = t.number\n"
        "for s in range(1, 400):\n  t.report(s, y=1.0 * n); time.sleep(0.1)\n  if n == 0 and s > 20: break\n"
        "  if t.should_stop: t.stop()\nt.finish(y=1.0 * n)'"
    )
    pruner = {"name": "median", "options": {"n_startup_trials": 1}}
    study = manifest(program, pruner=pruner, parallelism=1, budget={"maxTrials": 2})
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0
    listed = trials(tmp_path)
    assert [trial["state"] for trial in listed] == ["Complete", "Pruned"]
    assert listed[1]["values"] == {}
    header, _, pruned = kubestudy("trials", "demo", cwd=tmp_path).out.splitlines()
    assert header.split() == ["NUMBER", "STATE", "y", "x", "STEP"]
    assert pruned.split()[1:3] == ["Pruned", "1"]


def test_every_command_has_help_with_an_example(tmp_path: Path) -> None:
    listing = kubestudy("--help", cwd=tmp_path).out
    commands = re.findall(r"^  ([a-z]+)  ", listing.partition("Commands:")[2], re.MULTILINE)
    assert {"run", "list", "status", "logs", "suspend", "resume", "stop", "delete"} < set(commands)
    commands.remove("history")
    for command in [*([name] for name in commands), ["history", "list"], ["history", "purge"]]:
        shown = kubestudy(*command, "--help", cwd=tmp_path).out
        assert re.search(rf"Example:\n    kubestudy {' '.join(command)}\b", shown), shown


def test_ctrl_c_leaves_no_line_of_the_picture_behind(tmp_path: Path) -> None:
    write(tmp_path, manifest("sleep 60 # $x"))
    terminal = Terminal([KUBESTUDY, "run", "study.yaml"], tmp_path, columns=80)
    terminal.until(lambda seen: re.search(r"1 +running +\d+ s", seen))
    terminal.type("\x03")
    assert terminal.end() == 130
    shown = "".join(terminal.screen.lines)
    assert shown.startswith("stopping the running trials")
    assert shown.endswith("demo: interrupted; 2 unfinished trials are kept. To go on: kubestudy run study.yaml")
    assert "━" not in shown
    assert "trials ended" not in shown


def test_a_narrow_terminal_breaks_no_number(tmp_path: Path) -> None:
    study = manifest(parameters=[{"name": f"parameter_{c}", "type": "float", "low": 0, "high": 1} for c in "abcdex"])
    study["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"][2] = SQUARE.replace(
        "$x", "$parameter_x"
    )
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0
    terminal = Terminal([KUBESTUDY, "trials", "demo"], tmp_path, columns=60)
    assert terminal.end() == 0
    words = " ".join(terminal.screen.lines).split()
    for trial in trials(tmp_path):
        assert f"{trial['values']['y']:.6g}" in words
        for value in trial["params"].values():
            assert f"{value:.4g}" in words
