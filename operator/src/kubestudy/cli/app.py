"""`kubestudy`: the command line, put together."""

from __future__ import annotations

from kubestudy import __version__
from kubestudy.cli.common import ObjectOutput, Version, command_line, example
from kubestudy.cli.history_commands import history
from kubestudy.cli.manifest_commands import crd, validate
from kubestudy.cli.operator_options import operator
from kubestudy.cli.output import emit, say
from kubestudy.cli.reading_commands import best, dashboard, report, trials
from kubestudy.cli.streams import run_command_line
from kubestudy.cli.study_commands import delete, list_, logs, resume, run, status, stop, suspend

app = command_line(
    "Tune hyperparameters: one manifest, on this machine or on a Kubernetes cluster (there: kubectl study).",
    completion=True,
)


@app.callback()
def _root(version: Version = False) -> None:
    """Take what comes before a command."""


app.command(epilog=example("kubestudy run study.yaml", "kubestudy run digits-mlp    # goes on"))(run)
app.command(epilog=example("kubestudy validate examples/*.yaml"))(validate)
app.command("list", epilog=example("kubestudy list -o csv"))(list_)
app.command(epilog=example("kubestudy status digits-mlp"))(status)
app.command(epilog=example("kubestudy trials digits-mlp -o csv > trials.csv"))(trials)
app.command(epilog=example("kubestudy best digits-mlp -o json"))(best)
app.command(epilog=example("kubestudy logs digits-mlp 7 -f"))(logs)
app.command(epilog=example("kubestudy report digits-mlp --to report.html"))(report)
app.command(epilog=example("kubestudy dashboard digits-mlp"))(dashboard)
app.command(epilog=example("kubestudy suspend digits-mlp"))(suspend)
app.command(epilog=example("kubestudy resume digits-mlp"))(resume)
app.command(epilog=example("kubestudy stop digits-mlp"))(stop)
app.command(epilog=example("kubestudy delete digits-mlp --yes"))(delete)
app.command(epilog=example("kubestudy crd | kubectl apply -f -"))(crd)
app.command(epilog=example("kubestudy operator --storage /var/lib/kubestudy --namespace team-a"))(operator)
app.add_typer(history, name="history")


@app.command(epilog=example("kubestudy version -o json"))
def version(output: ObjectOutput = None) -> None:
    """Print the version."""
    if output is None:
        say(__version__)
    else:
        emit({"version": __version__}, output)


def main() -> None:
    """Run `kubestudy`."""
    run_command_line(app)
