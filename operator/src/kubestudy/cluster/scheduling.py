"""What the scheduler says of a pod that it finds no node for. Pure.

Source: kube-scheduler's FitError: `0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated
taint(s). preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.` Preemption is not helpful on
a node whose whole capacity is smaller than what the pod asks for; where others hold the capacity, it says
`No preemption victims found for incoming pod`.
"""

from __future__ import annotations

import re

_NODES = re.compile(r"\A0/(\d{1,6}) nodes are available: ")
_NOT_HELPFUL = re.compile(r"(\d{1,6}) Preemption is not helpful for scheduling")
_PREEMPTION = " preemption: "
_PART = re.compile(r"\A\d{1,6} Insufficient \S{1,300}\Z")


def never_fits(message: str) -> bool:
    """Tell whether no node of the cluster could hold the pod, even an empty one: only its size is in the way."""
    nodes = _NODES.match(message)
    if nodes is None:
        return False
    reasons, _, preemption = message[nodes.end() :].partition(_PREEMPTION)
    unhelpful = sum(int(count) for count in _NOT_HELPFUL.findall(preemption))
    # A sentence about DRA claims may follow: `no new claims to deallocate,`.
    parts = reasons.split(". ")[0].rstrip(".,").split(", ")
    return unhelpful == int(nodes[1]) and all(_PART.match(part) for part in parts)


def in_short(message: str) -> str:
    """Return the scheduler's sentence without what it says of preemption."""
    said = message.partition(_PREEMPTION)[0]
    return said.removesuffix(" no new claims to deallocate,").rstrip(" .,")
