"""The manifest: a `HyperparameterStudy`, as users write it.

Field names follow Optuna (low, high, step, log, choices) and Kubernetes (parallelism, suspend, jobTemplate).
The descriptions are what `kubectl explain` prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from kubestudy.api.algorithms import NO_PRUNER, PRUNERS, SAMPLERS
from kubestudy.api.base import Model, OpenModel
from kubestudy.api.job import JobTemplate
from kubestudy.api.limits import DURATION_LENGTH
from kubestudy.api.quantity import DURATION_PATTERN, seconds_of
from kubestudy.api.status import StudyStatus
from kubestudy.api.text import alternatives
from kubestudy.api.values import Value

GROUP = "kubestudy.dev"
VERSION = "v1alpha1"
KIND = "HyperparameterStudy"
API_VERSION = f"{GROUP}/{VERSION}"

MAX_OBJECTIVES = 8
MAX_PARAMETERS = 100
MAX_CHOICES = 100
MAX_CONDITIONS = 4

Goal = Literal["maximize", "minimize"]
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=DURATION_LENGTH.value)]
Options = Annotated[
    dict[str, Any], Field(description="Options of its own, by the names Optuna gives them.", max_length=32)
]

if TYPE_CHECKING:
    SamplerName = str
    PrunerName = str
else:  # one of the tables' names, which only running code knows
    SamplerName = Literal[tuple(SAMPLERS)]
    PrunerName = Literal[tuple(PRUNERS)]

METRIC_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.:/-]*$"
OBJECT_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


class Measured(Model):
    """A number that a finished trial has: one it reports, or one that Prometheus has of it."""

    metric: Annotated[
        str | None,
        Field(
            description="A metric that the trial reports, for instance val_accuracy.",
            min_length=1,
            max_length=128,
            pattern=METRIC_NAME_PATTERN,
        ),
    ] = None
    promql: Annotated[
        str | None,
        Field(
            description="A Prometheus expression over the trial, instead of metric; it may name $(study), $(trial),"
            " $(job), $(pods), $(namespace), $(start), $(end) and $(window).",
            min_length=1,
            max_length=4096,
        ),
    ] = None
    label: Annotated[
        str | None,
        Field(
            alias="name",
            description="What the values of a promql expression are listed under; left out, the expression itself.",
            min_length=1,
            max_length=128,
            pattern=METRIC_NAME_PATTERN,
        ),
    ] = None

    @property
    def name(self) -> str:
        """What the values are listed under: the metric, the name given to the expression, or the expression."""
        return self.metric or self.label or self.promql or ""


class Objective(Measured):
    """One number to make as large or as small as possible."""

    goal: Annotated[Goal, Field(description="maximize or minimize.")]
    target: Annotated[float | None, Field(description="The study ends once a trial reaches this value.")] = None


class Constraint(Measured):
    """A number that has to stay within a limit: a trial where it does not is never the best."""

    min: Annotated[float | None, Field(description="The least value allowed.")] = None
    max: Annotated[float | None, Field(description="The largest value allowed.")] = None

    def violation(self, value: float) -> float:
        """Return by how much a value breaks the limits; zero or less: it keeps them."""
        over = [value - self.max] if self.max is not None else []
        under = [self.min - value] if self.min is not None else []
        return max(over + under)


class Parameter(Model):
    """One hyperparameter. It reaches the trial as an environment variable of its name."""

    name: Annotated[
        str,
        Field(
            description="The environment variable that carries it, and $(name) in command and args.",
            min_length=1,
            max_length=63,
        ),
    ]
    type: Annotated[Literal["float", "int", "categorical"], Field(description="float, int or categorical.")]
    low: Annotated[float | None, Field(description="Lowest value, included (float, int).")] = None
    high: Annotated[float | None, Field(description="Highest value, included (float, int).")] = None
    step: Annotated[float | None, Field(description="Only low, low + step, low + 2 step, ...")] = None
    log: Annotated[bool, Field(description="Search the logarithm: for scales such as learning rates.")] = False
    choices: Annotated[
        list[Value] | None,
        Field(description="The values of a categorical parameter.", min_length=1, max_length=MAX_CHOICES),
    ] = None
    when: Annotated[
        dict[str, Annotated[list[Value], Field(max_length=MAX_CHOICES)]] | None,
        Field(
            description="Only where each named parameter has one of the listed values.",
            min_length=1,
            max_length=MAX_CONDITIONS,
        ),
    ] = None


class Sampler(Model):
    """How the next hyperparameters are chosen."""

    name: Annotated[SamplerName, Field(description=f"{alternatives(SAMPLERS)}.")] = "tpe"
    seed: Annotated[int | None, Field(description="Makes the search repeatable.", ge=0, le=2**32 - 1)] = None
    options: Options = {}


class Pruner(Model):
    """How hopeless trials are told from promising ones while they run."""

    name: Annotated[PrunerName, Field(description=f"{alternatives(PRUNERS)}.")] = NO_PRUNER
    options: Options = {}


class Budget(Model):
    """What ends the study: whichever is reached first. Running trials count."""

    max_trials: Annotated[int | None, Field(description="Trials in all, failed ones too.", ge=1)] = None
    max_failed_trials: Annotated[
        int | None,
        Field(description="The study fails when this many trials failed by their own fault.", ge=1),
    ] = None
    max_duration: Annotated[
        Duration | None, Field(description="Running time, without the time suspended: 90m, 2h, 1d12h.")
    ] = None
    max_gpu_hours: Annotated[float | None, Field(description="GPUs times hours, over all trials.", gt=0)] = None
    patience: Annotated[
        int | None,
        Field(description="End after this many finished trials in a row without a better one.", ge=1),
    ] = None
    grace_period: Annotated[
        Duration | None,
        Field(
            description="How long running trials may go on once the study ends early;"
            " left out: until they finish by themselves."
        ),
    ] = None

    @property
    def max_seconds(self) -> float | None:
        """`maxDuration` in seconds."""
        return None if self.max_duration is None else seconds_of(self.max_duration)

    @property
    def grace_seconds(self) -> float | None:
        """`gracePeriod` in seconds; None: running trials are left to finish."""
        return None if self.grace_period is None else seconds_of(self.grace_period)

    @property
    def max_gpu_seconds(self) -> float | None:
        """`maxGpuHours` in seconds."""
        return None if self.max_gpu_hours is None else self.max_gpu_hours * 3600


class StudySpec(Model):
    """What to tune, how, and until when."""

    objectives: Annotated[
        list[Objective],
        Field(
            description="What to optimise; two or more make a multi-objective study.",
            min_length=1,
            max_length=MAX_OBJECTIVES,
        ),
    ]
    parameters: Annotated[
        list[Parameter],
        Field(description="The search space.", min_length=1, max_length=MAX_PARAMETERS),
    ]
    constraints: Annotated[
        list[Constraint],
        Field(
            description="What a trial must keep to count as a good one, for instance GPU memory or latency.",
            max_length=MAX_OBJECTIVES,
        ),
    ] = []
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    parallelism: Annotated[int, Field(description="Trials at once.", ge=1, le=10_000)] = 1
    budget: Budget = Budget()
    suspend: Annotated[
        bool, Field(description="Stops the running trials, keeps them for later, and stops the clock.")
    ] = False
    stop: Annotated[
        bool, Field(description="Ends the study now, as if a budget were used up; false again goes on with it.")
    ] = False
    trial_start_timeout: Annotated[
        Duration,
        Field(
            description="How long a trial's pod may take to start once it has its node (image, configuration, volumes,"
            " init containers) before the trial fails. Waiting for room, a quota or a queue does not count."
        ),
    ] = "15m"
    failed_jobs_history_ttl: Annotated[
        Duration,
        Field(
            alias="failedJobsHistoryTTL",
            description="How long a failed trial's Job, and its log, stay after its end; 0s: they go at once.",
        ),
    ] = "1h"
    settling_time: Annotated[
        Duration | None,
        Field(
            description="How long after a trial's end its promql expressions are evaluated: until its last values were"
            " scraped. Left out: what the operator is set to."
        ),
    ] = None
    history_policy: Annotated[
        Literal["Retain", "Delete"],
        Field(description="What becomes of the trials' history in the storage when the study is deleted."),
    ] = "Retain"
    job_template: Annotated[
        JobTemplate, Field(description="The Job of one trial: a plain JobTemplateSpec, as in a CronJob.")
    ]

    @property
    def failed_jobs_history_seconds(self) -> float:
        """`failedJobsHistoryTTL` in seconds."""
        return seconds_of(self.failed_jobs_history_ttl)

    @property
    def settling_seconds(self) -> float | None:
        """`settlingTime` in seconds; None: what the operator is set to."""
        return None if self.settling_time is None else seconds_of(self.settling_time)

    @property
    def measured(self) -> list[Measured]:
        """Everything a finished trial has to have a number of: objectives, then constraints."""
        return [*self.objectives, *self.constraints]

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that the study goes by, each once, in order."""
        return tuple(dict.fromkeys(measured.metric for measured in self.measured if measured.metric is not None))

    @property
    def expressions(self) -> dict[str, str]:
        """The Prometheus expressions by the name that their values are listed under."""
        return {measured.name: measured.promql for measured in self.measured if measured.promql is not None}


class Metadata(OpenModel):
    """The object's metadata, of which the name, namespace and generation are read here."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=OBJECT_NAME_PATTERN,
        ),
    ]
    namespace: str | None = None
    generation: int | None = None


class HyperparameterStudy(Model):
    """A hyperparameter study: parameters are searched, each trial is a Job, until the budget ends."""

    api_version: Literal["kubestudy.dev/v1alpha1"]
    kind: Literal["HyperparameterStudy"]
    metadata: Metadata
    spec: StudySpec
    status: StudyStatus | None = None
