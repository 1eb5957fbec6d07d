"""The samplers and pruners a manifest can name, each declared once.

The CRD's enumerations, the checks, the reference (docs/reference/algorithms.md) and what `search` makes of a name are
all derived from these tables, so a new sampler or pruner is one entry here. A class is named, not imported: this room
does not know Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Bound:
    """From where to where an option's number goes, both included.

    Options are given to Optuna as they are, and some of them can take all the memory and time there is, or make it fail
    in the middle of a study. Within these bounds no option makes an ask, or a report, slower by more than 50 ms or
    larger by more than 50 MiB, whatever the others are.

    Attributes:
        low: The least.
        high: The most.
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high  # also false for what is no number


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What samplers and pruners have in common.

    Attributes:
        name: What manifests call it.
        target: Its class, by module and name.
        meaning: A sentence for the reference.
        required: The options that a manifest has to set.
        bounds: The bound of every option that takes a number.
    """

    name: str
    target: str
    meaning: str
    required: frozenset[str] = frozenset()
    bounds: Mapping[str, Bound] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerAlgorithm(Algorithm):
    """How the next hyperparameters are chosen. Its class takes a `seed` beside its options.

    Attributes:
        several_objectives: Whether it searches for more than one objective.
        constraints: Whether it learns from by how much a constraint was broken.
        finite: Whether it tries each point of a grid once and then ends the study. Its class then takes the study's
            `parameters` instead of options, and its length is the number of points.
        if_conditional: Options that a space with conditions needs, each only with those before it: from the first on
            that the manifest sets otherwise, none is added.
    """

    several_objectives: bool = True
    constraints: bool = False
    finite: bool = False
    if_conditional: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerAlgorithm(Algorithm):
    """How hopeless trials are told from promising ones.

    Attributes:
        wraps: The option that holds another pruner, written as `{name: ..., options: {...}}`, if there is one.
    """

    wraps: str | None = None


_TRIALS = Bound(0, 100_000)
_STEPS = Bound(0, 10**12)
_RESOURCE = Bound(1, 10**12)
# A rung's step is resource times factor to the power of rate and rung, a whole number of any length.
_FACTOR = Bound(2, 1_000)
_RATE = Bound(0, 40)
_MEDIAN = {
    "n_startup_trials": _TRIALS,
    "n_warmup_steps": _STEPS,
    "interval_steps": Bound(1, 10**12),
    "n_min_trials": Bound(1, 100_000),
}

SAMPLERS: Mapping[str, SamplerAlgorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        SamplerAlgorithm(
            name="tpe",
            target="kubestudy.search.tpe_sampler.BoundedTPESampler",
            meaning="Learns which parameters good trials have in common: the tree-structured Parzen estimator.",
            constraints=True,
            # Without them, whatever is conditional is left out of the joint model (Optuna's TPESampler, `group`).
            if_conditional={"multivariate": True, "group": True},
            bounds={
                "prior_weight": Bound(1e-3, 1e3),
                "n_startup_trials": _TRIALS,
                "n_ei_candidates": Bound(1, 100),
            },
        ),
        SamplerAlgorithm(
            name="random",
            target="optuna.samplers.RandomSampler",
            meaning="Draws each trial by itself, evenly over the space.",
        ),
        SamplerAlgorithm(
            name="grid",
            target="kubestudy.search.grid_sampler.GridSampler",
            meaning="Tries every combination of active parameters once, in an order shuffled by the seed, and ends the"
            " study then. Every float needs a step.",
            finite=True,
        ),
    )
}

NO_PRUNER = "none"
PRUNERS: Mapping[str, PrunerAlgorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        PrunerAlgorithm(
            name=NO_PRUNER,
            target="optuna.pruners.NopPruner",
            meaning="Lets every trial run to its end.",
        ),
        PrunerAlgorithm(
            name="median",
            target="optuna.pruners.MedianPruner",
            meaning="Stops a trial whose best value so far is worse than the median of the others at the same step.",
            bounds=_MEDIAN,
        ),
        PrunerAlgorithm(
            name="percentile",
            target="optuna.pruners.PercentilePruner",
            meaning="As median, with another share of trials kept.",
            required=frozenset({"percentile"}),
            bounds={"percentile": Bound(0, 100), **_MEDIAN},
        ),
        PrunerAlgorithm(
            name="successivehalving",
            target="optuna.pruners.SuccessiveHalvingPruner",
            meaning="Lets the best share of trials go on from each rung to the next (ASHA).",
            bounds={
                "min_resource": _RESOURCE,
                "reduction_factor": _FACTOR,
                "min_early_stopping_rate": _RATE,
                "bootstrap_count": _TRIALS,
            },
        ),
        PrunerAlgorithm(
            name="hyperband",
            target="optuna.pruners.HyperbandPruner",
            meaning="Successive halving in several brackets, from eager to patient.",
            bounds={
                "min_resource": _RESOURCE,
                "max_resource": _RESOURCE,
                "reduction_factor": _FACTOR,
                "bootstrap_count": _TRIALS,
            },
        ),
        PrunerAlgorithm(
            name="patient",
            target="optuna.pruners.PatientPruner",
            meaning="Stops a trial that did not improve for some steps, or asks another pruner then.",
            required=frozenset({"patience"}),
            bounds={"patience": _STEPS, "min_delta": Bound(0, 1e100)},
            wraps="wrapped_pruner",
        ),
    )
}
