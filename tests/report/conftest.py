"""Studies kept by real Optuna storages, and their reports in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import BaseStorage, InMemoryStorage
from playwright.sync_api import Browser

from kubestudy.api.study import HyperparameterStudy
from kubestudy.api.validation import validate
from kubestudy.report.page import write_report
from kubestudy.search.history import History
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete, Failed, Pruned, Stopped
from kubestudy.study.trial import Suggestion
from support.browser import Opened, chromium, opened
from support.study import manifest

Outcome = Complete | Pruned | Failed | Stopped
Trial = Callable[[Suggestion], Outcome | None]

# What Plotly draws for a trace, whatever its kind.
MARKS = ".scatterlayer .trace path, .barlayer .point path, .contourlayer path, .gl-canvas"
PLOTS = f"""[...document.querySelectorAll('.plot')].map(plot => {{
    const box = plot.getBoundingClientRect(), inner = plot.querySelector('.main-svg')?.getBoundingClientRect();
    return {{
        title: plot.closest('body') && (() => {{
            let at = plot; while (at && at.tagName !== 'H2') at = at.previousElementSibling; return at.textContent;
        }})(),
        marks: plot.querySelectorAll('{MARKS}').length,
        traces: plot.querySelector('.js-plotly-plot').data.length,
        width: inner?.width ?? 0, height: inner?.height ?? 0, room: box.width,
        text: plot.textContent,
    }};
}})"""


@dataclass
class Study:
    """A study and its storage."""

    spec: HyperparameterStudy
    search: OptunaSearch
    storage: BaseStorage

    def run(self, count: int, trial: Trial) -> None:
        """Ask for trials and tell what the function says of each; None leaves a trial running."""
        for _ in range(count):
            suggestion = self.search.ask()
            assert suggestion is not None
            outcome = trial(suggestion)
            if outcome is not None:
                self.search.tell(suggestion.number, outcome)

    @property
    def history(self) -> History:
        return History(self.storage, self.spec.metadata.name, "the test")

    def report(self, target: Path) -> Path:
        write_report(self.spec, self.history, target)
        return target


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    """Make a study in a journal, or in memory where it has many trials."""
    hush_optuna()

    def make(*, memory: bool = False, **spec: Any) -> Study:
        valid, problems = validate(manifest(**spec))
        assert valid is not None, problems
        storage = InMemoryStorage() if memory else open_storage(tmp_path / "journal.log", sole_writer=True)
        return Study(valid, OptunaSearch(valid.spec, storage, valid.metadata.name, "the test"), storage)

    return make


# Not for the whole session: while it is open its event loop runs in this thread, and no other can.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Callable[[Study], tuple[Opened, list[dict[str, Any]]]]]:
    """Open a study's report offline; check what holds for every report; return the page and its plots."""
    contexts = []

    def open_report(made: Study) -> tuple[Opened, list[dict[str, Any]]]:
        file = made.report(tmp_path / "report.html")
        context = opened(browser, file)
        contexts.append(context)
        page = context.__enter__()
        page.page.wait_for_function("[...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg'))")
        plots = page.ask(PLOTS)
        assert page.complaints == []
        assert page.requests == [file.as_uri()]
        for plot in plots:
            assert plot["marks"] > 0, plot["title"]
            assert plot["height"] >= 150, plot["title"]
            assert 900 < plot["width"] <= plot["room"], plot["title"]
        assert page.ask("document.documentElement.scrollWidth") <= 1200
        return page, plots

    yield open_report
    for context in contexts:
        context.__exit__(None, None, None)
