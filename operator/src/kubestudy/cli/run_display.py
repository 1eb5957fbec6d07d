"""The progress of a run, on stderr: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kubestudy.api.limits import SENTENCE_LENGTH
from kubestudy.api.study import StudySpec
from kubestudy.api.text import clean, printable
from kubestudy.cli.study_output import trial_word
from kubestudy.cli.words import short
from kubestudy.study.ports import Event
from kubestudy.study.view import LiveTrial, View

err = Console(stderr=True, highlight=False)
_ROWS = 12
# A terminal echoes each Ctrl-C as ^C into the picture: a line that got too long by that would not be taken back whole.
_ECHO_WIDTH = 4
_PLAIN_SECONDS = 5.0
# What the picture, or the last line of a run, shows anyway.
_QUIET_EVENTS = frozenset(
    {"TrialPruned", "TrialStopped", "Started", "Suspended", "MaxTrialsReached", "SearchSpaceExhausted"}
)


def share_used(spec: StudySpec, view: View) -> float | None:
    """Return how much of the budget is used, 0 to 1: of whichever runs out first; None without a budget."""
    budget, status = spec.budget, view.status
    counts = status.trials
    ended = counts.complete + counts.pruned + counts.failed + counts.stopped
    parts = [
        (ended, budget.max_trials),
        (status.used.seconds, budget.max_seconds),
        (status.used.gpu_seconds, budget.max_gpu_seconds),
    ]
    shares = [used / limit for used, limit in parts if limit]
    return min(1.0, max(shares)) if shares else None


class Progress:
    """Shows a run (implements the loop's `Listener`).

    Use it as a context manager; the picture goes when it is left.

    Args:
        name: The study's name.
        spec: The study.
        console: Where to show it.
        clock: Unix time.
    """

    def __init__(self, name: str, spec: StudySpec, console: Console, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._spec = spec
        self._console = console
        self._now = clock
        self._view: View | None = None
        self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._picture)
        self._next_line = 0.0
        self._last_line = ""

    def __enter__(self) -> Progress:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop showing."""
        self._live.stop()

    def update(self, spec: StudySpec) -> None:
        """Take a study that was edited while it runs."""
        self._spec = spec

    def show(self, view: View) -> None:
        """Take the study's newest state."""
        self._view = view
        if not self._console.is_terminal and self._now() >= self._next_line:
            line = self._summary(view)
            if line != self._last_line:
                self._print(line)
                self._last_line = line
            self._next_line = self._now() + _PLAIN_SECONDS

    def tell(self, event: Event) -> None:
        """Show an event as a line of its own."""
        if event.reason in _QUIET_EVENTS:
            return
        style = "yellow" if event.warning else "green" if event.reason == "NewBest" else ""
        self._print(Text(clean(f"{event.reason}: {event.message}", SENTENCE_LENGTH.value), style=style))

    def _print(self, line: str | Text) -> None:
        # Where nothing can be shown, the study goes on all the same.
        with contextlib.suppress(OSError):
            self._console.print(escape(line) if isinstance(line, str) else line, soft_wrap=True)

    def _summary(self, view: View) -> str:
        status, counts = view.status, view.status.trials
        best = f", best {status.best_value}" if status.best_value else ""
        waiting = f", {counts.pending} waiting" if counts.pending else ""
        return (
            f"{self._name}: {status.progress or 0} trials ended ({counts.complete} complete, {counts.pruned} pruned,"
            f" {counts.failed} failed), {counts.running} running{waiting}{best}, {status.used.seconds:.0f} s"
        )

    def _picture(self) -> RenderableType:
        if self._view is None:
            return Text(f"{self._name}: starting")
        share = share_used(self._spec, self._view)
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=share or 0.0, width=20, pulse=share is None, complete_style="green")
        head.add_row(bar, Text(self._summary(self._view)))
        rows: list[RenderableType] = [head]
        if self._view.live:
            rows.append(self._table(self._view))
        best = self._view.status.best
        if best is not None:
            params = " ".join(f"{name}={short(value)}" for name, value in best.params.items())
            values = " ".join(f"{name}={value:.6g}" for name, value in best.values.items())
            rows.append(Text(f"best: trial {best.number}  {values}  ({params})", style="green"))
        return Constrain(Group(*rows), self._console.width - _ECHO_WIDTH)

    def _table(self, view: View) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for column in ("trial", "state", "time", "step"):
            table.add_column(column, no_wrap=True)
        # Whatever the terminal's width, only these two give way.
        table.add_column("last values", no_wrap=True, overflow="ellipsis", ratio=2)
        table.add_column("parameters", no_wrap=True, overflow="ellipsis", ratio=3)
        trials = sorted(view.live, key=lambda trial: trial.number)
        for trial in trials[:_ROWS]:
            table.add_row(*self._row(trial))
        if len(trials) > _ROWS:
            table.add_row("", f"and {len(trials) - _ROWS} more")
        return table

    def _row(self, trial: LiveTrial) -> list[str]:
        names = [objective.name for objective in self._spec.objectives]
        shown = [n for n in names if n in trial.values] + [n for n in trial.values if n not in names]
        return [
            str(trial.number),
            trial_word(trial),
            "" if trial.started is None else f"{max(0.0, self._now() - trial.started):.0f} s",
            "" if trial.step is None else str(trial.step),
            escape(" ".join(f"{printable(name)}={short(trial.values[name])}" for name in shown[:3])),
            escape(" ".join(f"{name}={short(value)}" for name, value in trial.params.items())),
        ]
