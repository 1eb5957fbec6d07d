"""What `kubectl study` does, command by command, once it is connected to a cluster."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubestudy.cli.dashboard import serve
from kubestudy.cli.exits import Exit, refused
from kubestudy.cli.operator_state import absence, silence
from kubestudy.cli.output import Format, ObjectFormat, complain, emit, note
from kubestudy.cli.reading import write_to
from kubestudy.cli.remote import Remote, as_study, connected, service_of
from kubestudy.cli.remote_history import best_in, history_of, live_trials, living
from kubestudy.cli.study_output import note_hindrance, print_studies, print_study, status_in
from kubestudy.cli.target import Target
from kubestudy.cli.trial_output import Living, no_best, print_best, print_front, print_trials
from kubestudy.cluster.api import ApiError
from kubestudy.cluster.jobs import trainer_in
from kubestudy.search.search import hush_optuna
from kubestudy.study.ports import StudyError
from kubestudy.study.view import LiveTrial

Act = Callable[[Remote], Coroutine[Any, Any, Exit]]

# An operator takes up a change within a second or two.
_TAKEN_UP_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_OVER = ("Complete", "Failed")


def do(target: Target, act: Act) -> Exit:
    """Connect to a cluster and act; what it refuses is said in one line.

    Returns:
        What the act came to.
    """

    async def connect() -> Exit:
        async with connected(target) as remote:
            return await act(remote)

    hush_optuna()
    try:
        return asyncio.run(connect())
    except (ApiError, StudyError) as error:
        return refused(error)


def list_studies(form: Format, *, everywhere: bool) -> Act:
    """Print the studies of the namespace, or of all."""

    async def act(remote: Remote) -> Exit:
        bodies = await remote.studies(everywhere=everywhere)
        if not bodies and form is Format.TABLE:
            note("no studies in any namespace" if everywhere else f"no studies in namespace {remote.namespace}")
            return Exit.COMPLETED
        print_studies(bodies, form, everywhere=everywhere)
        await _note_silence(remote, bodies)
        return Exit.COMPLETED

    return act


async def _note_silence(remote: Remote, bodies: Sequence[Mapping[str, Any]]) -> None:
    """Say that no operator is there; else, which studies none acts on."""
    now = datetime.now(UTC)
    lease = await remote.lease(next(filter(None, map(service_of, bodies)), None))
    said = absence(lease, now)
    if said is not None:
        note(f"{said}: studies are shown as it left them, and running trials go on")
        return
    for body in bodies:
        unheard = silence(body, lease, now)
        if unheard is not None:
            note(f"{body['metadata']['name']}: {unheard}")


def show_status(name: str, form: ObjectFormat | None) -> Act:
    """Print where a study is."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        if form is not None:
            emit(body, form)
            return Exit.COMPLETED
        lease = await remote.lease(service_of(body))
        unheard = silence(body, lease, datetime.now(UTC))
        more = {} if unheard is None else {"Operator": unheard}
        print_study(body, await _live_or_none(remote, body), await remote.events(body), more)
        return Exit.COMPLETED

    return act


async def _live_or_none(remote: Remote, body: Mapping[str, Any]) -> list[LiveTrial]:
    if status_in(body).phase in _OVER:
        return []
    try:
        return await live_trials(remote, body)
    except (ApiError, StudyError):
        return []


def show_trials(name: str, form: Format, storage: str | None) -> Act:
    """Print a study's trials."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        history = await history_of(remote, body, storage)
        live = await living(remote, body)
        code = print_trials(history, form, None if live is None else Living(live))
        note_hindrance(name, status_in(body))
        await _note_silence(remote, [body])
        return code

    return act


def show_best(name: str, form: Format, storage: str | None) -> Act:
    """Print a study's best trial: from its history, or, where that cannot be had, from its status."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        try:
            return print_best(await history_of(remote, body, storage), form)
        except StudyError:
            found = best_in(body)
            if storage is not None or not (found or status_in(body).trials.complete):
                raise
        if not found:
            return no_best(infeasible=True)
        print_front(found, form, single=len(body["spec"]["objectives"]) == 1)
        return Exit.COMPLETED

    return act


def write_report(name: str, to: Path | None, storage: str | None) -> Act:
    """Write a study's report."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        study = as_study(body)
        return write_to(to or Path(f"{name}.html"), study, await history_of(remote, body, storage))

    return act


def show_dashboard(name: str, storage: str | None, host: str, port: int) -> Act:
    """Serve Optuna Dashboard on a study's history."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        history = await history_of(remote, body, storage)
        if storage is None:
            note("this is a copy of the history as it is now: start the command again for newer trials")
        return serve(history.study._storage, host, port)

    return act


def change(name: str, spec: Mapping[str, bool], done: str) -> Act:
    """Change what a study is to do, and see whether an operator takes it up.

    Args:
        name: The study.
        spec: Fields of its spec.
        done: What is said then, for instance "suspended".
    """

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        phase = status_in(body).phase
        wanted = {key: value for key, value in spec.items() if bool(body["spec"].get(key)) != value}
        if not wanted or (phase in _OVER and True in wanted.values()):
            note(f"{name} is {phase}: nothing to do")
            return Exit.COMPLETED
        changed = await remote.change(name, wanted)
        if await _is_taken_up(remote, name, changed["metadata"]["generation"]):
            note(f"{name} {done}")
        else:
            said = absence(await remote.lease(service_of(body)), datetime.now(UTC))
            said = said or f"no operator has taken it up within {_TAKEN_UP_SECONDS:.0f} s"
            note(f"{name} is to be {done}, but {said} (kubectl study status {name} shows when that is done)")
        return Exit.COMPLETED

    return act


async def _is_taken_up(remote: Remote, name: str, generation: int) -> bool:
    deadline = time.monotonic() + _TAKEN_UP_SECONDS
    while time.monotonic() < deadline:
        body = await remote.look(name)
        if body is None or (status_in(body).observed_generation or 0) >= generation:
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return False


def delete(name: str) -> Act:
    """Delete a study."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        await remote.delete(name)
        kept = body["spec"].get("historyPolicy", "Retain") == "Retain"
        stays = "; its history stays in the operator's storage (kubectl study history)" if kept else ""
        note(f"{name} deleted{stays}")
        return Exit.COMPLETED

    return act


def become_kubectl(arguments: Sequence[str], target: Target) -> Exit:
    """Run kubectl instead of this process; returns only where kubectl is not there."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        return refused(StudyError("kubectl is not on the PATH, and it is what does this"))
    where = [("--context", target.context), ("--kubeconfig", target.kubeconfig)]
    chosen = [part for key, value in where if value for part in (key, value)]
    return os.execv(kubectl, ["kubectl", *chosen, *arguments])


def show_log(target: Target, name: str, trial: int, storage: str | None, *, follow: bool) -> Exit:
    """Print a trial's log, by `kubectl logs` of its newest pod."""
    found: list[str] = []

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        pods = await remote.pods(body, trial)
        if not pods:
            return await _no_log(remote, body, trial, storage)
        container = trainer_in(body["spec"]["jobTemplate"]["spec"]["template"]["spec"])["name"]
        pod = pods[-1]["metadata"]["name"]
        found.extend(["logs", pod, "-n", remote.namespace, "-c", container, *(["-f"] if follow else [])])
        return Exit.COMPLETED

    code = do(target, act)
    return become_kubectl(found, target) if found else code


async def _no_log(remote: Remote, body: Mapping[str, Any], trial: int, storage: str | None) -> Exit:
    name = body["metadata"]["name"]
    if trial in await remote.jobs(body):
        complain(f"error: trial {trial} of {name} has no pod yet: its Job waits for one")
        return Exit.FAILED
    gone = (
        "has no Job any more: Jobs that ended stay only if spec.jobTemplate.spec.ttlSecondsAfterFinished says for how"
        " long"
    )
    try:
        history = await history_of(remote, body, storage)
    except StudyError:
        # Whoever may not read histories may see this much.
        known = trial < status_in(body).trials.total
        complain(f"error: {f'trial {trial} of {name} {gone}' if known else f'{name} has no trial {trial}'}")
        return Exit.FAILED
    record = next((record for record in history.trials() if record.number == trial), None)
    if record is None:
        complain(f"error: {name} has no trial {trial}")
    else:
        ended = f"{record.state} ({record.reason})" if record.reason else record.state
        complain(f"error: trial {trial} of {name} is {ended} and {gone}")
    return Exit.FAILED
