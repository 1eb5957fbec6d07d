"""A cluster that KUBECONFIG names and that cannot be used is told of in one sentence, before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.cluster.access import why_not_the_given_one, write_kubeconfig
from support.cluster.processes import free_port
from support.study import ROOT


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "there is no such file"), ("root:x:0", "no kubeconfig that can be used"), ("{}", "no kubeconfig that can")],
    ids=["missing", "garbage", "empty"],
)
def test_a_file_that_is_none(text: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    why = why_not_the_given_one()
    assert why is not None
    assert why.startswith(f"KUBECONFIG is {path}: ")
    assert says in why
    assert why.endswith("Unset it to test on a cluster of its own")


def test_two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"one{os.pathsep}two")
    assert "name one file" in str(why_not_the_given_one())


def test_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert why_not_the_given_one() is None


def test_no_test_begins_where_no_server_answers(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", {"server": f"http://127.0.0.1:{free_port()}"}, "token")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cluster/test_study.py"],
        cwd=ROOT, env={**os.environ, "KUBECONFIG": str(path)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    told = [line for line in (done.stdout + done.stderr).splitlines() if "KUBECONFIG" in line]
    assert len(told) == 1
    assert f"KUBECONFIG is {path}: its server does not answer" in told[0]
    assert "Connection refused" in told[0]
