"""What commands ask of a study on this machine: `request.json` in its folder, which its run looks at.

A study of a cluster has `spec.suspend` and `spec.stop` for that, which commands patch. Here the manifest is the user's
own file and another process runs the study, so what is asked for is kept beside it and goes before the manifest.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubestudy.api.study import HyperparameterStudy
from kubestudy.local.folder import StudyFolder
from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

NAME = "request.json"
LOOK_SECONDS = 1.0
_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a study.

    Attributes:
        suspend: Whether it is to stand still; None for as the manifest says.
        stop: Whether it is to end; None for as the manifest says.
    """

    suspend: bool | None = None
    stop: bool | None = None

    def applied_to(self, study: HyperparameterStudy) -> HyperparameterStudy:
        """Return the study as it is to be run: the manifest, and what was asked for since."""
        asked = {"suspend": self.suspend, "stop": self.stop}
        changed = {name: value for name, value in asked.items() if value is not None}
        return study.model_copy(update={"spec": study.spec.model_copy(update=changed)}) if changed else study


def read_request(folder: StudyFolder) -> Request:
    """Return what is asked of a study; nothing if the file is missing, or is none of ours."""
    try:
        with _path(folder).open("rb") as file:
            kept = json.loads(file.read(_MAX_BYTES))
        asked = {name: kept.get(name) for name in ("suspend", "stop")}
    except FileNotFoundError:
        return Request()
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s is passed over: %s", _path(folder), error)
        return Request()
    return Request(**{name: value for name, value in asked.items() if isinstance(value, bool)})


def write_request(folder: StudyFolder, request: Request) -> None:
    """Ask something of a study, instead of what was asked before.

    Raises:
        StudyError: The folder cannot be written to.
    """
    path = _path(folder)
    draft = path.with_suffix(".new")
    try:
        if request == Request():
            path.unlink(missing_ok=True)
            return
        draft.write_text(json.dumps({"suspend": request.suspend, "stop": request.stop}) + "\n")
        draft.replace(path)
    except OSError as error:
        raise StudyError(f"cannot write {path}: {error.strerror}") from error


async def watch(folder: StudyFolder, on_change: Callable[[Request], None], seconds: float = LOOK_SECONDS) -> None:
    """Tell of each change of what is asked of a study, until cancelled.

    Args:
        folder: The study's folder.
        on_change: Told of what is asked for now. What is there at the beginning is no change.
        seconds: How often to look.
    """
    known = read_request(folder)
    while True:
        await asyncio.sleep(seconds)
        found = read_request(folder)
        if found != known:
            known = found
            log.info("asked for: %s", found)
            on_change(found)


def _path(folder: StudyFolder) -> Path:
    return folder.path / NAME
