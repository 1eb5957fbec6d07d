"""Which of Optuna's plots a study has, and the sentence that stands where one would be empty.

Source: optuna.visualization. None of them is drawn by hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import optuna
import plotly.graph_objects as go
from optuna.trial import FrozenTrial, TrialState
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

from kubestudy.api.text import clean
from kubestudy.report.finish import HEIGHT, dress, legend_above
from kubestudy.report.metric_curves import metric_curves
from kubestudy.report.section import Section, drawn
from kubestudy.report.views import Goal, StudyView, excerpt, goals_of, view_of

# What a browser draws in about a second, and a person can still read.
PARETO_TRIALS = 1000
PARALLEL_TRIALS = 300
SLICE_TRIALS = 1000
CONTOUR_TRIALS = 80  # each panel holds a value for each pair of them
CURVE_TRIALS = 150
TIMELINE_TRIALS = 1000
# A contour plot has a panel per pair of parameters: more than these nobody can read.
CONTOUR_PARAMETERS = 4
SLICES_PER_ROW = 4
# Axes of parallel coordinates, bars of importances, slices.
PARAMETERS = 12
LABEL_LENGTH = 48
# Optuna's importances compare the best tenth with the rest, and need about five trials in it.
STEADY_TRIALS = 50

_PANEL_HEIGHT = 240
_BAR_HEIGHT = 34
_PALE = "#e9eef5"
_NOT_COMPLETE = "no trial is complete"
_NOT_VARIED = "no parameter has two values among the complete trials"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What complete trials hold of each parameter.

    Attributes:
        varied: Those with two values or more: the others explain nothing.
        constant: Those with one value.
        conditional: Those of the varied that some complete trials do not have.
    """

    varied: list[str]
    constant: list[str]
    conditional: list[str]

    def first(self, ranked: list[str], limit: int) -> tuple[list[str], str]:
        """Return the varied parameters, the most important first, and a sentence if they are more than the limit."""
        names = [*ranked, *(name for name in self.varied if name not in ranked)]
        some = f" Shown are the {limit} most important of {len(names)} parameters." if ranked else ""
        some = some or f" Shown are the first {limit} of {len(names)} parameters."
        return names[:limit], some if len(names) > limit else ""

    @property
    def left_out(self) -> str:
        """A sentence about the parameters that no plot shows."""
        names = _listed(self.constant)
        return f" Left out, having had one value only: {names}." if names else ""

    def said(self, sentence: str, among: list[str] | None = None) -> str:
        """Return a sentence about the conditional parameters (`{}`) shown; empty when there are none."""
        shown = [name for name in self.conditional if among is None or name in among]
        return " " + sentence.replace("{}", _listed(shown)) if shown else ""


def sections(study: optuna.Study, names: list[str]) -> Iterator[Section]:
    """Make the report's plots, one after the other.

    Args:
        study: The study.
        names: Its objectives' names.
    """
    names = [clean(name, LABEL_LENGTH) for name in names]
    view = view_of(study, names)
    goals = goals_of(view, names)
    parameters = _parameters(goals[0].complete)
    several = len(goals) > 1
    if several:
        yield _pareto_front(view, goals)
        yield from metric_curves(view, goals)
        yield _parallel(view, view.best_trials if goals[0].complete else [], parameters, [], several=True)
    for goal in goals:
        suffix = f": {goal.name}" if several else ""
        yield _history(goal, suffix)
        if not several:
            yield _curves(goal)
            yield from metric_curves(view, goals)
        ranked = _ranked(goal, parameters.varied)
        yield _importances(goal, suffix, parameters, ranked)
        if not several:
            coloured = goal.logarithmic() if goal.wide else goal
            yield _parallel(coloured.view, coloured.complete, parameters, ranked, several=False)
        yield _slices(goal, suffix, parameters, ranked)
        yield _contours(goal, suffix, parameters, ranked)
    yield _timeline(view)


def _parameters(complete: list[FrozenTrial]) -> Parameters:
    seen: dict[str, set[str]] = {}
    count: dict[str, int] = {}
    for trial in complete:
        for name, value in trial.params.items():
            seen.setdefault(name, set()).add(repr(value))
            count[name] = count.get(name, 0) + 1
    varied = [name for name, values in seen.items() if len(values) > 1]
    return Parameters(
        varied=varied,
        constant=[name for name in seen if name not in varied] if len(complete) > 1 else [],
        conditional=[name for name in varied if count[name] < len(complete)],
    )


def _pareto_front(view: StudyView, goals: list[Goal]) -> Section:
    title = "Pareto front"
    complete = view.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not complete:
        return Section(title, "", missing=_NOT_COMPLETE)
    if len(goals) > 3:
        return Section(title, "", missing="more than three objectives cannot be drawn; its trials are listed above")
    shown, thinned = excerpt(complete, PARETO_TRIALS, view.best_trials)

    def draw() -> go.Figure:
        figure = plot_pareto_front(view.only(shown), target_names=[goal.name for goal in goals])
        dress(figure, HEIGHT + 60 * (len(goals) - 1))
        axes = ("xaxis", "yaxis") if len(goals) == 2 else ()
        figure.update_layout({axis: goal.axis for axis, goal in zip(axes, goals, strict=False)})
        return legend_above(figure)

    return drawn(
        title,
        "Each point is a trial. Those in red are the front: no other trial is at least as good in every objective"
        " and better in one." + thinned,
        draw,
    )


def _history(goal: Goal, suffix: str) -> Section:
    title = f"Optimisation history{suffix}"
    if not goal.complete:
        return Section(title, "", missing=_NOT_COMPLETE)

    def draw() -> go.Figure:
        figure = dress(plot_optimization_history(goal.view, target_name=goal.name))
        return _scaled(legend_above(figure), goal)

    return drawn(title, f"{goal.name} of each complete trial, and the best so far.{_axis(goal)}", draw)


def _curves(goal: Goal) -> Section:
    title = "Intermediate values"
    trials = [t for t in goal.view.get_trials(deepcopy=False) if t.intermediate_values]
    if not trials:
        return Section(title, "", missing="no trial reported a value while it ran")
    known = {trial.number for trial in trials}
    shown, thinned = excerpt(trials, CURVE_TRIALS, [t for t in goal.complete if t.number in known])
    pruned = any(t.state is TrialState.PRUNED for t in shown)
    best = goal.complete[0].number if goal.complete else None

    def draw() -> go.Figure:
        figure = dress(plot_intermediate_values(goal.view.only(shown)))
        figure.update_traces(line={"width": 1.2}, marker={"size": 4}, opacity=0.8)
        figure.update_traces(line={"width": 4}, opacity=1, selector={"name": f"Trial{best}"})
        return _scaled(figure.update_yaxes(title=goal.name), goal)

    return drawn(
        title,
        f"{goal.name} of each trial while it ran."
        + (" Lines that end early are mostly trials that were pruned." if pruned else "")
        + (f" The thick line is the best trial, {best}." if best in {t.number for t in shown} else "")
        + _axis(goal)
        + thinned,
        draw,
    )


def _importances(goal: Goal, suffix: str, parameters: Parameters, ranked: list[str]) -> Section:
    title = f"Parameter importances{suffix}"
    if not ranked:
        few = "too few complete trials, or too alike, to tell"
        return Section(title, "", missing=few if parameters.varied else _missing(goal))

    def draw() -> go.Figure:
        height = 120 + _BAR_HEIGHT * len(shown)
        figure = dress(plot_param_importances(goal.view, params=shown, target_name=goal.name), height)
        return figure.update_xaxes(title="importance").update_yaxes(title=None, ticksuffix="  ")

    shown, some = parameters.first(ranked, PARAMETERS)
    count = len(goal.complete)
    hint = f" With {count} complete trials this is a hint; from about {STEADY_TRIALS} on it is steady."
    return drawn(
        title,
        f"How much each parameter decides whether a trial is among the best tenth by {goal.name} (PED-ANOVA)."
        + (hint if count < STEADY_TRIALS else "")
        + some
        + parameters.said("Conditional ({}): only trials that have them count.", shown)
        + parameters.left_out,
        draw,
    )


def _parallel(
    view: StudyView, best: list[FrozenTrial], parameters: Parameters, ranked: list[str], *, several: bool
) -> Section:
    title = "Parallel coordinates"
    complete = view.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not parameters.varied:
        return Section(title, "", missing=_NOT_VARIED if complete else _NOT_COMPLETE)
    shown, thinned = excerpt(complete, PARALLEL_TRIALS, best)
    params, some = parameters.first(ranked, PARAMETERS)
    name = ", ".join(view.metric_names or [])

    def draw() -> go.Figure:
        figure = plot_parallel_coordinate(view.only(shown), params=params, target_name=name)
        dress(figure, HEIGHT + 20).update_layout(plot_bgcolor=_PALE)  # the worst trials' lines are almost white
        return figure.update_annotations(bgcolor=_PALE, font={"size": 11}, opacity=0.9)

    colour = "; the darker, the nearer to the Pareto front" if several else "; the darker, the better"
    return drawn(
        title,
        f"Each line is a trial, from its result to its parameters{colour}.{some}"
        + parameters.said("“None” stands where a trial does not have {}.", params)
        + parameters.left_out
        + thinned,
        draw,
    )


def _slices(goal: Goal, suffix: str, parameters: Parameters, ranked: list[str]) -> Section:
    title = f"Slices{suffix}"
    if not parameters.varied:
        return Section(title, "", missing=_missing(goal))
    shown, thinned = excerpt(goal.complete, SLICE_TRIALS, goal.complete)
    first, some = parameters.first(ranked, PARAMETERS)
    names = sorted(first)
    rows = -(-len(names) // SLICES_PER_ROW)
    per_row = -(-len(names) // rows)

    def row(names: list[str]) -> Callable[[], go.Figure]:
        def draw() -> go.Figure:
            figure = dress(plot_slice(goal.view.only(shown), params=names, target_name=goal.name), 340)
            return _scaled(figure, goal)

        return draw

    return drawn(
        title,
        f"{goal.name} over each parameter alone; the darker, the later the trial.{_axis(goal)}{some}"
        + parameters.said("Conditional ({}): only trials that have them are drawn.", names)
        + parameters.left_out
        + thinned,
        *(row(names[i : i + per_row]) for i in range(0, len(names), per_row)),
    )


def _contours(goal: Goal, suffix: str, parameters: Parameters, ranked: list[str]) -> Section:
    title = f"Contours{suffix}"
    if len(parameters.varied) < 2:
        few = "fewer than two parameters vary among the complete trials"
        return Section(title, "", missing=few if goal.complete else _NOT_COMPLETE)
    chosen, some = parameters.first(ranked, CONTOUR_PARAMETERS)
    coloured = goal.logarithmic() if goal.wide else goal
    shown, thinned = excerpt(coloured.complete, CONTOUR_TRIALS, coloured.complete)

    def draw() -> go.Figure:
        figure = plot_contour(coloured.view.only(shown), params=chosen, target_name=coloured.name)
        height = HEIGHT + 60 if len(chosen) == 2 else 60 + _PANEL_HEIGHT * len(chosen)
        figure.update_traces(marker={"size": 5, "line": {"width": 1}}, selector={"type": "scatter"})
        return dress(figure, height)

    return drawn(
        title,
        f"{coloured.name} over pairs of parameters, guessed between the trials (dots); the darker, the better.{some}"
        + parameters.said("Conditional ({}): only trials that have them are drawn.", chosen)
        + thinned,
        draw,
    )


def _timeline(view: StudyView) -> Section:
    title = "Timeline"
    trials = view.get_trials(deepcopy=False)
    if not any(t.datetime_start for t in trials):
        return Section(title, "", missing="no trial was started")
    last = f" Drawn are the last {TIMELINE_TRIALS:,} of {len(trials):,} trials."

    def draw() -> go.Figure:
        figure = dress(plot_timeline(view, n_recent_trials=TIMELINE_TRIALS))
        return legend_above(figure.update_xaxes(title=None))

    return drawn(
        title,
        "When each trial ran and how it ended, in the local time of the machine that kept the record; a trial that was"
        " stopped with the study counts as FAIL here." + (last if len(trials) > TIMELINE_TRIALS else ""),
        draw,
    )


def _ranked(goal: Goal, varied: list[str]) -> list[str]:
    """Return parameters by importance, the most important first; empty when nothing can be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importances = optuna.importance.get_param_importances(goal.view, params=varied)
    except (RuntimeError, ValueError):
        return []  # too few or too equal values
    return list(importances) if any(importances.values()) else []


def _missing(goal: Goal) -> str:
    return _NOT_VARIED if goal.complete else _NOT_COMPLETE


def _axis(goal: Goal) -> str:
    return " The axis is logarithmic." if goal.wide else ""


def _scaled(figure: go.Figure, goal: Goal) -> go.Figure:
    return figure.update_yaxes(**goal.axis)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""
