"""The operator's rights: those it is granted by the plain manifests, and those the audit log shows in use."""

from __future__ import annotations

import json

import yaml

from support.cluster.cluster import DEPLOY, Cluster

# A verb, an API group, and a resource with its subresource.
Right = tuple[str, str, str]


def granted() -> set[Right]:
    """Return what the manifests grant."""
    return {
        (verb, group, resource)
        for document in yaml.safe_load_all((DEPLOY / "rbac.yaml").read_text())
        for rule in document.get("rules", [])
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def used(cluster: Cluster) -> tuple[set[Right], set[Right]]:
    """Return what operators asked for since the cluster was started, and what of it was refused."""
    asked, refused = set(), set()
    for entry in cluster.audit():
        about = entry.get("objectRef")
        if about is None:
            continue  # discovery, which everybody may do
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        right = (entry["verb"], about.get("apiGroup", ""), resource)
        asked.add(right)
        said = json.dumps(entry["responseStatus"])
        if '"Forbidden"' in said and "quota" not in said:
            refused.add(right)
    return asked, refused


def check(cluster: Cluster) -> set[Right]:
    """Check that no operator asked for anything that the manifests do not grant; return what they asked for."""
    asked, refused = used(cluster)
    # An API server that has just started knows no roles yet, and refuses what is granted.
    assert refused <= granted()
    assert asked <= granted()
    return asked
