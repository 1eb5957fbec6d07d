"""Who is shown a run on this machine: the person who sits before it, and whoever looks at its folder."""

from __future__ import annotations

from kubestudy.local.folder import StudyFolder
from kubestudy.local.status_file import StatusFile
from kubestudy.study.announcer import Listener
from kubestudy.study.ports import Event
from kubestudy.study.view import View


class Recorder:
    """Passes on what happens, and records where the study is (implements the loop's `Listener`).

    Args:
        listener: Who is shown what happens.
        folder: The study's folder.
    """

    def __init__(self, listener: Listener, folder: StudyFolder) -> None:
        self._listener = listener
        self._file = StatusFile(folder)

    def show(self, view: View) -> None:
        """Take the study's newest state."""
        self._listener.show(view)
        self._file.show(view)

    def tell(self, event: Event) -> None:
        """Take something worth telling a person."""
        self._listener.tell(event)
