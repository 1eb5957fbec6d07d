"""Whether an operator is at work: what its Lease and a study's generations tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kubestudy.cli.operator_state import Lease, absence, changed_at, lease_in, silence

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def lease(age: float = 1.0, holder: str | None = "pod_1") -> Lease:
    return Lease("kubestudy-system/kubestudy-operator", holder, NOW - timedelta(seconds=age), timedelta(seconds=10))


def study(generation: int = 2, observed: int | None = 2, changed: float = 60.0) -> dict[str, Any]:
    when = (NOW - timedelta(seconds=changed)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "metadata": {
            "name": "s",
            "namespace": "team",
            "generation": generation,
            "creationTimestamp": "2026-11-24T10:00:00Z",
            "managedFields": [
                {"manager": "kubectl", "time": when},
                {"manager": "kubestudy", "time": "2026-11-24T12:00:00Z", "subresource": "status"},
            ],
        },
        "status": {} if observed is None else {"observedGeneration": observed},
    }


def test_a_lease_that_is_renewed_is_an_operator() -> None:
    assert absence(lease(), NOW) is None
    assert silence(study(), lease(), NOW) is None


def test_a_lease_that_is_over_is_none() -> None:
    assert absence(lease(20), NOW) is None  # clocks differ
    assert absence(lease(300), NOW) == (
        "no operator is answering: the Lease kubestudy-system/kubestudy-operator was renewed last 5m ago"
    )


def test_a_lease_that_was_given_back_is_none_at_once() -> None:
    assert "none holds the Lease" in (absence(lease(0, holder=None), NOW) or "")


def test_without_a_lease_to_read_the_generations_tell() -> None:
    assert absence(None, NOW) is None
    assert silence(study(), None, NOW) is None
    assert silence(study(3, 2, changed=5), None, NOW) is None  # it takes a moment
    assert "no operator has taken up this change of its spec for 60s" in (silence(study(3, 2), None, NOW) or "")
    assert "no operator has taken up this study for 60s" in (silence(study(1, None), None, NOW) or "")


def test_an_operator_that_is_there_may_look_elsewhere() -> None:
    said = silence(study(1, None), lease(), NOW) or ""
    assert said.startswith("the operator has not taken up this study for 60s: does it look after namespace team?")


def test_a_status_is_no_change_of_the_spec() -> None:
    assert changed_at(study(changed=60)["metadata"]) == NOW - timedelta(seconds=60)


def test_a_lease_as_the_api_server_has_it() -> None:
    body = {
        "metadata": {"name": "kubestudy-operator", "namespace": "kubestudy-system"},
        "spec": {"holderIdentity": "pod_1", "renewTime": "2026-11-24T11:59:59.000000Z", "leaseDurationSeconds": 10},
    }
    assert lease_in(body) == lease()
    assert lease_in({"metadata": body["metadata"], "spec": {"leaseDurationSeconds": 1}}).holder is None
