"""Every example is valid, and runs on this machine to its end, as its reader would run it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.study import ROOT, kubestudy, trials

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
Trials = list[dict[str, Any]]


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return kubestudy("validate", *EXAMPLES, cwd=tmp_path_factory.mktemp("validate"))


def test_all_are_valid(validated: Any) -> None:
    assert validated.code == 0, validated.err
    for example in EXAMPLES:
        assert example.name in validated.out + validated.err


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_it_runs_to_its_end(example: Path, tmp_path: Path) -> None:
    ran = kubestudy("run", example, "-o", "json", cwd=tmp_path, timeout=500)
    assert ran.code == 0, ran.err
    study = ran.json
    name, status = study["metadata"]["name"], study["status"]
    assert status["phase"] == "Complete"
    assert (tmp_path / ".kubestudy" / name / "report.html").stat().st_size > 4_000_000
    listed = trials(tmp_path, name)
    assert [t["number"] for t in listed] == list(range(status["trials"]["total"]))
    for state in ("complete", "pruned", "failed", "stopped"):
        assert status["trials"].get(state, 0) == sum(t["state"] == state.capitalize() for t in listed), state
    assert status["trials"].get("failed", 0) == 0, [t for t in listed if t["state"] == "Failed"]
    _check_best(study, listed)
    CHECKS.get(name, lambda *_: None)(status, listed)


def _check_best(study: dict[str, Any], listed: Trials) -> None:
    """The best trials of the status are those that the list makes the best."""
    objectives = [(o["metric"], 1 if o["goal"] == "minimize" else -1) for o in study["spec"]["objectives"]]
    scores = {
        t["number"]: tuple(sign * t["values"][metric] for metric, sign in objectives)
        for t in listed
        if t["state"] == "Complete"
    }
    front = {
        number
        for number, mine in scores.items()
        if not any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in scores.values())
    }
    status = study["status"]
    if len(objectives) > 1:
        # Of trials with equal values the one that ended first is shown.
        assert {t["number"] for t in status["paretoFront"]} <= front
        assert sorted(scores[t["number"]] for t in status["paretoFront"]) == sorted({scores[n] for n in front})
        shown = status["paretoFront"]
    else:
        assert status["best"]["number"] in front
        shown = [status["best"]]
    for trial in shown:
        assert trial["values"] == listed[trial["number"]]["values"]
        assert trial["params"] == listed[trial["number"]]["params"]


def _digits(status: dict[str, Any], listed: Trials) -> None:
    assert len(listed) >= 30
    assert status["trials"]["pruned"] > 0
    assert status["best"]["values"]["val_accuracy"] >= 0.97


def _conditional(status: dict[str, Any], listed: Trials) -> None:
    assert len({t["params"]["optimizer"] for t in listed}) == 3
    for trial in listed:
        params = trial["params"]
        assert ("weight_decay" in params) == (params["optimizer"] == "adamw")
        assert ("use_momentum" in params) == (params["optimizer"] == "sgd")
        assert ("momentum" in params) == ("nesterov" in params) == (params.get("use_momentum") is True)


def _several(status: dict[str, Any], listed: Trials) -> None:
    assert len(status["paretoFront"]) > 1


def _beale(status: dict[str, Any], listed: Trials) -> None:
    assert status["best"]["values"]["value"] < 1


CHECKS: dict[str, Callable[[dict[str, Any], Trials], None]] = {
    "digits-mlp": _digits,
    "conditional": _conditional,
    "multi-objective": _several,
    "beale": _beale,
}
