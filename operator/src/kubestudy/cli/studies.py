"""`kubectl study list | describe`: studies of a cluster, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kubestudy.api.status import StudyStatus
from kubestudy.cli.output import Format, emit, emit_table, out
from kubestudy.cli.progress import short
from kubestudy.cli.remote import status_in

_EVENTS_SHOWN = 10


def print_list(bodies: Sequence[Mapping[str, Any]], form: Format, *, everywhere: bool) -> None:
    """Print studies.

    Args:
        bodies: The objects.
        form: How to print them.
        everywhere: Whether they are of all namespaces.
    """
    if form is not Format.TABLE:
        emit(list(bodies), form)
        return
    columns = ("NAMESPACE", "NAME", "PHASE", "TRIALS", "RUNNING", "BEST", "AGE")
    rows = []
    for body in bodies:
        status, metadata = status_in(body), body["metadata"]
        running = str(status.trials.running)
        cells = (status.phase, status.progress or "-", running, status.best_value or "-", age(metadata))
        rows.append((metadata["namespace"], metadata["name"], *cells))
    skipped = 0 if everywhere else 1
    emit_table(columns[skipped:], [row[skipped:] for row in rows])


def age(metadata: Mapping[str, Any]) -> str:
    """Return an object's age as kubectl writes it."""
    return _since(metadata["creationTimestamp"])


def _since(timestamp: str | None) -> str:
    if not timestamp:
        return "-"
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def print_description(body: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    """Print all that the cluster tells of a study."""
    status, spec = status_in(body), body["spec"]
    _lines(
        ("Name", body["metadata"]["name"]),
        ("Namespace", body["metadata"]["namespace"]),
        ("Phase", status.phase),
        ("Objectives", "; ".join(_objective(o) for o in spec["objectives"])),
        ("Constraints", "; ".join(_constraint(c) for c in spec.get("constraints") or [])),
        ("Search", f"{(spec.get('sampler') or {}).get('name', 'tpe')}, {len(spec['parameters'])} parameters"),
        ("Pruner", (spec.get("pruner") or {}).get("name", "none")),
        ("Parallelism", str(spec.get("parallelism", 1))),
        ("Trials", _counts(status)),
        ("Budget", _budget(spec.get("budget") or {}, status)),
        ("Started", f"{_since(status.start_time)} ago ({status.start_time})" if status.start_time else "-"),
        ("Ended", f"{_since(status.completion_time)} ago ({status.completion_time})" if status.completion_time else ""),
    )
    best = [status.best] if status.best else status.pareto_front or []
    for trial in best:
        out.print(f"Best: trial {trial.number} (Job {trial.job})", markup=False)
        for name, value in {**trial.values, **trial.params}.items():
            out.print(f"  {name}: {short(value)}", markup=False)
    out.print("Conditions:", markup=False)
    rows = [(c.type, c.status, c.reason, _since(c.last_transition_time), c.message) for c in status.conditions]
    emit_table(("  TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), [(f"  {row[0]}", *row[1:]) for row in rows])
    out.print("Events:" if events else "Events: none", markup=False)
    if events:
        told = [
            (f"  {_since(e.get('lastTimestamp') or e.get('eventTime'))}", e.get("type", ""), e["reason"], e["message"])
            for e in events[-_EVENTS_SHOWN:]
        ]
        emit_table(("  AGE", "TYPE", "REASON", "MESSAGE"), told)


def _lines(*pairs: tuple[str, str]) -> None:
    for title, text in pairs:
        if text:
            out.print(f"{title + ':':<13}{text}", markup=False, soft_wrap=True)


def _objective(objective: Mapping[str, Any]) -> str:
    target = f", target {objective['target']:g}" if objective.get("target") is not None else ""
    return f"{objective['goal']} {_measured(objective)}{target}"


def _measured(measured: Mapping[str, Any]) -> str:
    return str(measured.get("metric") or measured.get("name") or measured.get("promql"))


def _constraint(constraint: Mapping[str, Any]) -> str:
    words = {"min": "at least", "max": "at most"}
    limits = [f"{word} {constraint[key]:g}" for key, word in words.items() if key in constraint]
    return f"{_measured(constraint)} {' and '.join(limits)}"


def _counts(status: StudyStatus) -> str:
    names = ("complete", "pruned", "failed", "stopped", "running", "pending", "measuring")
    parts = [f"{count} {name}" for name in names if (count := getattr(status.trials, name))]
    if status.trials.infeasible:
        parts.append(f"{status.trials.infeasible} of the complete infeasible")
    return f"{status.trials.total}: {', '.join(parts)}" if parts else "none yet"


def _budget(budget: Mapping[str, Any], status: StudyStatus) -> str:
    used = status.used
    parts = [
        (f"{used.trials} of {{}} trials", "maxTrials"),
        (f"{used.failed_trials} of {{}} failed trials", "maxFailedTrials"),
        (f"{used.seconds:.0f} s of {{}}", "maxDuration"),
        (f"{used.gpu_seconds / 3600:.3g} of {{}} GPU-hours", "maxGpuHours"),
        (f"{used.trials_since_improvement} of {{}} trials without improvement", "patience"),
    ]
    return ", ".join(text.format(budget[key]) for text, key in parts if budget.get(key) is not None)
