"""The life of one study in a cluster: validated, run by its loop, woken by changes, and gone when it is deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from kubestudy.api.gpus import gpus_in
from kubestudy.api.status import StudyStatus
from kubestudy.api.study import Budget, HyperparameterStudy, Metadata, StudySpec
from kubestudy.api.validation import validate
from kubestudy.cluster.api import ApiError, KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.events import EventRecorder
from kubestudy.cluster.jobs import Owner
from kubestudy.cluster.names import job_name, job_prefix
from kubestudy.cluster.runtime import ClusterRuntime
from kubestudy.cluster.status_writer import Pace, StatusWriter
from kubestudy.controller.admission import NO_PROMETHEUS, MetricsUnavailableError, admit, listed
from kubestudy.metrics.expressions import PrometheusEvaluator
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.metrics.prometheus import PrometheusMetrics
from kubestudy.metrics.scrape import ScrapedMetrics
from kubestudy.metrics.server import PrometheusServer
from kubestudy.search.archive import Archive, Record
from kubestudy.search.search_checks import search_problems
from kubestudy.study.loop import StudyLoop
from kubestudy.study.ports import Event, ExpressionEvaluator, StudyError, Trouble
from kubestudy.study.steady import steady_clock
from kubestudy.study.view import LiveTrial, View, degraded, failed

log = logging.getLogger(__name__)

_BACKOFF_SECONDS = 2.0
_BACKOFF_LIMIT_SECONDS = 120.0
_FLUSH_SECONDS = 5.0
_SCRAPE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Services:
    """What all studies of an operator share.

    Attributes:
        api: The API server.
        cache: Jobs and pods.
        archive: The storage.
        metrics: The operator's own.
        heartbeats: When each study's loop last turned, by uid.
        address: The Service through which its port is reached: namespace/name:port.
        prometheus: Where running trials are read; without it each pod is scraped.
        settling: Seconds after a trial's end from which on Prometheus has its last values.
        pace: The turns in which statuses are written.
        clock: Unix time.
    """

    api: KubeApi
    cache: Cache
    archive: Archive
    metrics: OperatorMetrics
    heartbeats: dict[str, float]
    address: str | None = None
    prometheus: PrometheusServer | None = None
    settling: float = 30.0
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = field(default_factory=steady_clock)


class StudyController:
    """One study, from the moment it is seen until it is deleted or the operator stops.

    Args:
        body: The object, as the API server sends it.
        services: What it needs.
    """

    def __init__(self, body: Mapping[str, Any], services: Services) -> None:
        self._body = body
        self._services = services
        self._changed = asyncio.Event()
        self._loop: StudyLoop | None = None
        self._runtime: ClusterRuntime | None = None
        self._change: asyncio.Task[None] | None = None
        self._refused: Trouble | None = None
        self.live: Sequence[LiveTrial] = ()
        metadata = body["metadata"]
        self.namespace, self.name, self.uid = metadata["namespace"], metadata["name"], metadata["uid"]
        owner = self._owner()
        self._writer = StatusWriter(owner, services.api, body.get("status"), services.pace)
        self._events = EventRecorder(owner, services.api)
        self._status = _known_status(body)
        self._budget = _budget_in(body)

    def _owner(self) -> Owner:
        template = (self._body.get("spec") or {}).get("jobTemplate") or {}
        return Owner(self.name, self.namespace, self.uid, template)

    @property
    def record(self) -> Record:
        """What the storage knows the study by."""
        policy = (self._body.get("spec") or {}).get("historyPolicy") or "Retain"
        return Record(self.namespace, self.name, self.uid, policy)

    def update(self, body: Mapping[str, Any]) -> None:
        """Take a newer version of the object."""
        old, self._body = self._body, body
        if body["metadata"].get("generation") == old["metadata"].get("generation"):
            return  # the spec is as it was
        self._budget = _budget_in(body)
        if self._loop is None:
            self._changed.set()
        else:
            self._change = asyncio.create_task(self._take_change(body))

    async def _take_change(self, body: Mapping[str, Any]) -> None:
        """Hand a changed spec to the loop that runs; one that is not valid is told of, and the old one stays."""
        study, problems = await asyncio.to_thread(validate, _manifest(body), search_problems)
        if body is not self._body:
            return  # a newer one came
        if self._loop is None or self._runtime is None:
            self._changed.set()  # the loop ended meanwhile
            return
        if study is None:
            message = f"the changed spec is not valid, and the study goes on by the old one: {listed(problems)}"
            log.warning("%s/%s: %s", self.namespace, self.name, message)
            self._refused = Trouble("InvalidSpec", message)
            self._trouble(self._refused)
            return
        self._refused = None
        await self._runtime.renew(self._owner(), study.spec, _gpus(study.spec))
        self._loop.update(study)

    async def run(self) -> None:
        """Run the study until cancelled."""
        backoff = _BACKOFF_SECONDS
        while True:
            self._changed.clear()
            try:
                if not self._is_done():
                    await self._once()
                backoff = _BACKOFF_SECONDS
                await self._changed.wait()
            except MetricsUnavailableError as error:
                self._trouble(Trouble("MetricsUnavailable", str(error)))
            except (StudyError, ApiError) as error:
                storage = isinstance(error, StudyError)
                self._trouble(Trouble("StorageUnavailable" if storage else "ApiServerUnavailable", str(error)))
                if storage:
                    self._services.metrics.storage_errors.inc()
            except Exception as error:  # whatever it is, other studies go on
                log.exception("%s/%s: an error of the operator's own", self.namespace, self.name)
                self._trouble(
                    Trouble("InternalError", f"{type(error).__name__}: {error}; the operator's log says more")
                )
            else:
                continue
            log.warning("%s/%s: trying again in %.0f s", self.namespace, self.name, backoff)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), backoff)
            backoff = min(backoff * 2, _BACKOFF_LIMIT_SECONDS)

    async def close(self) -> None:
        """Write what is left to write, a limited time."""
        await self._events.flush(_FLUSH_SECONDS)
        await self._writer.flush(_FLUSH_SECONDS)
        await self._writer.close()

    async def gone(self) -> None:
        """The study was deleted: its Jobs go by themselves, its history if it was to."""
        await self._writer.close()
        self._services.metrics.drop(self.namespace, self.name)
        if self.record.history == "Delete":
            await asyncio.to_thread(self._services.archive.delete, self.record)

    def _is_done(self) -> bool:
        """Tell whether nothing is to be done: what is written about this generation is an end."""
        status = self._status
        if status is None or status.phase not in ("Complete", "Failed"):
            return False
        self._services.metrics.show(self.namespace, self.name, status, self._budget)
        if self._services.prometheus is not None and any(c.reason == NO_PROMETHEUS for c in status.conditions):
            return False  # which was the operator's lack, not the study's
        generation: int | None = self._body["metadata"].get("generation")
        return status.observed_generation == generation

    async def _once(self) -> None:
        """Run the study until it is over, or stands still."""
        body, services = self._body, self._services
        begun = self._status is not None and self._status.trials.total > 0
        verdict = await admit(
            _manifest(body), self._owner(), services.api, self._evaluator, services.clock(), begun=begun
        )
        if isinstance(verdict, Trouble):
            self._refuse(body, verdict.reason, verdict.message)
        else:
            await self._run_valid(verdict.study, body, verdict.evaluator)

    def _evaluator(self, spec: StudySpec) -> PrometheusEvaluator | None:
        server = self._services.prometheus
        if server is None:
            return None
        job = partial(job_name, self.name, self.uid)
        return PrometheusEvaluator(server, spec.expressions, self.namespace, self.name, job, self._services.settling)

    async def _run_valid(
        self, study: HyperparameterStudy, body: Mapping[str, Any], evaluator: ExpressionEvaluator
    ) -> None:
        services = self._services
        search = await asyncio.to_thread(services.archive.open, self.record, study.spec)
        if self._status is not None and self._status.trials.total > 0 and not search.asked:
            raise StudyError(
                f"the storage {services.archive.where} holds nothing of this study, which had"
                f" {self._status.trials.total} trials: is the right volume mounted? To start over, delete the study"
                " and create it again"
            )
        relaunched = services.metrics.relaunched
        runtime = ClusterRuntime(
            self._owner(), study.spec, services.api, services.cache, _gpus(study.spec), services.clock, relaunched
        )
        metrics = self._metrics(study.spec)
        before = self._status.conditions if self._status is not None else ()
        loop = StudyLoop(study, search, runtime, metrics, self, services.clock, before, evaluator)
        self._loop, self._runtime = loop, runtime
        if self._body["metadata"].get("generation") != body["metadata"].get("generation"):
            # Changed while it was being checked and opened.
            self._changed.clear()
            self._change = asyncio.create_task(self._take_change(self._body))
        try:
            await loop.run()
        finally:
            if self._refused is not None:
                self._changed.set()  # the changed spec is checked on its own now
            self._loop = self._runtime = self._refused = None
            self.live = ()
            services.heartbeats.pop(self.uid, None)
            metrics.close()
            await runtime.close()

    def _metrics(self, spec: StudySpec) -> PrometheusMetrics | ScrapedMetrics:
        server = self._services.prometheus
        if server is None:
            return ScrapedMetrics(interval=_SCRAPE_SECONDS)
        return PrometheusMetrics(
            server,
            self.namespace,
            job_prefix(self.name, self.uid),
            gpus=_gpus(spec) > 0,
        )

    # --- the loop's listener ---------------------------------------------------------------------------------------

    def show(self, view: View) -> None:
        """Take the study's newest state."""
        self._services.heartbeats[self.uid] = time.monotonic()
        self.live = view.live
        status = view.status
        self._want(status if self._refused is None else self._degraded(status, self._refused))

    def tell(self, event: Event) -> None:
        """Take something worth telling a person."""
        if event.why is not None:
            self._services.metrics.trial_failed(event.why)
        self._events.tell(event)

    # --- troubles --------------------------------------------------------------------------------------------------

    def _want(self, status: StudyStatus) -> None:
        status = status.model_copy(update={"history_service": self._services.address})
        self._status = status
        self._services.metrics.show(self.namespace, self.name, status, self._budget)
        self._writer.want(status)

    def _refuse(self, body: Mapping[str, Any], reason: str, message: str) -> None:
        metadata = Metadata.model_validate(_metadata(body), by_alias=True)
        self._want(failed(metadata, reason, message, self._services.clock(), self._status))
        self._events.tell(Event(reason, message, warning=True))

    def _trouble(self, trouble: Trouble) -> None:
        """Say that the study cannot go on for now; everything else of its status stays."""
        self._want(self._degraded(self._status or StudyStatus(), trouble))
        self._events.tell(Event(trouble.reason, trouble.message, warning=True))

    def _degraded(self, status: StudyStatus, trouble: Trouble) -> StudyStatus:
        rest = [c for c in status.conditions if c.type != "Degraded"]
        before = self._status.conditions if self._status is not None else ()
        condition = degraded(self._body["metadata"].get("generation"), trouble, self._services.clock(), before)
        return status.model_copy(update={"conditions": [*rest, condition]})


def _gpus(spec: StudySpec) -> float:
    return gpus_in(spec.job_template.spec.template.spec)


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: body["metadata"].get(key) for key in ("name", "namespace", "generation")}


def _manifest(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": _metadata(body),
        "spec": body.get("spec"),
    }


def _known_status(body: Mapping[str, Any]) -> StudyStatus | None:
    try:
        return StudyStatus.model_validate(body["status"], by_alias=True, by_name=False)
    except (KeyError, ValidationError):
        return None


def _budget_in(body: Mapping[str, Any]) -> Budget | None:
    try:
        return Budget.model_validate((body.get("spec") or {}).get("budget") or {}, by_alias=True)
    except ValidationError:
        return None  # which the study is told of elsewhere
