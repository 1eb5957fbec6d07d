"""A study's status: a view, computed from the storage and the running trials, never read back as truth.

Its size is bounded: it holds counts, one best trial and the head of the Pareto front, no list of trials.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kubestudy.api.base import Model
from kubestudy.api.values import Value

Phase = Literal["Pending", "Running", "Suspended", "Complete", "Failed"]
PARETO_FRONT_SHOWN = 20


class Condition(Model):
    """One aspect of the study's state (as `metav1.Condition`)."""

    type: Annotated[
        str, Field(max_length=64, description="Progressing, Complete, Failed, Suspended, Degraded or Contested.")
    ]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=64, description="One CamelCase word for programs.")]
    message: Annotated[str, Field(max_length=2048, description="A sentence for people.")]
    observed_generation: int | None = None
    last_transition_time: Annotated[str, Field(max_length=64, description="When the status last changed (RFC 3339).")]


class TrialCounts(Model):
    """How many trials are in each state."""

    total: Annotated[int, Field(description="All trials that were ever started.")] = 0
    running: Annotated[int, Field(description="Trials that run now.")] = 0
    pending: Annotated[int, Field(description="Trials that wait to start, or to start again.")] = 0
    measuring: Annotated[int, Field(description="Trials that ended and whose expressions are being evaluated.")] = 0
    complete: Annotated[int, Field(description="Trials with a final value.")] = 0
    infeasible: Annotated[int, Field(description="Those of the complete ones that break a constraint.")] = 0
    pruned: Annotated[int, Field(description="Trials stopped early because they were hopeless.")] = 0
    failed: Annotated[int, Field(description="Trials that failed by their own fault.")] = 0
    stopped: Annotated[int, Field(description="Trials stopped because the study ended.")] = 0


class BestTrial(Model):
    """A trial nobody else beats."""

    number: int
    values: Annotated[dict[str, float], Field(description="Its final value of each objective.", max_length=8)]
    params: Annotated[dict[str, Value], Field(description="Its hyperparameters.", max_length=100)]
    job: Annotated[str | None, Field(max_length=253, description="The Job that ran it.")] = None


class Used(Model):
    """What was used of each budget."""

    trials: int = 0
    failed_trials: int = 0
    seconds: Annotated[float, Field(description="Time the study ran, without the time it was suspended.")] = 0
    gpu_seconds: Annotated[float, Field(description="GPUs times seconds, running trials included.")] = 0
    trials_since_improvement: int = 0


class StatusOperator(Model):
    """Which operator looks after the study."""

    name: Annotated[str, Field(max_length=512, description="By its Lease: namespace/name.")]
    storage: Annotated[str, Field(max_length=512, description="The identity of the storage it keeps trials in.")] = ""
    renew_time: Annotated[str, Field(max_length=64, description="When it last said so (RFC 3339).")]


class StudyStatus(Model):
    """What the study has come to."""

    observed_generation: Annotated[
        int | None, Field(description="The generation of the spec that this status is about.")
    ] = None
    phase: Annotated[Phase, Field(description="The study's state in one word.")] = "Pending"
    conditions: Annotated[list[Condition], Field(max_length=8)] = []
    progress: Annotated[
        str | None, Field(max_length=64, description="Trials that ended, of those the budget allows: 12/60.")
    ] = None
    trials: TrialCounts = TrialCounts()
    best: Annotated[BestTrial | None, Field(description="The best trial (one objective).")] = None
    best_value: Annotated[str | None, Field(max_length=256, description="The best trial's values as a short text.")] = (
        None
    )
    pareto_front: Annotated[
        list[BestTrial] | None,
        Field(
            description=f"The trials that no other beats in every objective, {PARETO_FRONT_SHOWN} at most.",
            max_length=PARETO_FRONT_SHOWN,
        ),
    ] = None
    pareto_front_size: Annotated[int | None, Field(description="How many trials are on the front.")] = None
    used: Used = Used()
    history_service: Annotated[
        str | None,
        Field(max_length=256, description="The Service that serves the trials' history: namespace/name:port."),
    ] = None
    operator: Annotated[
        StatusOperator | None,
        Field(description="The operator that looks after the study; another keeps its hands off."),
    ] = None
    start_time: Annotated[str | None, Field(max_length=64, description="First start (RFC 3339).")] = None
    completion_time: Annotated[str | None, Field(max_length=64, description="End (RFC 3339).")] = None
