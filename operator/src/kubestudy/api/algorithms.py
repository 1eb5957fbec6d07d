"""The samplers and pruners a manifest can name, each declared once.

The CRD's enumerations, the checks, the reference (docs/reference/algorithms.md) and what `search` makes of a name are
all derived from these tables, so a new sampler or pruner is one entry here. A class is named, not imported: this room
does not know Optuna.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What samplers and pruners have in common.

    Attributes:
        name: What manifests call it.
        target: Its class, by module and name.
        meaning: A sentence for the reference.
        required: The options that a manifest has to set.
    """

    name: str
    target: str
    meaning: str
    required: frozenset[str] = frozenset()


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


SAMPLERS: Mapping[str, SamplerAlgorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        SamplerAlgorithm(
            name="tpe",
            target="optuna.samplers.TPESampler",
            meaning="Learns which parameters good trials have in common: the tree-structured Parzen estimator.",
            constraints=True,
            # Without them, whatever is conditional is left out of the joint model (Optuna's TPESampler, `group`).
            if_conditional={"multivariate": True, "group": True},
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
        ),
        PrunerAlgorithm(
            name="percentile",
            target="optuna.pruners.PercentilePruner",
            meaning="As median, with another share of trials kept.",
            required=frozenset({"percentile"}),
        ),
        PrunerAlgorithm(
            name="successivehalving",
            target="optuna.pruners.SuccessiveHalvingPruner",
            meaning="Lets the best share of trials go on from each rung to the next (ASHA).",
        ),
        PrunerAlgorithm(
            name="hyperband",
            target="optuna.pruners.HyperbandPruner",
            meaning="Successive halving in several brackets, from eager to patient.",
        ),
        PrunerAlgorithm(
            name="patient",
            target="optuna.pruners.PatientPruner",
            meaning="Stops a trial that did not improve for some steps, or asks another pruner then.",
            required=frozenset({"patience"}),
            wraps="wrapped_pruner",
        ),
    )
}
