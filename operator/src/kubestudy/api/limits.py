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

CHOICES = Limit("the choices of all parameters together", 1000, "choices", "the study is refused: InvalidSpec")
CHOICES_LENGTH = Limit(
    "the same, as texts; each trial's record holds them", 32_768, "characters", "the study is refused: InvalidSpec"
)
GRID_POINTS = Limit("the points of a grid", 100_000, "points", "the study is refused: InvalidSpec")
GRID_STEPS = Limit(
    "what conditions take to count a grid's points", 20_000, "steps", "the study is refused: InvalidSpec"
)

# --- pods, and the programs in them --------------------------------------------------------------------------------

MESSAGE_BYTES = Limit("a trial's termination message", 4096, "bytes", "InvalidResult; Kubernetes cuts it there too")
TRIAL_METRICS = Limit("the metrics of one termination message", 200, "metrics", "the others are left out")
CURVE_POINTS = Limit("a curve of a termination message", 1000, "points", "the others are left out")
METRIC_NAME_LENGTH = Limit("a metric's name", 128, "characters", "it is cut")
REASON_LENGTH = Limit("the reason of a trial's end", 128, "characters", "it becomes part of the message")
SENTENCE_LENGTH = Limit("the message of a trial's end", 1000, "characters", "it is cut")
LOG_END_BYTES = Limit("the end of a failed trial's log, where its fault is looked for", 4096, "bytes", "not looked at")
PARAMETERS_FILE_BYTES = Limit(
    "`params.json` of a trial on one machine", 1_048_576, "bytes", "its folder counts as another trial's"
)
EXIT_FILE_BYTES = Limit("`exit.json` of a trial on one machine", 4096, "bytes", "how it ended counts as not known")
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
TRIAL_PODS = Limit("pods of one trial", 100, "pods", "those of other Jobs are passed over, then the oldest")
POD_CONTAINERS = Limit("containers of a pod, injected ones too", 200, "containers", "the others are not looked at")
POD_MESSAGES = Limit("termination messages of a pod", 16_384, "characters", "the rest is cut off")
STATUS_WORD = Limit("a reason in the status of a Job or pod", 200, "characters", "cut off")
STATUS_TEXT = Limit("any other text in the status of a Job or pod", 4_096, "characters", "cut off")
EVENT_LENGTH = Limit("an event of a trial's Job or pod", 1_024, "characters", "cut off; Kubernetes cuts it there too")
TRIAL_PARAMETERS_LENGTH = Limit(
    "a trial's parameters in its Job's environment", 262_144, "characters", "the Job is nobody's"
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

API_ANSWER_BYTES = Limit(
    "an answer of the API server", 16_777_216, "bytes", "told and tried again; of a list, half as much"
)
REFUSAL_BYTES = Limit("a refusal of the API server", 65_536, "bytes", "the rest is not read")
HISTORY_BYTES = Limit("a history that kubectl study fetches", 268_435_456, "bytes", "an error that says so")
WATCH_PAGE = Limit("objects that a watch begins with, asked for at once", 20, "objects", "asked for page by page")
LIST_PAGE = Limit("objects asked for at once", 100, "objects", "asked for page by page")

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

LOG_LINE = Limit("what one log line says", 8192, "characters", "it is cut")
LOG_TRACEBACK = Limit("an error's traceback in a log", 65536, "characters", "it is cut")
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
TEMPLATE_CHECKS = Limit(
    "job templates that the API server is asked about at once", 16, "studies", "further ones wait for their turn"
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

EXPORTS_AT_ONCE = Limit("histories served at once", 4, "histories", "status 429, with a Retry-After")
DATABASE_COPIES = Limit(
    "histories copied out of a database at once, each whole in memory", 1, "histories", "status 429, with a Retry-After"
)
EXPORT_SECONDS = Limit("serving one history", 120, "seconds", "the connection is closed")
TOKEN_LENGTH = Limit("the token of the histories' port", 4096, "bytes", "the rest of the file is not read")

LIMITS: Mapping[str, Limit] = {name: limit for name, limit in globals().items() if isinstance(limit, Limit)}
"""Every bound, in the order of this file."""
