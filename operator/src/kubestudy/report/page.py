"""The page: a summary, Optuna's plots and the list of trials, in one file that opens offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import jinja2
import optuna
from plotly.offline import get_plotlyjs

from kubestudy import __version__
from kubestudy.api.study import HyperparameterStudy
from kubestudy.api.values import Value, as_text
from kubestudy.report.figures import sections
from kubestudy.report.finish import as_html
from kubestudy.search.history import History, TrialRecord

TABLE_ROWS = 2000
METRIC_COLUMNS = 8
FAILURE_ROWS = 10
_STATES = ("Complete", "Pruned", "Failed", "Stopped", "Running", "Waiting")


def write_report(study: HyperparameterStudy, history: History, target: Path) -> None:
    """Write a study's report.

    Args:
        study: The manifest; with its status, where the study has ended.
        history: Its trials.
        target: The HTML file.

    Raises:
        OSError: It cannot be written.
        StudyError: The storage cannot be read.
    """
    records = history.trials()
    params = list(dict.fromkeys(name for record in records for name in record.params))
    best = history.best()
    page = _template().render(
        study=study,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        objectives=study.spec.objectives,
        counts=[(state, n) for state in _STATES if (n := sum(r.state == state for r in records))],
        best=best,
        best_numbers={record.number for record in best},
        best_metrics=_best_metrics(best[:METRIC_COLUMNS], history.metric_names),
        metrics=history.metric_names,
        budget=_budget(study, records),
        failures=_failures(records),
        failure_rows=FAILURE_ROWS,
        reasons=any(record.reason for record in records),
        gpus=any(record.gpu_utilization is not None for record in records),
        sections=[(s, [as_html(f) for f in s.figures]) for s in sections(history.study, history.metric_names)],
        params=params,
        records=records[-TABLE_ROWS:],
        curves=any(record.last for record in records) and len(history.metric_names) == 1,
        left_out=max(0, len(records) - TABLE_ROWS),
        plotly=get_plotlyjs(),
    )
    draft = target.with_suffix(".new")
    draft.write_text(page, encoding="utf-8", errors="replace")
    draft.replace(target)


def warm_up() -> None:
    """Draw a tiny report and throw it away: what plots import and work out once, about 3 s, is then done."""
    tiny = optuna.create_study()
    for x in (0.0, 1.0, 2.0):
        trial = optuna.trial.create_trial(
            params={"x": x, "z": -x},
            distributions=dict.fromkeys(("x", "z"), optuna.distributions.FloatDistribution(-2, 2)),
            intermediate_values={1: x, 2: x},
            value=x,
        )
        tiny.add_trial(trial)
    for section in sections(tiny, ["value"]):
        for figure in section.figures:
            as_html(figure)
    _template()
    get_plotlyjs()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kubestudy.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = _short
    environment.filters["duration"] = _duration
    return environment.get_template("page.html.j2")


def _short(value: Value | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else as_text(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount)


def _took(records: list[TrialRecord]) -> str:
    starts = [r.started for r in records if r.started]
    ends = [r.ended for r in records if r.ended]
    return _duration((max(ends) - min(starts)).total_seconds()) if starts and ends else ""


def _best_metrics(best: list[TrialRecord], objectives: list[str]) -> list[tuple[str, list[float | None]]]:
    """Return what the best trials reported beside the objectives: by metric, the last value of each."""
    names = dict.fromkeys(name for record in best for name in record.metrics if name not in objectives)
    return [(name, [record.metrics.get(name) for record in best]) for name in names]


def _failures(records: list[TrialRecord]) -> list[tuple[str, list[int]]]:
    """Return why trials failed, the most frequent reason first, with the numbers of the trials."""
    found: dict[str, list[int]] = {}
    for record in records:
        if record.state == "Failed":
            found.setdefault(record.reason or "", []).append(record.number)
    return sorted(found.items(), key=lambda item: -len(item[1]))


def _budget(study: HyperparameterStudy, records: list[TrialRecord]) -> list[tuple[str, str]]:
    budget, used = study.spec.budget, study.status.used if study.status else None
    rows = []
    if budget.max_trials is not None:
        rows.append(("trials of budget", f"{len(records)} / {budget.max_trials}"))
    if budget.max_failed_trials is not None:
        failed = sum(r.state == "Failed" for r in records)
        rows.append(("failed trials of budget", f"{failed} / {budget.max_failed_trials}"))
    if used is not None:
        limit = f" / {_duration(budget.max_seconds)}" if budget.max_seconds else ""
        rows.append(("running time of budget" if limit else "running time", f"{_duration(used.seconds)}{limit}"))
    elif took := _took(records):
        rows.append(("from first to last trial", took))
    if used is not None and (budget.max_gpu_hours is not None or used.gpu_seconds):
        limit = f" / {budget.max_gpu_hours:g}" if budget.max_gpu_hours else ""
        rows.append(("GPU-hours of budget" if limit else "GPU-hours", f"{used.gpu_seconds / 3600:.3g}{limit}"))
    return rows
