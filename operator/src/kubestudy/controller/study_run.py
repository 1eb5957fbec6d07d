"""One run of a study's loop, from the opening of its storage to its end."""

from __future__ import annotations

from functools import partial

from kubestudy.cluster.names import job_prefix
from kubestudy.cluster.runtime import ClusterRuntime
from kubestudy.controller.reporting import StudyReporter
from kubestudy.controller.services import Services
from kubestudy.controller.verdicts import Runnable
from kubestudy.controller.work_pool import StudyWorker
from kubestudy.metrics.prometheus import PrometheusMetrics
from kubestudy.metrics.scrape import ScrapedMetrics
from kubestudy.search.archive import Record
from kubestudy.search.search import OptunaSearch
from kubestudy.study.loop import StudyLoop
from kubestudy.study.ports import StudyError

_SCRAPE_SECONDS = 1.0


class StudyRun:
    """Runs a study's loop, once.

    Args:
        runnable: What was admitted.
        services: What it needs.
        reporter: Who is told what happens.

    Attributes:
        runnable: What the run goes by.
    """

    def __init__(self, runnable: Runnable, services: Services, reporter: StudyReporter) -> None:
        self.runnable = runnable
        self._services = services
        self._reporter = reporter
        self._worker = StudyWorker(services.pool, runnable.owner.uid)
        self._parts: tuple[StudyLoop, ClusterRuntime] | None = None

    async def run(self) -> int:
        """Run until the study is over, or stands still; return the generation of the spec that that was decided by.

        Raises:
            StudyError: The storage cannot go on.
        """
        search = await self._open()
        # Nothing is awaited from here to the loop's first step: what came meanwhile is what it begins with.
        runtime, loop = self._make(search)
        self._parts = loop, runtime
        try:
            return (await loop.run()).status.observed_generation or 0
        finally:
            self._parts = None
            self._reporter.ended()
            await runtime.close()

    async def renew(self, runnable: Runnable) -> None:
        """Go on by a newer spec; a run that has just ended takes no notice, which the generation it returns tells.

        Raises:
            StudyError: What is to become of the history cannot be kept; all else was taken in.
        """
        old, self.runnable = self.runnable, runnable
        if self._parts is not None:
            loop, runtime = self._parts
            await runtime.renew(runnable.owner, runnable.study.spec, runnable.gpus)
            loop.update(runnable.study)
        if runnable.history != old.history:
            await self._worker.call(partial(self._services.archive.note, self._record))

    @property
    def _record(self) -> Record:
        """What the storage knows the study by."""
        owner = self.runnable.owner
        return self._services.record(owner.namespace, owner.name, owner.uid, self.runnable.history)

    async def _open(self) -> OptunaSearch:
        archive = self._services.archive
        await self._services.know_storage()
        search = await self._worker.call(partial(archive.open, self._record, self.runnable.study.spec))
        if self._reporter.trials and not search.asked:
            raise StudyError(
                f"the storage {archive.where} holds nothing of this study, which had {self._reporter.trials} trials: is"
                " the right volume mounted? To start over, delete the study and create it again"
            )
        return search

    def _make(self, search: OptunaSearch) -> tuple[ClusterRuntime, StudyLoop]:
        services, runnable, status = self._services, self.runnable, self._reporter.status
        runtime = ClusterRuntime(
            runnable.owner,
            runnable.study.spec,
            services.api,
            services.cache,
            runnable.gpus,
            services.clock,
            services.metrics.relaunched,
            services.storage,
        )
        metrics = self._metrics()
        before = status.conditions if status is not None else ()
        loop = StudyLoop(
            runnable.study, search, runtime, metrics, self._reporter, services.clock, before, runnable.evaluator,
            self._worker,
        )  # fmt: skip
        return runtime, loop

    def _metrics(self) -> PrometheusMetrics | ScrapedMetrics:
        owner, server = self.runnable.owner, self._services.prometheus
        if server is None:
            return ScrapedMetrics(self._services.scraper, interval=_SCRAPE_SECONDS)
        prefix = job_prefix(owner.name, owner.uid)
        named = self.runnable.study.spec.metric_names
        return PrometheusMetrics(server, owner.namespace, prefix, named, gpus=self.runnable.gpus > 0)
