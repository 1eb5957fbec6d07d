"""A study's folder: where its journal, its trials' logs and results, and its report are kept.

```
.kubestudy/NAME/
  lock             held by whoever runs the study
  study.yaml       the manifest of the last run
  journal.log      Optuna's journal (unless the storage is a database)
  storage.json     which study in which storage this is, and what its trials run
  status.json      its status, as its run saw it last
  request.json     what commands ask of it (suspend, stop)
  report.html
  run.log
  trials/00007/    params.json  trial.log  result.json (termination message)  exit.json  checkpoint/
```
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from kubestudy.local.private_files import make_private_folder
from kubestudy.local.trial_folder import TrialFolder, unusable
from kubestudy.study.ports import StudyError

DEFAULT_BASE = Path(".kubestudy")


class StudyFolder:
    """The folder of one study.

    Args:
        path: Where it is, or is to be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd: int | None = None

    @property
    def journal(self) -> Path:
        """Optuna's journal file."""
        return self.path / "journal.log"

    @property
    def storage_record(self) -> Path:
        """Which study in which storage this folder belongs to."""
        return self.path / "storage.json"

    @property
    def manifest(self) -> Path:
        """The manifest of the last run."""
        return self.path / "study.yaml"

    @property
    def logs(self) -> Path:
        """The trials' logs, as a pattern."""
        return self.path / "trials" / "*" / "trial.log"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def run_log(self) -> Path:
        """What the last runs logged."""
        return self.path / "run.log"

    def trial(self, number: int) -> TrialFolder:
        """Return the folder of a trial."""
        return TrialFolder(self.path / "trials" / f"{number:05d}", number)

    @property
    def trials(self) -> int:
        """How many trials have a folder in it."""
        return sum(1 for _ in self.path.glob("trials/*"))

    def make(self) -> None:
        """Make the folder.

        Raises:
            StudyError: It cannot be made or written to.
        """
        try:
            if self.path.parent.name == DEFAULT_BASE.name:
                make_private_folder(self.path.parent)
            make_private_folder(self.path)
            probe = self.path / f".writable-{os.getpid()}"
            probe.write_bytes(b"x")
            probe.unlink()
        except OSError as error:
            raise unusable(self.path, error) from error

    def lock(self, timeout: float) -> None:
        """Hold the study's lock, so that no two runs meet; it is let go of when every holder has ended.

        Args:
            timeout: Seconds to wait for trials of a run that was killed to end.

        Raises:
            StudyError: Another run holds it.
        """
        try:
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unusable(self.path, error) from error
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                holder = _read_pid(fd)
                if holder is not None and _alive(holder):
                    os.close(fd)
                    raise StudyError(
                        f"the study in {self.path} is being run already (process {holder}): wait for it or stop it"
                    ) from None
                if time.monotonic() >= deadline:
                    os.close(fd)
                    raise StudyError(
                        f"trials of an earlier run in {self.path} have not ended within {timeout:.0f} s:"
                        " end their processes and try again"
                    ) from None
                time.sleep(0.1)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = fd

    @property
    def is_run(self) -> bool:
        """Whether a run, or a trial of one, holds the lock now."""
        try:
            with (self.path / "lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    @property
    def lock_fd(self) -> int:
        """The descriptor of the lock that `lock` took."""
        if self._lock_fd is None:
            raise StudyError(f"the study in {self.path} is not locked")
        return self._lock_fd

    def discard(self) -> None:
        """Take back a folder that holds nothing but its lock: nothing was ever run in it."""
        try:
            if [path.name for path in self.path.iterdir()] == ["lock"]:
                (self.path / "lock").unlink()
                self.path.rmdir()
                self.path.parent.rmdir()
        except OSError:
            return  # other studies are beside it

    def unlock(self) -> None:
        """Let go of the lock."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def set_aside(self) -> Path | None:
        """Move the folder out of the way under a free name, for a study that starts anew.

        Returns:
            Where it is now; None if there was none.
        """
        if not self.path.exists():
            return None
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        self.path.rename(aside)
        return aside


def folder_of(name: str, directory: Path | None) -> StudyFolder:
    """Return the folder of a study: the one the user named, else `.kubestudy/NAME` beside where one stands."""
    return StudyFolder(directory if directory is not None else DEFAULT_BASE / name)


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
