"""A trial that is told to end before it is one ends all the same."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from kubestudy.local.protocol import Start
from kubestudy.local.trial_process import fork_trial, parent_death, signal_trial


@pytest.mark.parametrize("moment", ["setsid", "chdir"])
def test_a_trial_that_is_told_to_end_on_its_way_ends(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Start(0, 0, ("sleep", "60"), (), dict(os.environ), str(tmp_path), str(tmp_path / "log"), "", 1.0, None)
    reached, go_on = os.pipe(), os.pipe()
    real = getattr(os, moment)

    def stop_first(*args: object) -> object:
        os.write(reached[1], b"x")
        os.read(go_on[0], 1)
        return real(*args)

    monkeypatch.setattr(os, moment, stop_first)
    # As in the supervisor, which leaves such signals to the run.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        pid = fork_trial(order, (), parent_death())
        os.read(reached[0], 1)
        signal_trial(pid, signal.SIGTERM)
        os.write(go_on[1], b"xxx")
        deadline = time.monotonic() + 30
        ended, status = os.waitpid(pid, os.WNOHANG)
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
            ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        assert ended == pid
        assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
        for fd in (*reached, *go_on):
            os.close(fd)
