"""Leader election on a Lease: of several operators one works, the others wait.

The same rules as client-go's: whoever holds the Lease renews it; another takes it once it has not seen it change for as
long as it lasts, by its own clock. A holder counts from the moment it *asked* for the renewal that succeeded, and stops
a margin before that is over, whatever a slow API server is still doing about later ones. So no two work at once.

The client library's own election has no limit on a request, so that a leader whose API server hangs goes on while a
standby takes over, and ends at the first connection that is refused.

Source: coordination.k8s.io/v1 Lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kubestudy.cluster.api import ApiError, ConflictError, KubeApi, NotFoundError
from kubestudy.cluster.fence import Fence
from kubestudy.cluster.paths import collection

log = logging.getLogger(__name__)

# A standby takes over after at most a lease and a retry.
LEASE_SECONDS = 10
RETRY_SECONDS = 2.0
# A leader stops so long before another may take over.
MARGIN_SECONDS = 2.0
_ATTEMPT_SECONDS = 3.0
_GROUP = "coordination.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A Lease's spec as it was last seen to change, and when that was."""

    spec: dict[str, Any]
    at: float

    @property
    def holder(self) -> str:
        """Who holds it; empty for nobody."""
        return str(self.spec.get("holderIdentity") or "")

    def expired(self, now: float) -> bool:
        """Tell whether nobody renewed it for as long as it lasts."""
        return now >= self.at + float(self.spec.get("leaseDurationSeconds") or LEASE_SECONDS)


class Candidate:
    """One who wants to hold a Lease.

    Args:
        api: The API server; the Lease should not have to wait for connections that others use up.
        namespace: The Lease's namespace.
        name: Its name.
        identity: Who this is: nobody else calls itself so.
        fence: Opened while the Lease is held, by its clock.

    Attributes:
        until: Until when nobody else can hold the Lease, after it was taken or renewed.
    """

    def __init__(self, api: KubeApi, namespace: str, name: str, identity: str, fence: Fence) -> None:
        self._api = api
        self._leases = collection(_GROUP, "leases", namespace)
        self._path = f"{self._leases}/{name}"
        self._namespace, self._name = namespace, name
        self.identity = identity
        self._fence = fence
        self._now = fence.clock
        self._lease: dict[str, Any] | None = None
        self._seen: _Seen | None = None
        self.until = 0.0

    async def attempt(self) -> bool:
        """Take the Lease, or renew it; return whether it is held now.

        Raises:
            ApiError: The API server refuses, or does not answer in time.
        """
        asked = self._now()
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                held = await self._take()
        except TimeoutError as error:
            self._lease = None  # who knows what became of it
            raise ApiError(0, "", f"the API server does not answer within {_ATTEMPT_SECONDS:.0f} s") from error
        if held:
            self.until = asked + LEASE_SECONDS
            # The margin is what is left for a write that is on its way.
            self._fence.open_until(self.until - MARGIN_SECONDS)
        return held

    @property
    def other(self) -> str | None:
        """Who else holds the Lease, as far as is known."""
        holder = self._seen.holder if self._seen is not None else ""
        return holder if holder not in ("", self.identity) else None

    async def release(self) -> None:
        """Give the Lease back if it is held, so that a standby need not wait for its end; a limited time."""
        with contextlib.suppress(ApiError, TimeoutError):
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                lease = await self._api.get(self._path)
                if lease["spec"].get("holderIdentity") == self.identity:
                    version = {"resourceVersion": lease["metadata"]["resourceVersion"]}
                    changes = {"holderIdentity": None, "leaseDurationSeconds": 1}
                    await self._api.patch(self._path, {"metadata": version, "spec": changes})

    async def _take(self) -> bool:
        try:
            if self._lease is None:
                self._lease = await self._api.get(self._path)
        except NotFoundError:
            return await self._create()
        spec = self._lease.get("spec") or {}
        if self._seen is None or self._seen.spec != spec:
            self._seen = _Seen(spec, self._now())
        if self.other is not None and not self._seen.expired(self._now()):
            self._lease = None  # it is to be looked at again
            return False
        body = {**self._lease, "spec": self._spec(self._seen)}
        try:
            # With the resourceVersion that was read: somebody who was quicker is not overwritten.
            self._lease = await self._api.replace(self._path, body)
        except (ConflictError, NotFoundError):
            self._lease = None
            return False
        self._seen = _Seen(self._lease["spec"], self._now())
        return True

    async def _create(self) -> bool:
        metadata = {"name": self._name, "namespace": self._namespace}
        body = {"apiVersion": _GROUP, "kind": "Lease", "metadata": metadata, "spec": self._spec(None)}
        try:
            self._lease = await self._api.create(self._leases, body)
        except ConflictError:
            return False
        self._seen = _Seen(self._lease["spec"], self._now())
        return True

    def _spec(self, before: _Seen | None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {**(before.spec if before is not None else {})}
        if before is None or before.holder != self.identity:
            spec |= {
                "acquireTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (before is not None),
            }
        return spec | {"holderIdentity": self.identity, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}

    async def win(self, stand_by: Callable[[], None]) -> None:
        """Return once the Lease is held.

        Args:
            stand_by: Called while somebody else holds it.
        """
        while True:
            try:
                if await self.attempt():
                    return
                if self.other is not None:
                    stand_by()
            except ApiError as error:
                log.warning("the lease %s cannot be taken: %s; again in %.0f s", self._path, error, RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        """Renew the Lease; return when it is lost: somebody else holds it, or it was not renewed in time."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                async with asyncio.timeout(max(0.0, self.until - MARGIN_SECONDS - self._now())):
                    while not await self._renewed():
                        await asyncio.sleep(RETRY_SECONDS)
            except TimeoutError:
                break
            if self.other is not None:
                break
        why = "it was not renewed in time" if self.other is None else f"{self.other} holds it"
        log.error("the lease %s is lost: %s", self._path, why)

    async def _renewed(self) -> bool:
        """Try to renew; return whether there is nothing more to try: it is renewed, or somebody else's."""
        try:
            return await self.attempt() or self.other is not None
        except ApiError as error:
            log.warning("the lease %s is not renewed: %s", self._path, error)
            return False


async def lead(
    api: KubeApi,
    namespace: str,
    name: str,
    work: Callable[[], Coroutine[Any, Any, None]],
    stop: asyncio.Event,
    stand_by: Callable[[], None],
    fence: Fence | None = None,
) -> bool:
    """Wait for the Lease, then work until the work is done or the Lease is lost.

    Args:
        api: The API server.
        namespace: The Lease's namespace.
        name: Its name.
        work: What to do as the leader; cancelled when the Lease is lost. It ends by itself once `stop` is set.
        stop: Set to stop waiting for the Lease, or working.
        stand_by: Called while somebody else holds the Lease.
        fence: Opened for as long as the Lease is held. Whatever the work writes, it has to ask this before.

    Returns:
        Whether the end was asked for; False when the Lease was lost.

    Raises:
        Exception: What the work raised.
    """
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid4().hex[:8]}"
    fence = fence or Fence(asyncio.get_running_loop().time)
    fence.close()
    candidate = Candidate(api, namespace, name, identity, fence)
    if not await _before(stop, candidate.win(stand_by)):
        fence.close()
        await candidate.release()  # it may have been won that very moment
        return True
    log.info("leading as %s", identity)
    working, keeping = asyncio.create_task(work()), asyncio.create_task(candidate.keep())
    try:
        await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        lost = not working.done()
        if lost:
            fence.close()
    finally:
        for task in (working, keeping):
            task.cancel()
        await asyncio.gather(working, keeping, return_exceptions=True)
    if lost:
        if (error := keeping.exception()) is not None:
            log.error("the election ended", exc_info=error)
        return False
    fence.close()
    await candidate.release()
    working.result()
    return True


async def _before(stop: asyncio.Event, wanted: Coroutine[Any, Any, None]) -> bool:
    """Wait for something, or to be told to stop; return whether it came."""
    waiting, stopped = asyncio.create_task(wanted), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        return waiting.done()
    finally:
        for task in (waiting, stopped):
            task.cancel()
        await asyncio.gather(waiting, stopped, return_exceptions=True)
