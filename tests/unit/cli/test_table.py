"""Tables on narrow terminals: numbers stay whole, whatever the width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kubestudy.cli.table import cell_width, table_lines

COLUMNS = ("NUMBER", "STATE", "val_accuracy", "lr", "width", "REASON")
ROWS = [
    ("0", "Complete", "0.983333", "0.0004821", "112", "-"),
    ("11", "Failed", "-", "0.9971", "16", "Error: exit code 5: no data was found in the folder"),
]


def texts(width: int | None) -> list[str]:
    return [line for line, _ in table_lines(COLUMNS, ROWS, width)]


def test_a_row_is_a_line_where_nobody_limits_it() -> None:
    assert texts(None) == [
        "NUMBER  STATE     val_accuracy  lr         width  REASON",
        "0       Complete  0.983333      0.0004821  112    -",
        "11      Failed    -             0.9971     16     Error: exit code 5: no data was found in the folder",
    ]


def test_the_last_column_wraps_between_words() -> None:
    lines = texts(80)
    assert lines[1] == "0       Complete  0.983333      0.0004821  112    -"
    assert lines[2:] == [
        "11      Failed    -             0.9971     16     Error: exit code 5: no data",
        "                                                  was found in the folder",
    ]


def test_what_does_not_fit_stands_below_under_its_number() -> None:
    assert texts(42) == [
        "NUMBER  STATE     val_accuracy  lr",
        "0       Complete  0.983333      0.0004821",
        "11      Failed    -             0.9971",
        "",
        "NUMBER  width",
        "0       112",
        "11      16",
        "",
        "NUMBER  REASON",
        "0       -",
        "11      Error: exit code 5: no data was",
        "        found in the folder",
    ]


def test_headings_are_told_apart() -> None:
    assert [heading for _, heading in table_lines(COLUMNS, ROWS)] == [True, False, False]


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    ((_, _), (line, _)) = table_lines(("A",), [("x\x1b[2Jy\nz",)])
    assert line == "x [2Jy z"


def test_wide_letters_take_two_columns() -> None:
    assert cell_width("学習") == 4
    lines = [line for line, _ in table_lines(("A", "B"), [("学習", "1"), ("abcd", "2")])]
    assert lines == ["A     B", "学習  1", "abcd  2"]


@given(
    st.lists(st.lists(st.floats(allow_nan=False).map(lambda x: f"{x:.6g}"), min_size=5, max_size=5), max_size=4),
    st.integers(min_value=16, max_value=120),
)
def test_no_number_is_ever_broken(rows: list[list[str]], width: int) -> None:
    columns = ("NUMBER", "STATE", "loss", "lr", "momentum")
    lines = [line for line, _ in table_lines(columns, rows, width)]
    words = " ".join(lines).split()
    assert {cell for row in rows for cell in row} <= set(words)
    longest = max(len(cell) for row in (columns, *rows) for cell in row)
    assert all(len(line) <= max(width, 2 * longest + 2) for line in lines)
