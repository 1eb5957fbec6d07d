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

MANIFEST_BYTES = Limit("a manifest's file", 1024 * 1024, "bytes", "it is refused; about what etcd takes for one object")
MANIFEST_NODES = Limit("what the aliases of a manifest's file unfold to", 100_000, "values", "it is refused")
MANIFEST_DEPTH = Limit("how deep a manifest is nested", 100, "levels", "the study is refused: InvalidSpec")
CONTAINERS = Limit("the containers of a trial's pod", 100, "containers", "the study is refused: InvalidSpec")
ARGUMENTS = Limit("the command, or the args, of a container", 1000, "texts", "the study is refused: InvalidSpec")
ENVIRONMENT = Limit("the env of a container", 1000, "variables", "the study is refused: InvalidSpec")
RESOURCES = Limit("the limits, or the requests, of a container", 100, "resources", "the study is refused: InvalidSpec")
IMAGE_LENGTH = Limit("the name of an image", 4096, "characters", "the study is refused: InvalidSpec")
DURATION_LENGTH = Limit("a duration, such as 1h30m", 32, "characters", "the study is refused: InvalidSpec")
QUANTITY_LENGTH = Limit("a quantity, such as a limit of cpu", 64, "characters", "the study is refused: InvalidSpec")
EXPANDED_LENGTH = Limit(
    "what `$(NAME)` unfolds to in a text of a trial's command, args or env on one machine", 128 * 1024, "characters",
    "the run ends with an error; Linux takes no longer one",
)  # fmt: skip
PROBLEMS = Limit("the faults of one manifest", 100, "faults", "the others are told once these are mended")
NAME_COMPARED = Limit("a wrong name, to say which was meant", 128, "characters", "none is suggested")
NAMES_COMPARED = Limit("the names that a wrong one is compared with", 200, "names", "the others are not suggested")

GRID_POINTS = Limit("the points of a grid", 100_000, "points", "the study is refused: InvalidSpec")
GRID_STEPS = Limit(
    "what conditions take to count a grid's points", 20_000, "steps", "the study is refused: InvalidSpec"
)

# --- pods, and the programs in them --------------------------------------------------------------------------------

# --- Prometheus ----------------------------------------------------------------------------------------------------

# --- the API server, and proxies before it -------------------------------------------------------------------------

# --- storages and other files --------------------------------------------------------------------------------------

RECORD_BYTES = Limit(
    "a record beside a journal, which says whose it is", 16_384, "bytes", "it is passed over, and the log says so"
)
JOURNAL_BYTES = Limit("a journal", 1024**3, "bytes", "it is not opened, and the study says so: StorageUnavailable")
JOURNAL_LINE_BYTES = Limit("a line of a journal", 8 * 1024**2, "bytes", "the same")
DATABASE_CONNECTIONS = Limit(
    "connections to a database, whatever the number of studies",
    8,
    "connections",
    "asks and tells wait for one, half a minute at most",
)

# --- the operator's own turns --------------------------------------------------------------------------------------

TPE_COMPARED = Limit(
    "what an ask of tpe compares: trials times parameters times candidates",
    1_500_000,
    "numbers",
    "it learns from fewer trials: the best, and the newest",
)
_FEWER = "as above"
TPE_TWO_OBJECTIVES = Limit("trials that tpe learns from, with two objectives", 600, "trials", _FEWER)
TPE_THREE_OBJECTIVES = Limit("the same, with three objectives", 180, "trials", _FEWER)
TPE_MANY_OBJECTIVES = Limit("the same, with four objectives or more", 100, "trials", _FEWER)

# --- people who read -----------------------------------------------------------------------------------------------

LIMITS: Mapping[str, Limit] = {name: limit for name, limit in globals().items() if isinstance(limit, Limit)}
"""Every bound, in the order of this file."""
