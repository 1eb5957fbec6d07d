"""What has to hold after a soak, as pure functions over what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """An operator at one moment.

    Attributes:
        at: When (monotonic seconds).
        pid: Its process.
        memory: Its resident memory, in MiB.
        threads: How many threads it has.
        files: How many file descriptors.
        lag: How late its event loop ran, by its own metric, in seconds.
        took: How long it took to answer, in seconds.
        stale: How many studies' loops did not turn.
        relaunch: In how many seconds 99 of 100 ended trials had a next one, as far as buckets tell.
    """

    at: float
    pid: int
    memory: float
    threads: int
    files: int
    lag: float
    took: float
    stale: int
    relaunch: float = 0.0


@dataclass(frozen=True, slots=True)
class Restart:
    """An end of the operator, after which it was started again.

    Attributes:
        at: When (monotonic seconds).
        ordered: Whether a fault of the soak's ended it.
        why: How it ended.
    """

    at: float
    ordered: bool
    why: str


@dataclass(frozen=True, slots=True)
class Spell:
    """An attack, or a fault, and when it was (monotonic seconds)."""

    kind: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Told:
    """A trial as the storage has it.

    Attributes:
        ends: How often an end of it was recorded.
        state: What it is, in Optuna's word.
        value: Its value.
        due: The value that its own program gave.
    """

    ends: int
    state: str
    value: float | None
    due: float


@dataclass(frozen=True, slots=True)
class Honest:
    """A study of an honest tenant, and what is known of it.

    Attributes:
        name: Its namespace without what a phase calls it, and its name: the same in both phases.
        trials: How many trials were asked for.
        phase: What its status says.
        said: How many trials of it are complete, by its status.
        best: Its best value by its status.
        seconds: From its creation to its end; None if it did not end.
        told: Its trials in the storage, by number.
        jobs: By trial, how many Jobs the operator created for it.
        pods: By trial, how many pods of it got a node.
        left: How many of its Jobs are still there.
    """

    name: str
    trials: int
    phase: str
    said: int
    best: float | None
    seconds: float | None
    told: Mapping[int, Told]
    jobs: Mapping[int, int]
    pods: Mapping[int, int]
    left: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is asked for.

    Attributes:
        slower: How many times as long as without hostile tenants a study may take.
        allowance: Seconds beyond that: for what else a machine does meanwhile.
        lag: The 99th percentile of the event loop's lag, in seconds.
        silence: The longest time that the operator takes to answer, in seconds.
        memory: The most memory, in MiB.
        growth: How many times the memory of a process's second quarter its last quarter may have.
        threads: The most threads.
        files: The most file descriptors.
    """

    slower: float = 2.0
    allowance: float = 0.0
    lag: float = 0.5
    silence: float = 5.0
    memory: float = 400.0
    growth: float = 1.5
    threads: int = 100
    files: int = 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """What the samples of a phase come to.

    Attributes:
        lag: The 99th percentile of the event loop's lag, weighed by time, in seconds.
        silence: The longest time to an answer, in seconds.
        memory: The most memory, in MiB.
        growth: The last quarter's memory over the second's, of the process that lived longest; 1 where it was short.
        threads: The most threads.
        files: The most file descriptors.
        stale: The most studies whose loops did not turn.
        relaunch: In how many seconds 99 of 100 ended trials had a next one, at the end.
        samples: How many samples there are.
    """

    lag: float = 0.0
    silence: float = 0.0
    memory: float = 0.0
    growth: float = 1.0
    threads: int = 0
    files: int = 0
    stale: int = 0
    relaunch: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase as it was.

    Attributes:
        name: What it is called.
        studies: Those of honest tenants.
        samples: The operator, again and again.
        restarts: The operator's ends.
        seconds: How long it took.
        faults: How many faults there were, by kind.
        attacks: How many hostile objects were created, and how many refused, by kind.
        spells: When which attack and which fault was.
        told: What else went wrong.
    """

    name: str
    studies: Sequence[Honest]
    samples: Sequence[Sample]
    restarts: Sequence[Restart]
    seconds: float
    faults: Mapping[str, int] = field(default_factory=dict)
    attacks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    spells: Sequence[Spell] = ()
    told: Sequence[str] = ()


def worst_moments(phase: Phase, count: int = 3) -> list[tuple[Sample, list[str]]]:
    """Return the samples of the latest event loop, and what went on then: for whoever looks for the cause."""
    worst = sorted(phase.samples, key=lambda s: max(s.lag, s.took), reverse=True)[:count]
    return [
        (s, [p.kind for p in phase.spells if p.began <= s.at + s.took and p.ended >= s.at - s.lag]) for s in worst
    ]  # fmt: skip


def greatest_rises(phase: Phase, count: int = 3) -> list[tuple[float, list[str]]]:
    """Return by how many MiB the memory rose most from one sample to the next, and what went on then."""
    pairs = [(one, other) for one, other in pairwise(phase.samples) if one.pid == other.pid]
    worst = sorted(pairs, key=lambda pair: pair[1].memory - pair[0].memory, reverse=True)[:count]
    return [
        (b.memory - a.memory, [p.kind for p in phase.spells if p.began <= b.at + b.took and p.ended >= a.at])
        for a, b in worst
    ]  # fmt: skip


def figures(samples: Sequence[Sample]) -> Figures:
    """Return what samples come to."""
    if not samples:
        return Figures()
    # A sample stands for the turn that it is about: a second, and by how much that was late.
    lag = weighted_quantile([(s.lag, 1.0 + s.lag) for s in _changes(samples)], 0.99)
    return Figures(
        lag=lag,
        silence=max(s.took for s in samples),
        memory=max(s.memory for s in samples),
        growth=_growth(samples),
        threads=max(s.threads for s in samples),
        files=max(s.files for s in samples),
        stale=max(s.stale for s in samples),
        relaunch=samples[-1].relaunch,
        samples=len(samples),
    )


def _changes(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yield samples, but those that show the same turn as the one before."""
    before: tuple[int, float] | None = None
    for sample in samples:
        if (sample.pid, sample.lag) != before:
            yield sample
        before = sample.pid, sample.lag


def weighted_quantile(values: Iterable[tuple[float, float]], share: float) -> float:
    """Return the least value that so much of the weight is at most; 0 where there are none.

    Args:
        values: Values and their weights.
        share: Which part of the weight, from 0 to 1.
    """
    ordered = sorted(values)
    left = share * sum(weight for _, weight in ordered)
    for value, weight in ordered:
        left -= weight
        if left <= 1e-9:
            return value
    return 0.0


def _growth(samples: Sequence[Sample]) -> float:
    pid, _ = Counter(s.pid for s in samples).most_common(1)[0]
    memory = [s.memory for s in samples if s.pid == pid]
    quarter = len(memory) // 4
    if quarter == 0:
        return 1.0
    return _median(memory[-quarter:]) / _median(memory[quarter : 2 * quarter])


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def wrong_with(study: Honest) -> list[str]:
    """Return what of a study was lost, doubled or told wrongly."""
    wrong = []
    if study.phase != "Complete":
        wrong.append(f"its phase is {study.phase or 'not there'}, with {study.said} of {study.trials} trials complete")
    if sorted(study.told) != list(range(study.trials)):
        wrong.append(f"the storage has trials {_shown(study.told)} where {study.trials} were asked for")
    for number, trial in sorted(study.told.items()):
        if trial.ends != 1:
            wrong.append(f"trial {number} was told {trial.ends} times")
        if trial.state != "COMPLETE":
            wrong.append(f"trial {number} is {trial.state}")
        elif trial.value is None or abs(trial.value - trial.due) > 1e-9:
            wrong.append(f"trial {number} has the value {trial.value} and its program gave {trial.due}")
    for what, counted in (("Jobs were created", study.jobs), ("pods ran", study.pods)):
        # None at all is no sign: an API server that is killed takes the last second of its audit log with it. A trial
        # that was told the value of its own program has run.
        wrong += [f"{count} {what} for trial {n}" for n, count in sorted(counted.items()) if count > 1]
        if more := [n for n in counted if n >= study.trials]:
            wrong.append(f"{what} for trials {_shown(more)} that were not asked for")
    values = [trial.value for trial in study.told.values() if trial.value is not None]
    if values and (study.best is None or abs(study.best - min(values)) > 1e-9):
        wrong.append(f"its status says that {study.best} is the best value, the storage {min(values)}")
    if study.said != study.trials and study.phase == "Complete":
        wrong.append(f"its status says that {study.said} of {study.trials} trials are complete")
    if study.left:
        wrong.append(f"{study.left} of its Jobs are left")
    return [f"{study.name}: {text}" for text in wrong]


def _shown(numbers: Iterable[int]) -> str:
    ordered = sorted(numbers)
    return ", ".join(map(str, ordered[:_SHOWN])) + (
        f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    )


def slower(calm: Sequence[Honest], hostile: Sequence[Honest]) -> dict[str, tuple[float, float]]:
    """Return each study's seconds without hostile tenants and with them, where it ended both times."""
    before = {study.name: study.seconds for study in calm if study.seconds is not None}
    return {s.name: (before[s.name], s.seconds) for s in hostile if s.seconds is not None and s.name in before}


def wrong_in(phase: Phase, bounds: Bounds) -> list[str]:
    """Return what of a phase does not hold."""
    found = figures(phase.samples)
    wrong = [text for study in phase.studies for text in wrong_with(study)]
    wrong += [f"the operator ended and nobody ordered it: {r.why}" for r in phase.restarts if not r.ordered]
    for what, value, bound, unit in (
        ("the event loop's lag (p99)", found.lag, bounds.lag, "s"),
        ("the longest wait for an answer", found.silence, bounds.silence, "s"),
        ("the operator's memory", found.memory, bounds.memory, "MiB"),
        ("the growth of its memory", found.growth, bounds.growth, "times"),
        ("the number of its threads", found.threads, bounds.threads, "threads"),
        ("the number of its file descriptors", found.files, bounds.files, "descriptors"),
        ("the number of loops that did not turn", found.stale, 0, "studies"),
    ):
        if value > bound:
            wrong.append(f"{what} is {value:.4g} {unit}, {bound:g} is allowed")
    if not found.samples:
        wrong.append("the operator never answered")
    if phase.attacks and not any(created for created, _ in phase.attacks.values()):
        wrong.append("no hostile object was created")
    return [f"{phase.name}: {text}" for text in [*wrong, *phase.told]]


def verdict(phases: Sequence[Phase], bounds: Bounds) -> list[str]:
    """Return everything that does not hold; nothing if all is well.

    Args:
        phases: The phase without hostile tenants, and the one with them; or one alone.
        bounds: What is asked for.
    """
    wrong = [text for phase in phases for text in wrong_in(phase, bounds)]
    for name, (without, beside) in slower(phases[0].studies, phases[-1].studies).items() if len(phases) > 1 else ():
        if beside > without * bounds.slower + bounds.allowance:
            wrong.append(f"{name}: took {beside:.0f} s beside hostile tenants, and {without:.0f} s without")
    return wrong
