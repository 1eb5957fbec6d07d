"""What the admission of a study comes to. The API server is a stand-in that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from kubestudy.api.limits import TEMPLATE_CHECKS
from kubestudy.cluster.api import ApiError, ConflictError, KubeApi, NotFoundError, UnreachableError
from kubestudy.cluster.cache import Cache
from kubestudy.controller.admission import admit
from kubestudy.controller.inbox import Version
from kubestudy.controller.services import Services
from kubestudy.controller.verdicts import Admitted, Delayed, Rejected, Runnable, Verdict
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.search.archive import Archive
from support.manifests import manifest, template

GPUS = {"resources": {"limits": {"nvidia.com/gpu": 2}}}


class Api:
    """Takes every dry run, unless it is to refuse them; knows the claims that it is told of."""

    def __init__(self, refusal: Exception | None = None, claims: Mapping[str, Any] | None = None) -> None:
        self.refusal, self.claims = refusal, claims or {}
        self.dry_runs = 0

    async def create(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        assert query == {"dryRun": "All"}
        self.dry_runs += 1
        if self.refusal is not None:
            raise self.refusal
        return {}

    async def get(self, path: str, **query: str) -> Any:
        name = path.rpartition("/")[2]
        if name not in self.claims:
            raise NotFoundError(404, "NotFound", "not found")
        return self.claims[name]


def version(generation: int = 1, **spec: Any) -> Version:
    body = manifest(**{"container": {}, **spec})
    body["metadata"] |= {"namespace": "ns", "uid": "0b2f7714-0000-4000-8000-000000000000", "generation": generation}
    return Version.of(body)


def judge(wanted: Version, api: Api, folder: Path, runs: Runnable | None = None) -> Verdict:
    services = Services(
        cast("KubeApi", api), Cache(), Archive(folder), OperatorMetrics(), {},
        gpu_shares={"nvidia.com/gpu": 0.5, "gpu.test": 1.0},
    )  # fmt: skip
    return asyncio.run(admit(wanted, services, runs, begun=False))


def admitted(verdict: Verdict) -> Runnable:
    assert isinstance(verdict, Admitted), verdict
    return verdict.runnable


def test_a_study_is_admitted_with_what_it_needs(tmp_path: Path) -> None:
    runnable = admitted(judge(version(container=GPUS, historyPolicy="Delete"), Api(), tmp_path))
    assert (runnable.study.metadata.generation, runnable.owner.namespace) == (1, "ns")
    assert (runnable.gpus, runnable.history) == (1.0, "Delete")


def test_claims_count_beside_limits(tmp_path: Path) -> None:
    with_claim = template(GPUS)
    with_claim["spec"]["template"]["spec"]["resourceClaims"] = [{"name": "a", "resourceClaimTemplateName": "three"}]
    exactly = {"exactly": {"deviceClassName": "gpu.test", "count": 3}}
    api = Api(claims={"three": {"spec": {"spec": {"devices": {"requests": [exactly]}}}}})
    assert admitted(judge(version(jobTemplate=with_claim), api, tmp_path)).gpus == 4.0
    verdict = judge(version(jobTemplate=with_claim), Api(), tmp_path)
    assert isinstance(verdict, Delayed) and verdict.why.reason == "ResourceClaimMissing"


@pytest.mark.parametrize(
    ("wanted", "api", "kind", "reason", "says"),
    [
        (version(budget=None), Api(), Rejected, "InvalidSpec", "spec.budget"),
        (
            version(),
            Api(ApiError(422, "Invalid", 'Job.batch "x" is invalid: spec.template: odd')),
            Rejected,
            "InvalidJobTemplate",
            "spec.jobTemplate.spec.template: odd; mend",
        ),
        (version(), Api(UnreachableError(0, "", "away")), Delayed, "ApiServerUnavailable", "away"),
        (version(), Api(ApiError(401, "Unauthorized", "who")), Delayed, "ApiServerUnavailable", "who"),
        (version(), Api(ApiError(0, "", "the lease is over")), Delayed, "ApiServerUnavailable", "lease"),
        (version(), Api(ConflictError(409, "Conflict", "quota")), Delayed, "ApiServerUnavailable", "quota"),
        (version(), Api(KeyError("odd")), Delayed, "InternalError", "KeyError"),
        (
            version(objectives=[{"name": "y", "promql": "up", "goal": "minimize"}]),
            Api(),
            Rejected,
            "NoPrometheus",
            "--prometheus-url",
        ),
    ],
)
def test_whatever_is_in_the_way_is_a_verdict(
    wanted: Version, api: Api, kind: type[Rejected | Delayed], reason: str, says: str, tmp_path: Path
) -> None:
    verdict = judge(wanted, api, tmp_path)
    assert isinstance(verdict, kind)
    assert verdict.why.reason == reason
    assert says in verdict.why.message


def test_a_template_that_did_not_change_is_not_asked_for_again(tmp_path: Path) -> None:
    api = Api()
    runs = admitted(judge(version(container=GPUS), api, tmp_path))
    # A policy that came since must not keep anybody from suspending.
    api.refusal = ApiError(403, "Forbidden", "a policy of the cluster")
    changed = admitted(judge(version(2, container=GPUS, suspend=True), api, tmp_path, runs))
    assert (changed.study.spec.suspend, changed.gpus, api.dry_runs) == (True, 1.0, 1)
    assert isinstance(judge(version(3), api, tmp_path, runs), Rejected)


def test_many_studies_at_once_ask_the_api_server_in_turns(tmp_path: Path) -> None:
    asking = most = 0

    class Crowded(Api):
        async def create(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
            nonlocal asking, most
            asking += 1
            most = max(most, asking)
            await asyncio.sleep(0.01)
            asking -= 1
            return await super().create(path, body, **query)

    async def all_of_them() -> list[Verdict]:
        api = Crowded()
        services = Services(cast("KubeApi", api), Cache(), Archive(tmp_path), OperatorMetrics(), {})
        versions = [version() for _ in range(3 * TEMPLATE_CHECKS.value)]
        for number, each in enumerate(versions):
            each.body["metadata"]["uid"] = f"{number:08d}-0000-4000-8000-000000000000"
        return await asyncio.gather(*(admit(each, services, None, begun=False) for each in versions))

    verdicts = asyncio.run(all_of_them())
    assert all(isinstance(verdict, Admitted) for verdict in verdicts)
    assert most <= TEMPLATE_CHECKS.value
