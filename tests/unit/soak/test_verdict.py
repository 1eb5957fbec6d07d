"""A soak's verdict finds each thing that is not to be, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from soak.verdict import Bounds, Honest, Phase, Restart, Sample, Told, figures, verdict, weighted_quantile

WELL = Honest(
    name="tenant-0/study-0",
    trials=2,
    phase="Complete",
    said=2,
    best=0.25,
    seconds=20.0,
    told={0: Told(1, "COMPLETE", 0.5, 0.5), 1: Told(1, "COMPLETE", 0.25, 0.25)},
    jobs={0: 1, 1: 1},
    pods={0: 1, 1: 1},
)
AGAIN = replace(WELL.told[1], ends=2)


def samples(lags: Sequence[float] = (0.01, 0.02), memory: Sequence[float] = (90.0,), **changes: float) -> list[Sample]:
    made = [Sample(float(i), 7, memory[i % len(memory)], 20, 40, lag, 0.01, 0) for i, lag in enumerate(lags)]
    return [replace(sample, **changes) for sample in made]  # type: ignore[arg-type]


def phase(*studies: Honest, seen: Sequence[Sample] | None = None, restarts: Sequence[Restart] = ()) -> Phase:
    return Phase("beset", studies or [WELL], samples() if seen is None else seen, restarts, 60.0)


def test_all_is_well() -> None:
    assert verdict([phase(), phase(restarts=[Restart(1.0, True, "exit code -9")])], Bounds()) == []


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (replace(WELL, phase="Running", said=1), "its phase is Running, with 1 of 2"),
        (replace(WELL, told={0: WELL.told[0]}, best=0.5), "the storage has trials 0 where 2 were asked for"),
        (replace(WELL, told={**WELL.told, 2: WELL.told[0]}), "the storage has trials 0, 1, 2 where 2"),
        (replace(WELL, told={**WELL.told, 1: AGAIN}), "trial 1 was told 2 times"),
        (replace(WELL, told={**WELL.told, 1: replace(AGAIN, ends=0)}), "trial 1 was told 0 times"),
        (replace(WELL, told={**WELL.told, 0: replace(WELL.told[0], state="FAIL", value=None)}), "trial 0 is FAIL"),
        (replace(WELL, told={**WELL.told, 0: replace(WELL.told[0], due=0.7)}), "has the value 0.5 and its"),
        (replace(WELL, jobs={0: 1, 1: 2}), "2 Jobs were created for trial 1"),
        (replace(WELL, pods={0: 2, 1: 1}), "2 pods ran for trial 0"),
        (replace(WELL, jobs={0: 1, 1: 1, 5: 1}), "Jobs were created for trials 5 that were not asked for"),
        (replace(WELL, best=0.5), "its status says that 0.5 is the best value, the storage 0.25"),
        (replace(WELL, best=None), "its status says that None is the best value"),
        (replace(WELL, said=1), "its status says that 1 of 2 trials are complete"),
        (replace(WELL, left=1), "1 of its Jobs are left"),
    ],
)  # fmt: skip
def test_a_trial_that_is_lost_doubled_or_told_wrongly_is_found(study: Honest, words: str) -> None:
    (wrong,) = verdict([phase(study)], Bounds())
    assert wrong.startswith("beset: tenant-0/study-0: ")
    assert words in wrong


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (samples([0.01] * 60 + [18.0]), "the event loop's lag (p99) is 18 s, 0.5 is allowed"),
        (samples(took=9.0), "the longest wait for an answer is 9 s"),
        (samples(memory=[401.0]), "the operator's memory is 401 MiB"),
        (samples([0.01, 0.02] * 4, memory=range(50, 210, 20)), "the growth of its memory is"),
        (samples(threads=607), "the number of its threads is 607"),
        (samples(files=2000), "the number of its file descriptors is 2000"),
        (samples(stale=2), "the number of loops that did not turn is 2"),
        ([], "the operator never answered"),
    ],
)
def test_an_operator_that_is_late_large_or_silent_is_found(seen: list[Sample], words: str) -> None:
    (wrong,) = verdict([phase(seen=seen)], Bounds())
    assert words in wrong


def test_a_phase_without_attacks_is_none_beside_hostile_tenants() -> None:
    assert verdict([replace(phase(), attacks={"wide": (0, 3)})], Bounds()) == ["beset: no hostile object was created"]
    assert verdict([replace(phase(), attacks={"wide": (0, 3), "grid": (1, 0)})], Bounds()) == []


def test_what_the_audit_log_lost_is_no_sign() -> None:
    assert verdict([phase(replace(WELL, jobs={0: 1}, pods={}))], Bounds()) == []


def test_an_end_that_nobody_ordered_is_found() -> None:
    (wrong,) = verdict([phase(restarts=[Restart(1.0, False, "exit code 1")])], Bounds())
    assert wrong == "beset: the operator ended and nobody ordered it: exit code 1"


def test_a_study_that_hostile_ones_make_slower_is_found() -> None:
    calm, beset = phase(), phase(replace(WELL, seconds=41.0))
    assert verdict([calm, beset], Bounds()) == [
        "tenant-0/study-0: took 41 s beside hostile tenants, and 20 s without"
    ]  # fmt: skip
    assert verdict([calm, beset], Bounds(allowance=2.0)) == []
    assert verdict([calm, phase(replace(WELL, seconds=39.0))], Bounds()) == []


def test_a_turn_that_two_samples_show_counts_once_and_a_long_one_as_long_as_it_took() -> None:
    assert figures(samples([0.1] * 500 + [0.2])).lag == 0.2
    # One turn of 2 s in 300 is less than a hundredth of the time, one of 18 s is more.
    short = [0.001 * (i % 7) for i in range(300)]
    assert figures(samples([*short, 2.0])).lag < 0.01
    assert figures(samples([*short, 18.0])).lag == 18.0


def test_a_quantile_goes_by_weight() -> None:
    assert weighted_quantile([(1.0, 1.0), (5.0, 3.0)], 0.25) == 1.0
    assert weighted_quantile([(5.0, 3.0), (1.0, 1.0)], 0.26) == 5.0
    assert weighted_quantile([], 0.99) == 0.0
