"""The studies that the operator was killed over, at work: who is one, whose try it is, and what is kept of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from kubestudy.api.reasons import Hindrance
from kubestudy.controller.work_notes import WorkNotes
from kubestudy.planning.quarantine import CLEARED_SECONDS, Suspects
from kubestudy.study.ports import Trouble

log = logging.getLogger(__name__)

_CROWD_SECONDS = 30.0
_LOOK_SECONDS = 0.5


class Quarantine:
    """The suspects (and, for the pool, who notes what is worked on).

    Args:
        notes: The notes.
        crowd: Returns how many studies wait for a thread: a suspect's try begins when none does.
    """

    def __init__(self, notes: WorkNotes | None = None, crowd: Callable[[], int] = lambda: 0) -> None:
        self._notes = notes or WorkNotes()
        self.crowd = crowd
        self._suspects = Suspects()
        self._turn = asyncio.Lock()
        self._alone: str | None = None
        self._passed: dict[str, float] = {}

    def begin(self) -> None:
        """Begin to take notes, and make suspects of those that an operator before this one left."""
        left = self._notes.open()
        self._suspects = self._notes.suspects()
        if left:
            self._suspects = self._suspects.after_end(left)
            self._notes.keep(self._suspects)
            studies = ", ".join(note.uid for note in left)
            log.warning("the operator before this one was killed while it worked on these studies: %s", studies)
        self._notes.clear_all()

    def only(self, uids: Iterable[str]) -> None:
        """Forget the studies that are gone."""
        for uid in self._suspects.kills.keys() - set(uids):
            self._clear(uid)

    def close(self) -> None:
        """Take no more notes."""
        self._notes.close()

    # --- what the pool tells ---------------------------------------------------------------------------------------

    def begins(self, slot: int, key: str) -> None:
        """A thread begins to work on a study."""
        self._notes.write(slot, key, alone=key == self._alone)

    def ends(self, slot: int) -> None:
        """It has come to its end."""
        self._notes.clear(slot)

    # --- a study's try ---------------------------------------------------------------------------------------------

    def pause(self, uid: str) -> float:
        """Return how many seconds a study is to wait before it is tried; none if it is no suspect."""
        return self._suspects.pause(uid)

    def trouble(self, uid: str) -> Trouble:
        """Return what is said of a suspect."""
        kills, pause = self._suspects.kills.get(uid, 0), self.pause(uid)
        times = "once" if kills == 1 else f"{kills} times in a row"
        return Trouble(
            Hindrance.QUARANTINED,
            f"the operator was killed {times} while it worked on this study, which may be why; it is tried by itself in"
            f" {pause:.0f} s, and when its spec changes. Options of its sampler that cost less, or more memory for the"
            " operator, may mend that",
        )

    async def enter(self, uid: str) -> None:
        """Wait for a suspect's turn; anybody else goes on at once. It holds the turn until `passed` or `left`."""
        if uid not in self._suspects.kills or self._alone == uid:
            return
        await self._turn.acquire()
        self._alone = uid
        loop = asyncio.get_running_loop()
        until = loop.time() + _CROWD_SECONDS
        try:
            while self.crowd() and loop.time() < until:
                await asyncio.sleep(_LOOK_SECONDS)
        except asyncio.CancelledError:
            self.left(uid)
            raise

    def passed(self, uid: str) -> None:
        """A study's loop turned: a suspect's try is over, and after a while so is the suspicion."""
        if uid not in self._suspects.kills:
            return
        now = asyncio.get_running_loop().time()
        self.left(uid)
        if now - self._passed.setdefault(uid, now) >= CLEARED_SECONDS:
            self._clear(uid)

    def left(self, uid: str) -> None:
        """A study's try is over, whatever came of it."""
        if self._alone == uid:
            self._alone = None
            self._turn.release()

    def over(self, uid: str) -> None:
        """A study ended, or is gone: it is no suspect any more."""
        self.left(uid)
        if uid in self._suspects.kills:
            self._clear(uid)

    def _clear(self, uid: str) -> None:
        self._passed.pop(uid, None)
        self._suspects = self._suspects.without(uid)
        self._notes.keep(self._suspects)
