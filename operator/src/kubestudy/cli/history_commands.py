"""`kubestudy history list | purge`: the histories in an operator's storage, those of deleted studies among them."""

from __future__ import annotations

from typing import Annotated

import typer

from kubestudy.cli.common import Output, Yes, command_line, example
from kubestudy.cli.output import Format

history = command_line("Histories of studies in an operator's storage.")

# As the operator's own: in its pod nothing has to be named.
OperatorStorage = Annotated[
    str,
    typer.Option(
        help="The operator's storage: its folder of journals, or its Optuna RDB URL.", envvar="KUBESTUDY_STORAGE"
    ),
]
_PLACE = "/var/lib/kubestudy"


@history.command("list", epilog=example("kubestudy history list --storage /var/lib/kubestudy"))
def list_(
    storage: OperatorStorage = _PLACE,
    gone: Annotated[
        bool, typer.Option("--gone", help="Only of studies that were deleted; in the operator's pod alone.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """List the histories.

    And whether their studies are still there, where that can be asked: in the operator's pod.
    """
    from kubestudy.cli.histories import list_histories

    raise typer.Exit(list_histories(storage, output, gone=gone))


@history.command(
    "purge",
    epilog=example(
        "kubestudy history purge --storage ./journals 3f6c0a4e-6d1b-4f5b-9a55-0f3a3f1f7c11",
        "kubestudy history purge --gone",
    ),
)
def purge(
    uids: Annotated[
        list[str] | None, typer.Argument(metavar="[UID]...", help="The uids of the studies, as list shows them.")
    ] = None,
    storage: OperatorStorage = _PLACE,
    gone: Annotated[
        bool, typer.Option("--gone", help="Of all studies that were deleted; in the operator's pod alone.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Delete histories for good.

    Those of studies that are still there are refused, where that can be asked.
    """
    from kubestudy.cli.histories import purge_histories

    if bool(uids) == gone:
        raise typer.BadParameter("name the uids of studies, or --gone for all that were deleted", param_hint="UID")
    raise typer.Exit(purge_histories(storage, uids or [], gone=gone, yes=yes))
