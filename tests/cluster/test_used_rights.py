"""The operator has the rights it uses and no other, read from the audit log.

That it uses no other is checked at the end of each cluster, for all tests that ran on it: see conftest.py.
"""

from __future__ import annotations

import pytest

from support.cluster import rights
from support.cluster.cluster import Cluster
from support.cluster.studies import Study, simulated_study
from support.wait import until

# These may not come up: a Job whose name was taken, the Lease given back, a template with DRA claims.
RARE = {
    ("get", "batch", "jobs"),
    ("patch", "coordination.k8s.io", "leases"),
    ("get", "resource.k8s.io", "resourceclaims"),
    ("get", "resource.k8s.io", "resourceclaimtemplates"),
}


@pytest.mark.usefixtures("operator")
def test_the_role_is_what_the_audit_log_shows_in_use(own_cluster: Cluster, namespace: str) -> None:
    # Alone, this test makes every other kind of request itself: one study ends, one fails, which is told by events, and
    # one waits for a quota, of which the operator reads in the events of its Jobs.
    Study(own_cluster, namespace, "ends").apply(simulated_study("ends")).until_phase("Complete")
    failing = simulated_study("fails", annotations={"exit-code": "1"})
    Study(own_cluster, namespace, "fails").apply(failing).until_phase("Failed")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    own_cluster.apply(quota, namespace=namespace)
    Study(own_cluster, namespace, "waits").apply(simulated_study("waits")).until_phase("Running")
    until(lambda: rights.granted() - rights.check(own_cluster) <= RARE, every=1, what="all that is granted in use")
