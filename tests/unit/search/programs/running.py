"""Runs a program of this folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[3]


def run(program: str) -> None:
    """Run a program in an interpreter of its own: what is imported there, and in which order, is its subject."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / program)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT / 'docs'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
