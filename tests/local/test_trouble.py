"""Full disks and folders that cannot be written: a clear error, and nothing lost."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from support.study import KUBESTUDY, SQUARE, kubestudy, manifest, write


def in_small_world(tmp_path: Path, size: str, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands where `small` is a file system of its own, of some size; gone when they end."""
    (tmp_path / "small").mkdir()
    script = " ; ".join([f"mount -t tmpfs -o size={size} none small", *commands])
    # Who is not root may still mount in a user namespace of his own.
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    return subprocess.run(
        [*unshare, "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_full_disk_ends_the_run_with_a_clear_error_and_it_goes_on_once_there_is_space(tmp_path: Path) -> None:
    path = write(tmp_path, manifest("head -c 20000 /dev/zero | tr '\\0' 'x'; " + SQUARE, budget={"maxTrials": 30}))
    run = f"{shlex.quote(KUBESTUDY)} run {path} --dir small/demo"
    done = in_small_world(
        tmp_path,
        "300k",
        f"{run} -o json > out1 2> err1; echo $? > code1",
        "mount -o remount,size=100m small",
        f"{run} -o json > out2 2> err2; echo $? > code2",
        f"{shlex.quote(KUBESTUDY)} trials demo --dir small/demo > trials",
    )
    assert done.returncode == 0, done.stderr
    first = (tmp_path / "err1").read_text()
    assert (tmp_path / "code1").read_text().strip() == "1", first
    assert "the disk is full" in first
    assert "Traceback" not in first
    assert (tmp_path / "code2").read_text().strip() == "0", (tmp_path / "err2").read_text()
    assert "Resumed" in (tmp_path / "err2").read_text()
    rows = (tmp_path / "trials").read_text().splitlines()[1:]
    assert [int(row.split()[0]) for row in rows] == list(range(30))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, manifest())
    done = in_small_world(
        tmp_path, "1m", "mount -o remount,ro small", f"{shlex.quote(KUBESTUDY)} run {path} --dir small/demo"
    )
    assert done.returncode == 1
    assert "small/demo cannot be used" in done.stderr
    assert "choose another folder with --dir" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    done = kubestudy("run", write(tmp_path, manifest()), "--dir", "taken", cwd=tmp_path)
    assert done.code == 1
    assert "error: the folder taken cannot be used" in done.err
