"""Stopping in the middle, by any means, and going on."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.study import KUBESTUDY, SQUARE, kubestudy, manifest, start, trials, write
from support.wait import until

# Notes each start and each completed execution, so that a trial run twice shows.
NOTED = 'echo "$KUBESTUDY_TRIALS" >> "$OUT/starts"; sleep 0.4; ' + SQUARE + '; echo "$KUBESTUDY_TRIALS" >> "$OUT/ends"'
TRIALS = 12
# Once three have ended, the others wait for a file: however late the test is, the study is not over before.
HELD = '[ "$(cat "$OUT/ends" 2>/dev/null | wc -l)" -lt 3 ] || until [ -e "$OUT/go" ]; do sleep 0.1; done; '


def noted(folder: Path, script: str = NOTED, **spec: Any) -> Path:
    study = manifest(
        script, budget={"maxTrials": TRIALS}, container={"env": [{"name": "OUT", "value": str(folder)}]}, **spec
    )
    return write(folder, study)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line)[0] for line in path.read_text().splitlines()] if path.exists() else []


def assert_each_finished_once(folder: Path) -> None:
    finished = trials(folder)
    assert [trial["number"] for trial in finished] == list(range(TRIALS))
    assert {trial["state"] for trial in finished} == {"Complete"}
    params: dict[int, Any] = {}
    for begun in lines(folder / "starts"):
        assert params.setdefault(begun["number"], begun["params"]) == begun["params"]
    assert Counter(end["number"] for end in lines(folder / "ends")) == Counter(range(TRIALS))


@pytest.mark.parametrize("moment", [0.2, 0.6, 1.1])
def test_killed_in_the_middle_every_trial_finishes_exactly_once(tmp_path: Path, moment: float) -> None:
    path = noted(tmp_path)
    running = start("run", path, cwd=tmp_path)
    until(lambda: lines(tmp_path / "starts"))
    time.sleep(moment)
    running.kill()
    running.communicate()
    done = kubestudy("run", path, "-o", "json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["status"]["trials"]["complete"] == TRIALS
    assert_each_finished_once(tmp_path)


def test_killed_together_with_its_supervisor_no_trial_is_left_running(tmp_path: Path) -> None:
    path = noted(tmp_path)
    running = start("run", path, cwd=tmp_path)
    until(lambda: len(lines(tmp_path / "starts")) >= 3)
    family = psutil.Process(running.pid).children(recursive=True)
    supervisor = next(p for p in family if "kubestudy.local.supervisor" in p.cmdline())
    shells = [p for p in supervisor.children() if "sh" in p.name()]
    assert shells
    supervisor.kill()
    running.kill()
    running.communicate()
    psutil.wait_procs(shells, timeout=5)
    assert not [p for p in shells if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    finished = trials(tmp_path)
    assert [trial["number"] for trial in finished] == list(range(TRIALS))
    assert {trial["state"] for trial in finished} == {"Complete"}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_stops_its_trials_says_how_to_go_on_and_goes_on(tmp_path: Path, by: signal.Signals) -> None:
    path = noted(tmp_path, HELD + NOTED)
    running = start("run", path, cwd=tmp_path)
    until(lambda: len(lines(tmp_path / "ends")) >= 3)
    running.send_signal(by)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "stopping the running trials: they have 2 s to save their state" in err
    assert f"To go on: kubestudy run {path}" in err
    before = trials(tmp_path)
    assert {trial["state"] for trial in before} <= {"Complete", "Waiting"}
    (tmp_path / "go").touch()
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    after = trials(tmp_path)
    assert [t["params"] for t in after[: len(before)]] == [t["params"] for t in before]
    assert_each_finished_once(tmp_path)


def test_a_terminal_that_is_closed_stops_the_trials_and_the_log_says_how_to_go_on(tmp_path: Path) -> None:
    path = noted(tmp_path, HELD + NOTED)
    controller, terminal = pty.openpty()
    # A terminal is closed under its session's leader; a shell that ends sends the signal once more.
    leader = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    running = subprocess.Popen(
        [sys.executable, "-c", leader, KUBESTUDY, "run", str(path)],
        cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    threading.Thread(target=_read_all, args=(controller,), daemon=True).start()
    until(lambda: len(lines(tmp_path / "ends")) >= 3)
    os.close(controller)
    running.send_signal(signal.SIGHUP)
    assert running.wait(60) == 130
    said = (tmp_path / ".kubestudy/demo/run.log").read_text()
    assert "stopping the running trials" in said
    assert "killing" not in said
    assert f"To go on: kubestudy run {path}" in said
    (tmp_path / "go").touch()
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    assert_each_finished_once(tmp_path)


def _read_all(fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 4096):
            pass


def test_what_nohup_started_goes_on_without_its_terminal(tmp_path: Path) -> None:
    path = noted(tmp_path)
    running = subprocess.Popen(["nohup", KUBESTUDY, "run", str(path)], cwd=tmp_path, stderr=subprocess.DEVNULL)
    until(lambda: len(lines(tmp_path / "ends")) >= 1)
    running.send_signal(signal.SIGHUP)
    assert running.wait(120) == 0
    assert_each_finished_once(tmp_path)


def test_time_between_two_runs_does_not_count(tmp_path: Path) -> None:
    study = manifest("sleep 0.4; " + SQUARE, budget={"maxTrials": 200, "maxDuration": "4s"})
    path = write(tmp_path, study)
    running = start("run", path, cwd=tmp_path)
    until((tmp_path / ".kubestudy/demo/trials/00002").exists)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    time.sleep(5)
    status = kubestudy("run", path, "-o", "json", cwd=tmp_path).json["status"]
    assert next(c for c in status["conditions"] if c["type"] == "Complete")["reason"] == "MaxDurationReached"
    assert 4.0 <= status["used"]["seconds"] <= 6.0
    # Most of the four seconds were left for the second run.
    assert status["trials"]["complete"] >= 10


def test_a_changed_search_is_refused_with_the_difference_and_restart_keeps_the_old_study(tmp_path: Path) -> None:
    study = manifest()
    path = write(tmp_path, study)
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    study["spec"]["parameters"][0]["high"] = 2.0
    study["spec"]["objectives"][0]["goal"] = "maximize"
    write(tmp_path, study)
    refused = kubestudy("run", path, cwd=tmp_path)
    assert refused.code == 2
    assert "spec.parameters[x].high: was 1.0 and is now 2.0" in refused.err
    assert 'spec.objectives[y].goal: was "minimize" and is now "maximize"' in refused.err
    assert "--restart" in refused.err
    assert len(trials(tmp_path)) == 4
    anew = kubestudy("run", path, "--restart", "-o", "json", cwd=tmp_path)
    assert anew.code == 0, anew.err
    assert anew.json["status"]["trials"]["complete"] == 4
    old = kubestudy("trials", "demo", "--dir", ".kubestudy/demo.old-1", "-o", "json", cwd=tmp_path)
    assert len(old.json) == 4


def test_a_larger_budget_wakes_a_completed_study(tmp_path: Path) -> None:
    study = manifest()
    path = write(tmp_path, study)
    first = kubestudy("run", path, "-o", "json", cwd=tmp_path).json["status"]
    again = kubestudy("run", path, "-o", "json", cwd=tmp_path)
    assert again.code == 0
    assert again.json["status"]["trials"] == first["trials"]
    assert again.json["status"]["completionTime"] == first["completionTime"]
    study["spec"]["budget"]["maxTrials"] = 7
    study["spec"]["parallelism"] = 1
    more = kubestudy("run", write(tmp_path, study), "-o", "json", cwd=tmp_path).json["status"]
    assert more["trials"]["complete"] == 7
    assert more["startTime"] == first["startTime"]
    params = [trial["params"]["x"] for trial in trials(tmp_path)]
    assert len(set(params)) == 7  # the sampler did not begin anew


def test_two_runs_of_one_study_never_meet(tmp_path: Path) -> None:
    path = noted(tmp_path)
    running = start("run", path, cwd=tmp_path)
    until(lambda: lines(tmp_path / "starts"))
    second = kubestudy("run", path, cwd=tmp_path)
    assert second.code == 1
    assert "is being run already" in second.err
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert_each_finished_once(tmp_path)


def test_a_suspended_study_runs_nothing(tmp_path: Path) -> None:
    study = manifest(suspend=True)
    done = kubestudy("run", write(tmp_path, study), "-o", "json", cwd=tmp_path)
    assert done.code == 130
    assert done.json["status"]["phase"] == "Suspended"
    assert "spec.suspend is true" in done.err
    study["spec"]["suspend"] = False
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0


def test_a_database_by_url(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(budget={"maxTrials": 2}))
    url = f"sqlite:///{tmp_path}/studies.db"
    assert kubestudy("run", path, "--storage", url, cwd=tmp_path).code == 0
    assert not (tmp_path / ".kubestudy/demo/journal.log").exists()
    assert len(trials(tmp_path)) == 2  # the folder remembers where the study is
    anew = kubestudy("run", path, "--storage", url, "--restart", cwd=tmp_path)
    assert anew.code == 0, anew.err
    import optuna

    assert set(optuna.get_all_study_names(url)) == {"demo", "demo-2"}


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    path = write(tmp_path, manifest())
    done = kubestudy("run", path, "--storage", "postgresql+psycopg://me:hunter2@127.0.0.1:1/x", cwd=tmp_path)
    assert done.code == 1
    assert "hunter2" not in done.err + done.out
    assert "postgresql+psycopg://me:***@127.0.0.1:1/x" in done.err
