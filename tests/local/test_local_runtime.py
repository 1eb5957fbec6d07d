"""The local runtime as the study's loop sees it, on a real supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubestudy.api.study import HyperparameterStudy
from kubestudy.local.container import Machine
from kubestudy.local.folder import StudyFolder
from kubestudy.local.gpu_pool import GpuPool
from kubestudy.local.protocol import MAX_LINE_BYTES
from kubestudy.local.runtime import LocalRuntime
from kubestudy.local.supervisor_process import SupervisorProcess
from kubestudy.planning.backoff import Backoff
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import Observed, Suggestion, TrialPhase, WaitKind
from support.study import manifest


@asynccontextmanager
async def running(
    folder: Path, script: str, gpus: int = 0, retries: Backoff | None = None, **spec: Any
) -> AsyncIterator[LocalRuntime]:
    study = HyperparameterStudy.model_validate(manifest(script, **spec))
    machine = Machine(dict(os.environ), cores=1, folder=folder, bin_folder=folder)
    place = StudyFolder(folder / "study")
    place.make()
    place.lock(5)
    supervisor = SupervisorProcess(study, machine)
    supervisor.start(place.lock_fd)
    pool = GpuPool([str(i) for i in range(gpus)], min(gpus, 1))
    async with LocalRuntime(
        study, place, machine, pool, supervisor, retries or Backoff(first=0.1, limit=0.1)
    ) as runtime:
        yield runtime
    place.unlock()


async def until(runtime: LocalRuntime, true: Callable[[dict[int, Observed]], bool]) -> dict[int, Observed]:
    """Wait by the runtime's own events until what it shows is as it should be."""
    deadline = time.monotonic() + 60
    while True:
        seen = {trial.number: trial for trial in await runtime.observe()}
        if true(seen):
            return seen
        assert time.monotonic() < deadline, seen
        await runtime.wait(1.0)


def test_asking_changes_nothing_and_what_waits_for_a_gpu_begins_when_one_is_free(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, "while [ ! -e go ]; do sleep 0.05; done", gpus=1) as runtime:
            for number in (0, 1):
                await runtime.launch(Suggestion(number, {"x": 0.0}))
            seen = await until(runtime, lambda seen: seen[0].phase is TrialPhase.RUNNING)
            assert seen[1].phase is TrialPhase.PENDING
            assert seen[1].wait is not None and seen[1].wait.kind is WaitKind.ROOM
            (tmp_path / "go").touch()
            exit_file = tmp_path / "study/trials/00000/exit.json"
            for _ in range(600):
                # The first one ends meanwhile: what is shown stays until there was a wait.
                assert [t.phase for t in await runtime.observe()] == [TrialPhase.RUNNING, TrialPhase.PENDING]
                if exit_file.exists():
                    break
                await asyncio.sleep(0.05)
            assert exit_file.exists()
            assert [t.phase for t in await runtime.observe()] == [TrialPhase.RUNNING, TrialPhase.PENDING]
            await until(runtime, lambda seen: seen[1].phase is TrialPhase.ENDED)

    asyncio.run(test())


def test_a_retry_waits_and_then_begins_by_itself(tmp_path: Path) -> None:
    async def test() -> None:
        script = "echo try >> tries; exit 1"
        retries = Backoff(first=1.5, limit=1.5)
        async with running(tmp_path, script, retries=retries, job={"backoffLimit": 1}) as runtime:
            await runtime.launch(Suggestion(0, {"x": 0.0}))
            waiting = await until(runtime, lambda seen: (tmp_path / "tries").exists() and not seen[0].started)
            assert (waiting[0].phase, waiting[0].placed) == (TrialPhase.PENDING, True)
            begun = time.monotonic()
            seen = await until(runtime, lambda seen: seen[0].end is not None)
            assert time.monotonic() - begun < 30
            assert seen[0].end is not None and not seen[0].end.succeeded
        assert (tmp_path / "tries").read_text() == "try\ntry\n"

    asyncio.run(test())


def test_an_order_that_is_too_long_is_an_error_in_words(tmp_path: Path) -> None:
    async def test() -> None:
        async with running(tmp_path, "true", container={"args": ["x" * MAX_LINE_BYTES]}) as runtime:
            try:
                await runtime.launch(Suggestion(3, {"x": 0.0}))
            except StudyError as error:
                assert "trial 3 cannot be started" in str(error)
                assert "shorten its args and env" in str(error)
            else:
                raise AssertionError("it was started")

    asyncio.run(test())


def test_a_supervisor_that_is_gone_is_told(tmp_path: Path) -> None:
    async def test() -> str:
        async with running(tmp_path, "sleep 60", pod={"terminationGracePeriodSeconds": 0}) as runtime:
            await runtime.launch(Suggestion(0, {"x": 0.0}))
            await until(runtime, lambda seen: seen[0].phase is TrialPhase.RUNNING)
            runtime._supervisor.kill()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    await runtime.observe()
                except StudyError as error:
                    return str(error)
                await runtime.wait(1.0)
            raise AssertionError("nothing was told")

    assert "supervisor ended unexpectedly" in asyncio.run(test())
