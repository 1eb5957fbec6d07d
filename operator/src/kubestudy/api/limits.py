"""Bounds of everything that comes from outside: whatever a manifest, a pod, Prometheus, a proxy or a file brings is
bounded in size, time and memory before it is looked at. docs/security.md shows this table.

Bounds of samplers' and pruners' options stand beside the algorithms, in `kubestudy.api.algorithms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound of something that comes from outside.

    Attributes:
        input: What is bounded, as people know it.
        value: The bound.
        unit: What it counts.
        past: What happens past it.
    """

    input: str
    value: int
    unit: str
    past: str


# --- manifests -----------------------------------------------------------------------------------------------------

QUANTITY_LENGTH = Limit("a quantity, such as a limit of cpu", 64, "characters", "the study is refused: InvalidSpec")

# --- pods, and the programs in them --------------------------------------------------------------------------------

TRIAL_PODS = Limit("pods of one trial", 100, "pods", "those of other Jobs are passed over, then the oldest")
POD_CONTAINERS = Limit("containers of a pod", 64, "containers", "the others are not looked at")
POD_MESSAGES = Limit("termination messages of a pod", 16_384, "characters", "the rest is cut off")
STATUS_WORD = Limit("a reason in the status of a Job or pod", 200, "characters", "cut off")
STATUS_TEXT = Limit("any other text in the status of a Job or pod", 4_096, "characters", "cut off")
TRIAL_PARAMETERS_LENGTH = Limit(
    "a trial's parameters in its Job's environment", 262_144, "characters", "the Job is nobody's"
)

# --- Prometheus ----------------------------------------------------------------------------------------------------

# --- the API server, and proxies before it -------------------------------------------------------------------------

ANSWER_BYTES = Limit(
    "an answer of the API server", 16_777_216, "bytes", "told and tried again; of a list, half as much"
)
REFUSAL_BYTES = Limit("a refusal of the API server", 65_536, "bytes", "the rest is not read")
HISTORY_BYTES = Limit("a history that kubectl study fetches", 268_435_456, "bytes", "an error that says so")
WATCH_PAGE = Limit("objects that a watch begins with, asked for at once", 20, "objects", "asked for page by page")
LIST_PAGE = Limit("objects asked for at once", 100, "objects", "asked for page by page")

# --- storages and other files --------------------------------------------------------------------------------------

# --- the operator's own turns --------------------------------------------------------------------------------------

# --- people who read -----------------------------------------------------------------------------------------------

LIMITS: Mapping[str, Limit] = {name: limit for name, limit in globals().items() if isinstance(limit, Limit)}
"""Every bound, in the order of this file."""
