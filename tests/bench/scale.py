"""The operator at scale, on a real control plane with simulated nodes: does it slow down, and what does it hold?

- `accumulate`: one study of 5,000 no-op trials: its last 500 against its first 500.
- `long`: a study of 20,000 trials, all but 100 of them in the storage beforehand: memory, and how soon after its start
  the operator creates the first Job.
- `fleet`: 100 studies of 100 trials, 90 of each in the storage beforehand: memory, whether every one progresses, and
  what the operator does once all are complete.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from optuna.storages import JournalStorage

from kubestudy.api.validation import validate
from kubestudy.search.archive import Archive, Record
from kubestudy.search.search import OptunaSearch, fixed_part, hush_optuna
from kubestudy.search.storage import JournalLines
from kubestudy.study.outcome import Complete
from support.cluster.cluster import Cluster, Operator, start_operator
from support.cluster.studies import Study, simulated_study
from support.wait import until

_SECONDS = 1800


def _progress(operator: Operator) -> float:
    return psutil.Process(operator.process.pid).memory_info().rss / 2**20


def _prefill(cluster: Cluster, folder: Path, namespace: str, names: list[str], trials: int) -> None:
    """Put finished trials of studies into the storage of an operator that does not run."""
    hush_optuna()
    for name in names:
        body = cluster.get("hps", name, namespace=namespace)
        study, problems = validate({key: body[key] for key in ("apiVersion", "kind", "metadata", "spec")})
        assert study is not None, problems
        record = Record(namespace, name, body["metadata"]["uid"], "Retain")
        lines = JournalLines()
        search = OptunaSearch(study.spec, JournalStorage(lines), record.study_name, "memory")
        for _ in range(trials):
            suggestion = search.ask()
            assert suggestion is not None
            search.tell(suggestion.number, Complete((float(suggestion.params["x"]),), {}))
        journal = Archive(folder / "storage").journal(record)
        assert journal is not None
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines.read_logs(0)))
        assert fixed_part(study.spec)


def _jobs(cluster: Cluster, namespace: str) -> list[Any]:
    found: list[Any] = (cluster.get("jobs", namespace=namespace) or {}).get("items", [])
    return found


def accumulate(cluster: Cluster, base: Path, trials: int = 5000) -> None:
    """One study, trial by trial."""
    operator = start_operator(cluster, base / "accumulate")
    namespace = cluster.new_namespace("accumulate")
    study = Study(cluster, namespace, "long")
    study.apply(simulated_study("long", parallelism=20, budget={"maxTrials": trials}))
    marks: dict[int, float] = {}
    deadline = time.monotonic() + _SECONDS
    while 0 not in marks or trials not in marks:
        assert time.monotonic() < deadline, marks
        done = study.status.get("trials", {}).get("complete", 0)
        for mark in (0, 500, trials - 500, trials):
            if done >= mark and (mark or done or study.jobs):
                marks.setdefault(mark, time.monotonic())
        time.sleep(0.5)
    first, last = marks[500] - marks[0], marks[trials] - marks[trials - 500]
    print(f" {trials} trials, 20 in flight: the first 500 took {first:.1f} s, the last 500 {last:.1f} s:"
          f" {first / last:.2f} of the first rate; memory {_progress(operator):.0f} MiB", flush=True)  # fmt: skip
    operator.stop()


def long(cluster: Cluster, base: Path, trials: int = 20_000, live: int = 100) -> None:
    """One study with much behind it."""
    folder, namespace = base / "long", cluster.new_namespace("long")
    study = Study(cluster, namespace, "long")
    manifest = simulated_study("long", parallelism=20, budget={"maxTrials": trials})
    study.apply(manifest | {"spec": manifest["spec"] | {"suspend": True}})
    _prefill(cluster, folder, namespace, ["long"], trials - live)
    study.patch(suspend=False)
    began = time.time()
    operator = start_operator(cluster, folder)
    until(lambda: _jobs(cluster, namespace), 120, 0.1, "the first Job")
    created = min(
        datetime.fromisoformat(j["metadata"]["creationTimestamp"]).timestamp() for j in _jobs(cluster, namespace)
    )
    started = time.time() - began
    study.until_phase("Complete", _SECONDS)
    first = min(started, max(0.0, created + 1 - began))  # a timestamp is cut to the second
    print(f" {trials} trials in the storage: first Job {first:.1f} s after the operator's start,"
          f" memory {_progress(operator):.0f} MiB", flush=True)  # fmt: skip
    operator.stop()


def fleet(cluster: Cluster, base: Path, studies: int = 100, trials: int = 100, before: int = 90) -> None:
    """Many studies at once."""
    folder, namespace = base / "fleet", cluster.new_namespace("fleet")
    names = [f"study-{number}" for number in range(studies)]
    made = [simulated_study(name, parallelism=2, budget={"maxTrials": trials}, suspend=True) for name in names]
    cluster.apply(*made, namespace=namespace)
    _prefill(cluster, folder, namespace, names, before)
    operator = start_operator(cluster, folder)
    until(lambda: operator.ready, 60, what="a ready operator")
    for name in names:
        Study(cluster, namespace, name).patch(suspend=False)
    began = time.monotonic()
    ends: dict[str, float] = {}
    while len(ends) < studies:
        assert time.monotonic() < began + _SECONDS, sorted(set(names) - ends.keys())
        for body in cluster.get("hps", namespace=namespace)["items"]:
            if (body.get("status") or {}).get("phase") == "Complete":
                ends.setdefault(body["metadata"]["name"], time.monotonic() - began)
        time.sleep(0.5)
    median, slowest = statistics.median(ends.values()), max(ends.values())
    memory = _progress(operator)
    time.sleep(10)  # the last requests and events
    process = psutil.Process(operator.process.pid)
    used = process.cpu_times()
    time.sleep(30)  # what it does with nothing to do is measured over this long
    idle = sum(process.cpu_times()[:2]) - sum(used[:2])
    print(f" {studies} studies of {trials} trials: median end {median:.1f} s, slowest {slowest:.1f} s ="
          f" {slowest / median:.2f} times; memory {memory:.0f} MiB;"
          f" idle afterwards {idle / 30:.2%} of a core", flush=True)  # fmt: skip
    operator.stop()


def main() -> None:
    """Run all three, each with an operator of its own."""
    parts: list[Callable[[Cluster, Path], None]] = [fleet, long, accumulate]
    with tempfile.TemporaryDirectory() as base:
        cluster = Cluster(Path(base) / "cluster")
        try:
            cluster.up()
            for part in parts:
                part(cluster, Path(base))
        finally:
            cluster.down()
