"""What both command lines, `kubestudy` and `kubectl study`, have in common: how they look, and options of many."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubestudy import __version__
from kubestudy.cli.output import Format, ObjectFormat, say

Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.")]
ObjectOutput = Annotated[ObjectFormat | None, typer.Option("--output", "-o", help="Print the object instead.")]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Optuna storage URL, e.g. postgresql+psycopg://...; a journal file if left out.",
        envvar="KUBESTUDY_STORAGE",
    ),
]
Trial = Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.", min=0)]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as the log grows, until the trial ends.")]
Port = Annotated[int, typer.Option(help="The port to listen on; 0 for a free one.", min=0, max=65535)]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def command_line(about: str, *, name: str | None = None, completion: bool = False) -> typer.Typer:
    """Return a command line without commands.

    Args:
        about: What it is for.
        name: What it is called; the program's name if left out.
        completion: Whether it offers to install completion for a shell.
    """
    return typer.Typer(
        name=name,
        help=about,
        no_args_is_help=True,
        add_completion=completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def example(*lines: str) -> str:
    """Return a command's epilog: examples, line by line."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)]


def confirm(what: str, yes: bool) -> None:
    """Ask whether to do what cannot be undone.

    Args:
        what: What is to be done.
        yes: Whether it was said already that it is to be done.

    Raises:
        typer.Abort: It is not to be done.
        typer.BadParameter: Nobody is there to be asked.
    """
    if yes:
        return
    if not sys.stdin or not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to be asked: add --yes", param_hint="--yes")
    typer.confirm(f"{what}?", abort=True, err=True)
