"""Which of Optuna's plots a study has, and the sentence that stands where one would be empty.

Source: optuna.visualization. None of them is drawn by hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import optuna
import plotly.graph_objects as go
from optuna.trial import TrialState
from optuna.visualization import (
    plot_contour,
    plot_intermediate_values,
    plot_optimization_history,
    plot_parallel_coordinate,
    plot_param_importances,
    plot_pareto_front,
    plot_slice,
    plot_timeline,
)

# A contour plot has a panel per pair of parameters: more than these nobody can read.
CONTOUR_PARAMETERS = 4
_PANEL_HEIGHT = 220


@dataclass(frozen=True, slots=True)
class Section:
    """One plot of the report.

    Attributes:
        title: Its heading.
        caption: How to read it.
        figure: The plot; None where it would be empty.
        missing: Why there is no plot.
    """

    title: str
    caption: str
    figure: go.Figure | None
    missing: str = ""


def sections(study: optuna.Study, names: list[str]) -> Iterator[Section]:
    """Make the report's plots, one after the other.

    Args:
        study: The study.
        names: Its objectives' names.
    """
    trials = study.get_trials(deepcopy=False)
    complete = [t for t in trials if t.state is TrialState.COMPLETE]
    varied = _varied(complete)
    several = len(names) > 1
    if several:
        yield Section(
            "Pareto front",
            "Each point is a trial; no other trial is better than a highlighted one in every objective.",
            _drawn(lambda: plot_pareto_front(study, target_names=names)) if complete and len(names) <= 3 else None,
            "no trial is complete" if not complete else "more than three objectives cannot be drawn",
        )
    for i, name in enumerate(names):
        yield from _of_objective(study, i if several else None, name, varied, complete=bool(complete))
    if not several:
        curves = any(t.intermediate_values for t in trials)
        yield Section(
            "Intermediate values",
            f"{names[0]} of each trial while it ran. Lines that end early are trials that were pruned.",
            _drawn(lambda: plot_intermediate_values(study)) if curves else None,
            "no trial reported a value while it ran",
        )
    yield Section(
        "Timeline",
        "When each trial ran, and how it ended.",
        _drawn(lambda: plot_timeline(study)) if any(t.datetime_start for t in trials) else None,
        "no trial was started",
    )


def _varied(complete: list[optuna.trial.FrozenTrial]) -> list[str]:
    """Return the parameters that have at least two values among complete trials: others explain nothing."""
    seen: dict[str, set[str]] = {}
    for trial in complete:
        for name, value in trial.params.items():
            seen.setdefault(name, set()).add(repr(value))
    return [name for name, values in seen.items() if len(values) > 1]


def _of_objective(
    study: optuna.Study, index: int | None, name: str, varied: list[str], *, complete: bool
) -> Iterator[Section]:
    target: Callable[[optuna.trial.FrozenTrial], float] | None = None
    if index is not None:
        target = lambda trial, at=index: trial.values[at]  # type: ignore[misc]  # noqa: E731
    options = {"target": target, "target_name": name}
    suffix = "" if index is None else f": {name}"
    few = "fewer than two complete trials differ in a parameter"
    yield Section(
        f"Optimisation history{suffix}",
        f"{name} of each complete trial" + (", and the best so far." if index is None else "."),
        _drawn(lambda: plot_optimization_history(study, **options)) if complete else None,
        "no trial is complete",
    )
    ranked = _ranked(study, target, varied)
    yield Section(
        f"Parameter importances{suffix}",
        f"How much of the difference in {name} each parameter explains.",
        _drawn(lambda: plot_param_importances(study, params=ranked, **options)) if ranked else None,
        few,
    )
    yield Section(
        f"Parallel coordinates{suffix}",
        "Each line is a trial, from its parameters to its value.",
        _drawn(lambda: plot_parallel_coordinate(study, params=varied, **options)) if varied else None,
        few,
    )
    yield Section(
        f"Slices{suffix}",
        f"{name} over each parameter alone.",
        _drawn(lambda: plot_slice(study, params=varied, **options)) if varied else None,
        few,
    )
    chosen = (ranked or varied)[:CONTOUR_PARAMETERS]
    shown = "" if len(varied) <= CONTOUR_PARAMETERS else f" The {CONTOUR_PARAMETERS} most important ones are shown."
    contour = _drawn(lambda: plot_contour(study, params=chosen, **options)) if len(chosen) > 1 else None
    if contour is not None and len(chosen) > 2:
        contour.update_layout(height=_PANEL_HEIGHT * len(chosen))
    yield Section(
        f"Contours{suffix}",
        f"{name} over pairs of parameters.{shown}",
        contour,
        "fewer than two parameters vary among complete trials",
    )


def _ranked(
    study: optuna.Study, target: Callable[[optuna.trial.FrozenTrial], float] | None, varied: list[str]
) -> list[str]:
    """Return the parameters that every complete trial has, the most important first."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importances = optuna.importance.get_param_importances(study, target=target)
    except (RuntimeError, ValueError):
        return []
    return [name for name in importances if name in varied] if any(importances.values()) else []


def _drawn(draw: Callable[[], go.Figure]) -> go.Figure | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = draw()
    except (RuntimeError, ValueError):
        return None  # too few or too equal values for this plot
    return figure if len(figure.data) else None
