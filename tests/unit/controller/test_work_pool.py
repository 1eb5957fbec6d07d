"""The threads for studies' searches: calls that hang, take turns, and what is noted of them. Real threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from kubestudy.controller.work_pool import PoolLimits, StuckError, StudyWorker, WorkPool

SOON = PoolLimits(threads=2, spare=6, slow=0.05, seconds=0.3)


class Noting:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.now: dict[int, str] = {}

    def begins(self, slot: int, key: str) -> None:
        self.now[slot] = key

    def ends(self, slot: int) -> None:
        self.now.pop(slot, None)


def play(scene: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await scene

    asyncio.run(limited())


def test_what_a_call_returns_or_raises_is_what_its_caller_gets() -> None:
    async def scene() -> None:
        pool = WorkPool()
        worker = StudyWorker(pool, "a")
        assert await worker.call(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await worker.call(lambda: 1 // 0)
        assert await worker.call(lambda: threading.current_thread().daemon)
        await pool.close()

    play(scene())


# With one thread the turns are what the pool decides; with several a machine that is busy may let one overtake.
@pytest.mark.parametrize("threads", [1, 4])
def test_a_study_has_one_call_at_a_time_and_studies_take_turns(threads: int) -> None:
    async def scene() -> None:
        pool = WorkPool(limits=PoolLimits(threads=threads, spare=2))
        order: list[str] = []
        at_once: dict[str, int] = {}
        gate = threading.Event()

        def work(key: str) -> None:
            gate.wait(30)
            at_once[key] = at_once.get(key, 0) + 1
            assert at_once[key] == 1
            order.append(key)
            at_once[key] -= 1

        greedy = [asyncio.create_task(pool.call("greedy", lambda: work("greedy"))) for _ in range(50)]
        await asyncio.sleep(0)
        others = [asyncio.create_task(pool.call(f"s{n}", partial(work, f"s{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*greedy, *others)
        # Each of the others waits for one turn of the greedy one at most, not for its fifty.
        last = max(order.index(f"s{n}") for n in range(20))
        assert threads > 1 or order[:last].count("greedy") <= 21 + 2
        assert pool.threads <= threads + 2
        await pool.close()

    play(scene())


def test_twenty_studies_that_hang_hold_a_thread_each_and_the_others_go_on() -> None:
    async def scene() -> None:
        pool = WorkPool(limits=PoolLimits(threads=2, spare=32, slow=0.05, seconds=0.3))
        let = threading.Event()
        hung = [asyncio.create_task(pool.call(f"hangs-{n}", lambda: let.wait(60))) for n in range(20)]
        await asyncio.sleep(0)
        fine = [pool.call(f"s{number}", partial(int, number)) for number in range(30)]
        assert await asyncio.gather(*fine) == list(range(30))
        said = await asyncio.gather(*hung, return_exceptions=True)
        assert all(isinstance(error, StuckError) and "did not come back" in str(error) for error in said)
        # A study that hangs gets no second thread.
        threads = pool.threads
        with pytest.raises(StuckError, match="has not come back for"):
            await pool.call("hangs-3", lambda: 1)
        assert pool.threads == threads <= 22
        assert len(pool.stuck) == 20
        assert not pool.exhausted.is_set()
        let.set()
        while pool.stuck:
            await asyncio.sleep(0.01)
        assert await pool.call("hangs-3", lambda: 1) == 1
        await pool.close()

    play(scene())


def test_when_all_threads_are_stuck_although_others_came_back_a_restart_is_asked_for() -> None:
    async def scene() -> None:
        noting = Noting()
        pool = WorkPool(noting, SOON)
        let = threading.Event()

        async def goes_on() -> None:
            while not pool.exhausted.is_set():
                await pool.call("fine", lambda: None)
                await asyncio.sleep(0.005)

        fine = asyncio.create_task(goes_on())
        hung = []
        for number in range(SOON.spare):
            hung.append(asyncio.create_task(pool.call(f"hangs-{number}", lambda: let.wait(60))))
            await asyncio.sleep(0.02)
        await pool.exhausted.wait()
        await fine
        await pool.close()
        # What is left in the notes is what the next operator has to be careful with.
        assert set(noting.now.values()) == {f"hangs-{number}" for number in range(SOON.spare)}
        let.set()
        await asyncio.gather(*hung, return_exceptions=True)

    play(scene())


def test_a_storage_that_hangs_for_all_asks_for_no_restart_which_would_not_help() -> None:
    async def scene() -> None:
        pool = WorkPool(limits=SOON)
        let = threading.Event()
        assert await pool.call("fine", lambda: 1) == 1
        hung = [asyncio.create_task(pool.call(f"s{n}", lambda: let.wait(60))) for n in range(SOON.spare + 2)]
        await asyncio.gather(*hung, return_exceptions=True)
        assert len(pool.stuck) == SOON.spare + 2
        assert not pool.exhausted.is_set()
        let.set()
        while pool.stuck:
            await asyncio.sleep(0.01)
        await pool.close()

    play(scene())


def test_an_ordered_end_blames_nobody_but_those_that_are_stuck() -> None:
    async def scene() -> None:
        noting = Noting()
        pool = WorkPool(noting, SOON)
        let = threading.Event()
        asks = [asyncio.create_task(pool.call("slow", lambda: let.wait(60), 30.0))]
        asks += [asyncio.create_task(pool.call("stuck", lambda: let.wait(60)))]
        with pytest.raises(StuckError):
            await asks[1]
        assert set(noting.now.values()) == {"slow", "stuck"}
        await pool.close(0.1)
        assert set(noting.now.values()) == {"stuck"}
        let.set()
        await asyncio.gather(*asks, return_exceptions=True)

    play(scene())


def test_a_call_whose_caller_is_gone_does_not_begin() -> None:
    async def scene() -> None:
        pool = WorkPool()
        let, began = threading.Event(), threading.Event()
        first = asyncio.create_task(pool.call("a", lambda: let.wait(60)))
        second = asyncio.create_task(pool.call("a", began.set))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.sleep(0)
        let.set()
        await first
        assert await pool.call("a", began.is_set) is False
        await pool.close()

    play(scene())


def test_a_thousand_studies_share_a_few_threads() -> None:
    async def scene() -> None:
        pool = WorkPool()
        before = threading.active_count()
        assert (
            sum(await asyncio.gather(*(pool.call(f"s{n}", lambda: 1) for n in range(1000) for _ in range(3)))) == 3000
        )
        assert threading.active_count() - before <= 8
        await pool.close()

    play(scene())
