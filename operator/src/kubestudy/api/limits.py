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

SCRAPE_BYTES = Limit(
    "a trial's /metrics, as the operator reads it", 64 * 1024, "bytes", "the rest is not read: Degraded"
)
SCRAPE_SECONDS = Limit(
    "one reading of a trial's /metrics, from the connection to the last byte", 1, "second", "given up"
)
SCRAPE_LINE = Limit("a line of a trial's /metrics", 1024, "characters", "the line is left out")
SCRAPE_METRICS = Limit("metrics that a running trial reports", 128, "metrics", "further ones are left out")
SCRAPES_OF_A_STUDY = Limit("trials of one study that are read at once", 8, "trials", "further ones wait")
SCRAPES = Limit("trials of all studies that are read at once", 128, "trials", "further ones wait")
TRIAL_STEP = Limit(
    "a step that a running trial reports", 2**31 - 1, "steps", "the sample is left out, as a negative one is"
)

# --- Prometheus ----------------------------------------------------------------------------------------------------

ANSWER_BYTES = Limit(
    "an answer of Prometheus", 1024 * 1024, "bytes", "not read on: fewer trials are asked for at once; else a refusal"
)
ANSWER_SERIES = Limit("series of a promql expression's answer", 20, "series", "a refusal: one number is needed")
READING_TRIALS = Limit("trials that one query to Prometheus reads", 500, "trials", "several queries")
QUERY_SECONDS = Limit("an answer of Prometheus", 10, "seconds", "asked again later, less and less often")
QUERIES = Limit("queries to Prometheus at once", 16, "queries", "further ones wait")
SERVER_WORDS = Limit("what Prometheus says of an error", 500, "characters", "cut")
PROMQL_OPERATORS = Limit(
    "operators, calls and parentheses of a promql expression", 100, "of them", "the study is refused: InvalidExpression"
)
PROMQL_LENGTH = Limit(
    "a promql expression with its variables filled in", 65536, "characters", "the trial fails: ExpressionRefused"
)

# --- the API server, and proxies before it -------------------------------------------------------------------------

# --- storages and other files --------------------------------------------------------------------------------------

# --- the operator's own turns --------------------------------------------------------------------------------------

# --- people who read -----------------------------------------------------------------------------------------------

LIMITS: Mapping[str, Limit] = {name: limit for name, limit in globals().items() if isinstance(limit, Limit)}
"""Every bound, in the order of this file."""
