"""Which histories of deleted studies an operator deletes at its start. Real storages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from kubestudy.cluster.api import KubeApi
from kubestudy.cluster.cache import Cache
from kubestudy.controller.registry import Registry
from kubestudy.controller.services import Known, Services
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.search.archive import Archive, Record
from kubestudy.search.search import hush_optuna
from support.manifests import study_of

OURS, THEIRS = "0b2f7714-0000-4000-8000-000000000000", "1b2f7714-0000-4000-8000-000000000000"


@pytest.fixture(params=["folder", "database"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    hush_optuna()
    kept = Archive(tmp_path if request.param == "folder" else f"sqlite:///{tmp_path}/studies.db")
    for number, (namespace, history, cluster) in enumerate(
        [
            ("team", "Delete", OURS), ("team", "Delete", THEIRS), ("team", "Delete", ""), ("team", "Retain", OURS),
            ("other", "Delete", OURS),
        ]
    ):  # fmt: skip
        uid = f"{number}c2f7714-0000-4000-8000-000000000000"
        kept.open(Record(namespace, f"s{number}", uid, history, cluster), study_of().spec)
    return kept


def left(archive: Archive, cluster: str, *namespaces: str) -> str:
    """Clean up as an operator of a cluster that sees no study any more; return the numbers of the histories left."""

    async def scene() -> None:
        services = Services(cast("KubeApi", None), Cache(), archive, OperatorMetrics(), {}, known=Known("", cluster))
        await Registry(services, namespaces).clean_up()
        await services.pool.close()

    asyncio.run(scene())
    return "".join(sorted(record.name[1] for record in archive.records()))


def test_only_histories_of_this_cluster_go(archive: Archive) -> None:
    # What a database does not say the cluster of may be anybody's; a folder is one cluster's, unless it says otherwise.
    assert left(archive, OURS) == ("13" if archive.journal(archive.records()[0]) else "123")


def test_only_histories_of_its_own_namespaces_go(archive: Archive) -> None:
    assert left(archive, OURS, "other") == "0123"


def test_where_the_cluster_is_not_known_nothing_that_says_its_cluster_goes(archive: Archive) -> None:
    assert left(archive, "") == ("0134" if archive.journal(archive.records()[0]) else "01234")
