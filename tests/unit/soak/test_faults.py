"""Faults and tenants are drawn from a seed: the same again, in both phases."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.api.validation import validate
from soak.faults import Kind, away, plan
from soak.hostile import BY_PODS, BY_PROMETHEUS, KINDS, Ground, Turns, Victim
from soak.random_manifests import random_manifests
from soak.tenants import honest
from support.cluster.studies import simulated_study

GROUND = Ground(1, 1, {"steps": 9000}, [Victim("a", "b", "c")])


@given(st.integers(0, 1000), st.floats(50, 2000), st.floats(2, 30))
def test_no_fault_begins_before_the_last_is_over(seed: int, seconds: float, every: float) -> None:
    faults = plan(seed, seconds, every)
    assert faults == plan(seed, seconds, every)
    assert all(one.at + one.seconds <= next.at for one, next in pairwise(faults))
    assert all(0 < fault.at < seconds for fault in faults)


def test_every_kind_of_fault_comes_before_one_comes_again() -> None:
    kinds = [fault.kind for fault in plan(3, 1800, 20)]
    assert set(kinds[: len(Kind)]) == set(Kind)


def test_both_phases_have_the_same_honest_studies_and_all_of_them_are_valid() -> None:
    calm, beset = (honest(5, phase, 40, 7, 300) for phase in ("calm", "beset"))
    assert [p.manifest for p in calm] == [p.manifest for p in beset]
    for p in calm:
        study, problems = validate(p.manifest)
        assert study is not None, problems
        assert "hostile" not in p.namespace


def test_random_manifests_are_the_same_for_a_seed_and_differ_otherwise() -> None:
    one, again, other = (random_manifests(8, seed, simulated_study()) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert len({json.dumps(m) for m in one}) > 4


def test_every_attack_comes_before_one_comes_again_and_those_of_the_moment_first() -> None:
    turns = Turns(4)
    first = [turns.next(prometheus=False) for _ in range(24)]
    second = [turns.next(prometheus=True) for _ in range(len(KINDS) - 24)]
    assert set(first[: len(BY_PODS)]) == set(BY_PODS)
    assert set(second[: len(BY_PROMETHEUS)]) == set(BY_PROMETHEUS)
    assert sorted(first + second) == sorted(KINDS)
    assert Turns(1, ["expressions"]).next(prometheus=False) is None


@pytest.mark.parametrize("kind", sorted(kind for kind in KINDS if not kind.startswith("metrics_")))
def test_every_attack_can_be_written_as_json_of_a_size_that_an_api_server_takes(kind: str) -> None:
    for body in KINDS[kind](GROUND).objects:
        assert len(json.dumps(body).encode()) < 3 * 2**20
        assert len(body["metadata"]["name"]) <= 253


def test_a_folder_that_is_away_cannot_be_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "storage"
    (folder / "a").mkdir(parents=True)
    with away(folder):
        with pytest.raises(OSError, match="Not a directory"):
            (folder / "a" / "new").write_text("")
        with pytest.raises(OSError, match=r"Not a directory|exists"):
            (folder / "b").mkdir(parents=True, exist_ok=True)
    assert (folder / "a").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["storage"]
