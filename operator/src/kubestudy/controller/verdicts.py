"""What the admission of a study comes to. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kubestudy.api.study import HyperparameterStudy
from kubestudy.cluster.jobs import Owner
from kubestudy.planning.custody import Theirs
from kubestudy.study.ports import ExpressionEvaluator, Trouble


@dataclass(frozen=True, slots=True)
class Runnable:
    """A study that can be run, and what it needs for that.

    Attributes:
        study: Its manifest.
        owner: The study as its Jobs' owner.
        evaluator: What evaluates its expressions.
        gpus: How many GPUs a trial holds.
        history: What is to become of its history once it is deleted: Retain or Delete.
    """

    study: HyperparameterStudy
    owner: Owner
    evaluator: ExpressionEvaluator
    gpus: float
    history: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """The study can be run."""

    runnable: Runnable


@dataclass(frozen=True, slots=True)
class Rejected:
    """The study cannot be run as it is written."""

    why: Trouble


@dataclass(frozen=True, slots=True)
class Delayed:
    """Something outside of the study is in the way, which may be mended: it is worth while to try again."""

    why: Trouble


@dataclass(frozen=True, slots=True)
class Yielded:
    """Another operator looks after the study."""

    to: Theirs


Verdict = Admitted | Rejected | Delayed | Yielded
