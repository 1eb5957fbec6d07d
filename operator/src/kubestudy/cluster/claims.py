"""The devices that a pod gets by DRA claims: read from the API server once, when a study is admitted.

Source: resource.k8s.io/v1 ResourceClaim and ResourceClaimTemplate; core/v1 PodResourceClaim.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubestudy.api.gpus import ClaimedDevices
from kubestudy.cluster.api import ApiError, KubeApi, NotFoundError, UnreachableError
from kubestudy.cluster.paths import collection

log = logging.getLogger(__name__)

_GROUP = "resource.k8s.io/v1"
_TEMPLATES, _CLAIMS = "resourceclaimtemplates", "resourceclaims"


@dataclass(frozen=True, slots=True)
class _Named:
    """A claim or a template of claims, by the field of a pod that names it."""

    field: str
    plural: str
    name: str


class ClaimMissingError(Exception):
    """A claim, or a template of claims, is not there; the sentence names it."""


async def claimed_devices(template: Mapping[str, Any], namespace: str, api: KubeApi) -> tuple[ClaimedDevices, ...]:
    """Return what a pod gets by its resource claims; nothing for a claim that may not be read.

    Args:
        template: `spec.jobTemplate` as the API server keeps it.
        namespace: The study's.
        api: The API server.

    Raises:
        ClaimMissingError: One of them is not there.
        UnreachableError: The API server does not answer.
    """
    found: list[ClaimedDevices] = []
    for named in _claims_in(template):
        try:
            body = await api.get(f"{collection(_GROUP, named.plural, namespace)}/{named.name}")
        except UnreachableError:
            raise
        except NotFoundError as error:
            if error.reason == "NotFound":
                raise ClaimMissingError(
                    f"{named.field} {named.name}: there is none in {namespace}; create it"
                ) from error
            log.warning("this cluster does not know %s: its %s count as no GPU", _GROUP, named.plural)
        except ApiError as error:
            forbidden = error.status == HTTPStatus.FORBIDDEN
            remedy = f"; the operator needs get on {named.plural}.resource.k8s.io" if forbidden else ""
            log.warning("%s %s counts as no GPU: %s%s", named.field, named.name, error, remedy)
        else:
            spec = body.get("spec") or {}
            found += devices_in(spec.get("spec") or {} if named.plural == _TEMPLATES else spec)
    return tuple(found)


def _claims_in(template: Mapping[str, Any]) -> list[_Named]:
    """Return the claims that a Job template's pods name."""
    pod = ((template.get("spec") or {}).get("template") or {}).get("spec") or {}
    found = []
    for i, claim in enumerate(pod.get("resourceClaims") or []):
        path = f"spec.jobTemplate.spec.template.spec.resourceClaims[{i}]"
        for key, plural in (("resourceClaimTemplateName", _TEMPLATES), ("resourceClaimName", _CLAIMS)):
            if name := claim.get(key):
                found.append(_Named(f"{path}.{key}", plural, str(name)))
    return found


def devices_in(spec: Mapping[str, Any]) -> list[ClaimedDevices]:
    """Return what a claim's spec asks for.

    Of several alternatives the first counts, which is the one wanted most; all devices of a node count as one, since
    how many those are is known only once the pod has its node; access for administrators holds no device.
    """
    found = []
    for request in (spec.get("devices") or {}).get("requests") or []:
        wanted = request.get("exactly") or next(iter(request.get("firstAvailable") or []), None)
        if wanted and wanted.get("deviceClassName") and not wanted.get("adminAccess"):
            count = 1 if wanted.get("allocationMode") == "All" else int(wanted.get("count") or 1)
            found.append(ClaimedDevices(str(wanted["deviceClassName"]), count))
    return found
