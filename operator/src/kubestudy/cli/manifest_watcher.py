"""Watches the manifest of a study that is being run, and what its trials run: edits are taken, or told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

from kubestudy.api.manifest import load
from kubestudy.api.problems import ManifestError
from kubestudy.api.study import HyperparameterStudy
from kubestudy.cli.live_edit import live_edit
from kubestudy.local.container import Machine, problems_here
from kubestudy.local.recipe import digest_of, named_files
from kubestudy.search.search_checks import search_problems

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0

_Signature: TypeAlias = tuple[int, int, int] | None
_UNSEEN: _Signature = (-1, -1, -1)


class ManifestWatcher:
    """Looks at files again and again; polling works on every file system, and an editor may replace a file.

    Args:
        file: The manifest.
        study: The study as it was loaded.
        machine: What trials get of this machine.
        take: Called with the study that the run is to go by from now on.
        tell: Called with a sentence for the user.
        seconds: How long to wait between two looks.
    """

    def __init__(
        self,
        file: Path,
        study: HyperparameterStudy,
        machine: Machine,
        take: Callable[[HyperparameterStudy], None],
        tell: Callable[[str], None],
        seconds: float = WATCH_SECONDS,
    ) -> None:
        self._study = study
        self._machine = machine
        self._take = take
        self._tell = tell
        self._seconds = seconds
        self._manifest = _Watched(file)
        files = named_files(study.spec, machine)
        self._files = {name: _Watched(path, digest_of(path)) for name, path in files.items()}

    async def watch(self) -> NoReturn:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            if await asyncio.to_thread(self._manifest.changed):
                await self._read()
            for name, file in self._files.items():
                if await asyncio.to_thread(file.changed):
                    self._tell(
                        f"warning: {name} has changed while the study runs: trials that start from now on run what it"
                        " is now, and their results stand beside those of the old one"
                    )

    async def _read(self) -> None:
        """Take what the manifest says now, as far as that can be."""
        file, going_on = self._manifest.path, "the study goes on by what it was"
        if self._manifest.digest is None:
            self._tell(f"warning: {file} is gone; {going_on}")
            return
        try:
            wanted = await asyncio.to_thread(load, file, search_problems)
            problems = problems_here(wanted, self._machine)
            if problems:
                raise ManifestError(str(file), problems)
        except ManifestError as error:
            self._tell(f"warning: {file} was changed and is not valid now; {going_on}:\n{error}")
            return
        edit = live_edit(self._study, wanted)
        self._study = edit.study
        for sentence in edit.left:
            self._tell(f"warning: {file}: {sentence}")
        for sentence in edit.taken:
            self._tell(f"{file}: {sentence}: the study goes by it from now on")
        if edit.taken:
            self._take(edit.study)


class _Watched:
    """A file, and what of it was seen last.

    Args:
        path: The file.
        digest: What tells the contents that are known from others; None: none are known yet.
    """

    def __init__(self, path: Path, digest: str | None = None) -> None:
        self.path = path
        self.digest = digest
        self._read = self._last = _UNSEEN

    def changed(self) -> bool:
        """Tell whether its contents are others than before; one that is just being written, only when that is over."""
        signature = self._signature()
        settled, self._last = signature == self._last, signature
        if not settled or signature == self._read:
            return False
        self._read = signature
        before, self.digest = self.digest, digest_of(self.path)
        return self.digest != before

    def _signature(self) -> _Signature:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
