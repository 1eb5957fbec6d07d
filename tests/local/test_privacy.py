"""What a run keeps is its user's own: a manifest may hold secrets in its env."""

from __future__ import annotations

from pathlib import Path

from support.study import SQUARE, kubestudy, manifest, write


def modes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mode & 0o777 for name in ("study.yaml", "storage.json")}


def test_only_the_user_may_enter_what_a_run_keeps(tmp_path: Path) -> None:
    study = write(tmp_path, manifest(SQUARE, budget={"maxTrials": 1}))
    assert kubestudy("run", study, cwd=tmp_path).code == 0
    base = tmp_path / ".kubestudy"
    assert [path.stat().st_mode & 0o777 for path in (base, base / "demo")] == [0o700, 0o700]
    assert set(modes(base / "demo").values()) == {0o600}


def test_a_folder_that_is_there_stays_as_open_as_it_is_and_its_manifest_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "shared" / "demo"
    folder.mkdir(parents=True, mode=0o755)
    folder.chmod(0o755)
    (folder / "study.yaml").write_text("")
    (folder / "study.yaml").chmod(0o644)
    study = write(tmp_path, manifest(SQUARE, budget={"maxTrials": 1}))
    done = kubestudy("run", study, "--dir", folder, cwd=tmp_path)
    assert done.code == 0, done.err
    assert folder.stat().st_mode & 0o777 == 0o755
    assert set(modes(folder).values()) == {0o600}
    assert "Complete" in kubestudy("status", "demo", "--dir", folder, cwd=tmp_path).out
