"""Which events of a study are written, when, and in which order they are found. The API server is a stand-in."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.cluster import events as module
from kubestudy.cluster.api import ApiError, ConflictError, UnreachableError
from kubestudy.cluster.events import BURST, EventRecorder
from kubestudy.cluster.jobs import Owner
from kubestudy.study.ports import Event

OWNER = Owner("demo", "ns", "0b2f7714-0000-4000-8000-000000000000", {})
SECOND = 10**9


class Api:
    """Keeps what is created, by name, as a list shows it; fails first with whatever is in `refusals`."""

    def __init__(self) -> None:
        self.objects: dict[str, Mapping[str, Any]] = {}
        self.refusals: list[Exception] = []

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.refusals:
            raise self.refusals.pop(0)
        self.objects[body["metadata"]["name"]] = body
        return {}

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(body["reason"], body["message"]) for _, body in sorted(self.objects.items())]


class Scene:
    def __init__(self) -> None:
        self.api, self.now = Api(), 1_800_000_000 * SECOND
        self.recorder = EventRecorder(OWNER, self.api, lambda: self.now)  # type: ignore[arg-type]

    def best(self, *numbers: int) -> None:
        for number in numbers:
            self.recorder.tell(Event("NewBest", f"trial {number}"))

    async def settled(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


def play(scene: Callable[[Scene], Awaitable[None]]) -> Api:
    async def run() -> Api:
        made = Scene()
        await scene(made)
        await made.recorder.close()
        return made.api

    return asyncio.run(run())


def test_the_last_of_many_is_told_at_the_end_and_says_how_many_it_stands_for() -> None:
    async def scene(s: Scene) -> None:
        s.best(*range(20))
        await s.settled()
        assert [message for _, message in s.api.told] == [f"trial {n}" for n in range(BURST)]
        await s.recorder.flush(5)

    told = play(scene).told
    assert told[-1] == ("NewBest", f"trial 19 (and {20 - BURST - 1} more before)")
    assert len(told) == BURST + 1


def test_what_was_held_back_is_told_before_the_end_that_follows_it() -> None:
    async def scene(s: Scene) -> None:
        s.best(*range(9))
        s.recorder.tell(Event("MaxTrialsReached", "9 trials"))
        await s.settled()

    told = play(scene).told
    assert [reason for reason, _ in told][-2:] == ["NewBest", "MaxTrialsReached"]
    assert told[-2][1].startswith("trial 8 ")


def test_what_is_held_back_is_told_in_its_turn_though_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFILL_SECONDS", 0.2)

    async def scene(s: Scene) -> None:
        s.best(*range(7))
        s.now += SECOND
        async with asyncio.timeout(60):
            while len(s.api.told) <= BURST:
                await asyncio.sleep(0.05)

    assert play(scene).told[-1] == ("NewBest", "trial 6 (and 1 more before)")


def test_events_of_one_moment_are_found_in_the_order_in_which_they_happened() -> None:
    async def scene(s: Scene) -> None:
        s.best(3, 1, 2)
        s.now -= 5 * SECOND  # somebody set the clock
        s.best(0)
        await s.settled()

    api = play(scene)
    assert [message for _, message in api.told] == ["trial 3", "trial 1", "trial 2", "trial 0"]
    bodies = [body for _, body in sorted(api.objects.items())]
    assert len({body["metadata"]["name"] for body in bodies}) == 4
    assert {body["lastTimestamp"] for body in bodies} == {"2027-01-15T08:00:00Z"}
    assert bodies[0]["eventTime"] == "2027-01-15T08:00:00.000000Z"


def test_other_reasons_have_turns_of_their_own() -> None:
    async def scene(s: Scene) -> None:
        s.best(*range(BURST))
        for reason in ("TrialPruned", "TrialPruned", "TrialFailed", "TrialStopped"):
            s.recorder.tell(Event(reason, "x"))
        await s.settled()

    counts = Counter(reason for reason, _ in play(scene).told)
    assert counts == {"NewBest": BURST, "TrialPruned": 1, "TrialFailed": 1}


def test_a_long_message_fits_whatever_its_letters_are() -> None:
    async def scene(s: Scene) -> None:
        s.recorder.tell(Event("TrialFailed", "错误" * 900))
        await s.settled()

    ((_, message),) = play(scene).told
    assert 500 < len(message.encode()) <= 1000
    assert message.endswith("...")


@pytest.mark.parametrize(
    "refusal",
    [
        ConflictError(409, "AlreadyExists", "there"),
        UnreachableError(0, "", "away"),
        ApiError(403, "Forbidden", "no"),
        ValueError("odd"),
    ],
    ids=lambda refusal: type(refusal).__name__,
)
def test_one_that_is_not_written_keeps_no_other_from_being(refusal: Exception) -> None:
    async def scene(s: Scene) -> None:
        s.api.refusals = [refusal]
        s.best(1, 2)
        await s.recorder.flush(5)

    assert [message for _, message in play(scene).told] == ["trial 2"]


@given(st.lists(st.tuples(st.sampled_from(["NewBest", "TrialFailed", "TrialPruned"]), st.integers(0, 90))))
def test_whatever_comes_the_last_of_each_reason_is_told_and_none_uncounted(steps: list[tuple[str, int]]) -> None:
    async def scene(s: Scene) -> None:
        for number, (reason, seconds) in enumerate(steps):
            s.now += seconds * SECOND
            s.recorder.tell(Event(reason, f"{number}"))
        await s.recorder.flush(5)

    told = play(scene).told
    newest = {reason: str(number) for number, (reason, _) in enumerate(steps)}
    assert {reason: message.partition(" ")[0] for reason, message in told} == newest
    counted = Counter[str]()
    for reason, message in told:
        _, _, more = message.partition("(and ")
        counted[reason] += 1 + int(more.partition(" ")[0] or 0)
    assert counted == Counter(reason for reason, _ in steps)
