"""The folder of one trial: what it was given, said, and left behind."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from kubestudy.api.limits import EXIT_FILE_BYTES, LOG_END_BYTES, MESSAGE_BYTES
from kubestudy.api.text import clean
from kubestudy.local.protocol import Ended, ProtocolError, ended_in
from kubestudy.study.ports import StudyError


class TrialFolder:
    """The folder of one trial.

    Args:
        path: Where it is, or is to be.
        number: The trial's number.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.log = path / "trial.log"
        self.message = path / "result.json"
        self.params = path / "params.json"
        self.exit = path / "exit.json"
        self.checkpoint = path / "checkpoint"

    def prepare(self, params: dict[str, Any]) -> None:
        """Make the folder for an execution, without the message of an earlier one.

        Raises:
            StudyError: It cannot be written to.
        """
        try:
            if not self.path.is_dir():
                self.checkpoint.mkdir(parents=True, exist_ok=True)
                self.params.write_text(json.dumps(params) + "\n")
            else:
                self.message.unlink(missing_ok=True)
                self.exit.unlink(missing_ok=True)
                self.checkpoint.mkdir(exist_ok=True)
        except OSError as error:
            raise unusable(self.path, error) from error

    @property
    def has_checkpoint(self) -> bool:
        """Whether an execution left something for the next one to go on from."""
        return any(self.checkpoint.glob("*"))

    def read_exit(self) -> Ended | None:
        """Return how the last execution ended; None if it has not, or nobody saw it."""
        try:
            with self.exit.open("rb") as file:
                return ended_in(self.number, file.read(EXIT_FILE_BYTES.value))
        except (OSError, ProtocolError):
            return None

    def read_message(self) -> str:
        """Return the termination message, as far as a container's would be read; empty if there is none."""
        try:
            with self.message.open("rb") as file:
                return file.read(MESSAGE_BYTES.value).decode(errors="replace")
        except OSError:
            return ""

    def last_line(self) -> str:
        """Return the last line of the log that says anything."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_END_BYTES.value))
                lines = file.read(LOG_END_BYTES.value).decode(errors="replace").splitlines()
        except OSError:
            return ""
        return clean(next((line for line in reversed(lines) if line.strip()), ""))


def unusable(path: Path, error: OSError) -> StudyError:
    """Return the error that says why a folder cannot be used, and what to do."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            why = "the disk is full; free some space and run the same command again"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            why = f"it is not writable ({error.strerror}); choose another folder with --dir"
        case _:
            why = error.strerror or str(error)
    return StudyError(f"the folder {path} cannot be used: {why}")
