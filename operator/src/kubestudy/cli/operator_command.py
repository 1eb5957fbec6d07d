"""`kubestudy operator`: settings, log, and on to the controller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kubestudy.cli.exits import Exit
from kubestudy.cli.output import complain
from kubestudy.cluster.api import ApiError
from kubestudy.controller import log_lines
from kubestudy.controller.http import PortError
from kubestudy.controller.operator import operate
from kubestudy.controller.settings import Settings
from kubestudy.search.passwords import masked


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
            name, *inside = map(str, detail["loc"])
            where = ": ".join([f"--{name.replace('_', '-')} (KUBESTUDY_{name.upper()})", *inside])
            said = str(detail["msg"]).removeprefix("Value error, ")
            # Headers may hold a token, which no log is to have.
            given_as = "" if name == "prometheus_headers" else f", not {masked(str(detail['input']))!r}"
            complain(f"error: {where}: {said}{given_as}")
        return Exit.INVALID
    log_lines.configure(settings.log_format)
    try:
        return Exit.COMPLETED if asyncio.run(operate(settings)) else Exit.FAILED
    except (ApiError, PortError) as error:
        complain(f"error: {error}")
    return Exit.FAILED
