"""The curves of all metrics that trials reported beside the objective, as small multiples.

Source: optuna.visualization.plot_intermediate_values, which draws a metric's curves as if it were the objective.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import plotly.graph_objects as go
from optuna.trial import FrozenTrial
from optuna.visualization import plot_intermediate_values
from plotly.subplots import make_subplots

from kubestudy.report.finish import dress
from kubestudy.report.section import Section, drawn
from kubestudy.report.views import WIDE_SPAN, Goal, StudyView, excerpt
from kubestudy.search.attributes import metrics_of
from kubestudy.study.trial import Curve

# What a browser draws in about a second, and a person can still read.
METRICS = 12
TRIALS = 40
PER_ROW = 3

_PANEL_HEIGHT = 260


def metric_curves(view: StudyView, goals: Sequence[Goal]) -> Iterator[Section]:
    """Draw the curves of the secondary metrics; of the objectives, too, where there are several. None: no section."""
    trials = view.get_trials(deepcopy=False)
    curves = {trial.number: metrics_of(trial, None).curves for trial in trials}
    names = _names(curves.values())
    if not names:
        return
    single = len(goals) == 1
    shown, thinned = excerpt([t for t in trials if curves[t.number]], TRIALS, _best(view, goals))
    best = goals[0].complete[0].number if single and goals[0].complete else None

    def draw() -> go.Figure:
        return _small_multiples(view, shown, curves, names[:METRICS], best)

    yield drawn(
        "Other metrics" if single else "Reported metrics",
        "What trials reported while they ran; an axis whose values span much is logarithmic."
        + (f" The thick line is the best trial, {best}." if best in {t.number for t in shown} else "")
        + (f" Drawn are the first {METRICS} of {len(names)} metrics." if len(names) > METRICS else "")
        + thinned,
        draw,
    )


def _names(curves: Iterable[Curve]) -> list[str]:
    """Return the metrics that have a curve to draw, of more than one point, in any trial."""
    return list(dict.fromkeys(name for curve in curves for name, points in curve.items() if len(points) > 1))


def _best(view: StudyView, goals: Sequence[Goal]) -> list[FrozenTrial]:
    if len(goals) == 1 or not goals[0].complete:
        return goals[0].complete
    return view.best_trials


def _small_multiples(
    view: StudyView, trials: Sequence[FrozenTrial], curves: dict[int, Curve], names: Sequence[str], best: int | None
) -> go.Figure:
    columns = min(PER_ROW, len(names))
    rows = -(-len(names) // columns)
    figure = make_subplots(rows, columns, subplot_titles=names, horizontal_spacing=0.07, vertical_spacing=0.3 / rows)
    for i, name in enumerate(names):
        own = [_with_curve(trial, curves[trial.number][name]) for trial in trials if name in curves[trial.number]]
        panel = plot_intermediate_values(view.only(own))
        row, column = i // columns + 1, i % columns + 1
        figure.add_traces(panel.data, rows=row, cols=column)
        if _is_wide([value for trial in own for value in trial.intermediate_values.values()]):
            figure.update_yaxes(type="log", row=row, col=column)
    figure.update_traces(line={"width": 1.2}, marker={"size": 3}, opacity=0.8)
    figure.update_traces(line={"width": 4}, opacity=1, selector={"name": f"Trial{best}"})
    return dress(figure, 60 + _PANEL_HEIGHT * rows).update_layout(showlegend=False)


def _is_wide(values: Sequence[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) / min(values) > WIDE_SPAN


def _with_curve(trial: FrozenTrial, points: Sequence[tuple[int, float]]) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.intermediate_values = dict(points)
    return shown
