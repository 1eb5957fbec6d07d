"""What trials say is shown, logged and kept as plain lines, whatever orders to a terminal are in it."""

from __future__ import annotations

import json
from pathlib import Path

from support.study import kubestudy, manifest, trials, write

SAID = {
    "values": {"z\x1b[31m": 1, "\ud800": 2},
    "curve": {"\x1b[2J": [[1, 1]]},
    "reason": "\ud800\x1b[31m",
    "message": "a\nERROR kubestudy: forged \x1b]0;title\x07\u202e",
}
SCRIPT = r"""
case $(cat number 2>/dev/null) in
  '') echo 1 > number; cp said.json "$KUBESTUDY_TERMINATION_LOG"; exit 7 ;;
  1) echo 2 > number; cp said.json "$KUBESTUDY_TERMINATION_LOG"; exit 0 ;;
  2) echo 3 > number; printf 'x\n\033[2J\033]0;t\007\rERROR kubestudy: forged\377\n'; exit 1 ;;
  3) echo 4 > number; head -c 5000000 /dev/zero | tr '\0' '[' > "$KUBESTUDY_TERMINATION_LOG"; exit 0 ;;
  *) echo '{"values": {"y": 1}}' > "$KUBESTUDY_TERMINATION_LOG" ;;
esac
"""


def assert_plain(text: str) -> None:
    for line in text.split("\n"):
        assert line.isprintable(), ascii(line)
        assert not line.startswith("ERROR"), line


def test_no_output_passes_on_orders_to_a_terminal_or_forged_lines(tmp_path: Path) -> None:
    (tmp_path / "said.json").write_text(json.dumps(SAID))
    done = kubestudy("run", write(tmp_path, manifest(SCRIPT, budget={"maxTrials": 5}, parallelism=1)), cwd=tmp_path)
    assert_plain(done.out)
    assert_plain(done.err)
    reasons = [trial["reason"] or "" for trial in trials(tmp_path)]
    assert reasons[0].startswith("Error: \ufffd: a ERROR kubestudy: forged")
    assert reasons[1].startswith("MissingMetric: ")
    assert reasons[2].startswith("Error: exit code 1: ERROR kubestudy: forged")
    assert reasons[3].startswith("InvalidResult: its result is longer than 4096 bytes: [[[")
    for command in (
        ("trials", "demo"), ("trials", "demo", "-o", "csv"), ("trials", "demo", "-o", "yaml"), ("status", "demo"),
        ("best", "demo"), ("report", "demo"), ("list",),
    ):  # fmt: skip
        shown = kubestudy(*command, cwd=tmp_path)
        assert_plain(shown.out)
        assert_plain(shown.err)
    folder = tmp_path / ".kubestudy/demo"
    assert_plain((folder / "run.log").read_text())
    assert "forged" in (folder / "report.html").read_text()


def test_variables_that_unfold_without_end_are_an_error_and_not_the_machines_memory(tmp_path: Path) -> None:
    env = [{"name": "A0", "value": "x" * 10}]
    env += [{"name": f"A{i}", "value": f"$(A{i - 1})$(A{i - 1})"} for i in range(1, 60)]
    done = kubestudy("run", write(tmp_path, manifest(container={"env": env})), cwd=tmp_path)
    assert done.code == 1
    assert (
        "error: trial 0 cannot be started (unfolds to more than 131072 characters: $(A13)$(A13)): shorten its"
        in done.err
    )
