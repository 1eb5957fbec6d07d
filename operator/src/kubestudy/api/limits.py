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
