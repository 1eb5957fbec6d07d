"""How many GPUs a trial holds, whatever they are called. Pure.

Source: the extended resources of NVIDIA's, AMD's and Intel's device plugins, and DRA claims (`resource.k8s.io/v1`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from kubestudy.api.job import PodSpec
from kubestudy.api.quantity import number_of

# By pattern, the first that fits: what share of a GPU one of them is. Names without a slash are DRA device classes.
GPU_SHARES: Mapping[str, float] = {
    "nvidia.com/gpu": 1.0,
    "nvidia.com/gpu.shared": 1.0,
    **{f"nvidia.com/mig-{slices}g.*": slices / 7 for slices in (1, 2, 3, 4)},
    "nvidia.com/mig-7g.*": 1.0,
    "amd.com/gpu": 1.0,
    "gpu.intel.com/i915": 1.0,
    "gpu.intel.com/xe": 1.0,
    # What Intel's plugin offers beside its devices: shares of one, or rights to look at them.
    "gpu.intel.com/millicores": 0.0,
    "gpu.intel.com/memory*": 0.0,
    "gpu.intel.com/tiles": 0.0,
    "gpu.intel.com/*_monitoring": 0.0,
    "gpu.intel.com/*": 1.0,
    "gpu.nvidia.com": 1.0,
    "mig.nvidia.com": 1 / 7,
    "gpu.amd.com": 1.0,
    "gpu.intel.com": 1.0,
}


@dataclass(frozen=True, slots=True)
class ClaimedDevices:
    """Devices that a pod gets by a DRA claim.

    Attributes:
        device_class: The class they are of.
        count: How many.
    """

    device_class: str
    count: int = 1


def share_of(name: str, shares: Mapping[str, float] = GPU_SHARES) -> float:
    """Return what share of a GPU one unit of a resource, or one device of a class, is; 0 of what is no GPU."""
    return next((share for pattern, share in shares.items() if fnmatchcase(name, pattern)), 0.0)


def is_extended(name: str) -> bool:
    """Tell whether a resource is a device plugin's: Kubernetes gives those out in whole numbers."""
    return "/" in name and "kubernetes.io/" not in name


def may_hold_gpus(pod: PodSpec) -> bool:
    """Tell whether a pod may hold GPUs: by a limit of some, by a claim, or by a device that nothing is known of here.

    An operator may be told that such a device is a GPU.
    """
    limits = [limit for container in pod.containers for limit in container.resources.limits.items()]
    return bool(pod.resource_claims) or any(_may_be_gpus(name, quantity) for name, quantity in limits)


def _may_be_gpus(name: str, quantity: str | float) -> bool:
    known = any(fnmatchcase(name, pattern) for pattern in GPU_SHARES)
    if not is_extended(name) or (known and not share_of(name)):
        return False
    try:
        return number_of(quantity) > 0
    except ValueError:
        return True  # which is a problem of its own, found elsewhere


def gpu_limits(pod: PodSpec, shares: Mapping[str, float] = GPU_SHARES) -> list[str]:
    """Return the names of the GPU resources that a pod's containers have limits of."""
    names = dict.fromkeys(name for container in pod.containers for name in container.resources.limits)
    return [name for name in names if share_of(name, shares) > 0]


def gpus_in(pod: PodSpec, shares: Mapping[str, float] = GPU_SHARES, claimed: Sequence[ClaimedDevices] = ()) -> float:
    """Return how many GPUs a pod holds: its containers' limits and its claims, each by its share.

    Args:
        pod: The pod.
        shares: By pattern of a name, what share of a GPU one is.
        claimed: What its resource claims bring.
    """
    total = sum(device.count * share_of(device.device_class, shares) for device in claimed)
    for container in pod.containers:
        for name, quantity in container.resources.limits.items():
            try:
                total += number_of(quantity) * share_of(name, shares)
            except ValueError:
                continue  # which is a problem of its own, found elsewhere
    return total
