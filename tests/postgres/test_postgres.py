"""A real PostgreSQL as the operator's storage."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from kubestudy.api.limits import DATABASE_CONNECTIONS
from kubestudy.search.archive import Archive, Record
from kubestudy.search.history import History
from kubestudy.search.search import OptunaSearch
from kubestudy.search.storage import open_storage, storage_of
from kubestudy.search.trial_metrics import MAX_BYTES
from kubestudy.study.outcome import Complete, Failed, Pruned
from kubestudy.study.ports import StudyError
from kubestudy.study.trial import Sample
from support.manifests import spec_of
from support.postgres import CutConnection, Postgres, url_of

SPEC = spec_of(sampler={"name": "random", "seed": 1}, pruner={"name": "median"})
TESTS = Path(__file__).parents[1]


def record(number: int = 0, **fields: str) -> Record:
    return Record("team", f"study{number}", f"0b2f7714-0000-4000-8000-{number:012}", "Retain", **fields)


def value_of(number: int) -> float:
    return number / 7 + 1


def ask(search: OptunaSearch) -> int:
    asked = search.ask()
    assert asked is not None
    return asked.number


def finish(search: OptunaSearch) -> None:
    """Tell the end of every trial that has none, as the loop does when it comes back."""
    for unfinished in search.unfinished():
        number = unfinished.suggestion.number
        search.tell(number, Complete((value_of(number),), {"loss": ((1, 0.5), (2, 0.4))}))


def told(url: str, of: Record) -> dict[int, tuple[str, float | None]]:
    """Return each trial's state and value, read by somebody else."""
    trials = History(open_storage(url), of.study_name, "it").trials()
    assert [trial.number for trial in trials] == list(range(len(trials)))
    return {trial.number: (trial.state, trial.values.get("loss")) for trial in trials}


def test_a_study_is_gone_on_with(url: str) -> None:
    search = Archive(url).open(record(), SPEC)
    first = [ask(search) for _ in range(4)]
    search.report([(3, Sample("loss", 1, 0.25))])
    search.tell(0, Complete((0.5,), {"loss": ((1, 0.7), (2, 0.5))}), 51.0)
    search.tell(1, Failed("OOMKilled", "too big", {}))
    search.tell(2, Pruned({}))
    search.spend(3, 1.0, 2.5)
    again = Archive(url).open(record(), SPEC)
    assert first == [0, 1, 2, 3] and [u.suggestion.number for u in again.unfinished()] == [3]
    assert again.tally == search.tally and again.tally.gpu_seconds == 2.5
    assert ask(again) == 4
    history = History(open_storage(url), record().study_name, "it").trials()
    assert [trial.state for trial in history] == ["Complete", "Failed", "Pruned", "Running", "Running"]
    assert history[3].last == (1, 0.25) and history[0].curves["loss"] == ((1, 0.7), (2, 0.5))


def test_a_history_is_exported_trial_by_trial(url: str) -> None:
    archive = Archive(url)
    search = archive.open(record(), SPEC)
    for _ in range(45):  # more than are ever in memory at once
        number = ask(search)
        search.tell(number, Complete((value_of(number),), {"loss": ((1, 0.5),)}))
    pieces = archive.export("team", "study0", record().uid)
    assert pieces is not None
    data = b"".join(pieces)
    assert all(len(line) < 10_000 for line in data.splitlines())
    copy = History(storage_of(data, "a copy"), record().study_name, "a copy")
    assert copy.trials() == History(open_storage(url), record().study_name, "it").trials()
    assert archive.export("team", "study0", record(1).uid) is None


def test_the_largest_attribute_fits(url: str) -> None:
    search = Archive(url).open(record(), SPEC)
    ask(search)
    many = {f"metric_{i:03}{'x' * 100}": tuple((step, step / 7) for step in range(64)) for i in range(50)}
    search.tell(0, Complete((1.0,), {"loss": ((1, 1.0),), **many}, {}, dict.fromkeys(many, 0.5)))
    (trial,) = History(open_storage(url), record().study_name, "it").trials()
    kept = json.dumps({name: list(points) for name, points in trial.curves.items()})
    assert len(kept) > MAX_BYTES / 3 and len(trial.metrics) == 50 + 1


# --- connections that are cut, and a server that goes ---------------------------------------------------------------


@pytest.mark.parametrize("answered", [True, False], ids=["its answer is lost", "it does not arrive"])
def test_a_connection_cut_at_any_message_loses_and_doubles_nothing(
    server: Postgres, url: str, name: str, proxy: CutConnection, answered: bool
) -> None:
    through = url.replace(str(server.port), str(proxy.port))
    archive = Archive(through)
    search = archive.open(record(), SPEC)
    proxy.cut_after(None)
    number = ask(search)
    search.tell(number, Complete((value_of(number),), {"loss": ((1, 0.5), (2, 0.4))}))
    messages, troubles, asked = proxy.sent, 0, 1
    proxy.answered = answered
    for cut in range(1, messages + 1, 4 if answered else 9):
        proxy.cut_after(cut)
        try:
            asked += 1
            number = ask(search)
            search.tell(number, Complete((value_of(number),), {"loss": ((1, 0.5), (2, 0.4))}))
        except StudyError as error:
            troubles += 1
            assert str(error).startswith(f"the storage {archive.where} does not answer: "), str(error)
            assert "\n" not in str(error) and sqlalchemy.make_url(url).password not in str(error)
            proxy.cut_after(None)
            search = archive.open(record(), SPEC)
            finish(search)
        proxy.cut_after(None)
    found = told(url, record())
    assert found == {number: ("Complete", value_of(number)) for number in range(len(found))}
    assert troubles > 5 and asked - troubles <= len(found) <= asked
    assert archive.open(record(), SPEC).tally.complete == len(found)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_is_gone_on_with(server: Postgres, url: str, mode: str) -> None:
    archive = Archive(url)
    search = archive.open(record(), SPEC)
    search.tell(ask(search), Complete((value_of(0),), {}))
    server.restart(mode)
    # Nobody used the connection meanwhile, so nobody hears of it.
    assert ask(search) == 1
    server.stop(mode)
    with pytest.raises(StudyError, match=r"does not answer: .*[Cc]onnection refused"):
        search.tell(1, Complete((value_of(1),), {}))
    with pytest.raises(StudyError, match=r"(does not answer|cannot be opened): .*refused"):
        Archive(url).open(record(), SPEC)
    server.start()
    search = archive.open(record(), SPEC)
    finish(search)
    assert told(url, record()) == {0: ("Complete", value_of(0)), 1: ("Complete", value_of(1))}


def test_a_server_restarted_while_studies_ask_and_tell(server: Postgres, url: str) -> None:
    archive, over = Archive(url), threading.Event()

    def live(number: int) -> int:
        """Ask and tell, and come back after each trouble, as an operator's study does."""
        troubles = 0
        while True:
            try:
                search = archive.open(record(number), SPEC)
                finish(search)
                while not (over.is_set() and search.tally.complete >= 10):
                    trial = ask(search)
                    search.tell(trial, Complete((value_of(trial),), {"loss": ((1, 0.5), (2, 0.4))}))
            except StudyError as error:
                assert "\n" not in str(error)
                troubles += 1
                over.wait(0.05)
            else:
                return troubles

    with ThreadPoolExecutor(4) as pool:
        lives = [pool.submit(live, number) for number in range(4)]
        server.restart("immediate")
        server.restart("fast")
        over.set()
        for each in lives:
            each.result(timeout=120)
    for number in range(4):
        found = told(url, record(number))
        assert len(found) >= 10 and found == {n: ("Complete", value_of(n)) for n in range(len(found))}


def test_a_server_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = url_of("a", "b", mute.getsockname()[1], "c") + "?connect_timeout=2"
        with pytest.raises(StudyError, match=r"cannot be opened: .*timeout"):
            Archive(url).identity()


def test_a_trial_is_neither_lost_nor_told_twice_when_the_operator_is_killed(url: str) -> None:
    """The operator's process is killed at moments that nothing chose, three times in a row."""
    draw, said = random.Random(7), {}
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", "from postgres.asking import main; main()", url],
            cwd=TESTS, env={**os.environ, "PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert child.stdout is not None
        for _ in range(draw.randrange(3, 12)):
            child.stdout.readline()
        threading.Event().wait(draw.random() * 0.1)
        child.send_signal(signal.SIGKILL)
        for line in child.stdout.read().splitlines():
            if line.startswith("told "):
                said[int(line.split()[1])] = True
        child.wait()
    search = Archive(url).open(record(), SPEC)
    finish(search)
    found = told(url, record())
    assert len(found) > 3 and said.keys() <= found.keys()
    assert found == {number: ("Complete", value_of(number)) for number in found}


# --- passwords ------------------------------------------------------------------------------------------------------

ODD = ["p@ss:w/ö?#[%&'\" x", "a:b@c", "%41", "äöü€", "://user:x@", " ", "a\\b$c`"]


@pytest.mark.parametrize("password", ODD)
def test_a_password_with_odd_characters(
    server: Postgres, name: str, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "kubestudy")
    url = server.database(name, password)
    archive = Archive(url)
    search = archive.open(record(), SPEC)
    assert ask(search) == 0
    quoted = sqlalchemy.make_url(url).render_as_string(hide_password=False)
    quoted = quoted.partition(f"{name}:")[2].rpartition("@")[0]
    wrong = Archive(url.replace("@127.0.0.1", "x@127.0.0.1"))
    said = [archive.where, wrong.where]
    for use in (wrong.identity, lambda: wrong.open(record(), SPEC), wrong.records):
        with pytest.raises(StudyError, match=r"cannot be opened: .*password authentication failed") as caught:
            use()
        said.append(str(caught.value))
    text = "\n".join([*said, caplog.text]).replace("127.0.0.1", "")
    for secret in (password, quoted, quoted.replace(" ", "%20")):
        assert len(secret) < 2 or secret not in text
    assert archive.where.startswith(f"postgresql+psycopg://{name}:***@127.0.0.1")


# --- many studies, several operators --------------------------------------------------------------------------------


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    together = threading.Barrier(count)

    def one(number: int) -> Any:
        together.wait(timeout=60)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_connections_are_bounded_whatever_the_number_of_studies(server: Postgres, url: str, name: str) -> None:
    archive, most = Archive(url), [0]
    archive.identity()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most[0] = max(most[0], server.connections(name))

    watcher = threading.Thread(target=watch)
    watcher.start()

    def one(number: int) -> int:
        search = archive.open(record(number), SPEC)
        search.tell(ask(search), Complete((1.0,), {}))
        return search.tally.complete

    assert at_once(24, one) == [1] * 24
    over.set()
    watcher.join()
    assert 1 < most[0] <= DATABASE_CONNECTIONS.value
    assert len(archive.records()) == 24


def test_operators_that_start_at_once_on_an_empty_database_agree(url: str) -> None:
    def start(number: int) -> str:
        archive = Archive(url)
        archive.open(record(number, cluster=f"cluster{number}", operator=f"operator{number}"), SPEC)
        return archive.identity()

    assert len(set(at_once(6, start))) == 1
    kept = sorted(Archive(url).records(), key=lambda r: r.name)
    assert [each.cluster for each in kept] == [f"cluster{number}" for number in range(6)]


def test_two_operators_in_one_database(url: str) -> None:
    one, two = Archive(url), Archive(url)
    searches = [archive.open(record(), SPEC) for archive in (one, two)]
    numbers = at_once(2, lambda i: [ask(searches[i]) for _ in range(10)])
    assert sorted(numbers[0] + numbers[1]) == list(range(20)), "no trial is given to both"
    two.open(record(1, cluster="b"), SPEC)
    with pytest.raises(StudyError, match="another cluster's"):
        one.delete(record(1, cluster="a"))
    one.delete(record(0))
    assert [each.name for each in two.records()] == ["study1"]


def test_the_database_is_another_one_after_a_restore_into_a_new_one(server: Postgres, url: str) -> None:
    assert Archive(url).identity() != Archive(server.database("another")).identity()
