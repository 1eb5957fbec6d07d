"""A study with 1,000 trials in a journal and in PostgreSQL: opening, asking, telling; and several studies at once."""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
from optuna.storages import InMemoryStorage

from bench.common import example
from kubestudy.api.study import StudySpec
from kubestudy.api.validation import validate
from kubestudy.search.archive import Archive, Record
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.storage import open_storage
from kubestudy.study.outcome import Complete
from support.postgres import postgres

TRIALS = 1000
TIMES = 20
STUDIES = 8
RECORD = Record("bench", "study", "0b2f7714-0000-4000-8000-000000000000", "Retain")
CURVE = tuple((step, 1 / step) for step in range(1, 13))


def main() -> None:
    """Print a line for each storage."""
    hush_optuna()
    study, problems = validate(example("digits-mlp"))
    assert study is not None, problems
    with postgres(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        url = server.database("bench")
        archives = {"journal": Archive(Path(folder) / "storage"), "PostgreSQL": Archive(url)}
        filled = _filled(study.spec)
        for archive in archives.values():
            storage = open_storage(archive.journal(RECORD) or url)
            optuna.copy_study(from_study_name=RECORD.study_name, from_storage=filled, to_storage=storage)
        searches = {name: archive.open(RECORD, study.spec) for name, archive in archives.items()}
        times: dict[str, dict[str, list[float]]] = {name: {"open": [], "ask": [], "tell": []} for name in archives}
        for _ in range(TIMES):  # in turn, so that both meet the same noise
            for name, search in searches.items():
                _once(search, study.spec, times[name])
        for _ in range(3):
            for name, archive in archives.items():
                times[name]["open"].append(_opened(archive, study.spec))
        for name, found in times.items():
            print(f"{name} at {TRIALS} trials: " + ", ".join(
                f"{what} {statistics.median(took) * 1000:.0f} ms" for what, took in found.items()
            ), flush=True)  # fmt: skip
        for name, archive in archives.items():
            print(f"{name}, {STUDIES} studies at once: {_together(archive, study.spec):.0f} asks and tells a second")


def _filled(spec: StudySpec) -> InMemoryStorage:
    storage = InMemoryStorage()
    search = OptunaSearch(spec, storage, RECORD.study_name, "memory")
    for number in range(TRIALS):
        asked = search.ask()
        assert asked is not None
        search.tell(number, _outcome(number, spec))
    return storage


def _outcome(number: int, spec: StudySpec) -> Complete:
    return Complete((float(number % 7),), {spec.objectives[0].name: CURVE})


def _once(search: OptunaSearch, spec: StudySpec, times: dict[str, list[float]]) -> None:
    begun = time.perf_counter()
    asked = search.ask()
    between = time.perf_counter()
    assert asked is not None
    search.tell(asked.number, _outcome(asked.number, spec))
    times["ask"].append(between - begun)
    times["tell"].append(time.perf_counter() - between)


def _opened(archive: Archive, spec: StudySpec) -> float:
    begun = time.perf_counter()
    archive.open(RECORD, spec)
    return time.perf_counter() - begun


def _together(archive: Archive, spec: StudySpec) -> float:
    records = [Record("bench", f"s{n}", f"0b2f7714-0000-4000-8000-{n + 1:012}", "Retain") for n in range(STUDIES)]
    searches = [archive.open(record, spec) for record in records]

    def live(search: OptunaSearch) -> None:
        for _ in range(TIMES):
            asked = search.ask()
            assert asked is not None
            search.tell(asked.number, _outcome(asked.number, spec))

    begun = time.perf_counter()
    with ThreadPoolExecutor(STUDIES) as pool:
        list(pool.map(live, searches))
    return STUDIES * TIMES / (time.perf_counter() - begun)
