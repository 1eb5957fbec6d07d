"""Where output goes: what was asked for on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TextIO

from kubestudy.api.text import printable
from kubestudy.cli.table import Row, table_lines

_RED, _BOLD = "31", "1"


class Format(StrEnum):
    """Output formats of lists."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


class ObjectFormat(StrEnum):
    """Output formats of one object."""

    JSON = "json"
    YAML = "yaml"


def say(text: str) -> None:
    """Print a line on stdout, without what a terminal would take for orders."""
    print("\n".join(map(printable, text.split("\n"))))


def complain(text: str) -> None:
    """Print an error on stderr."""
    _tell(text, _RED)


def note(text: str) -> None:
    """Print a remark on stderr."""
    _tell(text, "")


def _tell(text: str, style: str) -> None:
    # Where nothing can be told, the command goes on all the same.
    with contextlib.suppress(OSError):
        for line in text.splitlines():
            # To whatever stands for stderr now: a live picture lets lines through above itself.
            print(_styled(printable(line), style, sys.stderr), file=sys.stderr)


def _styled(text: str, style: str, stream: TextIO) -> str:
    """Return a text in a style (SGR parameters), where a stream is a terminal."""
    plain = not style or not text or not stream.isatty() or os.environ.get("NO_COLOR")
    return text if plain else f"\x1b[{style}m{text}\x1b[0m"


def emit(data: Any, form: Format | ObjectFormat) -> None:
    """Print data on stdout as JSON or YAML."""
    if form.value == "json":
        print(json.dumps(data, indent=2, allow_nan=False, default=str))
        return
    import yaml

    every_letter = (sys.stdout.encoding or "").lower().startswith("utf")
    print(yaml.safe_dump(data, sort_keys=False, allow_unicode=every_letter), end="")


def emit_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows on stdout as CSV (RFC 4180 with plain line ends); what is None is empty, and truth is as in JSON.

    A file gets every text as it is, a terminal without what it would take for orders.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    shown = printable if sys.stdout.isatty() else str
    writer.writerow(map(shown, columns))
    writer.writerows([_csv_cell(cell, shown) for cell in cells] for cells in rows)


def _csv_cell(cell: Any, shown: Callable[[str], str]) -> Any:
    if isinstance(cell, bool):
        return str(cell).lower()
    return shown(cell) if isinstance(cell, str) else cell


def emit_table(columns: Row, rows: Sequence[Row]) -> None:
    """Print rows on stdout: a plain table that fits a terminal and that `awk` can read."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line, heading in table_lines(columns, rows, width):
        print(_styled(line, _BOLD if heading else "", sys.stdout))
