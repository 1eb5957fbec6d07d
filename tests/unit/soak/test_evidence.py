"""What is read from an operator's log, an audit log and a journal."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from kubestudy.cluster.names import job_prefix
from soak.evidence import Audit, ends_in, errors_in, honest_in, journals
from soak.keeper import figures, quantile
from soak.tenants import Planned
from soak.verdict import wrong_with
from support.cluster.studies import simulated_study

OPERATOR = "system:serviceaccount:kubestudy-system:kubestudy-operator"


def entry(resource: str, name: str, sub: str | None = None, user: str = OPERATOR, query: str = "") -> dict[str, object]:
    about = {"namespace": "calm-tenant-0", "resource": resource, "name": name, **({"subresource": sub} if sub else {})}
    return {
        "verb": "create", "objectRef": about, "user": {"username": user}, "requestURI": f"/{query}",
        "responseStatus": {"code": 201},
    }  # fmt: skip


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage of one study of two trials."""
    folder = tmp_path / "storage" / "calm-tenant-0"
    folder.mkdir(parents=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kept = JournalStorage(JournalFileBackend(str(folder / "uid.log")))
    study = optuna.create_study(storage=kept, study_name="calm-tenant-0/sim/uid")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return tmp_path / "storage"


def test_a_study_is_put_together_from_all_that_is_left(storage: Path) -> None:
    best = optuna.load_study(
        study_name="calm-tenant-0/sim/uid",
        storage=JournalStorage(JournalFileBackend(str(storage / "calm-tenant-0" / "uid.log"))),
    ).best_value
    times = {"creationTimestamp": "2026-01-01T00:00:00Z", "namespace": "calm-tenant-0", "name": "sim", "uid": "uid"}
    done = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:30Z"}
    status = {"phase": "Complete", "conditions": [done], "trials": {"complete": 2}, "best": {"values": {"y": best}}}
    prefix, audit = job_prefix("sim", "uid"), Audit()
    audit.take(
        [
            entry("jobs", f"{prefix}0"), entry("jobs", f"{prefix}1"), entry("jobs", f"{prefix}1", user="somebody"),
            entry("jobs", f"{prefix}0", query="?dryRun=All"), entry("pods", f"{prefix}0-abcde", "binding", "scheduler"),
            entry("pods", f"{prefix}1-abcde", "binding", "scheduler"), entry("pods", "", None, "job-controller"),
        ]
    )  # fmt: skip
    planned = [Planned("calm-tenant-0", simulated_study(), 2)]
    (study,) = honest_in(planned, [{"metadata": times, "status": status}], audit, storage, [])
    assert wrong_with(study) == []
    assert (study.name, study.seconds) == ("tenant-0/sim", 30.0)


def test_an_end_that_is_recorded_twice_is_counted_twice(storage: Path) -> None:
    ((name, journal),) = journals(storage)
    assert name == "calm-tenant-0/sim/uid"
    assert ends_in(journal) == {0: 1, 1: 1}
    last = [line for line in journal.read_text().splitlines() if json.loads(line)["op_code"] == 6][-1]
    with journal.open("a") as file:
        file.write(last + "\n")
    assert ends_in(journal) == {0: 1, 1: 2}


def test_exceptions_in_a_log_are_counted_but_those_of_a_watch_that_is_closed(tmp_path: Path) -> None:
    log = tmp_path / "operator.log"
    traceback = 'Traceback (most recent call last):\n  File "a.py", line 1, in a\n    raise\n'
    log.write_text(
        f"2026-01-01 00:00:00,000 ERROR kubestudy.a: broke\n{traceback}KeyError: 'attack-1'\n"
        f"2026-01-01 00:00:00,000 ERROR kubestudy.a: broke\n{traceback}KeyError: 'attack-23'\n"
        "2026-01-01 00:00:00,000 ERROR asyncio: an error occurred during closing of asynchronous generator <a>\n"
        f"{traceback}RuntimeError: generator didn't stop\n"
    )
    assert errors_in(log) == ["KeyError: 'attack-N' (2 times in the operator's log)"]


def test_figures_and_quantiles_are_read_from_metrics() -> None:
    text = (
        "# HELP a b\na 1.5\n"
        'b_bucket{le="0.5"} 98.0\nb_bucket{le="1.0"} 99.0\nb_bucket{le="+Inf"} 100.0\nb_count 100.0\n'
    )  # fmt: skip
    assert figures(text) == {"a": 1.5, "b_count": 100.0}
    assert quantile(text, "b", 0.99) == 1.0
    assert quantile(text, "b", 1.0) == float("inf")
    assert quantile("", "b", 0.99) == 0.0
