"""What a trial's Job tells of itself. Pure. Source: batch/v1 Job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubestudy.api.limits import STATUS_TEXT, STATUS_WORD
from kubestudy.cluster.timestamps import unix


@dataclass(frozen=True, slots=True)
class JobView:
    """A trial's Job.

    Attributes:
        uid: Its uid.
        created: Unix time of its creation.
        deleting: Whether it is on its way out.
        suspended: Whether it is suspended: by Kueue, or by hand.
        complete: Whether it is over, and well.
        failed: Its own word for why it failed; None if it has not.
        failed_message: The sentence to that.
        one_pod: Whether the success of one pod is its own.
        deadline: Its activeDeadlineSeconds.
        ttl: Its ttlSecondsAfterFinished.
    """

    uid: str
    created: float = 0.0
    deleting: bool = False
    suspended: bool = False
    complete: bool = False
    failed: str | None = None
    failed_message: str = ""
    one_pod: bool = False
    deadline: int | None = None
    ttl: int | None = None

    @property
    def over(self) -> bool:
        """Whether the Job controller is done with it."""
        return self.complete or self.failed is not None


def job_view(job: Mapping[str, Any]) -> JobView:
    """Read a Job, as the API server sends it.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It is none.
    """
    metadata, spec = job["metadata"], job["spec"]
    conditions = {c["type"]: c for c in (job.get("status") or {}).get("conditions") or [] if c["status"] == "True"}
    failed = conditions.get("Failed")
    return JobView(
        uid=str(metadata.get("uid", ""))[: STATUS_WORD.value],
        created=unix(metadata.get("creationTimestamp")) or 0.0,
        deleting="deletionTimestamp" in metadata,
        suspended=bool(spec.get("suspend")) or "Suspended" in conditions,
        complete="Complete" in conditions,
        failed=None if failed is None else str(failed.get("reason", "Error"))[: STATUS_WORD.value],
        failed_message="" if failed is None else str(failed.get("message", ""))[: STATUS_TEXT.value],
        one_pod=spec.get("completions") == 1,
        deadline=_number(spec.get("activeDeadlineSeconds")),
        ttl=_number(spec.get("ttlSecondsAfterFinished")),
    )


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
