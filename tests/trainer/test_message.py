"""The termination message: always valid JSON, never too large, objectives exact."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy_trainer.curve import Curve, rung, thin
from kubestudy_trainer.message import LIMIT_BYTES, TerminationMessage, encode, write
from kubestudy_trainer.reasons import Reason

# Surrogates too: a message may quote a file name that was no UTF-8.
texts = st.text(st.characters(exclude_categories=()))
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
curves = st.lists(st.tuples(st.integers(0, 2**40), st.floats()), max_size=500, unique_by=lambda point: point[0]).map(
    sorted
)


def decoded(payload: bytes) -> dict:
    assert len(payload) <= LIMIT_BYTES
    return json.loads(payload.decode(), parse_constant=pytest.fail)


@given(
    objectives=st.lists(names, max_size=4, unique=True),
    others=st.dictionaries(names, st.floats(), max_size=40),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4),
    curve=st.dictionaries(names, curves, max_size=4),
    reason=st.none() | st.sampled_from(Reason),
    message=st.none() | texts | texts.map(lambda text: text * 3000),
    tail=st.none() | texts | texts.map(lambda text: text * 3000),
    trial=st.none() | st.integers(0, 2**63),
)
def test_any_message_is_json_that_fits_and_keeps_the_objectives(
    objectives, others, numbers, curve, reason, message, tail, trial
):
    values = {**others, **dict(zip(objectives, numbers, strict=False))}
    encoded = encode(TerminationMessage(trial, values, curve, reason, message, tail), objectives)
    content = decoded(encoded.payload)
    assert content["trial"] == trial
    assert content["reason"] == reason
    for name in objectives:
        assert content["values"][name] == values[name]
    assert len(content["values"]) + len(encoded.dropped) == len(values)
    if content["message"] is not None:
        assert "\n" not in content["message"]


def test_values_round_trip_and_curves_are_rounded():
    message = TerminationMessage(3, {"loss": 0.1 + 0.2}, {"loss": [(1, 1 / 3), (2, 2.0)]})
    assert encode(message, ["loss"]).payload == (
        b'{"version":1,"trial":3,"values":{"loss":0.30000000000000004},'
        b'"curve":{"loss":[[1,0.333333],[2,2.0]]},"reason":null,"message":null}'
    )


def test_numbers_that_json_lacks_are_strings():
    values = {"a": math.nan, "b": math.inf, "c": -math.inf}
    content = decoded(encode(TerminationMessage(1, values, {"a": [(1, math.nan)]}), ["a"]).payload)
    assert content["values"] == {"a": "NaN", "b": "Infinity", "c": "-Infinity"}
    assert content["curve"] == {"a": [[1, "NaN"]]}


def test_objectives_come_first_when_curves_do_not_fit():
    long = [(step, step / 7) for step in range(1, 2000)]
    content = decoded(encode(TerminationMessage(1, {}, {"other": long, "goal": long}), ["goal"]).payload)
    assert next(iter(content["curve"])) == "goal"
    steps = [step for step, _ in content["curve"]["goal"]]
    assert steps[:64] == list(range(1, 65)), "the finest rungs that fit keep every step to 64"
    assert steps[-1] == 1999
    assert len(content["curve"].get("other", [])) < len(steps)


def test_a_traceback_goes_before_the_curve_does():
    points = [(step, 0.5) for step in range(1, 300)]
    encoded = encode(TerminationMessage(1, {}, {"goal": points}, Reason.ERROR, "E: x", "line\n" * 2000), ["goal"])
    content = decoded(encoded.payload)
    assert len(content["curve"]["goal"]) == 299
    assert content["tail"].endswith("line\n")
    assert len(encoded.payload) > LIMIT_BYTES - 10


def test_objectives_that_no_message_can_hold_are_an_error():
    values = {f"{number:0200}": 1.0 for number in range(30)}
    with pytest.raises(ValueError, match="30 objectives take 6"):
        encode(TerminationMessage(1, values), list(values))
    assert encode(TerminationMessage(1, values), []).dropped


def test_writing_truncates_what_was_there_and_keeps_the_file(tmp_path: Path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 5000)
    inode = path.stat().st_ino
    write(path, b"{}")
    assert path.read_bytes() == b"{}"
    assert path.stat().st_ino == inode


@given(steps=st.lists(st.integers(0, 2**50), unique=True, min_size=1).map(sorted), bits=st.integers(1, 6))
def test_thinning_keeps_each_rungs_first_point_and_the_last(steps, bits):
    points = [(step, float(index)) for index, step in enumerate(steps)]
    kept = thin(points, bits)
    assert kept[-1] == points[-1]
    assert {rung(step, bits) for step in steps} == {rung(step, bits) for step, _ in kept}
    assert len(kept) <= len({rung(step, bits) for step in steps}) + 1
    assert thin(thin(points, 6), bits) == kept


def test_rungs_have_that_many_significant_bits():
    assert [rung(step, 2) for step in (0, 1, 2, 3, 5, 6, 7, 13, 16)] == [0, 1, 2, 3, 4, 6, 6, 12, 16]


def test_a_curve_keeps_the_last_value_of_a_step_and_bounded_memory():
    curve = Curve()
    curve.add(0, 1.0)
    curve.add(0, 2.0)
    for step in range(1, 100_000):
        curve.add(step, float(step))
    points = curve.points()
    assert points[0] == (0, 2.0)
    assert points[-1] == (99_999, 99_999.0)
    assert len(points) <= 4096
    assert [step for step, _ in thin(points, 6)] == [
        step for step, _ in thin([(step, 0.0) for step in range(100_000)], 6)
    ]
