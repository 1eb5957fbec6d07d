"""One cluster for all tests of a process, one operator for those of a file; each test has a namespace of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from support.cluster import prepare, rights
from support.cluster.access import why_not_the_given_one
from support.cluster.cluster import Cluster, Operator, start_operator
from support.cluster.deployed import Deployed, deploy, import_images, undeploy
from support.cluster.node import why_not_here
from support.cluster.prometheus import Prometheus, operator_with
from support.wait import until


def pytest_collection_finish(session: pytest.Session) -> None:
    """Once it is known that a cluster is needed: see that it can be had, outside of any test's time limit."""
    if not session.items or session.config.option.collectonly:
        return
    if (why := why_not_the_given_one()) is not None:
        pytest.exit(why, returncode=2)
    prepare.main()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield made.up()
        if made.is_own:
            rights.check(made)
    finally:
        made.down()


@pytest.fixture(scope="module")
def operator(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator that looks after every namespace; modules that bring their own do without it."""
    running = start_operator(cluster, tmp_path_factory.mktemp("operator"))
    until(lambda: running.ready, what="a ready operator")
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


@pytest.fixture(scope="session")
def real(cluster: Cluster) -> Cluster:
    """The cluster with its real node, and both images on it."""
    if (why := why_not_here()) is not None:
        pytest.fail(why)
    import_images(cluster)
    return cluster


@pytest.fixture(scope="module")
def deployed(real: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The operator as a pod, in charge of one namespace."""
    volume = tmp_path_factory.getbasetemp() / "volume"
    volume.mkdir(exist_ok=True)
    volume.chmod(0o777)
    yield deploy(real, f"deployed-{uuid4().hex[:6]}", volume)
    undeploy(real)


@pytest.fixture
def own_cluster(cluster: Cluster) -> Cluster:
    """The cluster, where its control plane is ours: it may be stopped, and its audit log read."""
    if not cluster.is_own:
        pytest.skip("KUBECONFIG names a cluster whose control plane is not ours")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50].rstrip("-")
    return cluster.new_namespace(f"{name}-{uuid4().hex[:6]}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def prometheus(cluster: Cluster, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(cluster, tmp_path / "prometheus").up()
    yield server
    server.down()


@pytest.fixture
def seeing_operator(prometheus: Prometheus, cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    """An operator that looks after the test's namespace and asks a Prometheus."""
    running = operator_with(prometheus, cluster, namespace, tmp_path / "operator")
    yield running
    assert running.stop() == 0
