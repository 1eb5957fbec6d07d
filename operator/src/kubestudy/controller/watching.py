"""The watches: kopf's event handlers, which only pass on what they see.

Nothing here makes kopf keep a record of its own on an object: no finalizer, no annotation (kopf's daemons, timers and
create/update handlers would), so deletion never waits for the operator.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Collection, Iterator, Sequence
from typing import Any, cast

import kopf

from kubestudy.api.contract import LABEL_STUDY_UID
from kubestudy.api.crd import PLURAL
from kubestudy.api.limits import WATCH_PAGE
from kubestudy.api.study import GROUP, VERSION
from kubestudy.api.text import clean
from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.controller.registry import Registry
from kubestudy.planning.backoff import Backoff

log = logging.getLogger(__name__)

_SERVER_SECONDS = 300  # a whole number: it goes into the URL as it is
_MARGIN_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_REQUEST_SECONDS = 30.0
# Watches that lasted so long were no failure.
_LASTING_SECONDS = 60.0
# How long kopf may take for an end in order, and how often what is left of it is told to end after that.
_END_SECONDS = 3.0
_CANCELLATIONS = 5
_BACKOFF = Backoff(first=1.0, limit=30.0)


async def watch(api: KubeApi, cache: Cache, registry: Registry, namespaces: Sequence[str], stop: asyncio.Event) -> None:
    """Watch studies, Jobs and pods until told to stop.

    Watches that end, for kopf takes an answer that it cannot read for the end of everything, are begun again; studies
    go on meanwhile, and the regular look at everything makes up for what was missed.

    Args:
        api: The API server, whose address and credentials the watches use too.
        cache: Takes in Jobs and pods.
        registry: Takes in studies.
        namespaces: Where; empty for everywhere.
        stop: Set to stop.
    """
    failures, loop, stopping = 0, asyncio.get_running_loop(), asyncio.create_task(stop.wait())
    try:
        while True:
            began, watching = loop.time(), asyncio.create_task(_watch_once(api, cache, registry, namespaces, stop))
            try:
                await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if stop.is_set():
                    await asyncio.wait({watching}, timeout=_END_SECONDS)
                    return
                why = (None if watching.cancelled() else watching.exception()) or "they ended"
            finally:
                await _end(watching)
            failures = failures + 1 if loop.time() < began + _LASTING_SECONDS else 1
            log.warning("the watches are begun again in %.0f s: %s", _BACKOFF.after(failures), clean(repr(why)))
            await asyncio.wait({stopping}, timeout=_BACKOFF.after(failures))
    finally:
        stopping.cancel()


async def _end(watching: asyncio.Task[None]) -> None:
    """End the watches, and whatever is left of kopf: its requests swallow a cancellation now and then."""
    for _ in range(_CANCELLATIONS):
        left = {task for task in asyncio.all_tasks() if _is_kopfs(task)} | ({watching} - {asyncio.current_task()})
        left = {task for task in left if not task.done()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1.0)
    log.warning("the watches do not end")


def _is_kopfs(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and f"{os.sep}kopf{os.sep}" in code.co_filename


async def _watch_once(
    api: KubeApi, cache: Cache, registry: Registry, namespaces: Sequence[str], stop: asyncio.Event
) -> None:
    handlers = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def study(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            await registry.gone(body["metadata"]["uid"])
        else:
            registry.seen(body)

    @kopf.on.event("batch", "v1", "jobs", registry=handlers)
    async def job(event: Any, **_: Any) -> None:
        cache.take_in("Job", event["type"] == "DELETED", event["object"])

    @kopf.on.event("", "v1", "pods", registry=handlers)
    async def pod(event: Any, **_: Any) -> None:
        cache.take_in("Pod", event["type"] == "DELETED", event["object"])

    @kopf.on.login(registry=handlers)
    async def login(**_kwargs: Any) -> kopf.ConnectionInfo:
        # Not kopf's own ways, which ask DNS for the API server and find it in one more place than our client does.
        configuration = api.configuration
        settings: dict[str, Any] = dict(await configuration.auth_settings())
        scheme, _sep, token = str(settings.get("BearerToken", {}).get("value") or "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            scheme=scheme.capitalize() or None,
            token=token or None,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=_settings(),
        standalone=True,
        # Else kopf asks for the user's name, which a container's user has none of.
        identity=cast("Any", f"kubestudy-{os.getpid()}"),
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        stop_flag=stop,
    )
    # kopf listens to them itself by now, and would tell nobody.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await kopf.run_tasks(tasks, ignored=_EveryTask())


class _EveryTask(Collection[Any]):
    """What kopf leaves alone at its end: else it waits five seconds for whatever began after it, and cancels that.

    Such tasks are ours, each study's among them, and ended in order elsewhere; kopf's own end with its watches.
    """

    def __contains__(self, _task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _NothingToCompare(kopf.DiffBaseStorage):
    """Keeps kopf from copying each object at each event, to compare it with what it was: nobody asks it to."""

    def build(self, **_: Any) -> Any:
        """Return what is compared: nothing."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Return what was kept of the object as it was: nothing."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NothingToCompare()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    for resource in ("jobs", "pods"):
        settings.watching.label_selectors[resource] = LABEL_STUDY_UID
    settings.watching.chunk_size = WATCH_PAGE.value
    settings.watching.server_timeout = _SERVER_SECONDS
    settings.watching.client_timeout = _SERVER_SECONDS + _MARGIN_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.networking.request_timeout = _REQUEST_SECONDS
    return settings
