"""Whether an operator looks after studies: by its Lease, where that can be read, and by what it wrote. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kubestudy.cli.target import OPERATOR_SELECTOR
from kubestudy.cli.words import duration

# Beyond the Lease's own duration: clocks of two machines differ.
_SKEW = timedelta(seconds=15)
# An operator takes up a change within a second or two; one that was just started needs some more.
_PATIENCE = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Lease:
    """What the leading operator holds and renews.

    Attributes:
        place: namespace/name.
        holder: Who holds it; None if it was given back.
        renewed: When it was renewed last; None if never.
        duration: How long that lasts.
    """

    place: str
    holder: str | None
    renewed: datetime | None
    duration: timedelta


def lease_in(body: Mapping[str, Any]) -> Lease:
    """Read a Lease object."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    renewed = spec.get("renewTime")
    return Lease(
        f"{metadata['namespace']}/{metadata['name']}",
        spec.get("holderIdentity") or None,
        None if renewed is None else datetime.fromisoformat(renewed),
        timedelta(seconds=spec.get("leaseDurationSeconds") or 0),
    )


def absence(lease: Lease | None, now: datetime) -> str | None:
    """Return the sentence that no operator is there; None if one is, or nobody knows.

    Args:
        lease: The operator's Lease; None where it cannot be read, or there is none.
        now: The time.
    """
    if lease is None:
        return None
    if lease.holder is None:
        return f"no operator is answering: none holds the Lease {lease.place}"
    if lease.renewed is None or now - lease.renewed <= lease.duration + _SKEW:
        return None
    since = duration((now - lease.renewed).total_seconds())
    return f"no operator is answering: the Lease {lease.place} was renewed last {since} ago"


def silence(body: Mapping[str, Any], lease: Lease | None, now: datetime) -> str | None:
    """Return the sentence that nobody acts on what a study asks for; None if it is being acted on.

    Args:
        body: The study.
        lease: The operator's Lease; None where it cannot be read, or there is none.
        now: The time.
    """
    return absence(lease, now) or _unheard(body, lease, now)


def _unheard(body: Mapping[str, Any], lease: Lease | None, now: datetime) -> str | None:
    metadata = body["metadata"]
    observed = (body.get("status") or {}).get("observedGeneration")
    changed = changed_at(metadata)
    if observed == metadata.get("generation") or now - changed <= _PATIENCE:
        return None
    since = duration((now - changed).total_seconds())
    what = "study" if observed is None else "change of its spec"
    if lease is not None:
        return (
            f"the operator has not taken up this {what} for {since}: does it look after namespace"
            f" {metadata['namespace']}? Its log says more"
        )
    return (
        f"no operator has taken up this {what} for {since}: is one running, for namespace {metadata['namespace']}?"
        f" (kubectl get pods -A -l '{OPERATOR_SELECTOR}')"
    )


def changed_at(metadata: Mapping[str, Any]) -> datetime:
    """Return when an object's spec was changed last, as far as its metadata tell."""
    written = [
        entry["time"]
        for entry in metadata.get("managedFields") or []
        if entry.get("time") and not entry.get("subresource")
    ]
    return max(map(datetime.fromisoformat, [metadata["creationTimestamp"], *written]))
