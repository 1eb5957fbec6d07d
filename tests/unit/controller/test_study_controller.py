"""A study's task, with an admission and runs that are scripted, and an API server that keeps what is written.

Time is virtual. What the reporter writes is what a user would see.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.status import StudyStatus, TrialCounts
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.status_writer import merge_patch
from kubestudy.controller import study_controller as module
from kubestudy.controller.inbox import Version
from kubestudy.controller.registry import Registry
from kubestudy.controller.reporting import StudyReporter
from kubestudy.controller.services import Services
from kubestudy.controller.verdicts import Admitted, Delayed, Rejected, Runnable, Verdict
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.search.archive import Archive
from kubestudy.study.ports import Event, StudyError, Trouble
from kubestudy.study.view import View, degraded
from support.virtual_time import run_virtually

UID = "0b2f7714-0000-4000-8000-000000000000"
INVALID = Trouble("InvalidSpec", "spec.budget is missing")
AWAY = Trouble("ApiServerUnavailable", "the API server does not answer")


class Api:
    """Keeps the study's status and its events."""

    def __init__(self, status: Mapping[str, Any] | None = None) -> None:
        self.status: dict[str, Any] = copy.deepcopy(dict(status or {}))
        self.events: list[str] = []

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0.02)
        _merge(self.status, body["status"])
        return {}

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.events.append(body["reason"])
        return {}

    def condition(self, kind: str) -> tuple[str, str]:
        found: dict[str, str] = next((c for c in self.status.get("conditions", []) if c["type"] == kind), {})
        return found.get("status", ""), found.get("reason", "")


def _merge(old: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            old.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(old.get(key), dict):
            _merge(old[key], value)
        else:
            old[key] = value


@dataclass
class Script:
    """What admissions and runs come to.

    Attributes:
        invalid: The generations that are not valid.
        delays: How often a generation cannot be judged first.
        seconds: How long each admission takes.
        lasts: How long each run in turn lasts, in seconds; when they are used up, for ever.
        breaks: What each run in turn raises instead of its end.
        dawdles: How long a run is about to end, and takes no notice of anything any more.
    """

    invalid: frozenset[int] = frozenset()
    delays: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.1
    lasts: list[float] = field(default_factory=list)
    breaks: list[Exception | None] = field(default_factory=list)
    dawdles: float = 0.0
    admitted: list[int] = field(default_factory=list)
    runs: list[ScriptedRun] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)

    async def admit(self, version: Version, services: Services, runs: Runnable | None, *, begun: bool) -> Verdict:
        await asyncio.sleep(self.seconds)
        if self.broken:
            raise self.broken.pop(0)
        generation = version.generation
        if self.delays.get(generation, 0) > 0:
            self.delays[generation] -= 1
            return Delayed(AWAY)
        self.admitted.append(generation)
        if generation in self.invalid:
            return Rejected(INVALID)
        return Admitted(cast("Runnable", SimpleNamespace(generation=generation, owner=None)))

    def run(self, runnable: Any, services: Services, reporter: StudyReporter) -> ScriptedRun:
        self.runs.append(ScriptedRun(self, runnable, reporter))
        return self.runs[-1]


class ScriptedRun:
    """Shows a status each half a second, as a loop does, by the newest spec that it was given."""

    def __init__(self, script: Script, runnable: Any, reporter: StudyReporter) -> None:
        self.script, self.runnable, self.reporter = script, runnable, reporter
        self.by: list[int] = []

    async def run(self) -> int:
        await asyncio.sleep(0.3)  # the storage is opened
        time = asyncio.get_running_loop().time
        ends = time() + (self.script.lasts.pop(0) if self.script.lasts else 1e9)
        error = self.script.breaks.pop(0) if self.script.breaks else None
        try:
            while time() < ends:
                self._show("Running")
                await asyncio.sleep(0.5)
            if error is not None:
                raise error
            decided = self._show("Complete")
            await asyncio.sleep(self.script.dawdles)
            return decided
        finally:
            self.reporter.ended()

    def _show(self, phase: Any) -> int:
        generation: int = self.runnable.generation
        self.by.append(generation)
        fine = degraded(generation, None, 1e9)
        counts = TrialCounts(total=1)
        self.reporter.show(
            View(StudyStatus(observed_generation=generation, phase=phase, conditions=[fine], trials=counts))
        )
        return generation

    async def renew(self, runnable: Any) -> None:
        self.runnable = runnable


class Scene:
    def __init__(self, script: Script, folder: Path, status: Mapping[str, Any] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.script, self.api, self.generation = script, Api(status), 1
        self.services = Services(
            cast("KubeApi", self.api), Cache(), Archive(folder), OperatorMetrics(), {}, "ns/svc:history",
            clock=lambda: 1e9 + loop.time(),
        )  # fmt: skip
        self.registry = Registry(self.services)
        self.registry.seen(self.body(status))

    def body(self, status: Mapping[str, Any] | None = None) -> dict[str, Any]:
        metadata = {"name": "demo", "namespace": "ns", "uid": UID, "generation": self.generation}
        return {"metadata": metadata, "spec": {}, **({"status": status} if status else {})}

    def change(self) -> None:
        self.generation += 1
        self.registry.seen(self.body(self.api.status))

    @property
    def reporter(self) -> StudyReporter:
        return self.script.runs[-1].reporter


def play(
    script: Script, folder: Path, scene: Callable[[Scene], Awaitable[None]], status: Mapping[str, Any] | None = None
) -> Scene:
    async def whole() -> Scene:
        made = Scene(script, folder, status)
        await scene(made)
        await made.registry.close(flush=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left that nobody awaits"
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "admit", script.admit)
        patched.setattr(module, "StudyRun", script.run)
        return run_virtually(whole())


def test_a_change_that_comes_while_the_study_is_admitted_or_opened_is_taken_in(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(0.05)  # being admitted
        s.change()
        await asyncio.sleep(0.2)  # being opened
        s.change()
        await asyncio.sleep(5)
        assert s.script.runs[0].by[-1] == 3
        assert s.api.status["observedGeneration"] == 3

    script = Script()
    play(script, tmp_path, scene)
    assert len(script.runs) == 1


def test_a_change_that_comes_while_the_run_is_ending_begins_another(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(3.8)
        assert s.api.status["phase"] == "Complete"
        s.change()
        await asyncio.sleep(10)
        assert [run.by[-1] for run in s.script.runs] == [1, 2]
        assert s.api.status["observedGeneration"] == 2

    play(Script(lasts=[3.0], dawdles=2.0), tmp_path, scene)


def test_a_changed_spec_that_is_not_valid_is_shown_while_the_old_goes_on_until_it_is_mended(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(3)
        assert s.api.condition("Degraded") == ("False", "AsExpected")
        s.change()
        await asyncio.sleep(5)
        assert s.api.condition("Degraded") == ("True", "InvalidSpec")
        assert (s.api.status["phase"], s.api.status["observedGeneration"]) == ("Running", 1)
        s.change()
        await asyncio.sleep(5)
        assert s.api.condition("Degraded") == ("False", "AsExpected")
        assert s.api.status["observedGeneration"] == 3
        assert len(s.script.runs) == 1

    scene_ = play(Script(invalid=frozenset({2})), tmp_path, scene)
    assert scene_.api.events == ["InvalidSpec"]


def test_a_refused_change_is_judged_on_its_own_when_the_old_spec_has_come_to_its_end(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(2)
        s.change()
        await asyncio.sleep(10)
        assert (s.api.status["phase"], s.api.condition("Failed")) == ("Failed", ("True", "InvalidSpec"))
        s.change()
        await asyncio.sleep(10)
        assert s.api.status["phase"] == "Running"

    play(Script(invalid=frozenset({2}), lasts=[5.0]), tmp_path, scene)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(StudyError("the volume is full"), "StorageUnavailable"), (RuntimeError("odd"), "InternalError")],
)
def test_a_run_that_breaks_is_told_of_and_tried_again(error: Exception, reason: str, tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(3)
        assert s.api.condition("Degraded") == ("True", reason)
        assert s.api.status["phase"] == "Running"  # everything else stays
        await asyncio.sleep(5)
        assert s.api.condition("Degraded") == ("False", "AsExpected")
        assert len(s.script.runs) == 2

    play(Script(lasts=[1.0], breaks=[error]), tmp_path, scene)


def test_an_error_of_the_operators_own_ends_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(1)
        assert s.api.condition("Degraded") == ("True", "InternalError")
        await asyncio.sleep(5)
        assert s.api.condition("Degraded") == ("False", "AsExpected")

    play(Script(broken=[KeyError("odd")]), tmp_path, scene)


@pytest.mark.parametrize("seconds", [0.05, 0.2, 3.0])
def test_a_deleted_study_ends_at_once_whatever_it_is_doing(seconds: float, tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(seconds)
        await s.registry.gone(UID)
        assert s.registry.live(UID) is None
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert b'study="demo"' not in s.services.metrics.text()

    play(Script(), tmp_path, scene)


def test_the_last_of_many_events_is_told_when_the_run_ends(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(2)
        for number in range(20):
            s.reporter.tell(Event("NewBest", f"trial {number}"))
        await asyncio.sleep(1)
        assert s.api.events == ["NewBest"] * 5
        await asyncio.sleep(3)
        assert s.api.events == ["NewBest"] * 6

    play(Script(lasts=[4.0]), tmp_path, scene)


def test_a_study_that_is_over_is_left_alone_but_for_where_its_history_is(tmp_path: Path) -> None:
    status = {"phase": "Complete", "observedGeneration": 1, "historyService": "old/svc:http", "progress": "6/6"}

    async def scene(s: Scene) -> None:
        await asyncio.sleep(5)
        assert s.script.admitted == []
        assert s.api.status["historyService"] == "ns/svc:history"
        assert s.api.status["progress"] == "6/6"
        assert b'kubestudy_studies{phase="Complete"} 1.0' in s.services.metrics.text()
        s.change()
        await asyncio.sleep(5)
        assert s.script.admitted == [2]

    play(Script(), tmp_path, scene, status)


def test_an_operator_that_lost_its_lease_writes_nothing_more(tmp_path: Path) -> None:
    async def scene(s: Scene) -> None:
        await asyncio.sleep(5)
        before = copy.deepcopy(s.api.status)
        s.change()
        await asyncio.sleep(0.41)  # taken in, and not written yet
        await s.registry.close(flush=False)
        s.registry.seen({**s.body(), "metadata": {**s.body()["metadata"], "uid": "another"}})
        assert len(s.script.runs) == 1
        assert merge_patch(before, s.api.status).keys() <= {"used"}

    play(Script(), tmp_path, scene)


STEPS = st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.integers(0, 2)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.lists(st.floats(0, 6), max_size=3), st.lists(st.booleans(), max_size=3), st.floats(0, 2))
def test_whatever_comes_when_the_newest_valid_spec_wins_and_is_what_is_shown(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[float, bool, int]],
    lasts: list[float],
    breaks: list[bool],
    dawdles: float,
) -> None:
    """Each step is a change: after some seconds, valid or not, which so many admissions cannot judge first."""

    async def scene(s: Scene) -> None:
        for seconds, _, _ in steps:
            await asyncio.sleep(seconds)
            s.change()
        await asyncio.sleep(600)
        newest, status = s.generation, s.api.status
        assert newest in s.script.admitted
        if newest not in s.script.invalid:
            assert s.script.runs[-1].by[-1] == newest == status["observedGeneration"]
            assert s.api.condition("Degraded") == ("False", "AsExpected")
        elif status["phase"] == "Failed":
            assert (s.api.condition("Failed"), status["observedGeneration"]) == (("True", "InvalidSpec"), newest)
        else:
            assert s.api.condition("Degraded") == ("True", "InvalidSpec")
            by = s.script.runs[-1].by[-1]
            assert by == max(g for g in s.script.admitted if g not in s.script.invalid)

    generations = dict(enumerate(steps, start=2))
    script = Script(
        invalid=frozenset(g for g, (_, valid, _) in generations.items() if not valid),
        delays={g: delays for g, (_, _, delays) in generations.items()},
        lasts=list(lasts),
        breaks=[StudyError("the volume is full") if broken else None for broken in breaks],
        dawdles=dawdles,
    )
    play(script, tmp_path_factory.mktemp("archive"), scene)
