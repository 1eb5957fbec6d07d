"""Study folders in which something was damaged between two runs, and trials that leave odd things in the place of a
result.
"""

from __future__ import annotations

import json
from pathlib import Path

from support.study import SQUARE, kubestudy, manifest, trials, write

RESULT = '"$KUBESTUDY_TERMINATION_LOG"'


def test_trials_that_the_journal_lost_are_run_anew_and_told_of(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(SQUARE, budget={"maxTrials": 8}))
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    journal = tmp_path / ".kubestudy/demo/journal.log"
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])
    again = kubestudy("run", path, cwd=tmp_path)
    assert again.code == 0, again.err
    assert "and the last run had 8: it was cut, or an older one took its place" in " ".join(again.err.split())
    found = trials(tmp_path)
    assert len(found) == 8
    for trial in found:
        assert abs(trial["values"]["y"] - trial["params"]["x"] ** 2) < 1e-4, trial
        kept = json.loads((tmp_path / f".kubestudy/demo/trials/{trial['number']:05d}/params.json").read_text())
        assert kept == trial["params"]


def test_results_that_are_none_are_named_and_hold_up_nothing(tmp_path: Path) -> None:
    leaves = f"""case $(echo "$KUBESTUDY_TRIALS" | cut -d, -f1 | tr -dc 0-9) in
    0) rm -f {RESULT}; mkfifo {RESULT};;
    1) head -c 100000 /dev/zero | tr '\\0' 1 > {RESULT};;
    2) echo '{{"values": null}}' > {RESULT};;
    *) {SQUARE};;
    esac"""
    path = write(tmp_path, manifest(leaves, budget={"maxTrials": 4, "maxFailedTrials": 4}, parallelism=1))
    done = kubestudy("run", path, cwd=tmp_path)
    assert done.code == 0, done.err
    reasons = [trial["reason"] for trial in trials(tmp_path)]
    assert reasons[0].startswith("NoResult")
    assert "is longer than 4096 bytes" in reasons[1]
    assert "has values that are no object" in reasons[2]
    assert reasons[3] is None


def test_a_record_that_is_damaged_is_no_leave_to_mix_results(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(SQUARE, budget={"maxTrials": 2}))
    assert kubestudy("run", path, cwd=tmp_path).code == 0
    (tmp_path / ".kubestudy/demo/storage.json").write_text('{"x": ')
    path = write(tmp_path, manifest(SQUARE, budget={"maxTrials": 3}))
    refused = kubestudy("run", path, cwd=tmp_path)
    assert (refused.code, "storage.json is damaged" in " ".join(refused.err.split())) == (1, True)
    assert kubestudy("run", path, "--accept-changes", cwd=tmp_path).code == 0
    assert len(trials(tmp_path)) == 3
