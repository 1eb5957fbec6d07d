"""`kubestudy trials | best | report | dashboard`: looking at what a study's storage holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubestudy.cli.common import Host, Output, Port, Storage
from kubestudy.cli.output import Format
from kubestudy.cli.study_commands import Directory, Named


def trials(named: Named, directory: Directory = None, storage: Storage = None, output: Output = Format.TABLE) -> None:
    """List the trials of a study."""
    from kubestudy.cli.history_output import show_trials

    raise typer.Exit(show_trials(named, directory, storage, output))


def best(named: Named, directory: Directory = None, storage: Storage = None, output: Output = Format.TABLE) -> None:
    """Print the best trial of a study, or its Pareto front."""
    from kubestudy.cli.history_output import show_best

    raise typer.Exit(show_best(named, directory, storage, output))


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
    from kubestudy.cli.history_output import make_report

    raise typer.Exit(make_report(named, directory, storage, to))


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
    port: Port = 8080,
    host: Host = "127.0.0.1",
) -> None:
    """Open Optuna Dashboard on a study.

    Or on all studies of a storage; until Ctrl-C.
    """
    from kubestudy.cli.history_output import serve_dashboard

    if named is None and storage is None:
        raise typer.BadParameter("name a study, or a --storage to see all studies of", param_hint="FILE|NAME")
    raise typer.Exit(serve_dashboard(named, directory, storage, host, port))
