"""The operator's log lines: text or JSON, passwords masked, each with the study it is about.

Which study that is goes by context: whatever a study's task starts, other tasks and threads, is about that study too.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

from kubestudy.api.limits import LOG_LINE, LOG_TRACEBACK
from kubestudy.api.text import clean, printable
from kubestudy.search.passwords import masked

_study: ContextVar[tuple[str, str] | None] = ContextVar("study", default=None)

# kopf tells of each event, and the client of each retry.
_QUIET = ("kopf", "kubernetes", "aiohttp", "alembic")


@contextlib.contextmanager
def about(namespace: str, name: str) -> Iterator[None]:
    """Say that what is logged meanwhile, here and by whatever is started here, is about a study."""
    token = _study.set((namespace, name))
    try:
        yield
    finally:
        _study.reset(token)


class TextLines(logging.Formatter):
    """One line a record: time, level, logger, `namespace/study:` where it is about one, and what is said.

    Only an error's traceback takes more lines, which begin with spaces: nothing that is said can pass for a line.

    Args:
        form: What a line is made of.
    """

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(name)s: %(about)s%(message)s") -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        study = _study.get()
        record.about = "" if study is None else f"{study[0]}/{study[1]}: "
        record.message = _said(record)
        record.asctime = self.formatTime(record)
        return "\n    ".join([self.formatMessage(record), *_traceback(self, record)])


class JsonLines(logging.Formatter):
    """One JSON object a record, with `namespace` and `study` where it is about one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if (study := _study.get()) is not None:
            said["namespace"], said["study"] = study
        said["message"] = _said(record)
        if traceback := _traceback(self, record):
            said["exception"] = "\n".join(traceback)
        return json.dumps(said)


def _said(record: logging.LogRecord) -> str:
    """Return what is said in a line; passwords are masked before it is cut, so that none loses its end by that."""
    return clean(masked(record.getMessage()[: 2 * LOG_LINE.value]), LOG_LINE.value)


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    if not record.exc_info:
        return []
    text = masked(formatter.formatException(record.exc_info)[: 2 * LOG_TRACEBACK.value])
    return [printable(line) for line in text[: LOG_TRACEBACK.value].splitlines()]


def configure(form: Literal["text", "json"]) -> None:
    """Write the log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
