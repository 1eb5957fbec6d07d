"""The folder of one trial: what it was given, said, and left behind."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubestudy.api.limits import EXIT_FILE_BYTES, LOG_END_BYTES, MESSAGE_BYTES, PARAMETERS_FILE_BYTES
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

    def is_of_another(self, params: Mapping[str, Any]) -> bool:
        """Tell whether what is in the folder came of other parameters: the storage lost the trial of this number."""
        if not (self.exit.exists() or self.message.exists() or self.has_checkpoint):
            return False
        try:
            return bool(json.loads(_read(self.params, PARAMETERS_FILE_BYTES.value)) != json.loads(json.dumps(params)))
        except (OSError, ValueError, RecursionError):
            return True

    def set_aside(self) -> Path:
        """Move the folder out of the way; return where it is now.

        Raises:
            StudyError: It cannot be moved.
        """
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        try:
            return self.path.rename(aside)
        except OSError as error:
            raise unusable(self.path, error) from error

    def read_exit(self) -> Ended | None:
        """Return how the last execution ended; None if it has not, or nobody saw it."""
        try:
            return ended_in(self.number, _read(self.exit, EXIT_FILE_BYTES.value))
        except (OSError, ProtocolError):
            return None

    def read_message(self) -> str:
        """Return the termination message, one byte further than it may be long; empty if there is none."""
        try:
            return _read(self.message, MESSAGE_BYTES.value + 1).decode(errors="replace")
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


def _read(path: Path, most: int) -> bytes:
    """Read a file that a program may have made, up to a number of bytes.

    Raises:
        OSError: There is none, or it is something else, such as a pipe, which would be waited for without end.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        return file.read(most)


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
