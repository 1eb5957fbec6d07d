"""The command line as a user meets it: output, exit codes, errors."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

import kubestudy as package
from kubestudy_trainer import environment as trainer_environment
from support.study import KUBESTUDY, ROOT, SQUARE, kubestudy, manifest, start, trials, write
from support.wait import until


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a study of three complete trials and a failed one was run."""
    folder = tmp_path_factory.mktemp("finished")
    script = f'[ -d "$OUT/first" ] && {{ {SQUARE}; exit; }}; mkdir "$OUT/first"; echo "no data" >&2; exit 5'
    study = manifest(script, parallelism=1, container={"env": [{"name": "OUT", "value": str(folder)}]})
    assert kubestudy("run", write(folder, study), cwd=folder).code == 0
    return folder


def test_version(tmp_path: Path) -> None:
    assert kubestudy("version", cwd=tmp_path).out == f"{package.__version__}\n"
    assert kubestudy("version", "-o", "json", cwd=tmp_path).json == {"version": package.__version__}


def test_help_lists_every_command(tmp_path: Path) -> None:
    out = kubestudy("--help", cwd=tmp_path).out
    for command in ("run", "validate", "crd", "trials", "best", "report", "dashboard", "version"):
        assert re.search(rf"^\s+{command}\s", out, re.MULTILINE), command


def test_crd_is_the_committed_file(tmp_path: Path) -> None:
    committed = (ROOT / "crds" / "hyperparameterstudies.kubestudy.dev.yaml").read_text()
    assert kubestudy("crd", cwd=tmp_path).out == committed
    assert kubestudy("crd", "--dir", "out", cwd=tmp_path).code == 0
    assert (tmp_path / "out" / "hyperparameterstudies.kubestudy.dev.yaml").read_text() == committed


def test_validate_says_everything_about_every_file(tmp_path: Path) -> None:
    good = write(tmp_path, manifest(), "good.yaml")
    study = manifest()
    study["spec"]["paralelism"] = 3
    study["spec"]["parameters"][0]["low"] = 2
    bad = write(tmp_path, study, "bad.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1, 2\nb: 3\n")
    done = kubestudy("validate", "good.yaml", "bad.yaml", "broken.yaml", "none.yaml", cwd=tmp_path)
    assert done.code == 2
    assert done.out == "good.yaml: valid\n"
    lines = done.err.splitlines()
    assert "bad.yaml: spec.paralelism: there is no such field: did you mean parallelism?" in lines
    assert "bad.yaml: spec.parameters[0].low: 2 is not below high (1)" in lines
    assert any(line.startswith("broken.yaml: line 2, column 2: ") for line in lines)
    assert "none.yaml: there is no such file" in lines
    found = kubestudy("validate", good, bad, "-o", "json", cwd=tmp_path)
    assert found.code == 2
    assert {problem["path"] for problem in found.json} == {"spec.paralelism", "spec.parameters[0].low"}


def test_validate_asks_optuna_too(tmp_path: Path) -> None:
    study = manifest(sampler={"name": "tpe", "options": {"n_startup": 5}})
    done = kubestudy("validate", write(tmp_path, study), cwd=tmp_path)
    assert done.code == 2
    assert "spec.sampler.options.n_startup: there is no such option: did you mean n_startup_trials?" in done.err
    assert kubestudy("run", "study.yaml", cwd=tmp_path).code == 2
    assert not (tmp_path / ".kubestudy").exists()


def test_run_prints_one_object_and_nothing_else_on_stdout(tmp_path: Path) -> None:
    path = write(tmp_path, manifest())
    done = kubestudy("run", path, "-o", "json", cwd=tmp_path)
    assert done.json["kind"] == "HyperparameterStudy"
    assert done.json["status"]["phase"] == "Complete"
    assert "trials ended" in done.err  # plain lines, since stderr is no terminal
    assert "\x1b" not in done.err
    assert yaml.safe_load(kubestudy("run", path, "-o", "yaml", cwd=tmp_path).out)["status"]["phase"] == "Complete"


def test_a_manifest_cannot_be_guessed(tmp_path: Path) -> None:
    for arguments in (["run"], ["run", "nowhere.yaml"], ["run", "nowhere.yaml", "--output", "xml"]):
        assert kubestudy(*arguments, cwd=tmp_path).code == 2


def test_trials_by_name_and_by_manifest(finished: Path) -> None:
    listed = kubestudy("trials", "demo", "-o", "json", cwd=finished).json
    assert listed == kubestudy("trials", "study.yaml", "-o", "json", cwd=finished).json
    assert listed == yaml.safe_load(kubestudy("trials", "demo", "-o", "yaml", cwd=finished).out)
    assert [trial["number"] for trial in listed] == [0, 1, 2, 3]
    assert [trial["state"] for trial in listed] == ["Failed", "Complete", "Complete", "Complete"]
    assert listed[0].keys() >= {"number", "state", "values", "params", "reason"}
    assert listed[0]["reason"] == "Error: exit code 5: no data"
    header, *rows = kubestudy("trials", "demo", cwd=finished).out.splitlines()
    assert header.split() == ["NUMBER", "STATE", "y", "x", "REASON"]
    assert [row.split()[1] for row in rows] == ["Failed", "Complete", "Complete", "Complete"]


def test_best(finished: Path) -> None:
    best = kubestudy("best", "demo", "-o", "json", cwd=finished).json
    complete = [t for t in trials(finished) if t["state"] == "Complete"]
    assert best == min(complete, key=lambda t: t["values"]["y"])


def test_a_study_that_is_not_there(finished: Path) -> None:
    for command in ("trials", "best", "report", "dashboard"):
        done = kubestudy(command, "other", cwd=finished)
        assert done.code == 1
        assert done.err.startswith("error: no study was run in .kubestudy/other (from ")
        assert done.err.endswith("can be named with --dir); there are demo\n")


def test_report_to_a_file(finished: Path, tmp_path: Path) -> None:
    done = kubestudy("report", "demo", "--to", tmp_path / "r.html", cwd=finished)
    assert done.code == 0
    assert done.out.strip() == str(tmp_path / "r.html")
    assert "no data" in (tmp_path / "r.html").read_text()


def test_dashboard_serves_the_study(finished: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serving = start("dashboard", "demo", "--port", str(port), cwd=finished)
    try:
        found: list[str] = []

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=2) as answer:
                    found[:] = [study["study_name"] for study in json.load(answer)["study_summaries"]]
            except OSError:
                return False
            return True

        until(answers, 90)
        assert found == ["demo"]
        taken = kubestudy("dashboard", "demo", "--port", str(port), cwd=finished)
        assert taken.code == 1
        assert "choose another --port" in taken.err
    finally:
        serving.send_signal(signal.SIGINT)
        try:
            serving.communicate(timeout=60)
        finally:
            serving.kill()


def test_a_reader_that_goes_away_is_no_error(finished: Path) -> None:
    done = subprocess.run(
        f"{KUBESTUDY} trials demo -o json | head -1",
        shell=True,
        cwd=finished,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_on_a_terminal_a_live_picture(tmp_path: Path) -> None:
    report = (
        "python3 -c 'import time; from kubestudy_trainer import Trial; t = Trial.current();\n"
        "for s in range(1, 9):\n  t.report(s, y=1.0 / s); time.sleep(0.25)\nt.finish(y=0.125)'"
    )
    path = write(tmp_path, manifest(report, budget={"maxTrials": 3}))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ.update(TERM="xterm-256color", COLUMNS="120", LINES="40")
        os.execv(KUBESTUDY, [KUBESTUDY, "run", str(path)])
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not chunk:
                break
            shown += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "━" in text  # the bar over the budget
    assert re.search(r"running\s+\d+ s\s+[1-8]\s+y=", text)  # a running trial with its step and last value
    assert "best: trial" in text


def test_both_packages_know_the_same_names() -> None:
    from kubestudy.api import contract

    ours = {value for name, value in vars(contract).items() if name.startswith("ENV_")}
    theirs = {value for value in vars(trainer_environment).values() if str(value).startswith("KUBESTUDY_")}
    assert ours == theirs
    from kubestudy_trainer import ExitCode

    assert {contract.EXIT_BAD_PARAMETERS, contract.EXIT_NON_FINITE, contract.EXIT_OUT_OF_MEMORY} < set(ExitCode)
    assert contract.EXIT_STOPPED in set(ExitCode)


def test_constraints_decide_what_is_best(tmp_path: Path) -> None:
    script = 'echo "{\\"values\\": {\\"y\\": $x, \\"size\\": $x}}" > "$KUBESTUDY_TERMINATION_LOG"'
    for name, limit in (("kept", 0.2), ("broken", -2.0)):
        study = manifest(script, name=name, constraints=[{"metric": "size", "min": limit, "max": limit + 1}])
        assert kubestudy("run", write(tmp_path, study), cwd=tmp_path).code == 0
    best = json.loads(kubestudy("best", "kept", "-o", "json", cwd=tmp_path).out)
    assert best["values"]["y"] >= 0.2
    listed = json.loads(kubestudy("trials", "kept", "-o", "json", cwd=tmp_path).out)
    assert best["values"]["y"] == min(t["values"]["y"] for t in listed if t["reason"] is None)
    assert any(t["reason"] and t["reason"].startswith("breaks size by") for t in listed)
    none = kubestudy("best", "broken", cwd=tmp_path)
    assert none.code == 1 and "no complete trial keeps every constraint" in none.err
