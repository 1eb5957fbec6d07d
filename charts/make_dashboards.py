"""Writes the Grafana dashboards into the chart: `python charts/make_dashboards.py`. A test keeps both equal.

Source: Grafana's dashboard JSON model (schemaVersion 39). Every panel says what it shows, has a unit and a legend.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "kubestudy" / "dashboards"
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH = 24
_ONE = 'namespace="$namespace",study="$study"'
_RATE = "[$__rate_interval]"


def panel(
    kind: str,
    title: str,
    description: str,
    targets: dict[str, str],
    *,
    unit: str = "short",
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
    instant: bool = False,
    most: float | None = None,
) -> dict[str, Any]:
    """Return a panel; it is placed later.

    Args:
        kind: Grafana's type of panel.
        title: What stands above it.
        description: What it shows and what to make of it.
        targets: Expressions by their legend.
        unit: Grafana's name of the unit.
        width: Of 24 columns.
        height: In rows.
        stacked: Whether values add up.
        instant: Only the newest values.
        most: The end of the scale.
    """
    custom = {"fillOpacity": 30 if stacked else 5, "stacking": {"mode": "normal" if stacked else "none"}}
    defaults: dict[str, Any] = {
        "unit": unit,
        "min": 0 if kind in ("bargauge", "stat") or stacked else None,
        "max": most,
    }
    if kind == "timeseries":
        defaults["custom"] = {**custom, "showPoints": "auto", "spanNulls": True}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": _DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": {k: v for k, v in defaults.items() if v is not None}, "overrides": []},
        "options": _options(kind),
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": _DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
                **({"instant": True, "range": False} if instant else {}),
                **({"format": "table"} if kind == "table" else {}),
            }
            for i, (legend, expression) in enumerate(targets.items())
        ],
    }


def _options(kind: str) -> dict[str, Any]:
    newest = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    match kind:
        case "timeseries":
            return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        case "bargauge":
            return {**newest, "orientation": "horizontal", "displayMode": "basic"}
        case "stat":
            return {**newest, "textMode": "value_and_name", "colorMode": "none"}
    return {"showHeader": True}


def table(title: str, description: str, expression: str, columns: dict[str, str], **more: Any) -> dict[str, Any]:
    """Return a table of an expression's labels and value: columns by label, in order, with their headings."""
    made = panel("table", title, description, {"": expression}, instant=True, **more)
    made["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}},
        {"id": "organize", "options": {"renameByName": columns, "indexByName": {n: i for i, n in enumerate(columns)}}},
    ]
    return made


def quantiles(metric: str, legend: str = "") -> dict[str, str]:
    """Return the median and the 99th percentile of a histogram."""
    by = f"sum by (le) (rate({metric}_bucket{_RATE}))"
    return {f"{legend}p50": f"histogram_quantile(0.5, {by})", f"{legend}p99": f"histogram_quantile(0.99, {by})"}


def placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each panel its place, row by row, and its number."""
    x = y = tallest = 0
    for number, one in enumerate(panels, 1):
        size = one["gridPos"]
        if x + size["w"] > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        one["id"] = number
        one["gridPos"] = {**size, "x": x, "y": y}
        x, tallest = x + size["w"], max(tallest, size["h"])
    return panels


def variable(name: str, label: str, query: str, **more: Any) -> dict[str, Any]:
    """Return a variable that lists what Prometheus has."""
    return {
        "type": "query", "name": name, "label": label, "datasource": _DATASOURCE, "refresh": 2, "sort": 1,
        "query": {"query": query, "refId": name}, "definition": query, **more,
    }  # fmt: skip


def dashboard(uid: str, title: str, panels: list[dict[str, Any]], variables: list[dict[str, Any]], **more: Any) -> Any:
    """Return a whole dashboard."""
    source = {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}
    return {
        "uid": uid,
        "title": title,
        "tags": ["kubestudy"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, *variables]},
        "panels": placed(panels),
        **more,
    }


def studies() -> Any:
    """Return the dashboard of all studies and of the operator's health."""
    ended = 'state=~"complete|pruned|failed|stopped"'
    seconds = "kubestudy_api_request_seconds_bucket"
    panels = [
        panel("stat", "Studies", "By phase, now.", {"{{phase}}": "sum by (phase) (kubestudy_studies)"}, height=5),
        panel(
            "stat", "Trials now", "Trials that run, and trials that wait to be started or measured.",
            {"{{state}}": 'sum by (state) (kubestudy_study_trials{state=~"running|pending|measuring"})'}, height=5,
        ),
        panel(
            "stat", "Degraded studies", "Studies in whose way something is: their condition Degraded says what.",
            {"degraded": "sum(kubestudy_study_degraded)"}, height=5,
        ),
        panel(
            "timeseries", "Trials ended per minute", "By what became of them.",
            {"{{state}}": f"sum by (state) (rate(kubestudy_study_trials{{{ended}}}{_RATE})) * 60"}, stacked=True,
        ),
        panel(
            "timeseries", "Failures per minute", "Trials that failed by their own fault, by reason.",
            {"{{reason}}": f"sum by (reason) (rate(kubestudy_trial_failures_total{_RATE})) * 60"}, stacked=True,
        ),
        panel(
            "timeseries", "GPU-hours", "GPUs times hours that the studies there are have used, by namespace.",
            {"{{namespace}}": "sum by (namespace) (kubestudy_study_gpu_seconds) / 3600"}, unit="h", stacked=True,
        ),
        table(
            "Queue", "Trials that wait to be started, of each study.",
            'sum by (namespace, study) (kubestudy_study_trials{state="pending"})',
            {"namespace": "Namespace", "study": "Study", "Value": "Waiting"},
        ),
        panel(
            "timeseries", "From a trial's end to the next launch",
            "How long a place stays empty: from the sight of a trial's end to the creation of the next Job.",
            quantiles("kubestudy_end_to_launch_seconds"), unit="s",
        ),
        panel(
            "timeseries", "Suggestions and records",
            "Time to ask the sampler for a trial, and to tell the storage what became of one.",
            {**quantiles("kubestudy_ask_seconds", "ask "), **quantiles("kubestudy_tell_seconds", "tell ")}, unit="s",
        ),
        panel(
            "timeseries", "Requests to the API server",
            "The operator's own, by verb and answer; 0 is no answer. Three writes a trial are as it should be.",
            {"{{verb}} {{code}}": f"sum by (verb, code) (rate(kubestudy_api_requests_total{_RATE}))"}, unit="reqps",
        ),
        panel(
            "timeseries", "Time of a request to the API server", "The slowest hundredth, by verb.",
            {"{{verb}}": f"histogram_quantile(0.99, sum by (le, verb) (rate({seconds}{_RATE})))"}, unit="s",
        ),
        panel(
            "timeseries", "The operator itself",
            "How late its event loop runs; studies that nobody looks after; errors of the storage in 5 minutes.",
            {
                "loop lag (s)": "max(kubestudy_event_loop_lag_seconds)",
                "stale loops": "max(kubestudy_stale_loops)",
                "storage errors": "sum(increase(kubestudy_storage_errors_total[5m]))",
            },
        ),
    ]  # fmt: skip
    link = {"type": "dashboards", "title": "Study", "tags": ["kubestudy"], "keepTime": True, "includeVars": True}
    return dashboard("kubestudy-studies", "KubeStudy / Studies", panels, [], links=[link])


def study() -> Any:
    """Return the dashboard of one study."""
    pruned = f'sum(kubestudy_study_trials{{{_ONE},state="pruned"}})'
    judged = f'sum(kubestudy_study_trials{{{_ONE},state=~"pruned|complete"}})'
    panels = [
        panel(
            "stat", "Trials", "How many trials are in each state.",
            {"{{state}}": f"kubestudy_study_trials{{{_ONE}}}"}, width=16, height=5,
        ),
        panel(
            "bargauge", "Budget used", "What is used of each budget; the study ends when one is full.",
            {"{{budget}}": f"kubestudy_study_budget_used{{{_ONE}}} / kubestudy_study_budget_limit{{{_ONE}}}"},
            unit="percentunit", most=1, height=5,
        ),
        panel(
            "timeseries", "Best value", "The best trial's value so far (studies of one objective).",
            {"{{objective}}": f"kubestudy_study_best_value{{{_ONE}}}"}, width=12,
        ),
        table(
            "Parameters of the best", "The hyperparameters of the best trial so far.",
            f"kubestudy_study_best_parameter_info{{{_ONE}}}",
            {"parameter": "Parameter", "value": "Value", "trial": "Trial"}, width=6,
        ),
        panel(
            "stat", "Pruned share", "Of the trials that were judged, those stopped early as hopeless.",
            {"pruned": f"{pruned} / ({judged} > 0 or vector(1))"}, unit="percentunit", width=6,
        ),
        panel(
            "timeseries", "Every trial's curve", "What each trial reports while it runs: choose the metric above.",
            {
                "trial {{trial}}": 'max by (trial) (kubestudy_trial_metric{namespace="$namespace",'
                'kubestudy_dev_study="$study",metric="$metric"})'
            },
            width=24, height=10,
        ),
        panel(
            "timeseries", "Trials over time", "Running and ended trials, by state.",
            {"{{state}}": f'kubestudy_study_trials{{{_ONE}}}'}, stacked=True,
        ),
        panel(
            "timeseries", "Steps of running trials", "How far each trial has come.",
            {
                "trial {{trial}}": 'max by (trial) (kubestudy_trial_step{namespace="$namespace",'
                'kubestudy_dev_study="$study",metric="$metric"})'
            },
        ),
        panel(
            "timeseries", "GPU-hours", "GPUs times hours, running trials included.",
            {"used": f"kubestudy_study_gpu_seconds{{{_ONE}}} / 3600"}, unit="h",
        ),
    ]  # fmt: skip
    text = (
        "**Report**: `kubectl study report $study -n $namespace --to report.html` writes one page with every plot.\n\n"
        "**Optuna Dashboard**: `kubectl study dashboard $study -n $namespace`, or the one of the chart"
        " (`optunaDashboard.enabled`)."
    )
    panels.append(
        {
            "type": "text", "title": "More of this study", "description": "Where its history can be looked at.",
            "gridPos": {"w": 24, "h": 4}, "options": {"mode": "markdown", "content": text},
        }
    )  # fmt: skip
    variables = [
        variable("namespace", "Namespace", "label_values(kubestudy_study_trials, namespace)"),
        variable("study", "Study", 'label_values(kubestudy_study_trials{namespace="$namespace"}, study)'),
        variable(
            "metric",
            "Metric",
            'label_values(kubestudy_trial_metric{namespace="$namespace",kubestudy_dev_study="$study"}, metric)',
        ),
    ]
    return dashboard("kubestudy-study", "KubeStudy / Study", panels, variables)


def files() -> dict[str, str]:
    """Return the dashboards' texts by file name."""
    made = {"studies.json": studies(), "study.json": study()}
    return {name: json.dumps(content, indent=1) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text)
