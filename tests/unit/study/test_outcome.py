"""What becomes of a trial, and what its last message says, whatever it is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.planning.plan import StopCause
from kubestudy.study.message import parse_message
from kubestudy.study.outcome import Complete, Failed, Pruned, Requeue, Stopped, outcome_of
from kubestudy.study.trial import End, Result
from support.manifests import LOSS, spec_of

SPEC = spec_of()
TWO = spec_of(objectives=[LOSS, {"metric": "accuracy", "goal": "maximize"}])
CURVE = {"loss": ((1, 0.5),)}


def ended(
    *, succeeded: bool = True, interrupted: bool = False, reason: str = "Error", detail: str = "exit 1", **said: Any
) -> End:
    return End(succeeded, interrupted, reason, detail, Result(**said) if said else None)


@pytest.mark.parametrize(
    ("end", "cause", "expected"),
    [
        (ended(values={"loss": 1.0}, curve=CURVE), None, Complete((1.0,), CURVE)),
        (ended(values={"loss": 1.0, "other": math.nan}), None, Complete((1.0,), {})),
        # told to stop, but finished first: its values count
        *[(ended(values={"loss": 1.0}), cause, Complete((1.0,), {})) for cause in StopCause],
        # told to stop, and stopped
        (ended(succeeded=False, interrupted=True, curve=CURVE), StopCause.PRUNED, Pruned(CURVE)),
        (ended(succeeded=False, interrupted=True), StopCause.ENDED, Stopped({})),
        (ended(succeeded=False, interrupted=True), StopCause.SUSPENDED, Requeue("it was stopped for now")),
        (ended(succeeded=True, reason="Completed"), StopCause.PRUNED, Pruned({})),
        (ended(succeeded=False, values={"loss": 1.0}), StopCause.PRUNED, Pruned({})),
        # nobody's fault
        (ended(succeeded=False, interrupted=True, detail="preempted"), None, Requeue("preempted")),
        # its own fault
        (ended(succeeded=False, reason="OOMKilled", detail="d"), None, Failed("OOMKilled", "d", {})),
        (ended(succeeded=False, values={"loss": 1.0}, detail="d"), None, Failed("Error", "d", {})),
        (
            End(False, False, "Error", "exit 1", Result(curve=CURVE, message="nan at step 3")),
            None,
            Failed("Error", "nan at step 3", CURVE),
        ),
    ],
)
def test_what_becomes_of_a_trial(end: End, cause: StopCause | None, expected: Any) -> None:
    outcome = outcome_of(end, cause, SPEC)
    assert (outcome if isinstance(outcome, Requeue) else replace(outcome, metrics={})) == expected


@pytest.mark.parametrize("succeeded", [True, False])
def test_every_final_value_is_kept_with_what_became_of_a_trial(succeeded: bool) -> None:
    values = {"loss": 1.0, "train_loss": 2.0}
    outcome = outcome_of(ended(succeeded=succeeded, values=values), None, SPEC)
    assert not isinstance(outcome, Requeue) and outcome.metrics == values


def test_what_a_trial_says_of_its_failure_is_kept() -> None:
    end = End(False, False, "Error", "exit 3", Result(reason="NonFinite", message="loss is nan"))
    assert outcome_of(end, None, SPEC) == Failed("NonFinite", "loss is nan", {})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_a_failure(value: float) -> None:
    outcome = outcome_of(ended(values={"loss": value}), None, SPEC)
    assert isinstance(outcome, Failed) and outcome.reason == "NonFiniteMetric"


def test_a_missing_metric_is_named_beside_those_reported() -> None:
    outcome = outcome_of(ended(values={"loss": 1.0, "acc": 2.0}), None, TWO)
    assert isinstance(outcome, Failed) and outcome.reason == "MissingMetric"
    assert "acc, loss" in outcome.message and "without accuracy" in outcome.message


def test_a_trial_without_a_result_is_told_how_to_write_one() -> None:
    outcome = outcome_of(End(True, False, "Completed", "", None), None, SPEC)
    assert isinstance(outcome, Failed) and outcome.reason == "NoResult"
    assert "KUBESTUDY_TERMINATION_LOG" in outcome.message


_RESULTS = st.none() | st.builds(
    Result,
    values=st.dictionaries(st.sampled_from(["loss", "accuracy", "x"]), st.floats()),
    reason=st.none() | st.just("Why"),
    message=st.none() | st.just("why"),
)
_ENDS = st.builds(End, st.booleans(), st.booleans(), st.just("Error"), st.just("detail"), _RESULTS)


@given(_ENDS, st.none() | st.sampled_from(StopCause))
def test_only_a_success_with_finite_values_is_complete_and_only_the_unblamed_run_again(
    end: End, cause: StopCause | None
) -> None:
    outcome = outcome_of(end, cause, TWO)
    values = end.result.values if end.result else {}
    finished = end.succeeded and bool(values)
    good = finished and all(math.isfinite(values.get(o.name, math.nan)) for o in TWO.objectives)
    assert isinstance(outcome, Complete) == good
    if isinstance(outcome, Complete):
        assert outcome.values == (values["loss"], values["accuracy"])
    if isinstance(outcome, Requeue):
        assert not finished
        assert cause is StopCause.SUSPENDED or (cause is None and end.interrupted)
    if isinstance(outcome, Pruned):
        assert cause is StopCause.PRUNED
    if isinstance(outcome, Stopped):
        assert cause is StopCause.ENDED
    if isinstance(outcome, Failed):
        assert outcome.reason and outcome.message
        assert finished or (cause is None and not end.interrupted)


# --- messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"values": {"loss": 0.1}}, Result(values={"loss": 0.1})),
        ({"version": 1, "values": {"a": 1}, "curve": {"a": [[1, 0.5], [2, 0.25]]}, "reason": None}, None),
        ({"values": {}, "reason": "OutOfMemory", "message": "m"}, Result(reason="OutOfMemory", message="m")),
        ({"values": {"a": True, "b": "1", "c": None, "d": [1]}}, Result(invalid="holds what is no number: a is true")),
        ({"values": {"a": "Infinity", "b": "-Infinity"}}, Result(values={"a": math.inf, "b": -math.inf})),
        (
            {"values": [1], "curve": 3, "reason": 4},
            Result(invalid='has values that are no object: {"values": [1], "curve": 3, "reason": 4}'),
        ),
        ({"values": {}, "curve": {"a": [[-1, 1], [1.5, 1], [True, 1], [1], "x", [2, "NaN?"], [3, 1]]}}, "one point"),
        ({"values": {"a": 10**400}}, Result(values={"a": math.inf})),
    ],
)
def test_a_message_is_read(said: Any, expected: Any) -> None:
    result = parse_message(json.dumps(said))
    assert result is not None
    if expected is None:
        assert result == Result({"a": 1.0}, {"a": ((1, 0.5), (2, 0.25))})
    elif expected == "one point":
        assert result.curve == {"a": ((3, 1.0),)}
    else:
        assert result == expected


@pytest.mark.parametrize("text", ["Traceback", "[]", "1", "null", '{"a": 1}', "{", "[" * 100_000, '{"values":' * 9000])
def test_what_is_no_message_says_so_in_a_line(text: str) -> None:
    result = parse_message(text)
    assert result is not None
    assert not result.values
    assert result.invalid is not None
    assert len(result.invalid) < 200
    assert text[:50] in result.invalid


def test_a_value_that_is_no_number_is_shown_as_it_was_written() -> None:
    end = End(True, False, "Completed", "", parse_message('{"values": {"loss": "0.5"}}'))
    outcome = outcome_of(end, None, SPEC)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "InvalidResult"
    assert 'loss is "0.5"' in outcome.message


def test_no_message_is_none() -> None:
    assert parse_message(" \n") is None


def test_a_success_with_an_unreadable_result_fails_and_shows_it() -> None:
    end = End(True, False, "Completed", "", parse_message("accuracy: 0.9"))
    outcome = outcome_of(end, None, SPEC)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "InvalidResult"
    assert "accuracy: 0.9" in outcome.message
    assert '"values"' in outcome.message


def test_numbers_that_json_lacks_are_words() -> None:
    result = parse_message('{"values": {"a": "NaN", "b": NaN, "c": 1e999}}')
    assert result is not None
    assert math.isnan(result.values["a"]) and math.isnan(result.values["b"])
    assert result.values["c"] == math.inf


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.text() | st.text(alphabet='{}[]":,0189.eE-+ntrufalsNI \\', max_size=50))
def test_no_text_breaks_the_reading(text: str) -> None:
    parse_message(text)


@given(st.fixed_dictionaries({"values": _JSON}, optional={"curve": _JSON, "reason": _JSON, "message": _JSON}))
def test_no_json_breaks_the_reading(said: Any) -> None:
    result = parse_message(json.dumps(said))
    assert result is not None
    assert all(isinstance(value, float) for value in result.values.values())
    assert result.reason is None or isinstance(result.reason, str)


def test_a_huge_sentence_is_cut() -> None:
    result = parse_message(json.dumps({"values": {}, "reason": "x" * 1500, "message": "y" * 1500}))
    assert result is not None and result.message
    assert result.reason is None and len(result.message) <= 1000
