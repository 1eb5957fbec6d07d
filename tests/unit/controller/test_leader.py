"""Of several operators one works, whatever the API server does to their requests. Time is virtual."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.cluster.api import ApiError, ConflictError, NotFoundError, UnreachableError
from kubestudy.controller import leader
from kubestudy.controller.leader import LEASE_SECONDS, lead
from support.virtual_time import run_virtually

NAME, NAMESPACE = "kubestudy-operator", "ns"


class Lease:
    """The Lease, as an API server keeps it."""

    def __init__(self) -> None:
        self.body: dict[str, Any] | None = None
        self.version = 0

    def write(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        self.body = {**copy.deepcopy(dict(body)), "metadata": metadata}
        return copy.deepcopy(self.body)

    def check(self, body: Mapping[str, Any]) -> None:
        if self.body is None or body["metadata"].get("resourceVersion") != self.body["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", "changed meanwhile")


class Api:
    """One operator's way to it. `weather` says of each request, in turn, how it fares: seconds on the way there, on
    the way back, and whether an answer comes at all; when that is used up, all is well.
    """

    def __init__(self, lease: Lease, weather: list[tuple[float, float, bool]] | None = None) -> None:
        self.lease, self.weather = lease, weather or []
        self.away = False
        self.refused = False

    async def _pass(self, action: Any) -> Any:
        there, back, answered = self.weather.pop(0) if self.weather else (0.01, 0.01, True)
        if self.refused:
            raise UnreachableError(0, "", "connection refused")
        if self.away:
            await asyncio.sleep(1e6)
        await asyncio.sleep(there)
        try:
            result = action()
        finally:
            await asyncio.sleep(back)
        if not answered:
            raise UnreachableError(0, "", "no answer")
        return result

    async def get(self, path: str) -> Any:
        def read() -> Any:
            if self.lease.body is None:
                raise NotFoundError(404, "NotFound", "not found")
            return copy.deepcopy(self.lease.body)

        return await self._pass(read)

    async def create(self, path: str, body: Mapping[str, Any]) -> Any:
        def create() -> Any:
            if self.lease.body is not None:
                raise ConflictError(409, "AlreadyExists", "there already")
            return self.lease.write(body)

        return await self._pass(create)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Any:
        def replace() -> Any:
            self.lease.check(body)
            return self.lease.write(body)

        return await self._pass(replace)

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        def patch() -> Any:
            self.lease.check(body)
            assert self.lease.body is not None
            return self.lease.write({**self.lease.body, "spec": {**self.lease.body["spec"], **body["spec"]}})

        return await self._pass(patch)


class Operators:
    """Some operators, what they did, and how many of them work."""

    def __init__(self) -> None:
        self.working: list[str] = []
        self.most = 0
        self.history: list[str] = []
        self.waiting: set[str] = set()
        self.stops: dict[str, asyncio.Event] = {}

    async def run(self, name: str, api: Api) -> bool:
        stop = self.stops[name] = asyncio.Event()

        async def work() -> None:
            self.working.append(name)
            self.history.append(name)
            self.most = max(self.most, len(self.working))
            try:
                await stop.wait()
            finally:
                self.working.remove(name)

        return await lead(api, NAMESPACE, NAME, work, stop, lambda: self.waiting.add(name))  # type: ignore[arg-type]


async def _until(condition: Any, seconds: float) -> float:
    """Wait until something holds; return how long that took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.1)
    return asyncio.get_running_loop().time() - began


def test_one_works_and_the_other_is_told_to_stand_by_and_follows_at_once_when_the_first_is_stopped() -> None:
    async def scene() -> None:
        operators, lease = Operators(), Lease()
        first = asyncio.create_task(operators.run("a", Api(lease)))
        await _until(lambda: operators.working == ["a"], 1)
        second = asyncio.create_task(operators.run("b", Api(lease)))
        await asyncio.sleep(60)
        assert operators.working == ["a"] and operators.waiting == {"b"}
        operators.stops["a"].set()
        assert await _until(lambda: operators.working == ["b"], 60) < 3
        assert await first is True
        operators.stops["b"].set()
        assert await second is True
        assert lease.body is not None
        assert lease.body["spec"]["holderIdentity"] is None and lease.body["spec"]["leaseTransitions"] == 1

    run_virtually(scene())


def test_a_leader_whose_api_server_hangs_stops_before_the_standby_takes_over() -> None:
    async def scene() -> None:
        operators, lease = Operators(), Lease()
        hanging = Api(lease)
        first = asyncio.create_task(operators.run("a", hanging))
        await asyncio.sleep(5)
        second = asyncio.create_task(operators.run("b", Api(lease)))
        await asyncio.sleep(30)
        hanging.away = True
        assert await _until(lambda: not operators.working, 60) < LEASE_SECONDS
        assert await first is False
        assert await _until(lambda: operators.working == ["b"], 60) < LEASE_SECONDS
        assert operators.most == 1
        operators.stops["b"].set()
        await second

    run_virtually(scene())


def test_a_connection_that_is_refused_for_a_moment_costs_nobody_anything() -> None:
    async def scene() -> None:
        operators, lease = Operators(), Lease()
        apis = Api(lease), Api(lease)
        tasks = [asyncio.create_task(operators.run(name, api)) for name, api in zip("ab", apis, strict=True)]
        await asyncio.sleep(30)
        for api in apis:
            api.refused = True
        await asyncio.sleep(4)
        for api in apis:
            api.refused = False
        await asyncio.sleep(30)
        assert len(operators.history) == 1
        for stop in operators.stops.values():
            stop.set()
        assert await asyncio.gather(*tasks) == [True, True]

    run_virtually(scene())


def test_a_lease_that_somebody_else_took_is_not_given_back_for_them() -> None:
    async def scene() -> None:
        operators, lease = Operators(), Lease()
        first = asyncio.create_task(operators.run("a", Api(lease)))
        await asyncio.sleep(5)
        assert lease.body is not None
        lease.write({**lease.body, "spec": {**lease.body["spec"], "holderIdentity": "c"}})
        assert await first is False
        assert lease.body["spec"]["holderIdentity"] == "c"

    run_virtually(scene())


def test_what_the_work_raises_is_raised_and_the_lease_given_back() -> None:
    async def scene() -> None:
        lease = Lease()

        async def work() -> None:
            raise ApiError(403, "Forbidden", "may not list")

        with pytest.raises(ApiError, match="may not list"):
            await lead(Api(lease), NAMESPACE, NAME, work, asyncio.Event(), lambda: None)  # type: ignore[arg-type]
        assert lease.body is not None and lease.body["spec"]["holderIdentity"] is None

    run_virtually(scene())


WEATHER = st.lists(
    st.tuples(st.floats(0, 4), st.floats(0, 4), st.booleans()) | st.just((0.01, 0.01, True)), max_size=25
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WEATHER, min_size=2, max_size=3))
def test_no_two_work_at_once_and_one_does_in_the_end(weathers: list[list[tuple[float, float, bool]]]) -> None:
    async def scene() -> None:
        operators, lease = Operators(), Lease()

        async def again(name: str, api: Api) -> None:
            while not await operators.run(name, api):
                await asyncio.sleep(1)  # as a pod is started anew

        names = [f"operator-{number}" for number in range(len(weathers))]
        tasks = [
            asyncio.create_task(again(name, Api(lease, list(weather))))
            for name, weather in zip(names, weathers, strict=True)
        ]
        await asyncio.sleep(30 * 25)
        assert operators.most == 1
        assert len(operators.working) == 1
        # One after the other, until each has stopped.
        while operators.working:
            operators.stops[operators.working[0]].set()
            await asyncio.sleep(LEASE_SECONDS + 3)
        await asyncio.gather(*tasks)
        assert set(operators.history) == set(names)

    run_virtually(scene())


def test_a_lease_lasts_longer_than_a_leader_may_need_to_notice() -> None:
    assert LEASE_SECONDS - leader.MARGIN_SECONDS > 2 * leader.RETRY_SECONDS
