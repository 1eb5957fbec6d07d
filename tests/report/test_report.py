"""The report of every kind of study opens offline in a real browser, with every plot drawn."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState, create_trial

from kubestudy.report import figures
from kubestudy.report.figures import sections
from kubestudy.report.page import TABLE_ROWS
from kubestudy.report.views import excerpt
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.trial import Suggestion

PLOTS = [
    "Optimisation history",
    "Intermediate values",
    "Parameter importances",
    "Parallel coordinates",
    "Slices",
    "Contours",
    "Timeline",
]
EVIL = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'><b>bold</b> & 'x'"
LR = {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": True}
X = {"name": "x", "type": "float", "low": -1.0, "high": 1.0}
WIDTH = {"name": "width", "type": "int", "low": 1, "high": 64}
KIND = {"name": "kind", "type": "categorical", "choices": ["a", "b", "c"]}


def complete(*values: float, steps: int = 0) -> Complete:
    return Complete(values, {"y": tuple((i, values[0] + 1 / i) for i in range(1, steps + 1))})


def column(page: Any, table: str, number: int) -> list[str]:
    cells: list[str] = page.ask(
        f"[...document.querySelectorAll('#{table} tbody tr')].map(r => r.cells[{number}].textContent)"
    )
    return cells


def missing(page: Any) -> dict[str, str]:
    found: dict[str, str] = page.ask(
        "Object.fromEntries([...document.querySelectorAll('.missing')]"
        ".map(p => [p.previousElementSibling.textContent, p.textContent]))"
    )
    return found


def test_one_objective(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    def trial(asked: Suggestion) -> Any:
        n, y = asked.number, math.log10(asked.params["lr"]) ** 2 + asked.params["x"]
        if n == 29:
            return None
        if n == 28:
            return Stopped({})
        if n % 7 == 6:
            return Failed("Error", "exit code 1", {})
        return Pruned({"y": ((1, y), (2, y))}) if n % 5 == 4 else complete(y, steps=9)

    made = study(parameters=[LR, X, WIDTH, KIND], pruner={"name": "median"}, budget={"maxTrials": 30})
    made.run(30, trial)
    page, plots = show(made)
    assert [p["title"] for p in plots] == PLOTS
    assert missing(page) == {}
    assert column(page, "all-trials", 0) == [str(i) for i in range(30)]
    states = column(page, "all-trials", 1)
    assert (states[29], states[28], states[6], states[4], states[0]) == (
        "Running",
        "Stopped",
        "Failed",
        "Pruned",
        "Complete",
    )
    best = made.history.best()[0]
    assert column(page, "best-trials", 0) == [str(best.number)]
    assert column(page, "best-trials", 1) == [f"{best.values['y']:.6g}"]
    assert page.ask("document.querySelector('tr.best').cells[0].textContent") == str(best.number)
    assert column(page, "failures", 1) == ["Error: exit code 1"]
    cards = page.ask("document.querySelector('.cards').innerText")
    assert "4\nfailed" in cards
    assert "30 / 30" in cards
    axes = page.ask(
        "[...document.querySelectorAll('.plot')].filter(p => p.textContent.includes('lr'))"
        ".flatMap(p => Object.entries(p.querySelector('.js-plotly-plot').layout)"
        ".filter(([k, v]) => /^[xy]axis/.test(k) && v.title?.text === 'lr').map(([k, v]) => v.type))"
    )
    assert axes
    assert set(axes) == {"log"}
    assert Path(page.page.url.removeprefix("file://")).read_text().count("plotly.js v") == 1


def reporting(*values: float, steps: int = 4) -> Complete:
    """Complete, having reported more than the objectives."""
    curve = tuple((i, values[0] + 1 / i) for i in range(1, steps + 1))
    return Complete(
        values,
        {"y": curve, "train_loss": curve, EVIL: curve, "size": ((1, 7.0),)},
        metrics={"y": values[0], "train_loss": 0.25, EVIL: math.nan, "size": 7.0},
    )


def test_every_reported_metric_is_shown(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    made = study(parameters=[X, WIDTH])
    made.run(
        12, lambda asked: reporting(asked.params["x"]) if asked.number % 4 else Pruned({"val": ((1, 1.0), (2, 2))})
    )
    page, plots = show(made)
    assert [p["title"] for p in plots][:3] == ["Optimisation history", "Intermediate values", "Other metrics"]
    other = plots[2]
    assert other["traces"] == 9 + 9 + 3, "a line a trial in each of train_loss, the evil one, and val"
    assert "train_loss" in other["text"] and "val" in other["text"] and EVIL in other["text"]
    assert column(page, "best-metrics", 0) == ["train_loss", EVIL[:48].rsplit(" ", 1)[0] + "...", "size"]
    assert column(page, "best-metrics", 1) == ["0.25", "nan", "7"]
    assert page.ask("window.hacked === undefined")


def test_every_reported_metric_is_shown_of_a_front(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    made = study(
        objectives=[{"metric": "y", "goal": "maximize"}, {"metric": "cost", "goal": "minimize"}],
        parameters=[X, WIDTH],
    )
    made.run(12, lambda asked: reporting(asked.params["x"], asked.params["x"]))
    page, plots = show(made)
    reported = next(p for p in plots if p["title"] == "Reported metrics")
    assert reported["traces"] == 3 * 12, "the objective's curve, too"
    assert column(page, "best-metrics", 0)[0] == "train_loss"
    assert column(page, "best-metrics", 8) == ["0.25", "nan", "7"]
    assert "the first 8 of 12 trials" in page.ask("document.body.innerText")


def test_several_objectives(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    made = study(
        objectives=[{"metric": "y", "goal": "maximize"}, {"metric": "cost", "goal": "minimize"}],
        parameters=[X, WIDTH],
        pruner={"name": "none"},
    )
    made.run(30, lambda asked: complete(asked.params["x"], 10.0 ** (asked.params["x"] * 2)))
    page, plots = show(made)
    each = ["Optimisation history", "Parameter importances", "Slices", "Contours"]
    assert [p["title"] for p in plots] == [
        "Pareto front",
        "Parallel coordinates",
        *(f"{title}: y" for title in each),
        *(f"{title}: cost" for title in each),
        "Timeline",
    ]
    assert len(column(page, "best-trials", 0)) == 30  # each is worse in one objective and better in the other
    assert page.ask("document.querySelector('.js-plotly-plot').layout.yaxis.type") == "log"


def test_four_objectives_have_no_front_to_draw(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    made = study(objectives=[{"metric": f"m{i}", "goal": "minimize"} for i in range(4)], parameters=[X, WIDTH])
    made.run(12, lambda asked: complete(*(asked.params["x"] * i for i in range(1, 5))))
    page, plots = show(made)
    assert "more than three objectives" in missing(page)["Pareto front"]
    assert len(plots) == 1 + 4 * 4 + 1


def test_importances_follow_the_good_end_of_each_objective(study: Callable[..., Any]) -> None:
    """What makes a maximized objective good is x, what makes it bad is z."""
    made = study(
        objectives=[{"metric": "y", "goal": "maximize"}, {"metric": "cost", "goal": "minimize"}],
        parameters=[X, {**X, "name": "z"}],
        memory=True,
    )

    def trial(asked: Suggestion) -> Complete:
        x, z = asked.params["x"], asked.params["z"]
        return complete(10 + x if x > 0.5 else z, 1.0)

    made.run(200, trial)
    found = {s.title: s for s in sections(made.history.study, ["y", "cost"])}
    assert list(found["Parameter importances: y"].figures[0].data[0].y)[-1] == "x"
    best = found["Optimisation history: y"].figures[0].data[1]
    assert max(best.y) == best.y[-1]


def test_one_trial(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    made = study(parameters=[X, KIND])
    made.run(1, lambda asked: complete(0.5, steps=3))
    page, plots = show(made)
    assert [p["title"] for p in plots] == ["Optimisation history", "Intermediate values", "Timeline"]
    assert set(missing(page)) == set(PLOTS) - {p["title"] for p in plots}


@pytest.mark.parametrize("reason", [None, "exit code 1"])
def test_no_complete_trial(study: Callable[..., Any], show: Callable[..., Any], reason: str | None) -> None:
    made = study()
    made.run(5 if reason else 0, lambda asked: Failed("Error", str(reason), {}))
    page, plots = show(made)
    assert [p["title"] for p in plots] == (["Timeline"] if reason else [])
    assert "No trial is complete." in page.ask("document.body.textContent")
    assert len(column(page, "all-trials", 0)) == (5 if reason else 0)


def test_categorical_parameters_only(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    mixed = {"name": "mixed", "type": "categorical", "choices": [2, "a", True, 2.5]}
    made = study(parameters=[KIND, mixed, {**KIND, "name": "flag", "choices": [True, False]}])
    made.run(20, lambda asked: complete(float(asked.number % 5)))
    _, plots = show(made)
    assert [p["title"] for p in plots] == [t for t in PLOTS if t != "Intermediate values"]


def test_conditional_and_constant_parameters_are_named(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    momentum = {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["a"]}}
    constant = {"name": "fixed", "type": "categorical", "choices": ["only"]}
    made = study(parameters=[X, KIND, momentum, constant])
    made.run(30, lambda asked: complete(asked.params["x"] + float(asked.params.get("momentum", 0.5))))
    page, plots = show(made)
    assert len(plots) == len(PLOTS) - 1
    text = page.ask("[...document.querySelectorAll('.caption')].map(p => p.textContent).join('|')")
    assert "Conditional (momentum): only trials that have them are drawn." in text
    assert "does not have momentum" in text
    assert "Left out, having had one value only: fixed." in text


def test_names_choices_and_reasons_are_only_text(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    evil = {"name": "kind", "type": "categorical", "choices": [EVIL, "b<br>", "<b>c</b>"]}
    made = study(
        objectives=[{"metric": "y", "goal": "minimize"}], parameters=[evil, X], sampler={"name": "random", "seed": 3}
    )
    made.run(12, lambda a: Failed("Error", EVIL, {}) if a.number == 11 else complete(a.params["x"]))
    page, plots = show(made)
    page.page.wait_for_timeout(300)
    assert page.ask("window.hacked") is None
    assert page.ask("document.querySelectorAll('img, td b').length") == 0
    assert column(page, "failures", 1) == [f"Error: {EVIL}"]
    assert EVIL in column(page, "all-trials", 3)
    slices = next(p for p in plots if p["title"] == "Slices")
    assert "<b>c</b>" in slices["text"]
    assert "</script><script>" in slices["text"]


def test_a_metric_name_with_html(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    query = f'max(loss{{pod="$(trial)"}}) < 3 or "{EVIL}" ' + "x" * 200
    made = study(parameters=[X, WIDTH])
    made.search._study.set_metric_names([query])
    made.run(12, lambda asked: complete(asked.params["x"], steps=2))
    page, plots = show(made)
    assert len(plots) == len(PLOTS)
    assert page.ask("window.hacked") is None


def test_many_trials(study: Callable[..., Any], show: Callable[..., Any]) -> None:
    parameters = [LR, *({**X, "name": f"x{i}"} for i in range(14))]
    made = study(parameters=parameters, memory=True)

    def trial(asked: Suggestion) -> Any:
        y = math.log10(asked.params["lr"]) ** 2 + asked.params["x3"] + 2
        if asked.number % 3:
            return Pruned({"y": ((1, y), (2, y), (3, y))})
        return complete(y, steps=30)

    made.run(3000, trial)
    page, plots = show(made)
    assert len(column(page, "all-trials", 0)) == TABLE_ROWS
    file = Path(page.page.url.removeprefix("file://"))
    assert file.stat().st_size < 12_000_000
    traces = {p["title"]: p["traces"] for p in plots}
    assert traces["Parallel coordinates"] <= figures.PARALLEL_TRIALS + 2
    assert traces["Intermediate values"] == figures.CURVE_TRIALS
    text = page.ask("[...document.querySelectorAll('.caption')].map(p => p.textContent).join('|')")
    assert "Drawn are 300 of 1,000 trials: the 150 best, and 150 spread evenly over the rest." in text
    assert "Drawn are 150 of 3,000 trials" in text
    assert "Drawn are the last 1,000 of 3,000 trials." in text
    assert "Shown are the 12 most important of 15 parameters." in text
    assert page.ask("performance.timing.loadEventEnd - performance.timing.navigationStart") < 30_000


def test_a_report_replaces_the_last_one(study: Callable[..., Any], tmp_path: Path) -> None:
    made = study()
    (tmp_path / "new").mkdir()
    target = made.report(tmp_path / "new" / "report.html")
    made.run(1, lambda asked: complete(123.456))
    made.report(target)
    assert "123.456" in target.read_text()
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]


def test_gpus_have_a_column_where_anybody_told_how_busy_they_were(study: Callable[..., Any], tmp_path: Path) -> None:
    made = study()
    made.run(1, lambda asked: complete(1.0))
    assert "GPU busy" not in made.report(tmp_path / "report.html").read_text()
    asked = made.search.ask()
    made.search.tell(asked.number, complete(2.0), gpu_utilization=87.6)
    text = made.report(tmp_path / "report.html").read_text()
    assert "<th>GPU busy</th>" in text and "<td>88 %</td>" in text


def test_a_plot_that_fails_does_not_cost_the_report(
    study: Callable[..., Any], show: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise TypeError("no <such> thing")

    monkeypatch.setattr(figures, "plot_contour", broken)
    made = study(parameters=[X, WIDTH])
    made.run(12, lambda asked: complete(asked.params["x"]))
    page, _ = show(made)
    assert missing(page)["Contours"] == "No plot: Optuna could not draw it (TypeError: no <such> thing)."


@given(st.lists(st.floats(-10, 10), max_size=60), st.integers(2, 40))
def test_an_excerpt_keeps_the_best(values: list[float], limit: int) -> None:
    trials = [create_trial(state=TrialState.COMPLETE, value=v) for v in values]
    for number, trial in enumerate(trials):
        trial.number = number
    best = sorted(trials, key=lambda t: t.values[0])
    chosen, sentence = excerpt(trials, limit, best)
    numbers = [t.number for t in chosen]
    assert numbers == sorted(set(numbers))
    assert len(chosen) == min(limit, len(trials))
    assert bool(sentence) == (len(trials) > limit)
    if trials:
        assert best[0].number in numbers
