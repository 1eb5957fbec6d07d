"""The watches: kopf's event handlers, which only pass on what they see.

Nothing here makes kopf keep a record of its own on an object: no finalizer, no annotation (kopf's daemons, timers and
create/update handlers would), so deletion never waits for the operator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import kopf

from kubestudy.api.contract import LABEL_STUDY_UID
from kubestudy.api.crd import PLURAL
from kubestudy.api.study import GROUP, VERSION
from kubestudy.cluster.cache import Cache
from kubestudy.controller.registry import Registry

_SERVER_SECONDS = 300  # a whole number: it goes into the URL as it is
_MARGIN_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_REQUEST_SECONDS = 30.0


async def watch(cache: Cache, registry: Registry, namespaces: Sequence[str], stop: asyncio.Event) -> None:
    """Watch studies, Jobs and pods until told to stop.

    Args:
        cache: Takes in Jobs and pods.
        registry: Takes in studies.
        namespaces: Where; empty for everywhere.
        stop: Set to stop.
    """
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
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    await kopf.operator(
        registry=handlers,
        settings=_settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        stop_flag=stop,
    )


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    for resource in ("jobs", "pods"):
        settings.watching.label_selectors[resource] = LABEL_STUDY_UID
    settings.watching.server_timeout = _SERVER_SECONDS
    settings.watching.client_timeout = _SERVER_SECONDS + _MARGIN_SECONDS
    settings.watching.connect_timeout = _CONNECT_SECONDS
    settings.networking.request_timeout = _REQUEST_SECONDS
    return settings
