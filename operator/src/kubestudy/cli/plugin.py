"""`kubectl study`: the command line against a cluster. Named kubectl-study, kubectl finds it on the PATH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kubestudy.cli.common import (
    Follow,
    Host,
    ObjectOutput,
    Output,
    Port,
    Storage,
    Trial,
    Version,
    Yes,
    command_line,
    confirm,
    example,
)
from kubestudy.cli.output import Format
from kubestudy.cli.streams import run_command_line
from kubestudy.cli.target import OPERATOR_NAMESPACE, Target

app = command_line("Hyperparameter studies of a Kubernetes cluster.", name="kubectl study")
history = command_line("Histories of deleted studies; for administrators.")
app.add_typer(history, name="history")

Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="The namespace; the context's if left out.")]
Context = Annotated[str | None, typer.Option(help="The kubeconfig's context.")]
Kubeconfig = Annotated[str | None, typer.Option(help="The kubeconfig.")]
OperatorNamespace = Annotated[str, typer.Option(help="The operator's namespace.")]


@app.callback()
def _root(version: Version = False) -> None:
    """Take what comes before a command."""


@app.command("list", epilog=example("kubectl study list -A"))
def list_(
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    output: Output = Format.TABLE,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List studies."""
    from kubestudy.cli import remote_acts as acts

    _end(acts.do(Target(namespace, context, kubeconfig), acts.list_studies(output, everywhere=everywhere)))


@app.command(epilog=example("kubectl study status digits-mlp"))
@app.command("describe", hidden=True)
def status(
    name: Name,
    output: ObjectOutput = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print where a study is.

    Its counts, budget, best trial, running trials, conditions and events.
    """
    from kubestudy.cli import remote_acts as acts

    _end(acts.do(Target(namespace, context, kubeconfig), acts.show_status(name, output)))


@app.command(epilog=example("kubectl study trials digits-mlp -o csv > trials.csv"))
def trials(
    name: Name,
    output: Output = Format.TABLE,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the trials of a study."""
    from kubestudy.cli import remote_acts as acts
    from kubestudy.cli import remote_trials

    _end(acts.do(Target(namespace, context, kubeconfig), remote_trials.show_trials(name, output, storage)))


@app.command(epilog=example("kubectl study best digits-mlp -o json"))
def best(
    name: Name,
    output: Output = Format.TABLE,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the best trial of a study, or its Pareto front."""
    from kubestudy.cli import remote_acts as acts
    from kubestudy.cli import remote_trials

    _end(acts.do(Target(namespace, context, kubeconfig), remote_trials.show_best(name, output, storage)))


@app.command(epilog=example("kubectl study logs digits-mlp 7 -f"))
def logs(
    name: Name,
    trial: Trial,
    following: Follow = False,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print a trial's log.

    By `kubectl logs`, as long as its Job is there.
    """
    from kubestudy.cli import remote_trials

    _end(remote_trials.show_log(Target(namespace, context, kubeconfig), name, trial, storage, follow=following))


@app.command(epilog=example("kubectl study report digits-mlp --to report.html"))
def report(
    name: Name,
    to: Annotated[Path | None, typer.Option("--to", help="The HTML file; STUDY.html here if left out.")] = None,
    storage: Storage = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Write a study's report: one HTML file that opens offline."""
    from kubestudy.cli import remote_acts as acts
    from kubestudy.cli import remote_trials

    _end(acts.do(Target(namespace, context, kubeconfig), remote_trials.write_report(name, to, storage)))


@app.command(epilog=example("kubectl study dashboard digits-mlp"))
def dashboard(
    name: Name,
    storage: Storage = None,
    port: Port = 8080,
    host: Host = "127.0.0.1",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Open Optuna Dashboard on a study, until Ctrl-C."""
    from kubestudy.cli import remote_acts as acts
    from kubestudy.cli import remote_trials

    _end(acts.do(Target(namespace, context, kubeconfig), remote_trials.show_dashboard(name, storage, host, port)))


@app.command(epilog=example("kubectl study wait digits-mlp --timeout 2h"))
def wait(
    name: Name,
    timeout: Annotated[
        str | None, typer.Option(help="How long to wait at most: 90s, 45m, 2h; as long as it takes if left out.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a study's progress until it is over.

    Exit codes: 0 it completed, 1 it failed or the time was up.
    """
    from kubestudy.api.quantity import seconds_of
    from kubestudy.cli import remote_acts as acts
    from kubestudy.cli.follow import follow

    try:
        seconds = None if timeout is None else seconds_of(timeout)
    except ValueError as error:
        raise typer.BadParameter(
            f"{timeout!r} is no duration, such as 90s, 45m or 2h", param_hint="--timeout"
        ) from error
    _end(acts.do(Target(namespace, context, kubeconfig), lambda remote: follow(remote, name, seconds)))


@app.command(epilog=example("kubectl study suspend digits-mlp"))
def suspend(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Stop a study's running trials, and keep them for later."""
    _change(Target(namespace, context, kubeconfig), name, {"suspend": True}, "suspended")


@app.command(epilog=example("kubectl study resume digits-mlp"))
def resume(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """Go on with a study that was suspended or stopped."""
    _change(Target(namespace, context, kubeconfig), name, {"suspend": False, "stop": False}, "resumed")


@app.command(epilog=example("kubectl study stop digits-mlp"))
def stop(name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None) -> None:
    """End a study now; its history and its best trial stay."""
    _change(Target(namespace, context, kubeconfig), name, {"stop": True}, "stopped")


def _change(target: Target, name: str, spec: dict[str, bool], done: str) -> None:
    from kubestudy.cli import remote_acts as acts

    _end(acts.do(target, acts.change(name, spec, done)))


@app.command(epilog=example("kubectl study delete digits-mlp --yes"))
def delete(
    name: Name,
    yes: Yes = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Delete a study, with its running trials.

    Its history stays, unless spec.historyPolicy is Delete.
    """
    from kubestudy.cli import remote_acts as acts

    confirm(f"Delete the study {name}, with its running trials", yes)
    _end(acts.do(Target(namespace, context, kubeconfig), acts.delete(name)))


@history.command("list", epilog=example("kubectl study history list"))
def list_histories(
    every: Annotated[bool, typer.Option("--all", help="Those of studies that are still there, too.")] = False,
    output: Output = Format.TABLE,
    operator_namespace: OperatorNamespace = OPERATOR_NAMESPACE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the histories of deleted studies.

    This runs in the operator's pod, by `kubectl exec`.
    """
    from kubestudy.cli.remote_histories import in_operator

    arguments = ["list", "-o", output.value, *([] if every else ["--gone"])]
    _end(in_operator(arguments, operator_namespace, context, kubeconfig))


@history.command("purge", epilog=example("kubectl study history purge 3f6c0a4e-6d1b-4f5b-9a55-0f3a3f1f7c11"))
def purge(
    uids: Annotated[list[str] | None, typer.Argument(metavar="[UID]...", help="The studies' uids.")] = None,
    gone: Annotated[bool, typer.Option("--gone", help="All histories of deleted studies.")] = False,
    yes: Yes = False,
    operator_namespace: OperatorNamespace = OPERATOR_NAMESPACE,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Delete histories of deleted studies for good.

    This runs in the operator's pod, by `kubectl exec`.
    """
    from kubestudy.cli.remote_histories import in_operator

    arguments = ["purge", *(uids or []), *(["--gone"] if gone else []), *(["--yes"] if yes else [])]
    ask = not yes and sys.stdin is not None and sys.stdin.isatty()
    _end(in_operator(arguments, operator_namespace, context, kubeconfig, ask=ask))


def _end(code: int) -> None:
    raise typer.Exit(code)


def main() -> None:
    """Run `kubectl study`."""
    run_command_line(app)
