"""Log lines say which study they are about, whoever writes them on its behalf."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubestudy.api.limits import LOG_LINE, LOG_TRACEBACK
from kubestudy.api.study import HyperparameterStudy
from kubestudy.controller.log_lines import JsonLines, TextLines, about
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.study.trial import Suggestion
from support.manifests import study_of
from support.simulated import World, loop_of

log = logging.getLogger("kubestudy.test")


class Lines(logging.Handler):
    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def text() -> Iterator[Lines]:
    yield from _listening(TextLines())


@pytest.fixture
def as_json() -> Iterator[Lines]:
    yield from _listening(JsonLines())


def _listening(formatter: logging.Formatter) -> Iterator[Lines]:
    lines, root = Lines(formatter), logging.getLogger()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    yield lines
    root.setLevel(level)
    root.removeHandler(lines)


def test_a_line_of_text_names_the_study_before_what_it_says(text: Lines) -> None:
    log.info("starting")
    with about("team", "demo"):
        log.warning("at %s", "postgresql://me:secret@host/db")
    log.info("done")
    first, second, third = (line.split(" ", 2)[2] for line in text.lines)
    assert first == "INFO kubestudy.test: starting"
    assert second == "WARNING kubestudy.test: team/demo: at postgresql://me:***@host/db"
    assert third == "INFO kubestudy.test: done"


def test_a_line_of_json_has_them_as_fields_and_the_exception_too(as_json: Lines) -> None:
    with about("team", "demo"):
        try:
            raise ValueError("odd")
        except ValueError:
            log.exception("it failed")
    log.info("done")
    first, second = map(json.loads, as_json.lines)
    assert (first["namespace"], first["study"], first["message"]) == ("team", "demo", "it failed")
    assert "ValueError: odd" in first["exception"]
    assert second.keys() == {"time", "level", "logger", "message"}


def test_two_studies_at_once_are_told_apart_in_their_tasks_and_threads(text: Lines) -> None:
    async def work(name: str) -> None:
        with about("team", name):
            await asyncio.gather(asyncio.create_task(step(name)), asyncio.to_thread(log.info, "%s in a thread", name))

    async def step(name: str) -> None:
        await asyncio.sleep(0)
        log.info("%s in a task", name)

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())
    said = sorted(line.split(": ", 1)[1] for line in text.lines if "kubestudy.test" in line)
    assert said == ["team/a: a in a task", "team/a: a in a thread", "team/b: b in a task", "team/b: b in a thread"]


def test_what_the_search_logs_in_its_own_thread_is_about_its_study(
    text: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = OptunaSearch.ask

    def asking(self: OptunaSearch) -> Suggestion | None:
        log.info("asking")
        return ask(self)

    hush_optuna()
    monkeypatch.setattr(OptunaSearch, "ask", asking)

    async def run(study: HyperparameterStudy) -> None:
        with about("team", "demo"):
            await loop_of(study, World(), tmp_path / "journal.log").run()

    asyncio.run(run(study_of(budget={"maxTrials": 2})))
    said = [line.split(": ", 1)[1] for line in text.lines if "kubestudy.test" in line]
    assert said == ["team/demo: asking"] * 2


HOSTILE = "a\nERROR kubestudy: forged\r\n\x1b[2J\x1b]0;t\x07 \ud800"


def test_what_is_said_can_neither_forge_a_line_nor_order_a_terminal(
    text: Lines, as_json: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pytest keeps of a log is sent to another process, as valid text, which this is not.
    monkeypatch.setattr(log, "propagate", False)
    monkeypatch.setattr(log, "handlers", [text, as_json])
    log.info("trial 1 said: %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("it failed: %s", HOSTILE)
    first, *others = "\n".join(text.lines).encode().decode().split("\n")
    assert first.endswith("trial 1 said: a ERROR kubestudy: forged \ufffd")
    assert others[0].endswith("it failed: a ERROR kubestudy: forged \ufffd")
    assert others[1:] and all(line.startswith("    ") and line.isprintable() for line in others[1:])
    for line in as_json.lines:
        assert line.isprintable() and line.isascii()
        said = json.loads(line)
        assert all(part.isprintable() for text in said.values() for part in text.split("\n"))


def test_a_long_line_is_cut_and_no_password_loses_its_end_by_that(text: Lines) -> None:
    begin = time.thread_time()
    log.info("x" * (LOG_LINE.value - 100) + " postgresql://me:" + "secret" * 1000 + "@host/db")
    log.info("://a:" * 2_000_000)
    try:
        raise ValueError("://a:" * 2_000_000)
    except ValueError:
        log.exception("it failed")
    assert time.thread_time() - begin < 5
    assert "secret" not in text.lines[0]
    assert all(len(line) < LOG_LINE.value + LOG_TRACEBACK.value + 1000 for line in text.lines)
