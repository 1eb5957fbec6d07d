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

# --- pods, and the programs in them --------------------------------------------------------------------------------

# --- Prometheus ----------------------------------------------------------------------------------------------------

# --- the API server, and proxies before it -------------------------------------------------------------------------

# --- storages and other files --------------------------------------------------------------------------------------

RECORD_BYTES = Limit(
    "a record beside a journal, which says whose it is", 16_384, "bytes", "it is passed over, and the log says so"
)
DATABASE_CONNECTIONS = Limit(
    "connections to a database, whatever the number of studies",
    8,
    "connections",
    "asks and tells wait for one, half a minute at most",
)

# --- the operator's own turns --------------------------------------------------------------------------------------

SEARCH_THREADS = Limit(
    "threads for the searches of all studies", 8, "threads", "studies take turns: one call each, one after the other"
)
SEARCH_SLOW_SECONDS = Limit(
    "a call to a study's search, such as asking for a trial", 5, "seconds", "another thread takes its thread's place"
)
SEARCH_CALL_SECONDS = Limit(
    "such a call at the longest", 120, "seconds", "the study is Degraded: SearchStuck; it holds this one thread"
)
SEARCH_SPARE_THREADS = Limit(
    "threads held by slow and stuck calls",
    32,
    "threads",
    "where all are stuck, the operator restarts itself in order, and tries these studies last, one at a time",
)
ASKS_PER_TURN = Limit("trials asked for in one turn of a study", 32, "trials", "the others in its next turns")
SECONDS_PER_TURN = Limit("asking in one turn of a study", 1, "seconds", "the others in its next turns")
STEPS_PER_TURN = Limit(
    "ends recorded, and trials stopped, dropped or launched again, in one turn of a study",
    256,
    "trials",
    "the others in its next turns",
)
SUSPECTS = Limit(
    "studies that an operator was killed over", 1000, "studies", "the ones with the fewest kills are forgotten"
)

# --- people who read -----------------------------------------------------------------------------------------------

LIMITS: Mapping[str, Limit] = {name: limit for name, limit in globals().items() if isinstance(limit, Limit)}
"""Every bound, in the order of this file."""
