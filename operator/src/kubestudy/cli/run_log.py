"""What a run logs: everything to the folder's run.log, warnings on the screen too."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler

from rich.logging import RichHandler

from kubestudy.cli.output import note
from kubestudy.cli.run_display import err
from kubestudy.controller.log_lines import TextLines
from kubestudy.local.folder import StudyFolder
from kubestudy.study.ports import StudyError

_BYTES = 5 * 1024 * 1024

log = logging.getLogger(__name__)


@contextlib.contextmanager
def logging_to(folder: StudyFolder) -> Iterator[None]:
    """Log to a study's folder.

    Raises:
        StudyError: Its log cannot be written.
    """
    root = logging.getLogger()
    try:
        file: logging.Handler = RotatingFileHandler(folder.run_log, maxBytes=_BYTES, backupCount=1)
    except OSError as error:
        raise StudyError(f"cannot write {folder.run_log}: {error.strerror}") from error
    file.setFormatter(TextLines())
    screen = RichHandler(logging.WARNING, console=err, show_path=False, show_time=False)
    screen.setFormatter(TextLines("%(message)s"))
    root.setLevel(logging.INFO)
    for handler in (file, screen):
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in (file, screen):
            root.removeHandler(handler)
            handler.close()


def remark(text: str) -> None:
    """Say something on stderr, and log it: a terminal may be gone."""
    note(text)
    log.info("%s", text)
