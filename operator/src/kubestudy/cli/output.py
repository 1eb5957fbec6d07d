"""Where output goes: what was asked for on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

# In a file or a pipe a row is one line, however long.
_FILE_WIDTH = 10_000

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _FILE_WIDTH)
err = Console(stderr=True, highlight=False)


class Format(StrEnum):
    """Output formats."""

    JSON = "json"
    YAML = "yaml"
    TABLE = "table"


def emit(data: Any, form: Format) -> None:
    """Print data on stdout as JSON or YAML."""
    if form is Format.JSON:
        typer.echo(json.dumps(data, indent=2, allow_nan=False, default=str))
    else:
        typer.echo(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), nl=False)


def emit_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stdout: a plain table that fits a terminal and that `awk` can read."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(escape(column), overflow="fold", no_wrap=not out.is_terminal)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    out.print(table, soft_wrap=False)


def complain(text: str) -> None:
    """Print an error on stderr."""
    for line in text.splitlines():
        err.print(escape(line), style="red", soft_wrap=True)


def note(text: str) -> None:
    """Print a remark on stderr."""
    err.print(escape(text), soft_wrap=True)
