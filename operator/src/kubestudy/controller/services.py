"""What all studies of an operator share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kubestudy.api.gpus import GPU_SHARES
from kubestudy.api.limits import TEMPLATE_CHECKS
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.status_writer import Pace
from kubestudy.controller.quarantine import Quarantine
from kubestudy.controller.work_pool import WorkPool
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.metrics.scrape import Scraper
from kubestudy.metrics.server import PrometheusServer
from kubestudy.search.archive import Archive, Record
from kubestudy.study.steady import steady_clock


@dataclass(slots=True)
class Known:
    """What an operator finds out once, and need not know from its start: a storage may be away then.

    Attributes:
        storage: The storage's identity; empty until it is known.
        cluster: The cluster's identity; empty where it is not known.
    """

    storage: str = ""
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Services:
    """What all studies of an operator share.

    Attributes:
        api: The API server.
        cache: Jobs and pods.
        archive: The storage.
        metrics: The operator's own.
        heartbeats: When each study's loop last turned, by uid (monotonic seconds).
        address: The Service in front of the history's port: namespace/name:port.
        prometheus: Where running trials are read; without it each pod is scraped.
        settling: Seconds after a trial's end from which on Prometheus has its last values.
        gpu_shares: By pattern of a resource's or device class's name: what share of a GPU one is.
        pace: The turns in which statuses are written.
        clock: Unix time that never goes back.
        pool: The threads in which storages are opened, trials asked for and told.
        quarantine: The studies that the operator was killed over.
        name: What tells this operator from others of the cluster: its Lease, as namespace/name.
        known: What was found out of the storage and the cluster.
        confined: Whether expressions read series of their study's namespace alone.
        scraper: What reads running trials where there is no Prometheus.
        template_checks: The turns in which the API server is asked about job templates: all at once after a start,
            they would leave it no time for anything else.
    """

    api: KubeApi
    cache: Cache
    archive: Archive
    metrics: OperatorMetrics
    heartbeats: dict[str, float]
    address: str | None = None
    prometheus: PrometheusServer | None = None
    settling: float = 30.0
    gpu_shares: Mapping[str, float] = field(default_factory=lambda: GPU_SHARES)
    pace: Pace = field(default_factory=Pace)
    clock: Callable[[], float] = field(default_factory=steady_clock)
    pool: WorkPool = field(default_factory=WorkPool)
    quarantine: Quarantine = field(default_factory=Quarantine)
    name: str = ""
    known: Known = field(default_factory=Known)
    confined: bool = False
    scraper: Scraper = field(default_factory=Scraper)
    template_checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TEMPLATE_CHECKS.value))

    @property
    def storage(self) -> str:
        """The storage's identity; empty until it is known."""
        return self.known.storage

    @property
    def cluster(self) -> str:
        """The cluster's identity, the uid of its namespace kube-system; empty where that may not be read."""
        return self.known.cluster

    async def know_storage(self) -> None:
        """Find out the storage's identity, once.

        Raises:
            StudyError: The storage cannot be used.
        """
        if not self.known.storage:
            self.known.storage = await self.pool.call("storage", self.archive.identity)

    def record(self, namespace: str, name: str, uid: str, history: str) -> Record:
        """Return what the storage knows a study by.

        Args:
            namespace: The study's namespace.
            name: Its name.
            uid: Its uid.
            history: Retain or Delete: what is to become of it once the study is deleted.
        """
        return Record(namespace, name, uid, history, self.cluster, self.name)
