"""`kubestudy run | list | status | logs | suspend | resume | stop | delete`: a study's life on this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from kubestudy.cli.common import Follow, ObjectOutput, Output, Storage, Trial, Yes, confirm
from kubestudy.cli.output import Format

Named = Annotated[
    str, typer.Argument(metavar="FILE|NAME", help="A manifest, or the name of a study that was run here.")
]
Directory = Annotated[Path | None, typer.Option("--dir", help="The study's folder; .kubestudy/NAME here if left out.")]


def run(
    named: Named,
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
    output: ObjectOutput = None,
) -> None:
    """Run a study on this machine to its end.

    The same command goes on with one that was interrupted; by its name, by the manifest of its last run.

    Exit codes: 0 the study completed, 1 it failed, 2 the manifest is not valid, 130 it was interrupted or is suspended.
    """
    from kubestudy.cli.run_by_name import run_named
    from kubestudy.cli.run_options import RunOptions

    options = RunOptions(Path(named), directory, storage, _words(exec_), restart, accept_changes, output)
    raise typer.Exit(run_named(named, options))


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise typer.BadParameter(f"{command!r} is no command line: {error}", param_hint="--exec") from error


def list_(
    output: Output = Format.TABLE,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="The folder of the studies' folders; .kubestudy here if left out.")
    ] = None,
) -> None:
    """List the studies that were run here."""
    from kubestudy.cli.local_studies import list_studies

    raise typer.Exit(list_studies(output, directory))


def status(named: Named, directory: Directory = None, output: ObjectOutput = None) -> None:
    """Print where a study is.

    Its counts, budget, best trial, running trials and conditions.
    """
    from kubestudy.cli.local_studies import show_status

    raise typer.Exit(show_status(named, directory, output))


def logs(named: Named, trial: Trial, following: Follow = False, directory: Directory = None) -> None:
    """Print a trial's log."""
    from kubestudy.cli.local_studies import show_log

    raise typer.Exit(show_log(named, trial, directory, follow=following))


def suspend(named: Named, directory: Directory = None) -> None:
    """Stop a study's trials, and keep them for later.

    The process that runs the study ends then.
    """
    from kubestudy.cli.local_requests import suspend as ask

    raise typer.Exit(ask(named, directory))


def resume(named: Named, directory: Directory = None) -> None:
    """Go on with a study that was suspended or stopped.

    Exit codes are those of run.
    """
    from kubestudy.cli.local_requests import resume as ask

    raise typer.Exit(ask(named, directory))


def stop(named: Named, directory: Directory = None) -> None:
    """End a study now; its history and its best trial stay."""
    from kubestudy.cli.local_requests import stop as ask

    raise typer.Exit(ask(named, directory))


def delete(named: Named, yes: Yes = False, directory: Directory = None, storage: Storage = None) -> None:
    """Delete a study that nobody runs.

    Its history goes, its trials' logs and checkpoints, and its report.
    """
    from kubestudy.cli.local_requests import delete as ask

    confirm(f"Delete the study {named}, with its trials' logs and checkpoints", yes)
    raise typer.Exit(ask(named, directory, storage))
