"""`kubestudy validate | crd`: what needs neither a study nor a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubestudy.cli.exits import Exit
from kubestudy.cli.output import Format, complain, emit, emit_csv, emit_table, note, say


def validate(
    files: Annotated[list[Path], typer.Argument(help="Manifests.")],
    output: Annotated[Format | None, typer.Option("--output", "-o", help="Print the problems found.")] = None,
) -> None:
    """Check manifests, and print every problem of each. Exit code 2 if there is any."""
    from kubestudy.api.manifest import load_all, read_text
    from kubestudy.api.problems import ManifestError, Problem
    from kubestudy.api.yaml_text import bare_words, worded_booleans
    from kubestudy.local.program_warnings import program_warnings
    from kubestudy.search.search_checks import search_problems

    found: list[tuple[str, Problem]] = []
    for file in files:
        try:
            studies = load_all(file, search_problems)
            text = read_text(file)
            said = [warning for study in studies for warning in program_warnings(study.spec, file.resolve().parent)]
            for warning in (*bare_words(text), *worded_booleans(text), *said):
                note(f"warning: {file}: {warning}")
            if output is None:
                say(f"{file}: valid")
        except ManifestError as error:
            found += [(str(file), problem) for problem in error.problems]
    rows = [(file, problem.path, problem.sentence) for file, problem in found]
    match output:
        case None:
            for name, problem in found:
                complain(f"{name}: {problem}")
        case Format.TABLE:
            emit_table(("FILE", "PATH", "PROBLEM"), rows)
        case Format.CSV:
            emit_csv(("file", "path", "message"), rows)
        case _:
            emit([dict(zip(("file", "path", "message"), row, strict=True)) for row in rows], output)
    if found:
        raise typer.Exit(Exit.INVALID)


def crd(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Write the file there instead of printing it.")
    ] = None,
) -> None:
    """Print the CustomResourceDefinition, to be applied to a cluster."""
    from kubestudy.api.crd import FILE_NAME, as_yaml

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
