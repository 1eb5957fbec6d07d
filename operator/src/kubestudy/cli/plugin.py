"""`kubectl study`: the command line against a cluster. Named kubectl-study, kubectl finds it on the PATH."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kubestudy.api.quantity import seconds_of
from kubestudy.cli.app import Storage, run_app
from kubestudy.cli.exits import Exit
from kubestudy.cli.follow import follow
from kubestudy.cli.output import Format, complain, note
from kubestudy.cli.reading import print_trials, refused, serve, write_to
from kubestudy.cli.remote import Remote, Target, as_study, connected, opened, status_in
from kubestudy.cli.studies import print_description, print_list
from kubestudy.cluster.api import ApiError
from kubestudy.cluster.jobs import trainer_in
from kubestudy.cluster.names import job_name
from kubestudy.search.history import History, TrialRecord
from kubestudy.search.search import hush_optuna
from kubestudy.study.ports import StudyError

app = typer.Typer(
    name="kubectl study",
    help="Hyperparameter studies of a Kubernetes cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The namespace; the context's if left out.")]
Context = Annotated[str | None, typer.Option(help="The kubeconfig's context.")]
Kubeconfig = Annotated[str | None, typer.Option(help="The kubeconfig.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.")]
Act = Callable[[Remote], Coroutine[Any, Any, Exit]]


def _do(target: Target, act: Act) -> None:
    """Connect, act, and end with its exit code; what the cluster refuses is said in one line."""

    async def connect() -> Exit:
        async with connected(target) as remote:
            return await act(remote)

    hush_optuna()
    try:
        code = asyncio.run(connect())
    except (ApiError, StudyError) as error:
        code = refused(error)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    raise typer.Exit(code)


@app.command("list")
def list_(
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List studies."""

    async def act(remote: Remote) -> Exit:
        bodies = await remote.studies(everywhere=everywhere)
        if not bodies and output is Format.TABLE:
            note("no studies in any namespace" if everywhere else f"no studies in namespace {remote.namespace}")
        else:
            print_list(bodies, output, everywhere=everywhere)
        return Exit.COMPLETED

    _do(Target(namespace, context, kubeconfig), act)


@app.command()
def describe(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Print where a study is: counts, budget, best trial, conditions, events."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        print_description(body, await remote.events(body))
        return Exit.COMPLETED

    _do(Target(namespace, context, kubeconfig), act)


@app.command()
def trials(
    name: Name,
    output: Output = Format.TABLE,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the trials of a study."""
    _do(Target(namespace, context, kubeconfig), _listing(name, output, storage, best=False))


@app.command()
def best(
    name: Name,
    output: Output = Format.TABLE,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the best trial of a study, or its Pareto front."""
    _do(Target(namespace, context, kubeconfig), _listing(name, output, storage, best=True))


def _listing(name: str, output: Format, storage: str | None, *, best: bool) -> Act:
    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        jobs = await _jobs(remote, body)

        def show(history: History) -> Exit:
            records = history.best() if best else history.trials()
            if jobs is not None:
                records = [_waits(record) if record.number not in jobs else record for record in records]
            return print_trials(history, records, output, best=best)

        return await _with_history(remote, body, storage, show)

    return act


async def _jobs(remote: Remote, body: Mapping[str, Any]) -> set[int] | None:
    """Return the trials whose Job has a running pod; None where the user may not see Jobs."""
    try:
        jobs = await remote.jobs(body)
    except ApiError:
        return None
    return {number for number, job in jobs.items() if (job.get("status") or {}).get("ready")}


def _waits(record: TrialRecord) -> TrialRecord:
    return replace(record, state="Waiting") if record.state == "Running" else record


async def _with_history(
    remote: Remote, body: Mapping[str, Any], storage: str | None, use: Callable[[History], Exit]
) -> Exit:
    journal = await remote.journal(body) if storage is None else None
    return use(opened(body, journal, storage))


@app.command()
def report(
    name: Name,
    to: Annotated[Path | None, typer.Option("--to", help="The HTML file; STUDY.html here if left out.")] = None,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write a study's report: one HTML file that opens offline."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        study = as_study(body)
        target = to or Path(f"{name}.html")
        return await _with_history(remote, body, storage, lambda history: write_to(target, study, history))

    _do(Target(namespace, context, kubeconfig), act)


@app.command()
def dashboard(
    name: Name,
    storage: Storage = None,
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for a free one.", min=0, max=65535)] = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Open Optuna Dashboard on a study's history, until Ctrl-C."""

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        if storage is None:
            note("this is a copy of the history as it is now: start the command again for newer trials")
        return await _with_history(remote, body, storage, lambda history: serve(history.storage, host, port))

    _do(Target(namespace, context, kubeconfig), act)


@app.command()
def wait(
    name: Name,
    timeout: Annotated[
        str | None, typer.Option(help="How long to wait at most: 90s, 45m, 2h; as long as it takes if left out.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a study's progress until it is over. Exit codes: 0 it completed, 1 it failed or the time was up."""
    try:
        seconds = None if timeout is None else seconds_of(timeout)
    except ValueError as error:
        raise typer.BadParameter(
            f"{timeout!r} is no duration, such as 90s, 45m or 2h", param_hint="--timeout"
        ) from error
    _do(Target(namespace, context, kubeconfig), lambda remote: follow(remote, name, seconds))


@app.command()
def suspend(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Stop a study's running trials, and keep them for later."""
    _do(Target(namespace, context, kubeconfig), _change(name, {"suspend": True}, "suspended"))


@app.command()
def resume(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Go on with a study that was suspended or stopped."""
    _do(Target(namespace, context, kubeconfig), _change(name, {"suspend": False, "stop": False}, "resumed"))


@app.command()
def stop(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """End a study now; its history and its best trial stay."""
    _do(Target(namespace, context, kubeconfig), _change(name, {"stop": True}, "stopped"))


def _change(name: str, spec: Mapping[str, Any], done: str) -> Act:
    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        phase = status_in(body).phase
        wanted = {key: value for key, value in spec.items() if bool(body["spec"].get(key)) != value}
        if not wanted or (phase in ("Complete", "Failed") and True in wanted.values()):
            note(f"{name} is {phase}: nothing to do")
            return Exit.COMPLETED
        await remote.change(name, wanted)
        note(f"{name} {done}")
        return Exit.COMPLETED

    return act


@app.command()
def logs(
    name: Name,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.", min=0)],
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the log grows.")] = False,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print a trial's log, by `kubectl logs`, as long as its Job is there."""
    target = Target(namespace, context, kubeconfig)
    found: list[list[str]] = []

    async def act(remote: Remote) -> Exit:
        body = await remote.study(name)
        if trial not in await remote.jobs(body):
            return await _with_history(remote, body, storage, lambda history: _no_log(history, name, trial))
        job = job_name(name, body["metadata"]["uid"], trial)
        container = trainer_in(body["spec"]["jobTemplate"]["spec"]["template"]["spec"])["name"]
        found.append(["logs", f"job/{job}", "-n", remote.namespace, "-c", container, *(["-f"] if following else [])])
        return Exit.COMPLETED

    try:
        _do(target, act)
    except typer.Exit as end:
        if not found or end.exit_code:
            raise
    _become_kubectl(found[0], target)


def _no_log(history: History, name: str, trial: int) -> Exit:
    record = next((record for record in history.trials() if record.number == trial), None)
    if record is None:
        complain(f"error: {name} has no trial {trial}")
        return Exit.FAILED
    ended = f"trial {trial} of {name} is {record.state}" + (f" ({record.reason})" if record.reason else "")
    complain(
        f"error: {ended} and has no Job any more: Jobs that ended stay only if"
        " spec.jobTemplate.spec.ttlSecondsAfterFinished says for how long"
    )
    return Exit.FAILED


def _become_kubectl(arguments: list[str], target: Target) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        complain("error: kubectl is not on the PATH, and it is what reads logs")
        raise typer.Exit(Exit.FAILED)
    where = [("--context", target.context), ("--kubeconfig", target.kubeconfig)]
    os.execv(kubectl, ["kubectl", *arguments, *(part for key, value in where if value for part in (key, value))])


def main() -> None:
    """Run `kubectl study`."""
    run_app(app)
