"""One run of a study's loop, with the real search on a journal. Its studies stand still: no trial is started."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from kubestudy.api.study import Metadata
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.jobs import Owner
from kubestudy.controller.inbox import Version
from kubestudy.controller.reporting import StudyReporter
from kubestudy.controller.services import Services
from kubestudy.controller.study_run import StudyRun
from kubestudy.controller.verdicts import Runnable
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.search.archive import Archive, Record
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.study.measuring import NO_EVALUATOR
from kubestudy.study.ports import StudyError
from support.manifests import study_of

UID = "0b2f7714-0000-4000-8000-000000000000"
TRIALS = {"trials": {"total": 3}}


class Api:
    """Takes whatever is written."""

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    create = patch


class HeldArchive(Archive):
    """Opens nothing before it is let."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.opening, self.let = threading.Event(), threading.Event()

    def open(self, record: Record, spec: Any) -> OptunaSearch:
        self.opening.set()
        assert self.let.wait(60)
        return super().open(record, spec)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    hush_optuna()


def runnable(generation: int, **spec: Any) -> Runnable:
    study = study_of(**spec).model_copy(update={"metadata": Metadata(name="demo", generation=generation)})
    template = {"spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "a"}]}}}}
    return Runnable(study, Owner("demo", "ns", UID, template), NO_EVALUATOR, 0.0, "Retain")


def run_of(first: Runnable, archive: Archive, status: Mapping[str, Any] | None = None) -> StudyRun:
    services = Services(cast("KubeApi", Api()), Cache(), archive, OperatorMetrics(), {})
    version = Version(1, {"metadata": {"generation": 1}, **({"status": status} if status else {})})
    return StudyRun(first, services, StudyReporter(first.owner, version, services))


def test_a_spec_that_comes_while_the_storage_is_opened_is_what_the_run_begins_with(tmp_path: Path) -> None:
    async def scene() -> None:
        archive = HeldArchive(tmp_path)
        run = run_of(runnable(1), archive)
        running = asyncio.create_task(run.run())
        await asyncio.to_thread(archive.opening.wait, 60)
        await run.renew(runnable(2, suspend=True))
        archive.let.set()
        assert await running == 2

    asyncio.run(scene())


def test_a_storage_that_lost_the_study_is_no_new_study(tmp_path: Path) -> None:
    run = run_of(runnable(1, suspend=True), Archive(tmp_path), TRIALS)
    with pytest.raises(StudyError, match="which had 3 trials: is the right volume mounted"):
        asyncio.run(run.run())


def test_what_is_to_become_of_the_history_is_kept_when_it_changes(tmp_path: Path) -> None:
    async def scene() -> None:
        archive = Archive(tmp_path)
        run = run_of(runnable(1, suspend=True), archive)
        await run.run()
        assert [record.history for record in archive.records()] == ["Retain"]
        await run.renew(replace(runnable(2, suspend=True), history="Delete"))
        assert [record.history for record in archive.records()] == ["Delete"]

    asyncio.run(scene())
