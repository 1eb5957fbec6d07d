"""What `kubectl study` does with a study's trials and their history."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubestudy.cli.dashboard import serve
from kubestudy.cli.exits import Exit
from kubestudy.cli.history_output import write_to
from kubestudy.cli.output import Format, complain, note
from kubestudy.cli.remote import Remote, as_study
from kubestudy.cli.remote_acts import Act, become_kubectl, do, note_silence
from kubestudy.cli.remote_history import best_in, history_of, living
from kubestudy.cli.study_output import note_hindrance, status_in
from kubestudy.cli.target import Target
from kubestudy.cli.trial_output import Living, no_best, print_best, print_front, print_trials
from kubestudy.cluster.jobs import trainer_in
from kubestudy.study.ports import StudyError


def show_trials(name: str, form: Format, storage: str | None) -> Act:
    """Print a study's trials."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        history = await history_of(remote, body, storage)
        live = await living(remote, body)
        code = print_trials(history, form, None if live is None else Living(live))
        note_hindrance(name, status_in(body))
        await note_silence(remote, [body])
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
        return serve(history.storage, host, port)

    return act


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
        "has no Job any more: how long Jobs that ended stay is said by spec.jobTemplate.spec.ttlSecondsAfterFinished,"
        " and of failed trials by spec.failedJobsHistoryTTL"
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
