"""Output that cannot be written, or not with every letter: one sentence, no traceback, an exit code that says so."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from support.study import KUBESTUDY, ROOT, SQUARE, kubestudy, manifest, write


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a study was run, with a trial whose reason holds letters beyond ASCII."""
    folder = tmp_path_factory.mktemp("finished")
    script = (
        f'[ -d "$OUT/first" ] && {{ {SQUARE}; exit; }}; mkdir "$OUT/first"; echo "größer als 1 → zu groß" >&2; exit 5'
    )
    study = manifest(script, parallelism=1, container={"env": [{"name": "OUT", "value": str(folder)}]})
    assert kubestudy("run", write(folder, study), cwd=folder).code == 0
    return folder


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `kubestudy` is what is tested."""
    path = f"{Path(KUBESTUDY).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env={**os.environ, "PATH": path, **environment}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip


COMMANDS = ["trials demo", "trials demo -o json", "trials demo -o csv", "best demo -o yaml", "list", "status demo"]
OTHERS = ["--help", "version", "crd", f"validate {ROOT / 'examples/beale.yaml'}", "logs demo 0"]


@pytest.mark.parametrize("command", [*COMMANDS, *OTHERS])
def test_a_full_disk_is_one_sentence(finished: Path, command: str) -> None:
    done = shell(f"kubestudy {command} > /dev/full", finished)
    assert done.stderr == "error: cannot write the output: No space left on device\n"
    assert done.returncode == 1


def test_a_full_disk_is_one_sentence_where_python_does_not_buffer(finished: Path) -> None:
    done = shell("kubestudy list > /dev/full", finished, PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("command", ["trials demo", "list", "--help", "logs demo 0"])
def test_a_closed_output_is_one_sentence(finished: Path, command: str) -> None:
    done = shell(f"kubestudy {command} >&-", finished)
    assert done.stderr == "error: cannot write the output: Bad file descriptor\n"
    assert done.returncode == 1


def test_a_closed_output_is_no_place_for_files(finished: Path) -> None:
    """The next file that is opened would get the descriptor, and what is printed would go into it."""
    before = (finished / ".kubestudy/demo/journal.log").read_bytes()
    shell("kubestudy trials demo <&- >&- 2>&-", finished)
    assert (finished / ".kubestudy/demo/journal.log").read_bytes() == before


@pytest.mark.parametrize("stream", ["2>&-", "2> /dev/full"])
def test_where_nothing_can_be_told_the_command_works(finished: Path, stream: str) -> None:
    done = shell(f"kubestudy trials demo -o json {stream}", finished)
    assert len(json.loads(done.stdout)) == 4
    assert done.returncode == 0
    assert shell(f"kubestudy run study.yaml {stream}", finished).returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_letters_that_the_encoding_lacks_are_escaped(finished: Path, command: str) -> None:
    path = f"{Path(KUBESTUDY).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"kubestudy {command}"], cwd=finished, capture_output=True, timeout=120, check=False,
        env={**os.environ, "PATH": path, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    done.stdout.decode("ascii")


def test_what_the_encoding_lacks_is_still_the_same_data(finished: Path) -> None:
    for form in ("json", "yaml"):
        plain = shell(f"kubestudy trials demo -o {form}", finished).stdout
        escaped = shell(f"kubestudy trials demo -o {form}", finished, PYTHONIOENCODING="ascii").stdout
        assert escaped.isascii()
        assert yaml.safe_load(escaped) == yaml.safe_load(plain)
        assert "größer als 1 → zu groß" in yaml.safe_load(plain)[0]["reason"]


@pytest.mark.parametrize("command", ["trials demo", "trials demo -o json", "crd", "--help"])
def test_a_reader_that_goes_away_ends_it_quietly(finished: Path, command: str) -> None:
    done = shell(f"set -o pipefail; kubestudy {command} | true", finished)
    assert done.stderr == ""
