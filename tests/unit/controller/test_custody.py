"""Which of several operators looks after a study. An API server that compares resource versions stands in."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.cluster.api import ConflictError, KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.jobs import Owner
from kubestudy.controller.custody import StudyCustody, Taken, custody_in
from kubestudy.controller.services import Known, Services
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.planning.custody import (
    GRACE_SECONDS,
    RENEW_SECONDS,
    STALE_SECONDS,
    Custody,
    Open,
    Ours,
    Theirs,
    is_taken_away,
    judge,
)
from kubestudy.search.archive import Archive

NOW = 1e9
OWN = Custody("team/one", "storage-1", NOW)
OTHER = "all/two"
UID = "0b2f7714-0000-4000-8000-000000000000"


def test_a_study_of_nobody_is_open_and_one_of_this_operator_is_its_own_whatever_its_storage() -> None:
    assert judge(None, OWN, NOW, NOW) == Open()
    assert judge(Custody(OWN.name, OWN.storage, NOW - 60), OWN, NOW, NOW) == Ours()
    # After a long absence, or with another storage, it is taken anew, by a write that fails if another was quicker.
    assert judge(Custody(OWN.name, "another", NOW - 60), OWN, NOW, NOW) == Open()
    assert judge(Custody(OWN.name, OWN.storage, NOW - RENEW_SECONDS), OWN, NOW, NOW) == Open()


@pytest.mark.parametrize("storage", ["storage-1", "storage-2", ""])
def test_another_operator_is_believed_for_a_while_and_then_watched_before_it_is_followed(storage: str) -> None:
    theirs = Custody(OTHER, storage, NOW)
    for later in (0, STALE_SECONDS - 1):
        assert judge(theirs, OWN, NOW + later, NOW) == Theirs(theirs, NOW + STALE_SECONDS, believed=True)
    seen = NOW + STALE_SECONDS
    assert judge(theirs, OWN, seen, seen) == Theirs(theirs, seen + GRACE_SECONDS, believed=False)
    assert judge(theirs, OWN, seen + GRACE_SECONDS, seen) == Open(theirs)


@given(st.floats(-1e12, 1e12))
def test_what_says_to_be_from_a_far_future_or_past_blocks_nobody_for_good(renewed: float) -> None:
    theirs = Custody(OTHER, "", renewed)
    now, looks = NOW, 0
    while isinstance(whose := judge(theirs, OWN, now, NOW), Theirs):
        now, looks = max(now, whose.until), looks + 1
        assert looks <= 3
        assert now <= NOW + 2 * STALE_SECONDS + GRACE_SECONDS


def test_a_custody_is_taken_away_by_another_operator_that_is_at_work() -> None:
    assert is_taken_away(Custody(OTHER, "", NOW), OWN, NOW)
    assert is_taken_away(Custody(OWN.name, "storage-2", NOW), OWN, NOW)
    assert not is_taken_away(Custody(OWN.name, "", NOW), OWN, NOW)
    assert not is_taken_away(Custody(OTHER, "", NOW - STALE_SECONDS), OWN, NOW)
    assert not is_taken_away(None, OWN, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(JSON, JSON, JSON)
def test_whatever_stands_in_a_status_it_is_read_or_passed_over(operator: Any, name: Any, time: Any) -> None:
    for status in (operator, {"operator": operator}, {"operator": {"name": name, "renewTime": time}}):
        custody_in({"status": status})


class Api:
    """Keeps one study, and compares resource versions."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {"metadata": {"uid": UID, "name": "demo", "resourceVersion": "1"}, "status": {}}
        self.writes = 0

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        if body["metadata"].get("resourceVersion", self.version) != self.version:
            raise ConflictError(409, "Conflict", "changed meanwhile")
        self.writes += 1
        self.body["metadata"]["resourceVersion"] = str(int(self.version) + 1)
        self.body["status"].update(copy.deepcopy(dict(body["status"])))
        return copy.deepcopy(self.body)

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        assert query == {"fieldSelector": "metadata.name=demo"}
        return {"items": [copy.deepcopy(self.body)]}

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    def custody(self, name: str, storage: str, now: float = NOW) -> StudyCustody:
        services = Services(
            cast("KubeApi", self), Cache(), Archive(Path()), OperatorMetrics(), {}, clock=lambda: now, name=name,
            known=Known(storage),
        )  # fmt: skip
        return StudyCustody(Owner("demo", "ns", UID, {}), services, copy.deepcopy(self.body))


def test_of_two_that_would_take_a_study_at_once_one_does_and_the_other_keeps_its_hands_off() -> None:
    async def scene() -> None:
        api = Api()
        one, two = api.custody("team/one", "storage-1"), api.custody(OTHER, "storage-2")
        first, second = await asyncio.gather(one.take(), two.take())
        assert sorted(map(type, (first, second)), key=str) == sorted((Taken, Theirs), key=str)
        winner, loser, theirs = (one, two, second) if isinstance(first, Taken) else (two, one, first)
        assert (winner.held, loser.held) == (True, False)
        assert isinstance(theirs, Theirs)
        await loser.contest(theirs)
        condition = api.body["status"]["conditions"][0]
        assert (condition["type"], condition["reason"]) == ("Contested", "OtherOperator")
        assert f"since {theirs.custody.name} does" in condition["message"]
        assert "kubectl patch hps demo -n ns --subresource=status --type=merge" in condition["message"]
        # It is said once, and the winner's custody stays.
        writes = api.writes
        await loser.contest(theirs)
        assert api.writes == writes
        assert custody_in(api.body) == theirs.custody

    asyncio.run(scene())


def test_a_condition_is_written_beside_those_that_are_there_whoever_writes_meanwhile() -> None:
    async def scene() -> None:
        api = Api()
        winner, loser = api.custody("team/one", "storage-1"), api.custody(OTHER, "storage-2")
        assert isinstance(await winner.take(), Taken)
        api.body["status"]["conditions"] = [{"type": "Progressing", "status": "True"}, {"type": "Foreign"}]
        theirs = await loser.take()
        assert isinstance(theirs, Theirs)
        conditions = [{"type": "Progressing", "status": "False"}, {"type": "Foreign"}]
        await api.patch("", {"metadata": {}, "status": {"conditions": conditions}})  # the winner writes meanwhile
        await loser.contest(theirs)
        assert api.body["status"]["conditions"][:2] == conditions
        winner.see(api.body)
        assert [c["type"] for c in winner.others] == ["Foreign", "Contested"]

    asyncio.run(scene())


def test_one_that_follows_takes_the_contest_away_with_it() -> None:
    async def scene() -> None:
        api = Api()
        one, two = api.custody("team/one", "storage-1"), api.custody(OTHER, "storage-2")
        await one.take()
        theirs = await two.take()
        assert isinstance(theirs, Theirs)
        await two.contest(theirs)
        assert len(api.body["status"]["conditions"]) == 1
        api.body["status"]["operator"] = None  # as the condition says
        two.see(api.body)
        assert two.is_free
        taken = await two.take()
        assert isinstance(taken, Taken) and two.held
        one.see(api.body)
        assert one.taken_away is not None
        found = custody_in(api.body)
        assert found is not None and found.name == OTHER
        assert datetime.fromtimestamp(found.renewed, UTC).timestamp() == NOW

    asyncio.run(scene())


def test_an_operator_that_is_started_with_another_storage_is_the_same_one() -> None:
    async def scene() -> None:
        api = Api()
        await api.custody("team/one", "storage-1").take()
        again = api.custody("team/one", "storage-2", NOW + 5)
        assert again.held and again.taken_away is None
        assert isinstance(await again.take(), Taken)
        found = custody_in(api.body)
        assert found is not None and found.storage == "storage-2"

    asyncio.run(scene())


def test_a_custody_that_is_fresh_costs_no_write() -> None:
    async def scene() -> None:
        api = Api()
        await api.custody("team/one", "storage-1").take()
        writes = api.writes
        again = api.custody("team/one", "storage-1", NOW + RENEW_SECONDS - 1)  # after a restart
        assert again.held
        assert await again.take() == Taken()
        assert api.writes == writes
        assert api.custody("team/one", "storage-1", NOW + RENEW_SECONDS).is_due

    asyncio.run(scene())
