"""When a study's status is written. The API server is a stand-in that counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest

from kubestudy.api.status import StudyStatus, TrialCounts, Used
from kubestudy.cluster import status_writer as module
from kubestudy.cluster.answers import ApiError, ConflictError, UnreachableError
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.status_writer import Pace, StatusWriter, merge_patch
from kubestudy.planning.backoff import Backoff


class Api:
    """Remembers patches, and when they came."""

    def __init__(self) -> None:
        self.patches: list[tuple[float, Mapping[str, Any]]] = []

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.patches.append((time.monotonic(), body["status"]))
        return {}


def writer(api: Api, pace: Pace | None = None) -> StatusWriter:
    return StatusWriter(Owner("demo", "ns", "uid", {}), api, None, pace or Pace())  # type: ignore[arg-type]


def status(complete: int = 0, seconds: float = 0, **changes: Any) -> StudyStatus:
    counts = TrialCounts(total=complete, complete=complete)
    return StudyStatus(phase="Running", trials=counts, used=Used(seconds=seconds)).model_copy(update=changes)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATCH_SECONDS", 0.05)
    monkeypatch.setattr(module, "TIME_SECONDS", 3.0)


def test_time_that_passes_is_written_now_and_then_and_with_whatever_else_is_new() -> None:
    async def play() -> None:
        api = Api()
        writing = writer(api)
        for second in range(10):
            writing.want(status(1, second))
            await asyncio.sleep(0.03)
        assert len(api.patches) == 1
        writing.want(status(2, 10))
        await asyncio.sleep(0.2)
        assert api.patches[1][1] == {"trials": {"total": 2, "complete": 2}, "used": {"seconds": 10.0}}
        writing.want(status(2, 11))
        while len(api.patches) < 3:
            await asyncio.sleep(0.05)
        assert api.patches[2][0] >= api.patches[1][0] + 2.5
        assert api.patches[2][1] == {"used": {"seconds": 11.0}}

    asyncio.run(play())


def test_many_studies_take_turns_and_a_phase_does_not_wait() -> None:
    async def play() -> None:
        pace, studies = Pace(20), [Api() for _ in range(10)]
        writers = [writer(api, pace) for api in studies]
        for writing in writers:
            writing.want(status(1))
        await asyncio.sleep(0.1)
        assert all(len(api.patches) == 1 for api in studies)  # a first status is a new phase
        began = time.monotonic()
        for writing in writers:
            writing.want(status(2))
        await asyncio.sleep(0.06)
        writers[9].want(status(3, phase="Complete"))
        await asyncio.sleep(0.06)
        assert studies[9].patches[-1][1]["phase"] == "Complete"
        await asyncio.sleep(0.6)
        late = max(api.patches[-1][0] for api in studies) - began
        assert 0.3 < late < 0.7
        assert all(len(api.patches) == 2 for api in studies)

    asyncio.run(play())


def test_what_is_left_to_write_is_written_at_the_end() -> None:
    async def play() -> None:
        api = Api()
        writing = writer(api, Pace(0.1))
        writing.want(status(1))
        await asyncio.sleep(0.01)
        writing.want(status(2))
        await writing.flush(2)
        assert api.patches[-1][1]["trials"] == {"total": 2, "complete": 2}
        writing.want(status(2, 5))
        began = time.monotonic()
        await writing.flush(2)
        assert time.monotonic() - began < 0.5
        await writing.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (ConflictError(409, "Conflict", "the object has been modified; please apply your changes to the latest"), 1),
        (UnreachableError(0, "", "the API server's answer is none of its objects"), 1),
        (ConflictError(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b"), 0),
    ],
)
def test_what_is_not_written_is_written_again_unless_the_study_is_another(
    answer: ApiError, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Api):
        async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
            if not self.patches:
                await super().patch(path, body)
                raise answer
            return await super().patch(path, body)

    async def play() -> None:
        api = Refusing()
        writing = writer(api)
        writing.want(status(3))
        await writing.flush(2)
        assert [patch for _, patch in api.patches[1:]] == [api.patches[0][1]] * left
        await writing.close()

    monkeypatch.setattr(module, "_BACKOFF", Backoff(first=0.05, limit=1.0))
    asyncio.run(play())


def test_a_merge_patch_removes_what_went() -> None:
    assert merge_patch({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "d": 3}}) == {"a": None, "b": {"d": 3}}


def test_what_is_stamped_is_written_beside_all_else_and_is_no_reason_to_write_but_when_it_is_renewed() -> None:
    async def play() -> None:
        api, stamps = Api(), iter(range(100))
        owner = Owner("demo", "ns", "uid", {})
        known = {"operator": {"renewTime": "before"}, "phase": "Running"}
        writing = StatusWriter(owner, api, known, Pace(), lambda: {"operator": {"renewTime": next(stamps)}})  # type: ignore[arg-type]
        for _ in range(5):
            writing.want(status(1))
            await asyncio.sleep(0.1)
        assert [patch["operator"] for _, patch in api.patches] == [{"renewTime": 0}]
        writing.renew()
        await asyncio.sleep(0.2)
        assert api.patches[1:] == [(api.patches[1][0], {"operator": {"renewTime": 1}})]
        # Whoever looks after the study from anew knows what is there: nothing is to be written.
        await writing.start_over(status(2).model_dump(mode="json", by_alias=True, exclude_none=True))
        writing.want(status(2))
        await asyncio.sleep(0.1)
        assert len(api.patches) == 2
        await writing.close()

    asyncio.run(play())
