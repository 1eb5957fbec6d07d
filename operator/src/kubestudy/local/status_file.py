"""A study's status beside it: `status.json` in its folder, written by its run, read by commands that show it.

It is a view, as the status of an object in a cluster is: never read back by a run.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kubestudy.api.status import StudyStatus
from kubestudy.local.folder import StudyFolder
from kubestudy.study.view import LiveTrial, View, live_as_data, live_from_data

log = logging.getLogger(__name__)

NAME = "status.json"
WRITE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run wrote last.

    Attributes:
        status: The study's status.
        live: The trials that lived then.
    """

    status: StudyStatus
    live: tuple[LiveTrial, ...] = ()


class StatusFile:
    """Writes a study's status, once a second at most; what it came to in the end is written in any case.

    Where it cannot be written, the run goes on: nothing depends on it.

    Args:
        folder: The study's folder.
        clock: Monotonic seconds.
    """

    def __init__(self, folder: StudyFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = _path(folder)
        self._now = clock
        self._next = 0.0
        self._failed = False

    def show(self, view: View) -> None:
        """Take the study's newest state."""
        last = view.status.phase not in ("Pending", "Running")
        if not last and self._now() < self._next:
            return
        self._next = self._now() + WRITE_SECONDS
        status = view.status.model_dump(mode="json", by_alias=True, exclude_none=True)
        draft = self._path.with_suffix(".new")
        try:
            draft.write_text(json.dumps({"status": status, "live": [live_as_data(trial) for trial in view.live]}))
            draft.replace(self._path)
        except OSError as error:
            if not self._failed:
                log.warning("%s cannot be written: %s", self._path, error.strerror)
            self._failed = True


def read_status(folder: StudyFolder) -> Recorded | None:
    """Return what a study's run wrote last; None if there is nothing that can be read."""
    try:
        kept = json.loads(_path(folder).read_text())
        status = StudyStatus.model_validate(kept["status"], by_alias=True, by_name=False)
        return Recorded(status, tuple(live_from_data(trial) for trial in kept["live"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        log.warning("%s is passed over: %s", _path(folder), error)
        return None


def _path(folder: StudyFolder) -> Path:
    return folder.path / NAME
