"""Expansion of $(NAME), quantities, durations, and how values are written into an environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.api.expansion import expand, references
from kubestudy.api.quantity import number_of, seconds_of
from kubestudy.api.text import clean
from kubestudy.api.values import Value, as_text, environment_of, same
from kubestudy.api.yaml_text import bare_words, worded_booleans


# The cases of Kubernetes' own expansion test (third_party/forked/golang/expansion/expand_test.go).
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(VAR_A)", "A"),
        ("___$(VAR_B)___", "___B___"),
        ("$(VAR_C)", "C"),
        ("$(VAR_A)-$(VAR_B)", "A-B"),
        ("$(VAR_DNE)", "$(VAR_DNE)"),
        ("$$(VAR_A)", "$(VAR_A)"),
        ("$$$(VAR_A)", "$A"),
        ("$$$$(VAR_A)", "$$(VAR_A)"),
        ("foo$$(VAR_A)bar", "foo$(VAR_A)bar"),
        ("$VAR_A", "$VAR_A"),
        ("$(VAR_A", "$(VAR_A"),
        ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
        ("$$", "$"),
        ("$", "$"),
        ("foo$", "foo$"),
        ("$()", "$()"),
        ("\n", "\n"),
        ("$(VAR_REF)", "$(VAR_A)"),
        ("$?", "$?"),
        ("(VAR_A)", "(VAR_A)"),
    ],
)
def test_expansion_is_that_of_kubernetes(text: str, expected: str) -> None:
    assert expand(text, {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)"}) == expected


@given(st.text(alphabet="$()aB_ ", max_size=30))
def test_a_text_without_references_expands_to_itself_but_for_doubled_dollars(text: str) -> None:
    if not references(text):
        assert expand(text, {}) == expand(text, {"a": "1", "B": "2"})
    assert expand(text.replace("$", "$$"), {"a": "1", "": "2"}) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "90", "h", "1 h", "-1h", "1w", "1h\n", "1h-", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("2", 2),
        (2, 2),
        ("500m", 0.5),
        ("1Gi", 2**30),
        ("1k", 1000),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 1e18),
        ("1.5Mi", 1.5 * 2**20),
        (".5", 0.5),
        ("5.", 5),
        ("+1", 1),
        ("-1", -1),
        (0.5, 0.5),
        ("0", 0),
        ("100n", 1e-07),
    ],
)
def test_quantities(quantity: str | float, number: float) -> None:
    assert number_of(quantity) == pytest.approx(number)


@pytest.mark.parametrize("quantity", ["", "lots", "1 Gi", "1gi", "1e", "Gi", "1Gi\n", "1e99999999999999999999"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        number_of(quantity)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (1, "1"), (1.0, "1.0"), (0.1, "0.1"), (1e-5, "1e-05"), ("a b", "a b")],
)
def test_values_are_written_exactly(value: Value, text: str) -> None:
    assert as_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_its_text(value: float) -> None:
    assert float(as_text(value)) == value


def test_one_and_true_are_two_values() -> None:
    assert same(1, 1)
    assert not same(1, True)
    assert not same(1, 1.0)


def test_an_inactive_parameter_is_the_empty_text() -> None:
    assert environment_of({"a": True}, ["a", "b"]) == {"a": "true", "b": ""}


def test_words_that_kubectl_takes_for_booleans_are_told_of() -> None:
    (warning,) = bare_words("parameters:\n- {name: y, type: float}\n- {name: 'n', type: float}\n")
    assert warning == 'line 2: kubectl takes a bare y for a boolean: write "y"'


def test_choices_that_are_words_and_are_read_as_booleans_are_told_of() -> None:
    text = """
suspend: yes
parameters:
- {name: a, choices: [yes, "no", true, x]}
- name: b
  choices: [a, b]
  when: {a: [Off, on]}
"""
    assert worded_booleans(text) == [
        'line 4: a bare yes is the boolean true, and reaches the program so: write "yes" for the word',
        'line 7: a bare Off is the boolean false, and reaches the program so: write "Off" for the word',
        'line 7: a bare on is the boolean true, and reaches the program so: write "on" for the word',
    ]
    assert worded_booleans('{"choices": [true, "yes"]}') == []


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("as it is: 3 µm, 漢字", "as it is: 3 µm, 漢字"),
        ("two\nlines\r\nand\ta tab\u2028too", "two lines and a tab too"),
        ("\x1b[1;31mred\x1b[0m, \x1b]0;a title\x07\x9b2Jcleared", "red, cleared"),
        ("\x1b\x1b[0m[31mred \x1b", "red \ufffd"),
        ("\ud800 and \u202e", "\ufffd and \ufffd"),
        ("", ""),
    ],
)
def test_what_came_from_outside_is_one_printable_line(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.characters(), max_size=300), st.integers(0, 100))
def test_a_cleaned_text_is_printable_bounded_and_stays_as_it_is(text: str, length: int) -> None:
    line = clean(text, length)
    assert line.isprintable()
    assert len(line) <= length
    line.encode()
    assert clean(line, length) == line


def test_a_long_text_is_cut_and_says_so() -> None:
    assert clean("a" * 10_000_000, 10) == "aaaaaaa..."
    assert clean(" " * 10_000_000, 10) == "..."
