"""Orders and reports survive the way between run and supervisor, and nothing else is taken for one."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.local import protocol
from kubestudy.local.protocol import (
    Broken,
    Cause,
    Ended,
    Fault,
    Kill,
    Lines,
    ProtocolError,
    Quit,
    Start,
    Started,
    Stop,
    decode_order,
    decode_report,
    encode,
)

texts = st.text()
numbers = st.integers(min_value=0)
seconds = st.floats(allow_nan=False, allow_infinity=False)
lists = st.lists(texts).map(tuple)
starts = st.builds(
    Start,
    number=numbers,
    attempt=numbers,
    argv=st.none() | lists,
    args=lists,
    environment=st.dictionaries(texts, texts),
    folder=texts,
    log=texts,
    exit_file=texts,
    grace=seconds,
    deadline=st.none() | seconds,
)
orders = starts | st.builds(Stop, numbers) | st.just(Kill()) | st.just(Quit())
reports = (
    st.builds(Started, numbers, seconds)
    | st.builds(Ended, numbers, numbers, st.integers(), st.none() | st.sampled_from(Cause), seconds, seconds)
    | st.builds(Broken, st.sampled_from(Fault), texts)
)


def start(**changes: Any) -> Start:
    known: dict[str, Any] = {
        "number": 7, "attempt": 0, "argv": ("sh", "-c", "true"), "args": (), "environment": {"x": "1"},
        "folder": "/", "log": "/log", "exit_file": "/exit", "grace": 2.0, "deadline": None,
    }  # fmt: skip
    return Start(**known | changes)


def line(**changes: Any) -> bytes:
    return json.dumps(json.loads(encode(start())) | changes).encode()


@given(orders)
def test_an_order_arrives_as_it_was_sent(order: protocol.Order) -> None:
    sent = encode(order)
    assert sent.endswith(b"\n") and sent.count(b"\n") == 1
    assert decode_order(sent) == order


@given(reports)
def test_a_report_arrives_as_it_was_sent(report: protocol.Report) -> None:
    assert decode_report(encode(report)) == report


@given(st.lists(orders, max_size=5), st.data())
def test_lines_are_whole_however_they_arrive(sent: list[protocol.Order], data: st.DataObject) -> None:
    stream, lines, arrived = b"".join(map(encode, sent)), Lines(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        arrived += [decode_order(line) for line in lines.feed(stream[:size])]
        stream = stream[size:]
    assert arrived == sent


def test_what_the_operating_system_gives_as_an_undecodable_name_survives() -> None:
    assert decode_order(encode(start(environment={"NAME": "caf\udce9"}))) == start(environment={"NAME": "caf\udce9"})


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"", "'' is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[1]", "is no order: it has no op"),
        (b"{}", "is no order: it has no op"),
        (b'{"op": ["start"]}', "is no order: it has no op"),
        (b'{"op": "started", "number": 1, "at": 1.0}', "'started' is no order: known are start, stop, kill, quit"),
        (b'{"op": "stop"}', "stop lacks number"),
        (b'{"op": "stop", "number": 1, "cause": "x"}', "stop has no field 'cause'"),
        (b'{"op": "stop", "number": "1"}', "stop.number must be an integer, and is '1'"),
        (b'{"op": "stop", "number": true}', "stop.number must be an integer, and is True"),
        (b'{"op": "stop", "number": 1.0}', "stop.number must be an integer, and is 1.0"),
        (line(grace=math.nan), "start.grace must be a finite number, and is nan"),
        (line(deadline=math.inf), "start.deadline must be a finite number or null, and is inf"),
        (line(deadline="1"), "start.deadline must be a finite number or null, and is '1'"),
        (line(argv="sh -c true"), "start.argv must be a list of texts or null, and is 'sh -c true'"),
        (line(args=[1]), "start.args must be a list of texts, and is [1]"),
        (line(environment=["x"]), "start.environment must be an object of texts, and is ['x']"),
        (line(environment={"x": 1}), "start.environment must be an object of texts, and is {'x': 1}"),
        (line(folder=None), "start.folder must be a text, and is None"),
    ],
)
def test_what_is_no_order_is_refused_with_what_is_wrong(bad: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_order(bad)
    assert complaint in str(refused.value).replace("b''", "''")
    assert len(str(refused.value)) < 250


def test_a_report_of_an_unknown_cause_is_refused() -> None:
    ended = json.loads(encode(Ended(1, 0, 0, None, 1.0, 2.0)))
    with pytest.raises(ProtocolError, match=r"ended\.cause must be stopped, deadline or null, and is 'bored'"):
        decode_report(json.dumps(ended | {"cause": "bored"}).encode())


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.floats() | texts, st.lists).map(json.dumps))
def test_whatever_arrives_is_a_message_or_refused(arrived: bytes | str) -> None:
    data = arrived.encode() if isinstance(arrived, str) else arrived
    for decode in (decode_order, decode_report):
        with pytest.raises(ProtocolError):
            decode(data)


def test_a_line_has_a_limit_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_LINE_BYTES", 1000)
    with pytest.raises(ProtocolError, match=r"start takes .* bytes, more than the 1000 of a line"):
        encode(start(args=("x" * 1000,)))
    lines = Lines()
    assert list(lines.feed(b"x" * 999)) == []
    with pytest.raises(ProtocolError, match="a line has more than 1000 bytes"):
        lines.feed(b"x")


def test_a_number_that_json_has_not_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="start: "):
        encode(start(grace=math.inf))
