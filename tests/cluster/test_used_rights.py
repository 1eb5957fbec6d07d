"""The operator has the rights it uses and no other, read from the audit log.

That it uses no other is checked at the end of each cluster, for all tests that ran on it: see conftest.py.
"""

from __future__ import annotations

import pytest

from support.cluster import rights
from support.cluster.cluster import Cluster
from support.cluster.studies import Study, simulated_study


@pytest.mark.usefixtures("operator")
def test_the_role_is_what_the_audit_log_shows_in_use(own_cluster: Cluster, namespace: str) -> None:
    # Alone, this test makes nearly every kind of request itself: a failed trial is told by an event.
    study = Study(own_cluster, namespace).apply(simulated_study(annotations={"exit-code": "1"}))
    study.until_phase("Failed")
    # Rare ones may not have come up: a Job whose name was taken, the Lease given back, a template with DRA claims.
    assert rights.granted() - rights.check(own_cluster) <= {
        ("get", "batch", "jobs"),
        ("patch", "coordination.k8s.io", "leases"),
        ("get", "resource.k8s.io", "resourceclaims"),
        ("get", "resource.k8s.io", "resourceclaimtemplates"),
    }
