"""Leader election on a Lease: of several operators one works, the others wait.

Source: kubernetes.aio.leaderelection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from kubestudy.cluster.api import ApiError, KubeApi

log = logging.getLogger(__name__)

# A standby takes over after at most a lease and a retry.
LEASE_SECONDS = 10
RENEW_SECONDS = 7
RETRY_SECONDS = 2


class _Lease(LeaseLock):
    """The library's lock; it tells, too, when somebody else holds the Lease.

    Its creation is our own: the library's asks for `pretty=True` where the client wants a text.
    """

    def __init__(
        self, name: str, namespace: str, identity: str, api_client: client.ApiClient, stand_by: Callable[[], None]
    ) -> None:
        super().__init__(name, namespace, identity, api_client)
        self._stand_by = stand_by

    async def get(self, name: str, namespace: str) -> Any:
        """Return whether there is a Lease, and what it says."""
        there, record = await super().get(name, namespace)
        if isinstance(record, LeaderElectionRecord) and record.holder_identity not in (None, self.identity):
            self._stand_by()
        return there, record

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Create the Lease; return whether it was created by this candidate."""
        body = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        try:
            await self.api_instance.create_namespaced_lease(namespace, body)
        except ApiException as error:
            log.warning("the lease %s/%s cannot be created: %s", namespace, name, error.reason)
            return False
        return True


async def lead(
    api: KubeApi,
    namespace: str,
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    stop: asyncio.Event,
    stand_by: Callable[[], None],
) -> bool:
    """Wait for the Lease, then work until the work is done or the Lease is lost.

    Args:
        api: The API server.
        namespace: The Lease's namespace.
        name: Its name.
        work: What to do as the leader; cancelled when the Lease is lost. It ends by itself once `stop` is set.
        stop: Set to stop waiting for the Lease, or working.
        stand_by: Called while somebody else holds the Lease.

    Returns:
        Whether the end was asked for; False when the Lease was lost.

    Raises:
        Exception: What the work raised.
    """
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid4().hex[:8]}"
    leading, done = asyncio.Event(), asyncio.Event()
    failures: list[Exception] = []

    async def working() -> None:
        log.info("leading as %s", identity)
        leading.set()
        try:
            await work()
        except Exception as error:
            failures.append(error)
        finally:
            done.set()

    async def lost() -> None:
        log.error("the lease %s/%s is lost", namespace, name)

    lock = _Lease(name, namespace, identity, api.client, stand_by)
    config = Config(lock, LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, working, lost)
    elected = asyncio.create_task(LeaderElection(config).run())
    stopped, finished = asyncio.create_task(stop.wait()), asyncio.create_task(done.wait())
    try:
        await asyncio.wait({elected, finished, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopped.done() and leading.is_set():
            await asyncio.wait({elected, finished}, return_when=asyncio.FIRST_COMPLETED)
        kept = not elected.done()
        if not kept and elected.exception() is not None:
            log.error("the election ended: %r", elected.exception())
    finally:
        for task in (elected, finished, stopped):
            task.cancel()
        await asyncio.gather(elected, finished, stopped, return_exceptions=True)
    if kept and leading.is_set():
        await _release(api, namespace, name)
    if failures:
        raise failures[0]
    return kept


async def _release(api: KubeApi, namespace: str, name: str) -> None:
    """Give the Lease back, so that a standby need not wait for its end."""
    with contextlib.suppress(ApiError):
        await api.patch(
            f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}",
            {"spec": {"holderIdentity": None, "leaseDurationSeconds": 1}},
        )
