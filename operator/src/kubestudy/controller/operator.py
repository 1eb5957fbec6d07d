"""`kubestudy operator`: start everything, work while leading, stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from pathlib import Path

from kubestudy.api.crd import NAME as CRD_NAME
from kubestudy.api.crd import PLURAL
from kubestudy.api.study import API_VERSION
from kubestudy.cluster.api import ApiError, KubeApi, NotFoundError
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.fence import Fence
from kubestudy.cluster.paths import collection
from kubestudy.controller.history_endpoint import Histories, history_routes
from kubestudy.controller.http import Health, health_routes, serve
from kubestudy.controller.leader import lead
from kubestudy.controller.listing import fill, list_studies
from kubestudy.controller.quarantine import Quarantine
from kubestudy.controller.registry import Registry, study_key
from kubestudy.controller.services import Services
from kubestudy.controller.settings import Settings
from kubestudy.controller.watching import watch
from kubestudy.controller.work_notes import WorkNotes
from kubestudy.controller.work_pool import PoolLimits, WorkPool
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.metrics.server import PrometheusServer
from kubestudy.search.archive import Archive
from kubestudy.search.search import hush_optuna
from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

_LAG_SECONDS = 1.0
_CRD_SECONDS = 5.0
_BEAT_SECONDS = 30.0
_STORAGE_SECONDS = 10.0


async def operate(settings: Settings) -> bool:
    """Run the operator until SIGTERM or SIGINT.

    Returns:
        Whether it was told to stop; False if it lost its Lease, or all its threads are stuck, so that it is to be
        started again.

    Raises:
        ApiError: No cluster is configured.
        PortError: One of its ports is taken.
    """
    hush_optuna()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = OperatorMetrics()
    fence = Fence()
    api = await KubeApi.from_environment(metrics.request, before_change=fence.check_request)
    archive = Archive(settings.storage_place, metrics.searched, fence.check_storage)
    prometheus = None if settings.prometheus is None else PrometheusServer(settings.prometheus)
    settling = settings.prometheus_settling_seconds
    quarantine = Quarantine(WorkNotes(settings.work_notes, f".{settings.lease_namespace}.{settings.lease_name}"))
    pool = WorkPool(quarantine, PoolLimits(seconds=settings.search_seconds))
    quarantine.crowd = lambda: pool.waiting
    services = Services(
        api, Cache(), archive, metrics, {}, settings.service, prometheus, settling, settings.gpu_shares,
        pool=pool, quarantine=quarantine, name=settings.operator_name, confined=settings.confined,
    )  # fmt: skip
    registry = Registry(services, settings.namespaces)
    health = Health(services.heartbeats)
    histories = Histories(archive, registry.live, settings.history_token_file)
    async with contextlib.AsyncExitStack() as ends:
        ends.push_async_callback(api.close)
        ends.push_async_callback(histories.close)
        ends.push_async_callback(services.scraper.close)
        if prometheus is not None:
            ends.push_async_callback(prometheus.close)
        for port, routes, flag in (
            (settings.health_port, health_routes(health, metrics, services.pool), "--health-port"),
            # A port of its own: roles on a service's proxy tell ports apart, not paths.
            (settings.history_port, history_routes(histories), "--history-port"),
        ):
            ends.push_async_callback((await serve(settings.health_address, port, routes, flag)).cleanup)
        lag = asyncio.create_task(_watch_lag(metrics))
        ends.callback(lag.cancel)
        return await _until_stopped(settings, services, registry, health, stop, fence)


async def _until_stopped(
    settings: Settings, services: Services, registry: Registry, health: Health, stop: asyncio.Event, fence: Fence
) -> bool:
    async def work() -> None:
        health.ready = False
        await _work(settings, services, registry, health, stop)

    def stand_by() -> None:
        # A standby is ready for what it is there for: to take over.
        health.ready = True

    if not settings.leader_election:
        await work()
        return not services.pool.exhausted.is_set()
    # Connections of its own: the Lease does not wait for those that the studies use up.
    api = services.api.another()
    try:
        ordered = await lead(api, settings.lease_namespace, settings.lease_name, work, stop, stand_by, fence)
        return ordered and not services.pool.exhausted.is_set()
    finally:
        await api.close()


async def _work(
    settings: Settings, services: Services, registry: Registry, health: Health, stop: asyncio.Event
) -> None:
    """Look after all studies until told to stop."""
    await _wait_for_crd(settings, services.api, stop)
    if stop.is_set():
        return
    tasks: list[asyncio.Task[None]] = []
    flush = True
    services.quarantine.begin()
    try:
        await _find_out(settings, services)
        # The cache keeps what belongs to studies that are known, and a run begins with what the cache holds.
        for body in await list_studies(services.api, settings.namespaces):
            services.cache.look_after(study_key(body))
        await fill(services.cache, services.api, settings.namespaces)
        studies = await list_studies(services.api, settings.namespaces)
        services.quarantine.only(study["metadata"]["uid"] for study in studies)
        await registry.resync(studies)
        await registry.clean_up()
        tasks = [
            asyncio.create_task(watch(services.api, services.cache, registry, settings.namespaces, stop)),
            asyncio.create_task(_resync(settings, services, registry)),
            asyncio.create_task(_watch_beats(health, registry)),
            asyncio.create_task(_until_exhausted(services.pool)),
        ]
        health.ready = True
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        flush = False  # the Lease is lost: another operator writes by now
        raise
    finally:
        health.ready = False
        await registry.close(flush=flush)
        await services.pool.close()
        services.quarantine.close()
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ends:
        if isinstance(error, Exception):
            raise error


async def _find_out(settings: Settings, services: Services) -> None:
    """Find out whose the cluster and the storage are, as far as that can be had; nothing waits for it for long."""
    try:
        await asyncio.wait_for(services.know_storage(), _STORAGE_SECONDS)
    except (StudyError, TimeoutError) as error:
        # Each study says so, and tries again.
        log.warning("the storage's identity is not known yet: %s", str(error) or "the storage does not answer")
    if settings.namespaces and isinstance(settings.storage_place, Path):
        return  # it has no right outside of its namespaces, and needs none: the folder is its own
    try:
        found = await services.api.get(f"{collection('v1', 'namespaces')}/kube-system")
        services.known.cluster = str(found["metadata"]["uid"])
    except (ApiError, KeyError) as error:
        log.warning(
            "the cluster's identity, the uid of the namespace kube-system, cannot be read: %s; in a database the"
            " histories of studies that were deleted while no operator ran stay (kubestudy history purge)",
            error,
        )


async def _wait_for_crd(settings: Settings, api: KubeApi, stop: asyncio.Event) -> None:
    """Wait until the CRD is installed: kopf would look for it only once."""
    while not stop.is_set():
        try:
            await api.get(collection(API_VERSION, PLURAL, next(iter(settings.namespaces), None)), limit="1")
        except NotFoundError:
            log.warning("the CRD %s is not installed: apply it (kubestudy crd); looking again", CRD_NAME)
        except ApiError as error:
            log.warning("cannot list studies: %s; trying again", error)
        else:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CRD_SECONDS):
                await stop.wait()


async def _resync(settings: Settings, services: Services, registry: Registry) -> None:
    while True:
        await asyncio.sleep(settings.resync_seconds)
        try:
            await registry.resync(await list_studies(services.api, settings.namespaces))
            await fill(services.cache, services.api, settings.namespaces)
        except ApiError as error:
            log.warning("the regular look at everything failed: %s", error)
        except Exception:
            log.exception("the regular look at everything failed")


async def _watch_beats(health: Health, registry: Registry) -> None:
    """Look at all studies now and then: say of those whose loop does not turn that it does not, renew custodies."""
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        registry.renew()
        for uid in health.stale():
            registry.stalled(uid)


async def _until_exhausted(pool: WorkPool) -> None:
    await pool.exhausted.wait()
    log.error(
        "all threads are held by calls to studies' searches that do not come back: restarting; these studies are tried"
        " last, one at a time: %s",
        ", ".join(pool.stuck),
    )


async def _watch_lag(metrics: OperatorMetrics) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(_LAG_SECONDS)
        metrics.loop_lag.set(max(0.0, time.monotonic() - began - _LAG_SECONDS))
