"""Which devices a pod's DRA claims bring. The API server is a stand-in that knows what it is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kubestudy.api.gpus import ClaimedDevices
from kubestudy.cluster.api import ApiError, NotFoundError, UnreachableError
from kubestudy.cluster.claims import ClaimMissingError, claimed_devices, devices_in

BASE = "/apis/resource.k8s.io/v1/namespaces/ns"


class Api:
    def __init__(self, objects: dict[str, Any]) -> None:
        self.objects = objects

    async def get(self, path: str, **query: str) -> Any:
        found = self.objects.get(path.removeprefix(BASE), NotFoundError(404, "NotFound", "not found"))
        if isinstance(found, Exception):
            raise found
        return found


def exactly(name: str, **more: Any) -> dict[str, Any]:
    return {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": name, **more}}]}}


def devices_of(claims: list[dict[str, str]], objects: dict[str, Any]) -> tuple[ClaimedDevices, ...]:
    template = {"spec": {"template": {"spec": {"resourceClaims": claims}}}}
    return asyncio.run(claimed_devices(template, "ns", Api(objects)))  # type: ignore[arg-type]


def test_claims_by_template_and_by_name_are_read() -> None:
    claims = [{"name": "a", "resourceClaimTemplateName": "one"}, {"name": "b", "resourceClaimName": "two"}]
    objects = {
        "/resourceclaimtemplates/one": {"spec": {"spec": exactly("gpu.nvidia.com", count=2)}},
        "/resourceclaims/two": {"spec": exactly("mig.nvidia.com", allocationMode="ExactCount")},
    }
    assert devices_of(claims, objects) == (ClaimedDevices("gpu.nvidia.com", 2), ClaimedDevices("mig.nvidia.com", 1))


def test_a_pod_without_claims_asks_nothing() -> None:
    assert asyncio.run(claimed_devices({"spec": {"template": {"spec": {}}}}, "ns", None)) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "devices"),
    [
        ({"firstAvailable": [{"deviceClassName": "big", "count": 2}, {"deviceClassName": "small"}]}, [("big", 2)]),
        ({"exactly": {"deviceClassName": "gpu", "allocationMode": "All"}}, [("gpu", 1)]),
        ({"exactly": {"deviceClassName": "gpu", "adminAccess": True}}, []),
        ({"name": "odd"}, []),
    ],
)
def test_every_way_to_ask_for_devices_is_read(request_: dict[str, Any], devices: list[tuple[str, int]]) -> None:
    assert devices_in({"devices": {"requests": [request_]}}) == [ClaimedDevices(*device) for device in devices]
    assert devices_in({}) == []


def test_a_template_that_is_not_there_is_named_with_the_field_that_names_it() -> None:
    with pytest.raises(ClaimMissingError) as error:
        devices_of([{"name": "a", "resourceClaimTemplateName": "one"}], {})
    field = "spec.jobTemplate.spec.template.spec.resourceClaims[0].resourceClaimTemplateName"
    assert str(error.value) == f"{field} one: there is none in ns; create it"


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (ApiError(403, "Forbidden", "may not"), "needs get on resourceclaims.resource.k8s.io"),
        (NotFoundError(404, "", "404 page not found"), "does not know resource.k8s.io/v1"),
    ],
)
def test_claims_that_cannot_be_read_count_as_none_and_are_logged(
    refusal: ApiError, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert devices_of([{"name": "a", "resourceClaimName": "one"}], {"/resourceclaims/one": refusal}) == ()
    assert says in caplog.text


def test_an_api_server_that_does_not_answer_is_no_answer() -> None:
    with pytest.raises(UnreachableError):
        devices_of(
            [{"name": "a", "resourceClaimName": "one"}], {"/resourceclaims/one": UnreachableError(0, "", "away")}
        )
