"""A runtime, metrics and a clock that exist in memory only, and survive the crash of the loop that uses them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubestudy.api.reasons import Hindrance
from kubestudy.api.study import HyperparameterStudy
from kubestudy.search.search import OptunaSearch
from kubestudy.search.storage import open_storage
from kubestudy.study.loop import StudyLoop
from kubestudy.study.ports import Event
from kubestudy.study.trial import End, Observed, Result, Sample, Suggestion, TrialPhase, Wait, WaitKind
from kubestudy.study.view import View

MOST_CALLS = 30_000
NO_IMAGE = Wait(WaitKind.START, "ErrImagePull (container trainer): not found", Hindrance.TRIAL_WAITING)
NO_ROOM = Wait(WaitKind.ROOM, "Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu")


class Crash(Exception):  # noqa: N818 - an event of the simulation, no error of the code under test
    """The process dies here."""


@dataclass
class Run:
    """One execution of a trial: it waits for a place while `started` is None; `left` seconds of work, then its end."""

    trial: Suggestion
    started: float | None
    left: float
    stopped: bool = False
    end: End | None = None


def loss_of(trial: Suggestion) -> float:
    return round((float(trial.params["lr"]) - 0.3) ** 2, 6)


def completes(trial: Suggestion) -> End:
    return End(True, False, "Completed", "", Result(values={"loss": loss_of(trial)}), gpu_seconds=10.0)


def fails(_: Suggestion) -> End:
    return End(False, False, "Error", "exit code 1", None)


def interrupted(_: Suggestion) -> End:
    return End(False, True, "Preempted", "it was preempted", None)


@dataclass
class World:
    """What survives a crash: the time, the running trials, and a record of everything that was done.

    `script` says how the n-th execution of a trial ends when it is left to itself; `seconds` how long it works;
    `slots` how many there is room for at once, if not for all; `startable` whether one that has its place runs at all.
    """

    script: Callable[[Suggestion, int], End] = lambda trial, _: completes(trial)
    seconds: Callable[[int], float] = lambda _: 20.0
    gpus: int = 0
    slots: int | None = None
    startable: Callable[[int], bool] = lambda _: True
    curve: Callable[[Suggestion, float], float] | None = None
    busy: Callable[[int], float] | None = None
    measure: Callable[[int], Mapping[str, float]] = lambda _: {}
    now: float = 1e9
    runs: dict[int, Run] = field(default_factory=dict)
    executions: dict[int, int] = field(default_factory=dict)
    completions: dict[int, int] = field(default_factory=dict)
    most_live: int = 0
    calls: int = 0
    crash_at: int | None = None
    on_wait: Callable[[World], None] | None = None
    log: list[str] = field(default_factory=list)

    def point(self, name: str) -> None:
        """A place where a crash may happen: before and after every call of a port. The dead do nothing more."""
        self.calls += 1
        self.log.append(name)
        if self.calls > MOST_CALLS:
            raise AssertionError(f"the study never ends: {self.log[-20:]}")
        if self.crash_at is not None and self.calls >= self.crash_at:
            raise Crash(f"{name} (call {self.calls})")

    def alive(self) -> list[Run]:
        return [run for run in self.runs.values() if run.end is None]

    def placed(self) -> list[Run]:
        return [run for run in self.alive() if run.started is not None]

    def waiting(self) -> list[Run]:
        return [run for run in self.alive() if run.started is None]

    def place(self) -> None:
        """Give those that wait a place, first come, first served."""
        for run in self.waiting():
            if self.slots is None or len(self.placed()) < self.slots:
                run.started = self.now

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.place()
        for number, run in self.runs.items():
            if run.end is None:
                run.left -= 0 if run.started is None else seconds
                if run.stopped:
                    run.end = End(False, True, "Stopped", "it was told to stop", None, gpu_seconds=1.0)
                elif run.left <= 0:
                    run.end = self.script(run.trial, self.executions[number])
                    self.completions[number] = self.completions.get(number, 0) + bool(run.end.succeeded)


class Ports:
    """Wraps a port: a possible crash before and after every call; reading a property changes nothing anywhere."""

    def __init__(self, inner: Any, world: World, prefix: str) -> None:
        self._inner, self._world, self._prefix = inner, world, prefix

    def __getattr__(self, name: str) -> Any:
        world, at = self._world, f"{self._prefix}.{name}"
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        world.point(f"before {at}")
        if asyncio.iscoroutinefunction(found):

            async def awaited(*args: Any, **kwargs: Any) -> Any:
                result = await found(*args, **kwargs)
                world.point(f"after {at}")
                return result

            return awaited

        def called(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            world.point(f"after {at}")
            return result

        return called


@dataclass
class SimulatedRuntime:
    world: World
    limit: int | None = None

    def capacity(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - len(self.world.alive()))

    def job_of(self, number: int) -> str | None:
        return f"demo-{number}"

    async def expect(self, trials: Sequence[Suggestion]) -> None:
        pass

    async def observe(self) -> Sequence[Observed]:
        return [self._observed(number, run) for number, run in sorted(self.world.runs.items())]

    def _observed(self, number: int, run: Run) -> Observed:
        world = self.world
        if run.end is not None:
            started = None if run.end.never_started else run.started
            return Observed(number, TrialPhase.ENDED, started, world.gpus, end=run.end)
        if run.started is None:
            return Observed(number, TrialPhase.PENDING, wait=NO_ROOM)
        if not world.startable(number):
            return Observed(number, TrialPhase.PENDING, placed=True, wait=NO_IMAGE)
        url = f"http://{number}" if world.curve else None
        return Observed(number, TrialPhase.RUNNING, run.started, world.gpus, url)

    async def launch(self, trial: Suggestion) -> None:
        world = self.world
        if trial.number in world.runs:
            return
        world.executions[trial.number] = world.executions.get(trial.number, 0) + 1
        world.runs[trial.number] = Run(trial, None, world.seconds(trial.number))
        world.place()
        world.most_live = max(world.most_live, len(world.alive()))

    async def stop(self, number: int) -> None:
        if number in self.world.runs:
            self.world.runs[number].stopped = True

    async def forget(self, number: int, *, failed: bool = False) -> None:
        run = self.world.runs.get(number)
        if run is not None and run.end is not None:
            del self.world.runs[number]

    async def drain(self) -> None:
        return None

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.world.pass_time(min(seconds, 5.0))
        if self.world.on_wait is not None:
            self.world.on_wait(self.world)


@dataclass
class SimulatedMetrics:
    world: World

    @property
    def interval(self) -> float:
        return 5.0

    def trouble(self) -> None:
        return None

    async def read(self, trials: Sequence[Observed]) -> Mapping[int, Sequence[Sample]]:
        readings = {}
        for trial in trials:
            run = self.world.runs.get(trial.number)
            if run is not None and self.world.curve is not None:
                passed = self.world.now - (run.started or self.world.now)
                readings[trial.number] = [Sample("loss", int(passed), self.world.curve(run.trial, passed))]
                if self.world.busy is not None:
                    readings[trial.number].append(Sample("DCGM_FI_DEV_GPU_UTIL", 0, self.world.busy(trial.number)))
        return readings


@dataclass
class SimulatedEvaluator:
    world: World

    @property
    def settling(self) -> float:
        return 15.0

    async def measure(self, trial: Observed) -> Mapping[str, float]:
        assert trial.end is not None and trial.number not in {run.trial.number for run in self.world.alive()}
        return self.world.measure(trial.number)


@dataclass
class Listener:
    views: list[View] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def show(self, view: View) -> None:
        self.views.append(view)

    def tell(self, event: Event) -> None:
        self.events.append(event)

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]


def loop_of(
    study: HyperparameterStudy, world: World, journal: Path, listener: Listener | None = None, limit: int | None = None
) -> StudyLoop:
    search = OptunaSearch(study.spec, open_storage(journal, sole_writer=True), "example", "journal")
    return StudyLoop(
        study,
        Ports(search, world, "search"),
        Ports(SimulatedRuntime(world, limit), world, "runtime"),
        Ports(SimulatedMetrics(world), world, "metrics"),
        listener or Listener(),
        lambda: world.now,
        evaluator=Ports(SimulatedEvaluator(world), world, "evaluator"),
    )


def run(
    study: HyperparameterStudy, world: World, journal: Path, listener: Listener | None = None, limit: int | None = None
) -> View:
    return asyncio.run(asyncio.wait_for(loop_of(study, world, journal, listener, limit).run(), 300))


def crash_everywhere(
    folder: Path, make: Callable[[], World], spec: HyperparameterStudy, check: Callable[[World, Path, Any], None]
) -> int:
    """Run a study to its end once per call of a port, crashing there; then go on, and check the end.

    Right after one call and right before the next the world is the same, so one of the two is enough.
    """
    unharmed = make()
    check(unharmed, folder / "unharmed.log", run(spec, unharmed, folder / "unharmed.log"))
    points = [k for k, name in enumerate(unharmed.log, 1) if k == 1 or name.startswith("after")]
    for k in points:
        world, journal = make(), folder / f"{k}.log"
        world.crash_at = k
        # A reading under way when the study ends is given up, and its crash with it.
        with contextlib.suppress(Crash):
            run(spec, world, journal)
        where = world.log[min(k, len(world.log)) - 1]
        world.crash_at = None
        world.pass_time(3.0)
        try:
            check(world, journal, run(spec, world, journal))
        except AssertionError as error:
            raise AssertionError(f"after a crash {where} (call {k}): {error}") from error
    return len(points)
