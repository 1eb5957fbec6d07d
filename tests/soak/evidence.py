"""What a soak leaves to look at: the storage, the audit log, the studies; read into what verdicts are made of."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from kubestudy.cluster.names import job_prefix
from soak.tenants import Planned, value_of
from soak.verdict import Honest, Told
from support.cluster.cluster import ACCOUNT, NAMESPACE

_OPERATOR = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
# Optuna's journal: the record of a trial's state, and its finished states.
_STATE_RECORD = 6
_FINISHED = frozenset({1, 2, 3})
_CREATED = 201
_EXCEPTION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*(:|$)")
_SHOWN = 200
_RECORD = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} ")
# A watch of kopf's that is closed when the operator ends raises within the library, and nothing comes of it.
_KNOWN = "an error occurred during closing of asynchronous generator"


@dataclass
class Audit:
    """What the audit log says of Jobs and pods.

    Attributes:
        jobs: By namespace and Job, how many times the operator created it.
        pods: By namespace, the names of all pods that got a node.
    """

    jobs: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    pods: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def take(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take in entries of the log."""
        for entry in entries:
            about = entry.get("objectRef") or {}
            if entry["verb"] != "create" or entry.get("responseStatus", {}).get("code") != _CREATED:
                continue
            match about.get("resource"), about.get("subresource"):
                case "jobs", None if entry["user"]["username"] == _OPERATOR and "dryRun" not in entry["requestURI"]:
                    self.jobs[about["namespace"], about["name"]] += 1
                case "pods", "binding":
                    self.pods[about["namespace"]].add(about["name"])


def audit_of(log: Path) -> Audit:
    """Read an audit log, and those that it was continued from."""
    found = Audit()
    for path in sorted(log.parent.glob(f"{log.stem}*{log.suffix}")):
        with path.open() as file:
            found.take(json.loads(line) for line in file if '"create"' in line)
    return found


def errors_in(log: Path) -> list[str]:
    """Return the exceptions that an operator's log tells of with a traceback, each once, and how often."""
    counts: dict[str, int] = defaultdict(int)
    within, known = False, False
    with log.open(errors="replace") as file:
        for line in file:
            if _RECORD.match(line):
                known = _KNOWN in line
            if line.startswith("Traceback"):
                within = not known
            elif within and _EXCEPTION.match(line):
                within = False
                counts[re.sub(r"[0-9]+|(.)\1{9,}", "N", line.strip())[:_SHOWN]] += 1
    return [f"{text} ({count} times in the operator's log)" for text, count in sorted(counts.items())]


def journals(storage: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each study in a storage folder, and its journal."""
    for path in storage.rglob("*.log"):
        with path.open() as file:
            for line in file:
                if (name := json.loads(line).get("study_name")) is not None:
                    yield name, path
                    break


def ends_in(journal: Path) -> dict[int, int]:
    """Return by trial how often an end of it was recorded."""
    found: dict[int, int] = defaultdict(int)
    with journal.open() as file:
        for line in file:
            record = json.loads(line)
            if record["op_code"] == _STATE_RECORD and record["state"] in _FINISHED:
                found[record["trial_id"]] += 1
    return found


def told_in(name: str, journal: Path, due: Mapping[int, float]) -> dict[int, Told]:
    """Return a study's trials as its journal has them.

    Args:
        name: The study's name there.
        journal: The journal.
        due: By trial, the value that its program gives, where that is not its parameter x.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=name, storage=JournalStorage(JournalFileBackend(os.fspath(journal))))
    ends = ends_in(journal)
    return {
        trial.number: Told(
            ends.get(trial._trial_id, 0),
            trial.state.name,
            trial.values[0] if trial.values else None,
            due.get(trial.number, trial.params.get("x", float("nan"))),
        )
        for trial in study.get_trials(deepcopy=False)
    }


def seconds_of(body: Mapping[str, Any]) -> float | None:
    """Return the time from a study's creation to its end; None if it has none."""
    done = [
        c for c in (body.get("status") or {}).get("conditions", []) if c["type"] == "Complete" and c["status"] == "True"
    ]
    if not done:
        return None
    began, ended = body["metadata"]["creationTimestamp"], done[0]["lastTransitionTime"]
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def honest_in(
    planned: Sequence[Planned], bodies: Sequence[Mapping[str, Any]], audit: Audit, storage: Path, jobs: Sequence[Any]
) -> list[Honest]:
    """Put together what is known of honest studies.

    Args:
        planned: The studies.
        bodies: All studies, as the API server has them.
        audit: The audit log.
        storage: The operator's storage.
        jobs: All Jobs that are there.
    """
    by_name = {(b["metadata"]["namespace"], b["metadata"]["name"]): b for b in bodies}
    kept = dict(journals(storage))
    left: dict[str, int] = defaultdict(int)
    for job in jobs:
        for owner in job["metadata"].get("ownerReferences", []):
            left[owner["uid"]] += 1
    return [_honest(plan, by_name.get((plan.namespace, plan.name), {}), audit, kept, left) for plan in planned]


def _honest(
    plan: Planned, body: Mapping[str, Any], audit: Audit, kept: Mapping[str, Path], left: Mapping[str, int]
) -> Honest:
    uid = body.get("metadata", {}).get("uid", "")
    status = body.get("status") or {}
    prefix = job_prefix(plan.name, uid)
    jobs = {
        _number(name, prefix): n
        for (ns, name), n in audit.jobs.items()
        if ns == plan.namespace and _number(name, prefix) >= 0
    }
    pods: dict[int, int] = defaultdict(int)
    for pod in audit.pods.get(plan.namespace, ()):
        if (number := _number(pod.rpartition("-")[0], prefix)) >= 0:
            pods[number] += 1
    due = {n: value_of(f"{prefix}{n}") for n in range(plan.trials)} if plan.late else {}
    name = f"{plan.namespace}/{plan.name}/{uid}"
    best = (status.get("best") or {}).get("values", {}).get("y")
    return Honest(
        name=f"{plan.namespace.partition('-')[2]}/{plan.name}",
        trials=plan.trials,
        phase=status.get("phase", ""),
        said=(status.get("trials") or {}).get("complete", 0),
        best=best,
        seconds=seconds_of(body) if body else None,
        told=told_in(name, kept[name], due) if name in kept else {},
        jobs=jobs,
        pods=dict(pods),
        left=left.get(uid, 0),
    )


def _number(name: str, prefix: str) -> int:
    rest = name.removeprefix(prefix)
    return int(rest) if name.startswith(prefix) and rest.isdecimal() else -1
