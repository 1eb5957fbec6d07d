"""`kubestudy operator`: settings, log, and on to the controller."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kubestudy.cli.exits import Exit
from kubestudy.cli.output import complain
from kubestudy.cluster.api import ApiError
from kubestudy.controller.http import PortError
from kubestudy.controller.operator import operate
from kubestudy.controller.settings import Settings
from kubestudy.search.storage import masked


def run_operator(given: Mapping[str, Any]) -> Exit:
    """Run the operator until it is told to stop.

    Args:
        given: Settings by flag; they go before those by environment.

    Returns:
        COMPLETED when it was told to stop; INVALID for wrong settings; FAILED otherwise.
    """
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for detail in error.errors():
            field = "_".join(str(part) for part in detail["loc"])
            flag = f"--{field.replace('_', '-')} (KUBESTUDY_{field.upper()})"
            complain(f"error: {flag}: {detail['msg']}, not {masked(str(detail['input']))!r}")
        return Exit.INVALID
    _log(settings.log_format)
    try:
        return Exit.COMPLETED if asyncio.run(operate(settings)) else Exit.FAILED
    except (ApiError, PortError) as error:
        complain(f"error: {error}")
    return Exit.FAILED


class _Masked(logging.Formatter):
    """One line a record, passwords masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return masked(super().format(record))


class _Json(logging.Formatter):
    """One JSON object a record, passwords masked."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            said["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(said)


def _log(form: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Masked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # kopf tells of each event, and the client of each retry.
    for name in ("kopf", "kubernetes", "aiohttp", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
