"""Plain tables: a row a line where that is possible, columns side by side, no cell broken but texts between words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

_GAP = "  "
# A narrower column of text is hard to read: it gets lines of its own.
_TEXT_WIDTH = 24

Row = Sequence[str]


def table_lines(columns: Row, rows: Sequence[Row], width: int | None = None) -> list[tuple[str, bool]]:
    """Lay out a table.

    Args:
        columns: The headings.
        rows: The cells of each row.
        width: How wide it may be; None for as wide as it is, a row a line.

    Returns:
        Lines, each with whether it is a heading. What is too wide has its last column wrapped between words, if that
        holds texts, and else is split into several tables, each of which repeats the first column.
    """
    cells = [[_clean(cell) for cell in row] for row in (columns, *rows)]
    if width is None or _total(_widths(cells)) <= width:
        return _lines(cells, _widths(cells))
    *fixed, _ = _widths(cells)
    left = width - _total([*fixed, 0])
    if left >= _TEXT_WIDTH and any(" " in row[-1] for row in cells[1:]):
        return _lines(cells, [*fixed, left])
    lines: list[tuple[str, bool]] = []
    for block in _blocks(_widths(cells), width):
        part = [[row[i] for i in block] for row in cells]
        *before, last = _widths(part)
        lines += [("", False)] if lines else []
        lines += _lines(part, [*before, min(last, max(_TEXT_WIDTH, width - _total([*before, 0])))])
    return lines


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return which columns stand side by side; the first one stands in every block."""
    first = widths[0]
    blocks: list[list[int]] = []
    taken = width + 1
    for column, each in enumerate(widths[1:], start=1):
        if taken + len(_GAP) + each > width:
            blocks.append([0])
            taken = first
        blocks[-1].append(column)
        taken += len(_GAP) + each
    return blocks or [[0]]


def _lines(cells: Sequence[Row], widths: Sequence[int]) -> list[tuple[str, bool]]:
    lines = []
    for number, row in enumerate(cells):
        *before, last = row
        parts = [last] if cell_width(last) <= widths[-1] else _wrapped(last, widths[-1])
        for i, part in enumerate(parts or [""]):
            shown = [*(before if i == 0 else [""] * len(before)), part]
            padded = [cell + " " * (w - cell_width(cell)) for cell, w in zip(shown, widths, strict=True)]
            lines.append((_GAP.join(padded).rstrip(), number == 0))
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _widths(cells: Sequence[Row]) -> list[int]:
    return [max(map(cell_width, column)) for column in zip(*cells, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _clean(cell: str) -> str:
    """Return a cell without line breaks, and without what a terminal would take for orders."""
    return cell if cell.isprintable() else "".join(c if c.isprintable() else " " for c in cell)


def cell_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
