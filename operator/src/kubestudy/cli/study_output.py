"""Studies as they are printed, wherever they are: as objects, with a manifest's fields and a status."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from kubestudy.api.reasons import ConditionType, Going
from kubestudy.api.status import StudyStatus
from kubestudy.cli.output import Format, emit, emit_csv, emit_table, note, say
from kubestudy.cli.words import age, duration, short
from kubestudy.study.trial import TrialPhase
from kubestudy.study.view import LiveTrial

_EVENTS_SHOWN = 10
_LIVE_SHOWN = 20


def status_in(body: Mapping[str, Any]) -> StudyStatus:
    """Return a study's status; an empty one if nobody wrote one yet."""
    return StudyStatus.model_validate(body.get("status") or {}, by_alias=True, by_name=False)


def why(status: StudyStatus) -> str:
    """Return the sentence of the condition that gives a status its phase."""
    return next((c.message for c in status.conditions if c.type == status.phase), "")


def hindrance(status: StudyStatus) -> str | None:
    """Return what a study's condition Degraded says, if something is in its way."""
    found = next((c for c in status.conditions if c.type == ConditionType.DEGRADED and c.status == "True"), None)
    return None if found is None else f"Degraded: {found.reason}: {found.message}"


def wait_for_room(status: StudyStatus) -> str | None:
    """Return what a study's trials wait for, if they wait for room."""
    found = next((c for c in status.conditions if c.reason == Going.WAITING_FOR_ROOM and c.status == "True"), None)
    return None if found is None else f"{found.reason}: {found.message}"


def note_hindrance(name: str, status: StudyStatus) -> None:
    """Say what is in a study's way, and what its trials wait for, if that is so."""
    for said in (hindrance(status), wait_for_room(status)):
        if said is not None:
            note(f"{name}: {said}")


def print_studies(bodies: Sequence[Mapping[str, Any]], form: Format, *, everywhere: bool = False) -> None:
    """Print studies; beside a table, what is in the way of some.

    Args:
        bodies: The objects.
        form: How to print them.
        everywhere: Whether they are of all namespaces.
    """
    match form:
        case Format.TABLE:
            _table(bodies, everywhere)
        case Format.CSV:
            _csv(bodies)
        case _:
            emit(list(bodies), form)


def _table(bodies: Sequence[Mapping[str, Any]], everywhere: bool) -> None:
    rows = []
    for body in bodies:
        status, metadata = status_in(body), body["metadata"]
        cells = (status.phase, status.progress or "-", str(status.trials.running), status.best_value or "-")
        created = age(metadata.get("creationTimestamp"))
        rows.append((*([metadata["namespace"]] if everywhere else []), metadata["name"], *cells, created))
    columns = ("NAME", "PHASE", "TRIALS", "RUNNING", "BEST", "AGE")
    emit_table(("NAMESPACE", *columns) if everywhere else columns, rows)
    for body in bodies:
        namespace = f"{body['metadata']['namespace']}/" if everywhere else ""
        note_hindrance(f"{namespace}{body['metadata']['name']}", status_in(body))


def _csv(bodies: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for body in bodies:
        status, metadata = status_in(body), body["metadata"]
        counts = status.trials
        ended = (counts.complete, counts.pruned, counts.failed, counts.stopped)
        best = status.best.values if status.best is not None else {}
        rows.append(
            (
                metadata.get("namespace"), metadata["name"], status.phase, counts.total, counts.running, counts.pending,
                *ended, " ".join(f"{name}={value!r}" for name, value in best.items()),
                metadata.get("creationTimestamp"), status.completion_time, hindrance(status),
            )
        )  # fmt: skip
    columns = "namespace name phase trials running pending complete pruned failed stopped best created ended degraded"
    emit_csv(columns.split(), rows)


def print_study(
    body: Mapping[str, Any],
    live: Sequence[LiveTrial] = (),
    events: Sequence[Mapping[str, Any]] | None = None,
    more: Mapping[str, str] | None = None,
) -> None:
    """Print all that is known of a study.

    Args:
        body: The object.
        live: The trials that live.
        events: What was told of it, oldest first; None where nobody keeps that.
        more: Further lines, by title.
    """
    status, spec, metadata = status_in(body), body["spec"], body["metadata"]
    lines = {
        "Name": metadata["name"],
        "Namespace": metadata.get("namespace", ""),
        **(more or {}),
        "Phase": status.phase,
        "Objectives": "; ".join(_objective(o) for o in spec["objectives"]),
        "Constraints": "; ".join(_constraint(c) for c in spec.get("constraints") or []),
        "Search": f"{(spec.get('sampler') or {}).get('name', 'tpe')}, {len(spec['parameters'])} parameters",
        "Pruner": (spec.get("pruner") or {}).get("name", "none"),
        "Parallelism": str(spec.get("parallelism", 1)),
        "Trials": _counts(status),
        "Budget": _budget(spec.get("budget") or {}, status),
        "Started": _moment(status.start_time) or "-",
        "Ended": _moment(status.completion_time),
    }
    for title, text in lines.items():
        if text:
            say(f"{title + ':':<13}{text}")
    for trial in [status.best] if status.best else status.pareto_front or []:
        say(f"Best: trial {trial.number}" + (f" (Job {trial.job})" if trial.job else ""))
        for name, value in {**trial.values, **trial.params}.items():
            say(f"  {name}: {short(value)}")
    _print_live(live)
    _print_conditions(status)
    if events is not None:
        _print_events(events)


def _moment(timestamp: str | None) -> str:
    return f"{age(timestamp)} ago ({timestamp})" if timestamp else ""


def _print_live(live: Sequence[LiveTrial]) -> None:
    if not live:
        return
    say("Running trials:")
    rows = []
    for trial in sorted(live, key=lambda trial: trial.number)[:_LIVE_SHOWN]:
        since = "-" if trial.started is None else duration(time.time() - trial.started)
        values = " ".join(f"{name}={short(value)}" for name, value in trial.values.items()) or "-"
        step = "-" if trial.step is None else str(trial.step)
        rows.append((f"  {trial.number}", trial_word(trial), since, step, values))
    emit_table(("  NUMBER", "STATE", "TIME", "STEP", "LAST VALUES"), rows)
    if len(live) > _LIVE_SHOWN:
        say(f"  and {len(live) - _LIVE_SHOWN} more")


def trial_word(trial: LiveTrial) -> str:
    """Return a living trial's state in a word."""
    words = {
        TrialPhase.PENDING: "waiting",
        TrialPhase.RUNNING: "running",
        TrialPhase.MEASURING: "measuring",
        TrialPhase.ENDED: "ended",
    }
    return "stopping" if trial.stopping else words[trial.phase]


def _print_conditions(status: StudyStatus) -> None:
    say("Conditions:" if status.conditions else "Conditions: none yet")
    rows = [(f"  {c.type}", c.status, c.reason, age(c.last_transition_time), c.message) for c in status.conditions]
    if rows:
        emit_table(("  TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows)


def _print_events(events: Sequence[Mapping[str, Any]]) -> None:
    say("Events:" if events else "Events: none")
    rows = [
        (f"  {age(e.get('lastTimestamp') or e.get('eventTime'))}", e.get("type", ""), e["reason"], e["message"])
        for e in events[-_EVENTS_SHOWN:]
    ]
    if rows:
        emit_table(("  AGE", "TYPE", "REASON", "MESSAGE"), rows)


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
