"""The commands, their options and help."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from kubestudy import __version__
from kubestudy.cli.exits import Exit
from kubestudy.cli.output import Format, complain, emit, emit_table, note, out

app = typer.Typer(
    help="Tune hyperparameters: one manifest, on this machine or on a Kubernetes cluster.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Named = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="A manifest, or the name of a study that was run here.")
]
Directory = Annotated[Path | None, typer.Option("--dir", help="The study's folder; .kubestudy/NAME here if left out.")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Optuna storage URL, e.g. postgresql+psycopg://...; a journal file if left out.",
        envvar="KUBESTUDY_STORAGE",
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.")]


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="The manifest of the study.")],
    directory: Directory = None,
    storage: Storage = None,
    exec_: Annotated[
        str,
        typer.Option("--exec", metavar="COMMAND", help="What to run instead of the image's own entry point."),
    ] = "",
    restart: Annotated[bool, typer.Option("--restart", help="Start anew; the old study is kept aside.")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on although the container or the script has changed.")
    ] = False,
    output: Annotated[Format | None, typer.Option("--output", "-o", help="Print the finished object.")] = None,
) -> None:
    """Run a study on this machine to its end; the same command goes on with one that was interrupted.

    Exit codes: 0 the study completed, 1 it failed, 2 the manifest is not valid, 130 it was interrupted or is suspended.
    """
    from kubestudy.cli.run import run_study  # noqa: PLC0415  (a short way to --help)
    from kubestudy.cli.run_options import RunOptions  # noqa: PLC0415  (likewise)

    raise typer.Exit(run_study(RunOptions(file, directory, storage, _words(exec_), restart, accept_changes, output)))


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise typer.BadParameter(f"{command!r} is no command line: {error}", param_hint="--exec") from error


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="Manifests.")],
    output: Annotated[Format | None, typer.Option("--output", "-o", help="Print the problems found.")] = None,
) -> None:
    """Check manifests, and print every problem of each. Exit code 2 if there is any."""
    from kubestudy.api.manifest import load_all  # noqa: PLC0415
    from kubestudy.api.problems import ManifestError, Problem  # noqa: PLC0415
    from kubestudy.api.yaml_text import bare_words  # noqa: PLC0415  (a short way to --help)
    from kubestudy.local.program_warnings import program_warnings  # noqa: PLC0415
    from kubestudy.search.search import hush_optuna  # noqa: PLC0415
    from kubestudy.search.search_checks import search_problems  # noqa: PLC0415

    hush_optuna()
    found = []
    for file in files:
        try:
            studies = load_all(file, search_problems)
            said = [warning for study in studies for warning in program_warnings(study.spec, file.resolve().parent)]
            for warning in (*bare_words(file.read_text()), *said):
                note(f"warning: {file}: {warning}")
            problems: list[Problem] = []
        except ManifestError as error:
            problems = list(error.problems)
        found += [(file, problem) for problem in problems]
        if not problems and output is None:
            out.print(f"{file}: valid", markup=False)
    if output in (Format.JSON, Format.YAML):
        emit([{"file": str(f), "path": p.path, "message": p.sentence} for f, p in found], output)
    elif output is Format.TABLE:
        emit_table(("FILE", "PATH", "PROBLEM"), [(str(f), p.path, p.sentence) for f, p in found])
    else:
        for file, problem in found:
            complain(f"{file}: {problem}")
    if found:
        raise typer.Exit(Exit.INVALID)


@app.command()
def crd(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Write the file there instead of printing it.")
    ] = None,
) -> None:
    """Print the CustomResourceDefinition, to be applied to a cluster."""
    from kubestudy.api.crd import FILE_NAME, as_yaml  # noqa: PLC0415

    if directory is None:
        typer.echo(as_yaml(), nl=False)
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / FILE_NAME).write_text(as_yaml())
    except OSError as error:
        complain(f"error: cannot write {directory / FILE_NAME}: {error.strerror}")
        raise typer.Exit(Exit.FAILED) from error
    note(f"wrote {directory / FILE_NAME}")


@app.command()
def trials(named: Named, directory: Directory = None, storage: Storage = None, output: Output = Format.TABLE) -> None:
    """List the trials of a study."""
    from kubestudy.cli.reading import show_trials  # noqa: PLC0415

    raise typer.Exit(show_trials(named, directory, storage, output, best=False))


@app.command()
def best(named: Named, directory: Directory = None, storage: Storage = None, output: Output = Format.TABLE) -> None:
    """Print the best trial of a study, or its Pareto front."""
    from kubestudy.cli.reading import show_trials  # noqa: PLC0415

    raise typer.Exit(show_trials(named, directory, storage, output, best=True))


@app.command()
def report(
    named: Named,
    directory: Directory = None,
    storage: Storage = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="The HTML file; report.html in the study's folder if left out."),
    ] = None,
) -> None:
    """Write a study's report: one HTML file that opens offline."""
    from kubestudy.cli.reading import make_report  # noqa: PLC0415

    raise typer.Exit(make_report(named, directory, storage, to))


@app.command()
def dashboard(
    named: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|NAME",
            help="A manifest, or the name of a study that was run here; left out, every study of --storage.",
        ),
    ] = None,
    directory: Directory = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Optuna storage URL, or the folder of an operator's journals; a study's own journal if left out.",
            envvar="KUBESTUDY_STORAGE",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for a free one.", min=0, max=65535)] = 8080,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Open Optuna Dashboard on a study's storage, or on all studies of one, until Ctrl-C."""
    from kubestudy.cli.reading import serve_dashboard  # noqa: PLC0415

    if named is None and storage is None:
        raise typer.BadParameter("name a study, or a --storage to see all studies of", param_hint="FILE|NAME")
    raise typer.Exit(serve_dashboard(named, directory, storage, host, port))


@app.command()
def operator(
    storage: Annotated[
        str | None, typer.Option(help="Folder of the journals, or an Optuna RDB URL. [KUBESTUDY_STORAGE]")
    ] = None,
    prometheus_url: Annotated[str | None, typer.Option(help="A Prometheus server. [KUBESTUDY_PROMETHEUS_URL]")] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(help="A namespace to watch, once for each; all if left out. [KUBESTUDY_NAMESPACES, with commas]"),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json. [KUBESTUDY_LOG_FORMAT]")] = None,
    resync_seconds: Annotated[
        float | None, typer.Option(help="Seconds between full looks at everything. [KUBESTUDY_RESYNC_SECONDS]")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(help="Port of /healthz, /readyz, /metrics. [KUBESTUDY_HEALTH_PORT]")
    ] = None,
    history_port: Annotated[
        int | None, typer.Option(help="Port of studies' histories. [KUBESTUDY_HISTORY_PORT]")
    ] = None,
    health_address: Annotated[str | None, typer.Option(help="Address of both. [KUBESTUDY_HEALTH_ADDRESS]")] = None,
    service: Annotated[
        str | None,
        typer.Option(help="The Service in front of the history's port: namespace/name:port. [KUBESTUDY_SERVICE]"),
    ] = None,
    leader_election: Annotated[
        bool | None,
        typer.Option("--leader-election/--no-leader-election", help="Wait for a Lease. [KUBESTUDY_LEADER_ELECTION]"),
    ] = None,
    lease_namespace: Annotated[str | None, typer.Option(help="Where the Lease is. [KUBESTUDY_LEASE_NAMESPACE]")] = None,
) -> None:
    """Run the operator in a cluster: KUBECONFIG's, or the one whose pod this is."""
    # A container's first process takes no notice of SIGTERM before it says what to do then; importing takes seconds.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.COMPLETED))
    from kubestudy.cli.operator_command import run_operator  # noqa: PLC0415

    given = {
        "storage": storage,
        "prometheus_url": prometheus_url,
        "namespaces": tuple(namespace) if namespace else None,
        "log_format": log_format,
        "resync_seconds": resync_seconds,
        "health_port": health_port,
        "history_port": history_port,
        "health_address": health_address,
        "service": service,
        "leader_election": leader_election,
        "lease_namespace": lease_namespace,
    }
    raise typer.Exit(run_operator({name: value for name, value in given.items() if value is not None}))


@app.command()
def version(
    output: Annotated[Format | None, typer.Option("--output", "-o", help="Output format.")] = None,
) -> None:
    """Print the version."""
    if output in (Format.JSON, Format.YAML):
        emit({"version": __version__}, output)
    else:
        out.print(__version__, markup=False)


def main() -> None:
    """Run `kubestudy`."""
    run_app(app)


def run_app(app: typer.Typer) -> None:
    """Run a command line; a reader that goes away (`| head`) ends it quietly."""
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
