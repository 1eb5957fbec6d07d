"""What trials say of themselves is printable and bounded behind the door, whatever they say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.api import limits
from kubestudy.study.message import parse_message, reason_in
from kubestudy.study.trial import Result

# Every character, halves of surrogate pairs and terminals' orders among them.
TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["\ud800", "\x1b[2J\x1b]0;title\x07", "a\nERROR forged", "\u202e\x9b31m", "x" * 5000]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
SAID = st.fixed_dictionaries(
    {"values": _JSON | st.dictionaries(TEXTS, st.floats() | TEXTS, max_size=4)},
    optional={"curve": _JSON, "reason": TEXTS | _JSON, "message": TEXTS | _JSON},
)


def assert_clean(result: Result) -> None:
    texts = [*result.values, *result.curve, result.reason, result.message, result.invalid]
    for text in filter(None, texts):
        assert text.isprintable()
        text.encode()
    assert len(result.values) <= limits.TRIAL_METRICS.value >= len(result.curve)
    assert all(len(points) <= limits.CURVE_POINTS.value for points in result.curve.values())
    assert all(len(name) <= limits.METRIC_NAME_LENGTH.value for name in (*result.values, *result.curve))
    assert len(result.reason or "") <= limits.REASON_LENGTH.value
    assert len(result.message or "") <= limits.SENTENCE_LENGTH.value
    assert len(result.invalid or "") <= 200
    assert all(isinstance(value, float) for value in result.values.values())


@given(SAID, st.booleans())
def test_whatever_a_message_holds_comes_out_clean(said: Any, ascii_only: bool) -> None:
    result = parse_message(json.dumps(said, ensure_ascii=ascii_only))
    assert result is not None
    assert_clean(result)


@given(st.text(st.characters()) | st.text(alphabet='{}[]":,0189.eE-+ntrufalsNI \\ud', max_size=60))
def test_whatever_is_no_message_comes_out_clean(text: str) -> None:
    result = parse_message(text)
    if result is not None:
        assert_clean(result)


@pytest.mark.parametrize(
    "text",
    [
        "[" * limits.MESSAGE_BYTES.value,
        '{"values":' * 400,
        '{"values":{"a":' + "9" * 4000 + "}}",
        '{"values":{' + ",".join(f'"{i}":1' for i in range(500)) + "}}",
        '{"values":{},"curve":{"a":[' + ",".join(["[1,1]"] * 680) + "]}}",
        "x" * 10_000_000,
    ],
    ids=["deep list", "deep object", "long number", "many metrics", "many points", "long"],
)
def test_much_comes_out_bounded(text: str) -> None:
    result = parse_message(text)
    assert result is not None
    assert_clean(result)


@pytest.mark.parametrize("word", ["OutOfMemory", "a", "ImagePull:Back_Off,2", "x" * 128])
def test_a_word_is_a_reason(word: str) -> None:
    assert reason_in(word) == word
    assert parse_message(json.dumps({"values": {}, "reason": word, "message": "m"})) == Result(reason=word, message="m")


@pytest.mark.parametrize("text", ["two words", "1st", "a:", "", "a\n", "é", "x" * 129, "\x1b[31mred"])
def test_what_is_no_word_becomes_the_message(text: str) -> None:
    assert reason_in(text) is None
    result = parse_message(json.dumps({"values": {}, "reason": text, "message": "and more"}))
    assert result is not None and result.message is not None
    assert result.reason is None
    assert result.message.endswith("and more")
    assert text.split("\x1b", maxsplit=1)[0].strip()[:20] in result.message


@pytest.mark.parametrize("value", [None, 3, ["Error"], {"a": 1}])
def test_what_is_no_text_is_no_reason(value: Any) -> None:
    assert parse_message(json.dumps({"values": {"a": 1}, "reason": value, "message": value})) == Result({"a": 1.0})
