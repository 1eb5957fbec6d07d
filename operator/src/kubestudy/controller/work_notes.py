"""A small file that says which studies the operator is working on right now, for the one that follows if it is killed.

Each thread of the pool has a slot of fixed size in it, which is written in place before and after each call: two
microseconds, no sync. What a process has written is there after its SIGKILL; after a crash of the machine it need not
be, and nobody is to blame then. Beside it another file keeps the suspects.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from pathlib import Path

from kubestudy.planning.quarantine import Note, Suspects

log = logging.getLogger(__name__)

SLOT_BYTES = 64
_SLOTS = 64
_FREE, _WORKING, _ALONE = b" ", b"W", b"A"
_BLANK = b" " * (SLOT_BYTES - 1) + b"\n"
_MOST_BYTES = 2**20


class WorkNotes:
    """The notes of one operator; without a folder nothing is noted, and nothing known.

    Args:
        folder: Where they are kept; it has to outlive the process.
        name: What tells the notes of several operators in one folder apart.
    """

    def __init__(self, folder: Path | None = None, name: str = "operator") -> None:
        self._folder, self._name = folder, name
        self._file: int | None = None

    def open(self) -> list[Note]:
        """Begin to take notes; return those that an operator before this one left when it ended without order.

        They stay until `clear_all`: so none is lost if this one is killed before it made something of them.
        """
        if self._folder is None:
            return []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._folder / f"{self._name}.working", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("what is worked on is not noted, so a study that kills the operator goes unknown: %s", error)
            return []
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.warning("what is worked on is not noted: another operator takes notes in %s", self._folder)
            os.close(file)
            return []
        found = os.pread(file, _SLOTS * SLOT_BYTES, 0)
        self._file = file
        slots = (found[at : at + SLOT_BYTES] for at in range(0, len(found), SLOT_BYTES))
        notes = [note for note in map(_read, slots) if note is not None]
        return list({note.uid: note for note in notes}.values())

    def write(self, slot: int, uid: str, *, alone: bool) -> None:
        """Note that a thread begins to work on a study; no more is kept of a uid than a slot takes."""
        if self._file is not None:
            line = (_ALONE if alone else _WORKING) + uid.encode(errors="replace")[: SLOT_BYTES - 2]
            os.pwrite(self._file, line.ljust(SLOT_BYTES - 1) + b"\n", slot * SLOT_BYTES)

    def clear(self, slot: int) -> None:
        """Note that a thread works on nothing."""
        if self._file is not None:
            os.pwrite(self._file, _BLANK, slot * SLOT_BYTES)

    def clear_all(self) -> None:
        """Note that nothing is worked on."""
        for slot in range(_SLOTS):
            self.clear(slot)

    def close(self) -> None:
        """Take no more notes; what is noted stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def suspects(self) -> Suspects:
        """Return the suspects as they were kept; none where that cannot be read."""
        if self._file is None or self._folder is None:
            return Suspects()
        try:
            with (self._folder / f"{self._name}.suspects").open() as file:
                kept = json.loads(file.read(_MOST_BYTES))
            return Suspects({str(uid): max(1, int(kills)) for uid, kills in kept.items()})
        except FileNotFoundError:
            return Suspects()
        except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            log.warning("the list of studies that the operator was killed over cannot be read: %s", error)
            return Suspects()

    def keep(self, suspects: Suspects) -> None:
        """Keep the suspects."""
        if self._file is None or self._folder is None:
            return
        try:
            draft = self._folder / f"{self._name}.suspects.new"
            draft.write_text(json.dumps(dict(suspects.kills)))
            draft.replace(self._folder / f"{self._name}.suspects")
        except OSError as error:
            log.warning("the list of studies that the operator was killed over is not kept: %s", error)


def _read(slot: bytes) -> Note | None:
    kind, uid = slot[:1], slot[1:].strip().decode(errors="replace")
    if kind not in (_WORKING, _ALONE) or not uid:
        return None
    return Note(uid, alone=kind == _ALONE)
