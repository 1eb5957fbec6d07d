"""A trial's process gets what its pod's container would."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from support.study import kubestudy, manifest, trials, write

DUMP = 'env > "$OUT/$KUBESTUDY_STUDY.env"; printf "%s\\n" "$@" > "$OUT/args"; pwd > "$OUT/pwd";'
RESULT = ' echo "{\\"values\\": {\\"y\\": 1}}" > "$KUBESTUDY_TERMINATION_LOG"'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    study = manifest(
        DUMP + RESULT,
        parameters=[
            {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
            {"name": "only_a", "type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["a"]}},
            {"name": "only_b", "type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
            {"name": "flag", "type": "categorical", "choices": [True, False]},
        ],
        budget={"maxTrials": 1},
        container={
            "args": ["sh", "--kind=$(kind)", "$(FULL)", "$$(kind)", "$(kind", "100$", "$$$(kind)"],
            "env": [
                {"name": "OUT", "value": str(tmp_path)},
                {"name": "BASE", "value": "base"},
                {"name": "FULL", "value": "$(BASE)/$(kind)/$(LATER)"},
                {"name": "LATER", "value": "late"},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
        },
    )
    done = kubestudy("run", write(tmp_path, study), cwd=tmp_path, env={"SECRET_OF_MINE": "x", "LC_ALL": "C.UTF-8"})
    assert done.code == 0, done.err
    lines = (tmp_path / "demo.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_parameters_system_variables_and_the_containers_own(environment: dict[str, str], tmp_path: Path) -> None:
    kind = environment["kind"]
    (trial,) = json.loads(environment["KUBESTUDY_TRIALS"])
    assert trial["number"] == 0
    assert trial["params"]["kind"] == kind
    assert environment["flag"] == ("true" if trial["params"]["flag"] else "false")
    active, inactive = ("only_a", "only_b") if kind == "a" else ("only_b", "only_a")
    assert float(environment[active]) == trial["params"][active]
    assert environment[inactive] == ""
    assert inactive not in trial["params"]
    assert environment["KUBESTUDY_OBJECTIVES"] == "y"
    assert environment["KUBESTUDY_METRICS_PORT"].isdigit()
    assert environment["POD"] == "demo-0"
    # As Kubernetes expands: only what was defined before; what is unknown stays as it is written.
    assert environment["FULL"] == f"base/{kind}/$(LATER)"
    args = (tmp_path / "args").read_text().splitlines()
    assert args == [f"--kind={kind}", environment["FULL"], "$(kind)", "$(kind", "100$", f"${kind}"]


def test_nothing_else_of_the_users_own_environment(environment: dict[str, str], tmp_path: Path) -> None:
    assert "SECRET_OF_MINE" not in environment
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["PATH"]
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert (tmp_path / "pwd").read_text().strip() == str(tmp_path.resolve())  # the manifest's folder


def test_cpu_threads_follow_the_limit_else_a_share_of_the_cores(tmp_path: Path) -> None:
    script = 'echo "{\\"values\\": {\\"y\\": $OMP_NUM_THREADS}}" > "$KUBESTUDY_TERMINATION_LOG"'
    limited = manifest(script, budget={"maxTrials": 1}, container={"resources": {"limits": {"cpu": "3"}}})
    done = kubestudy("run", write(tmp_path, limited), "-o", "json", cwd=tmp_path)
    assert done.json["status"]["best"]["values"] == {"y": 3}
    shared = manifest(script, name="shared", budget={"maxTrials": 1}, parallelism=1000)
    done = kubestudy("run", write(tmp_path, shared), "-o", "json", cwd=tmp_path)
    assert done.json["status"]["best"]["values"] == {"y": 1}


WAITING = 'echo "$OMP_WAIT_POLICY $GOMP_SPINCOUNT" > "$OUT/waiting";' + RESULT


@pytest.mark.parametrize(
    ("chosen", "container", "seen"),
    [
        ({}, [], "PASSIVE "),
        ({"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "7"}, [], "ACTIVE 7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, [{"name": "OMP_WAIT_POLICY", "value": "passive"}], "passive "),
    ],
)
def test_openmps_threads_sleep_while_they_wait_unless_the_user_says_otherwise(
    tmp_path: Path, chosen: dict[str, str], container: list[dict[str, str]], seen: str
) -> None:
    environment = [{"name": "OUT", "value": str(tmp_path)}, *container]
    study = manifest(WAITING, budget={"maxTrials": 1}, container={"env": environment})
    assert kubestudy("run", write(tmp_path, study), cwd=tmp_path, env=chosen).code == 0
    assert (tmp_path / "waiting").read_text().strip("\n") == seen


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch comes with GNU's OpenMP on Linux")
@pytest.mark.parametrize(
    ("container", "spins"), [([], "0"), ([{"name": "OMP_WAIT_POLICY", "value": "ACTIVE"}], "30000000000")]
)
def test_how_often_the_openmp_library_of_warm_trials_looks_before_it_sleeps(
    tmp_path: Path, container: list[dict[str, str]], spins: str
) -> None:
    study = manifest(
        "",
        objectives=[{"metric": "val_accuracy", "goal": "maximize"}],
        parameters=[{"name": "lr", "type": "float", "low": 0.01, "high": 0.1}],
        budget={"maxTrials": 1},
        container={
            "command": [], "image": "kubestudy/trainer:0.1.0", "env": container,
            "args": ["--model=mlp", "--dataset=digits", "--epochs=1", "--lr=$(lr)"],
            "resources": {"limits": {"cpu": 3}},
        },
    )  # fmt: skip
    # The library says so itself, on the standard error of the process that loads it: the supervisor, which is told of
    # three threads. Packages bring copies of their own.
    done = kubestudy("run", write(tmp_path, study), cwd=tmp_path, env={"OMP_DISPLAY_ENV": "verbose"})
    assert done.code == 0, done.err
    shown = [dict(re.findall(r"(\w+) = '(.*)'", part)) for part in done.err.split("OPENMP DISPLAY ENVIRONMENT BEGIN")]
    supervisors = [settings["GOMP_SPINCOUNT"] for settings in shown if settings.get("OMP_NUM_THREADS") == "3"]
    assert supervisors
    assert set(supervisors) == {spins}


def test_gpus_are_shared_out_by_limits(tmp_path: Path) -> None:
    script = (
        ': "$x"; echo "$CUDA_VISIBLE_DEVICES" >> "$OUT/seen"; mkdir "$OUT/gpu-$CUDA_VISIBLE_DEVICES" || exit 9;'
        ' sleep 0.3; rmdir "$OUT/gpu-$CUDA_VISIBLE_DEVICES";' + RESULT
    )
    study = manifest(
        script,
        budget={"maxTrials": 6},
        parallelism=6,
        container={
            "resources": {"limits": {"nvidia.com/gpu": 1}},
            "env": [{"name": "OUT", "value": str(tmp_path)}],
        },
    )
    done = kubestudy(
        "run", write(tmp_path, study), "-o", "json", cwd=tmp_path, env={"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    )
    # A trial that met another on its GPU would have failed.
    assert done.json["status"]["trials"]["complete"] == 6, done.err
    assert done.json["status"]["used"]["gpuSeconds"] >= 6 * 0.3
    assert set((tmp_path / "seen").read_text().split()) == {"GPU-a", "GPU-b"}
    assert "warning" not in done.err


def test_without_a_gpu_one_warning_and_the_cpu(tmp_path: Path) -> None:
    study = manifest(container={"resources": {"limits": {"nvidia.com/gpu": 1}}})
    done = kubestudy("run", write(tmp_path, study), cwd=tmp_path, env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.code == 0
    assert done.err.count("warning:") == 1
    assert "trials run on the CPU" in done.err


def test_an_image_cannot_be_run_without_a_command(tmp_path: Path) -> None:
    study = manifest(container={"command": [], "image": "registry.example.org/mine:1", "args": ["-c", "exit 3"]})
    path = write(tmp_path, study)
    refused = kubestudy("run", path, cwd=tmp_path)
    assert refused.code == 2
    assert "containers[0].command" in refused.err
    assert "--exec" in refused.err
    assert not (tmp_path / ".kubestudy").exists()
    study["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"] = [RESULT]
    done = kubestudy("run", write(tmp_path, study), "--exec", "sh -c", cwd=tmp_path)
    assert done.code == 0, done.err


def test_a_secret_is_taken_from_the_users_environment_or_asked_for(tmp_path: Path) -> None:
    study = manifest(
        'test "$TOKEN" = abc &&' + RESULT,
        container={"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]},
    )
    path = write(tmp_path, study)
    refused = kubestudy("run", path, cwd=tmp_path)
    assert refused.code == 2
    assert "env[0].valueFrom: secretKeyRef is known to a cluster only" in refused.err
    assert "TOKEN=..." in refused.err
    assert kubestudy("run", path, cwd=tmp_path, env={"TOKEN": "abc"}).code == 0
    assert all(trial["state"] == "Complete" for trial in trials(tmp_path))


def test_a_promql_objective_needs_a_cluster(tmp_path: Path) -> None:
    study = manifest(objectives=[{"promql": "up", "goal": "maximize"}])
    refused = kubestudy("run", write(tmp_path, study), cwd=tmp_path)
    assert refused.code == 2
    assert "spec.objectives[0].promql" in refused.err


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("no-such-program", "no-such-program is no program on this machine"),
        ("train.py", "train.py is no program on this machine; was it meant to be python train.py?"),
        ("./train.py", "./train.py is a file that cannot be executed; was it meant to be python ./train.py?"),
    ],
)
def test_a_program_that_is_not_here_ends_the_run_before_any_trial(command: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    if not command.startswith("./"):
        (tmp_path / "train.py").unlink()
    study = manifest("", container={"command": [command]})
    done = kubestudy("run", write(tmp_path, study), cwd=tmp_path)
    assert done.code == 2
    assert f"containers[0].command[0]: {complaint}" in done.err
    assert not (tmp_path / ".kubestudy").exists()
