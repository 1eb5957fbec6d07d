"""Deadlines, retries, grace periods and parallelism of trials on this machine, as a Job would have them."""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.study import SQUARE, Finished, kubestudy, manifest, start, trials, write
from support.wait import until


def run(folder: Path, study: dict[str, Any]) -> Finished:
    return kubestudy("run", write(folder, study), "-o", "json", cwd=folder)


def exits(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob(".kubestudy/demo/trials/*/exit.json"))]


def test_parallelism_is_used_and_never_passed(tmp_path: Path) -> None:
    done = run(tmp_path, manifest("sleep 0.2; " + SQUARE, budget={"maxTrials": 12}, parallelism=3))
    assert done.json["status"]["trials"]["complete"] == 12
    moments = sorted([(e["started"], 1) for e in exits(tmp_path)] + [(e["ended"], -1) for e in exits(tmp_path)])
    running, most = 0, 0
    for _, change in moments:
        running += change
        most = max(most, running)
    assert most == 3


def test_a_trial_past_its_deadline_fails_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    marker = f"4{time.time_ns() % 10**6:06d}"
    study = manifest(f"sleep {marker} & sleep {marker}", budget={"maxTrials": 1}, job={"activeDeadlineSeconds": 1})
    done = run(tmp_path, study)
    assert done.code == 1
    (trial,) = trials(tmp_path)
    assert trial["state"] == "Failed"
    assert trial["reason"].startswith("DeadlineExceeded: ")
    assert marker not in " ".join(" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))


def test_a_failed_trial_is_tried_again_up_to_its_backoff_limit(tmp_path: Path) -> None:
    script = 'echo try >> "$KUBESTUDY_CHECKPOINT_DIR/tries"; [ $(wc -l < "$KUBESTUDY_CHECKPOINT_DIR/tries") -ge 3 ] &&'
    done = run(tmp_path, manifest(f"{script} {SQUARE}", budget={"maxTrials": 1}, job={"backoffLimit": 2}))
    assert done.code == 0, done.err
    assert done.json["status"]["trials"]["failed"] == 0
    assert "retry 1 of 2" in done.err
    assert "retry 2 of 2" in done.err
    assert exits(tmp_path)[0]["attempt"] == 2


@pytest.mark.parametrize("code", [2, 3, 4])
def test_what_a_retry_cannot_mend_is_not_retried(tmp_path: Path, code: int) -> None:
    script = f'echo try >> "$KUBESTUDY_CHECKPOINT_DIR/tries"; exit {code}'
    done = run(tmp_path, manifest(script, budget={"maxTrials": 1}, job={"backoffLimit": 5}))
    assert done.code == 1
    (tries,) = tmp_path.glob(".kubestudy/demo/trials/*/checkpoint/tries")
    assert tries.read_text() == "try\n"


def test_sigterm_then_sigkill_for_the_whole_process_group(tmp_path: Path) -> None:
    # Trial 0 reaches the target at once; the other ignores SIGTERM and so does its child.
    script = (
        f'if mkdir "$OUT/first"; then sleep 0.5; {SQUARE};'
        " else trap '' TERM; echo $$$$ > \"$OUT/pid\"; sleep 60 & wait; sleep 60; fi"
    )
    study = manifest(
        script,
        objectives=[{"metric": "y", "goal": "minimize", "target": 1.0}],
        budget={"maxTrials": 2, "gracePeriod": "0s"},
        pod={"terminationGracePeriodSeconds": 1},
        container={"env": [{"name": "OUT", "value": str(tmp_path)}]},
    )
    done = run(tmp_path, study)
    assert done.code == 0
    status = done.json["status"]
    assert (status["trials"]["complete"], status["trials"]["stopped"]) == (1, 1)
    assert next(c for c in status["conditions"] if c["type"] == "Complete")["reason"] == "TargetReached"
    stopped = next(e for e in exits(tmp_path) if e["cause"] == "stopped")
    assert stopped["code"] == 137
    group = int((tmp_path / "pid").read_text())
    until(lambda: not [p for p in psutil.process_iter() if _group(p) == group], 60, what="the end of all its processes")


def _group(process: psutil.Process) -> int | None:
    import os

    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def test_running_trials_are_left_to_finish_without_a_grace_period(tmp_path: Path) -> None:
    script = f'if mkdir "$OUT/first"; then {SQUARE}; else sleep 1; {SQUARE}; fi'
    study = manifest(
        script,
        objectives=[{"metric": "y", "goal": "minimize", "target": 1.0}],
        budget={"maxTrials": 9},
        container={"env": [{"name": "OUT", "value": str(tmp_path)}]},
    )
    counts = run(tmp_path, study).json["status"]["trials"]
    assert counts["complete"] == counts["total"] == 2


def test_max_duration_ends_the_study(tmp_path: Path) -> None:
    study = manifest("sleep 0.3; " + SQUARE, budget={"maxDuration": "2s"})
    status = run(tmp_path, study).json["status"]
    assert next(c for c in status["conditions"] if c["type"] == "Complete")["reason"] == "MaxDurationReached"
    assert 2.0 <= status["used"]["seconds"] <= 3.5
    assert status["trials"]["complete"] >= 4


def test_patience_ends_the_study(tmp_path: Path) -> None:
    result = 'echo \'{"values": {"y": 5}}\' > "$KUBESTUDY_TERMINATION_LOG"'
    status = run(tmp_path, manifest(result, budget={"patience": 4}, parallelism=1)).json["status"]
    assert status["trials"]["complete"] == 5
    assert next(c for c in status["conditions"] if c["type"] == "Complete")["reason"] == "PatienceExhausted"


def test_too_many_failures_end_the_study_with_the_reason_in_one_sentence(tmp_path: Path) -> None:
    study = manifest("echo 'no such file: data.csv' >&2; exit 1", budget={"maxTrials": 50, "maxFailedTrials": 3})
    done = kubestudy("run", write(tmp_path, study), cwd=tmp_path)
    assert done.code == 1
    last = [line for line in (done.out + done.err).splitlines() if line.startswith("demo: Failed: ")]
    assert len(last) == 1
    assert "maxFailedTrials is 3" in last[0]
    assert "exit code 1: no such file: data.csv" in last[0]
    assert len(trials(tmp_path)) <= 4


def test_a_study_whose_trials_all_crash_fails(tmp_path: Path) -> None:
    done = run(tmp_path, manifest("kill -SEGV $$$$"))
    assert done.code == 1
    status = done.json["status"]
    assert status["phase"] == "Failed"
    failed = next(c for c in status["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "NoTrialCompleted"
    assert "4 failed" in failed["message"]
    assert "SIGSEGV" in failed["message"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("true", "NoResult: it ended without a result"),
        ("echo nonsense > $KUBESTUDY_TERMINATION_LOG", "InvalidResult: its result is no JSON: nonsense"),
        (
            'echo \'{"values": {"z": 1}}\' > $KUBESTUDY_TERMINATION_LOG',
            "MissingMetric: it finished with z but without y",
        ),
        ('echo \'{"values": {"y": "NaN"}}\' > $KUBESTUDY_TERMINATION_LOG', "NonFiniteMetric: its y is nan"),
        ("exec /no/such/program", "CommandNotFound: exit code 127: "),
    ],
)
def test_why_a_trial_failed(tmp_path: Path, script: str, reason: str) -> None:
    assert run(tmp_path, manifest(script, budget={"maxTrials": 1})).code == 1
    (trial,) = trials(tmp_path)
    assert trial["state"] == "Failed"
    assert trial["reason"].startswith(reason)


def test_logs_results_and_parameters_are_kept(tmp_path: Path) -> None:
    assert run(tmp_path, manifest(f"echo this is $x; {SQUARE}", budget={"maxTrials": 2})).code == 0
    for number, trial in enumerate(trials(tmp_path)):
        folder = tmp_path / ".kubestudy" / "demo" / "trials" / f"{number:05d}"
        assert json.loads((folder / "params.json").read_text()) == trial["params"]
        assert (folder / "trial.log").read_text() == f"this is {trial['params']['x']}\n"
        assert json.loads((folder / "result.json").read_text())["values"].keys() == {"y"}
    ends = [trial["number"] for trial in trials(tmp_path)]
    assert all(b == a + 1 for a, b in pairwise(ends))


def test_a_study_whose_first_ten_trials_all_fail_ends_whatever_its_budget(tmp_path: Path) -> None:
    done = run(tmp_path, manifest("echo broken >&2; exit 1", budget={"maxDuration": "1h"}))
    assert done.code == 1
    failed = next(c for c in done.json["status"]["conditions"] if c["type"] == "Failed")
    assert failed["reason"] == "EveryTrialFails"
    assert "broken" in failed["message"]
    assert 10 <= len(trials(tmp_path)) <= 12


def test_the_same_name_with_a_misspelt_option_is_one_fault(tmp_path: Path) -> None:
    study = manifest(pruner={"name": "medain", "options": {"n_startup_trials": 3}})
    done = kubestudy("validate", write(tmp_path, study), cwd=tmp_path)
    assert len(done.err.splitlines()) == 1
    assert "did you mean median?" in done.err


def test_a_second_ctrl_c_kills_what_does_not_stop(tmp_path: Path) -> None:
    study = manifest("trap '' TERM; while :; do sleep 0.1; done", pod={"terminationGracePeriodSeconds": 60})
    running = start("run", write(tmp_path, study), cwd=tmp_path)
    until(lambda: len(list((tmp_path / ".kubestudy").glob("demo/trials/*/trial.log"))) == 2)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    time.sleep(1)
    begun = time.monotonic()
    running.send_signal(signal.SIGINT)
    assert running.wait(20) == 130
    assert time.monotonic() - begun < 20
    assert {t["state"] for t in trials(tmp_path)} == {"Waiting"}
