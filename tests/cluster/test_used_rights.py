"""The operator has the rights it uses and no other: read from the audit log of all tests here, so it runs last."""

from __future__ import annotations

import json

import pytest
import yaml

from support.cluster.cluster import DEPLOY, Cluster
from support.cluster.studies import Study, simulated_study


@pytest.mark.usefixtures("operator")
def test_the_role_is_what_the_audit_log_shows_in_use(own_cluster: Cluster, namespace: str) -> None:
    cluster = own_cluster
    # Alone, this test makes nearly every kind of request itself: a failed trial is told by an event.
    study = Study(cluster, namespace).apply(simulated_study(annotations={"exit-code": "1"}))
    study.until_phase("Failed")
    granted = set()
    for document in yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text()):
        for rule in document.get("rules", []):
            granted |= {
                (verb, group, resource)
                for verb in rule["verbs"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
            }
    used, refused = set(), []
    for entry in cluster.audit():
        about = entry.get("objectRef")
        if about is None:
            continue  # discovery, which everybody may do
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        used.add((entry["verb"], about.get("apiGroup", ""), resource))
        said = json.dumps(entry["responseStatus"])
        if '"Forbidden"' in said and "quota" not in said:
            refused.append((entry["verb"], about.get("apiGroup", ""), resource))
    # An API server that has just started knows no roles yet, and refuses what is granted.
    assert set(refused) <= granted
    assert used <= granted
    # Rare ones may not have come up: a Job whose name was taken, the Lease given back, a template with DRA claims.
    assert granted - used <= {
        ("get", "batch", "jobs"),
        ("patch", "coordination.k8s.io", "leases"),
        ("get", "resource.k8s.io", "resourceclaims"),
        ("get", "resource.k8s.io", "resourceclaimtemplates"),
    }
