"""The cache of Jobs and pods, and the patches of a status."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.api.limits import TRIAL_PODS
from kubestudy.cluster.cache import Cache, Kind
from kubestudy.cluster.names import job_name, labels
from kubestudy.cluster.paths import collection, resource_in
from kubestudy.cluster.status_writer import merge_patch
from kubestudy.cluster.trial_objects import StudyKey

STUDY = StudyKey("ns", "demo", "0b2f7714-0000-4000-8000-000000000000")
OTHER = StudyKey("ns", "demo", "0b2f7714-0000-4000-8000-000000000001")


def job(
    uid: str, version: int = 1, study: StudyKey = STUDY, trial: int = 0, **metadata: Any
) -> dict[str, Any]:  # the Job of a trial, as the API server sends it
    owner = {"apiVersion": "kubestudy.dev/v1alpha1", "kind": "HyperparameterStudy", "name": study.name}
    known = {
        "name": job_name(study.name, study.uid, trial),
        "namespace": study.namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": labels(study.name, study.uid, trial),
        "ownerReferences": [{**owner, "uid": study.uid, "controller": True}],
    }
    return {"metadata": known | metadata, "spec": {"template": {"spec": {"containers": [{"name": "trainer"}]}}}}


def pod(
    uid: str, version: int = 1, job: str = "a", study: StudyKey = STUDY, trial: int = 0, **metadata: Any
) -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": job_name(study.name, study.uid, trial), "uid": job}
    known = {
        "name": f"{uid}-pod",
        "namespace": study.namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "labels": labels(study.name, study.uid, trial),
        "ownerReferences": [{**owner, "controller": True}],
    }
    return {"metadata": known | metadata, "spec": {}, "status": {"phase": "Running"}}


def cache_of(*studies: StudyKey) -> Cache:
    cache = Cache()
    for study in studies or (STUDY,):
        cache.look_after(study)
    return cache


def take_listing(cache: Cache, jobs: list[dict[str, Any]], pods: list[dict[str, Any]], began: int) -> None:
    kinds: tuple[tuple[Kind, list[dict[str, Any]]], ...] = (("Job", jobs), ("Pod", pods))
    for kind, bodies in kinds:
        listing = cache.listing(kind)
        for body in bodies:
            listing.page([body])
        listing.end(began)


def test_a_change_wakes_its_study_only() -> None:
    cache = cache_of()
    mine, other = cache.subscribe(STUDY), cache.subscribe(OTHER)
    cache.take_in("Job", False, job("a", 1))
    assert mine.is_set() and not other.is_set()
    assert cache.trials(STUDY)[0].job is not None
    cache.take_in("Pod", False, pod("a-x", 2))
    cache.take_in("Job", True, job("a", 3))
    assert cache.trials(STUDY)[0].job is None
    cache.take_in("Pod", True, pod("a-x", 4))
    assert not cache.trials(STUDY)


def test_only_what_can_change_what_a_trial_is_taken_for_wakes_its_study() -> None:
    cache = cache_of()
    mine = cache.subscribe(STUDY)
    cache.take_in("Pod", False, pod("p", 1))
    mine.clear()
    cache.take_in("Pod", False, pod("p", 2, annotations={"somebodys": "note"}, managedFields=[{"manager": "x"}]))
    assert not mine.is_set()
    gone = {"deletionTimestamp": "2026-01-31T12:00:00Z"}
    cache.take_in("Pod", False, pod("p", 3, **gone))
    assert mine.is_set()


def test_a_listing_takes_away_what_is_gone_and_keeps_what_is_newer() -> None:
    cache = cache_of()
    cache.take_in("Job", False, job("gone", 5, trial=1))
    cache.take_in("Job", False, job("kept", 9, trial=2))
    cache.take_in("Job", False, job("new", 20, trial=3))
    take_listing(cache, [job("kept", 8, trial=2), job("found", 7, trial=4)], [], began=10)
    trials = cache.trials(STUDY)
    assert set(trials) == {2, 3, 4}
    kept = trials[2].job
    assert kept is not None and kept.version == 9


def test_what_has_not_our_labels_is_passed_over() -> None:
    cache = cache_of()
    cache.take_in("Pod", False, {"metadata": {"name": "x", "uid": "u"}})
    cache.take_in("Job", False, {"metadata": {"name": "x", "labels": {"kubestudy.dev/trial": "no number"}}})
    assert not cache.trials(STUDY)


OWNED = job("a")["metadata"]["ownerReferences"][0]
POD_OWNED = pod("p")["metadata"]["ownerReferences"][0]


@pytest.mark.parametrize(
    "changed",
    [
        {"namespace": "elsewhere"},
        {"name": "copy-for-debugging"},
        {"name": job_name("demo", STUDY.uid, 1)},
        {"ownerReferences": []},
        {"ownerReferences": [{**OWNED, "controller": False}]},
        {"ownerReferences": [{**OWNED, "uid": OTHER.uid}]},
        {"ownerReferences": [{**OWNED, "apiVersion": "apps/v1"}]},
        {"ownerReferences": [{**OWNED, "kind": "Deployment"}]},
        {"labels": labels("demo", OTHER.uid, 0)},
        {"labels": labels("demo", STUDY.uid, 0) | {"kubestudy.dev/trial": "00"}},
        {"labels": labels("demo", STUDY.uid, 0) | {"kubestudy.dev/trial": "9" * 5000}},
        {"labels": labels("demo", STUDY.uid, 0) | {"kubestudy.dev/trial": "\u0660"}},
    ],
    ids=str,
)
def test_labels_alone_make_no_job_a_trial(changed: dict[str, Any]) -> None:
    """A Job copied for debugging, one of another namespace, one that somebody made up."""
    cache = cache_of()
    waker = cache.subscribe(STUDY)
    cache.take_in("Job", False, job("real"))
    waker.clear()
    forged = job("forged", 9, **changed)
    cache.take_in("Job", False, forged)
    cache.learn("Job", forged)
    take_listing(cache, [job("real"), forged], [], began=20)
    cache.take_in("Job", True, forged)
    (number,) = cache.trials(STUDY)
    kept = cache.trials(STUDY)[number].job
    assert number == 0 and kept is not None and kept.uid == "real"
    assert not waker.is_set()


@pytest.mark.parametrize(
    "changed",
    [
        {"namespace": "elsewhere"},
        {"ownerReferences": []},
        {"ownerReferences": [{**POD_OWNED, "controller": None}]},
        {"ownerReferences": [{**POD_OWNED, "name": "copy-for-debugging"}]},
        {"ownerReferences": [{**POD_OWNED, "kind": "ReplicaSet", "apiVersion": "apps/v1"}]},
        {"ownerReferences": [{**POD_OWNED, "uid": ""}]},
        {"labels": labels("demo", OTHER.uid, 0)},
    ],
    ids=str,
)
def test_labels_alone_make_no_pod_a_trials(changed: dict[str, Any]) -> None:
    cache = cache_of()
    cache.take_in("Job", False, job("a"))
    cache.take_in("Pod", False, pod("real"))
    forged = pod("forged", 9, **changed)
    cache.take_in("Pod", False, forged)
    take_listing(cache, [job("a")], [pod("real"), forged], began=20)
    cache.take_in("Pod", True, forged)
    assert set(cache.trials(STUDY)[0].pods) == {"real"}


def test_what_is_a_trials_no_more_is_let_go() -> None:
    cache = cache_of()
    waker = cache.subscribe(STUDY)
    cache.take_in("Job", False, job("a", 1))
    waker.clear()
    cache.take_in("Job", False, job("a", 2, ownerReferences=[]))
    assert not cache.trials(STUDY) and waker.is_set()


def test_a_pod_may_be_told_of_before_its_job() -> None:
    cache = cache_of()
    cache.take_in("Pod", False, pod("p", job="a"))
    cache.take_in("Job", False, job("a"))
    trial = cache.trials(STUDY)[0]
    assert trial.job is not None and trial.pods["p"].job == trial.job.uid


def test_a_newer_job_takes_an_older_ones_place_whatever_order_they_are_told_in() -> None:
    cache = cache_of()
    cache.take_in("Job", False, job("new", 9))
    cache.take_in("Job", False, job("old", 5))
    cache.take_in("Job", True, job("old", 8))
    kept = cache.trials(STUDY)[0].job
    assert kept is not None and kept.uid == "new"


def test_the_pods_of_a_trial_are_bounded_and_its_jobs_own_stay() -> None:
    cache = cache_of()
    cache.take_in("Job", False, job("a"))
    cache.take_in("Pod", False, pod("own", job="a"))
    for number in range(TRIAL_PODS.value + 50):
        cache.take_in("Pod", False, pod(f"stray-{number}", job="b"))
    pods = cache.trials(STUDY)[0].pods
    assert len(pods) == TRIAL_PODS.value and "own" in pods
    for number in range(TRIAL_PODS.value + 50):
        cache.take_in("Pod", True, pod(f"stray-{number}", job="b"))
    assert set(cache.trials(STUDY)[0].pods) == {"own"}


def test_objects_of_studies_that_nobody_looks_after_are_not_kept() -> None:
    cache = cache_of(STUDY, OTHER)
    cache.take_in("Job", False, job("a", study=StudyKey("ns", "demo", "unknown")))
    cache.take_in("Job", False, job("b", study=OTHER))
    cache.take_in("Job", False, job("c"))
    cache.let_go(OTHER)
    cache.take_in("Job", False, job("d", study=OTHER, trial=1))
    assert cache.uids("Job") == ["c"]


def test_large_jobs_and_pods_cost_little() -> None:
    """20 suspended Jobs of 1 MB, and pods with messages of 1 MB, each parsed from what a server would send."""
    cache = cache_of()
    big = "x" * 1_000_000
    said = {"name": "trainer", "state": {"terminated": {"exitCode": 1, "message": big, "reason": big}}}
    status = {
        "phase": "Failed", "message": big, "reason": big, "podIP": big, "containerStatuses": [said] * 3,
        "conditions": [{"type": "DisruptionTarget", "status": big}, {"type": big, "status": "True"}],
    }  # fmt: skip
    tracemalloc.start()
    try:
        for number in range(20):
            large = job(f"job-{number}", trial=number, annotations={"big": big, "kubestudy.dev/storage": big})
            large["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": big, "message": big}]}
            cache.take_in("Job", False, json.loads(json.dumps(large)))
            body = pod(f"pod-{number}", trial=number) | {"status": status}
            cache.take_in("Pod", False, json.loads(json.dumps(body)))
            del large, body
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cache.trials(STUDY)) == 20
    assert kept < 2_500_000


_json = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(st.text(max_size=2), _json, max_size=4)


def apply(target: Any, patch: Any) -> Any:
    """RFC 7386, as it stands there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply(result.get(name), value)
    return result


@given(_objects, _objects)
def test_a_patch_turns_one_status_into_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(old, new)
    assert apply(old, patch) == new
    assert bool(patch) == (old != new)


def test_requests_are_counted_by_resource_without_names() -> None:
    jobs = collection("batch/v1", "jobs", "ns")
    assert jobs == "/apis/batch/v1/namespaces/ns/jobs"
    assert resource_in(f"{jobs}/demo-1") == "jobs"
    assert resource_in("/api/v1/pods") == "pods"
    assert resource_in("/apis/kubestudy.dev/v1alpha1/namespaces/ns/hyperparameterstudies/demo/status") == (
        "hyperparameterstudies/status"
    )


@given(
    _json
    | st.fixed_dictionaries(
        {},
        optional={
            "metadata": st.dictionaries(
                st.sampled_from(["name", "namespace", "uid", "labels", "ownerReferences", "resourceVersion"]),
                _json | st.sampled_from([job("a")["metadata"]["labels"], [OWNED], [POD_OWNED], "ns"]),
            ),
            "spec": _json,
            "status": st.dictionaries(
                st.sampled_from(["conditions", "containerStatuses", "phase", "podIP", "message"]), _json
            ),
        },
    )
)
def test_no_object_of_a_wrong_shape_does_any_harm(body: Any) -> None:
    cache = cache_of()
    kinds: tuple[Kind, ...] = ("Job", "Pod")
    for kind in kinds:
        cache.take_in(kind, False, body)
        cache.learn(kind, body)
        listing = cache.listing(kind)
        listing.page([body])
        listing.end(1)
        cache.take_in(kind, True, body)
    assert not cache.trials(STUDY)


@given(st.sampled_from(["job", "pod"]), st.data())
def test_a_trials_object_with_any_field_of_a_wrong_shape_does_no_harm(kind: str, data: st.DataObject) -> None:
    body = json.loads(json.dumps(job("a") if kind == "job" else pod("a")))
    body["status"] = {
        "conditions": [{"type": "Failed", "status": "True"}, {"type": "PodScheduled", "status": "False"}],
        "containerStatuses": [{"name": "trainer", "state": {"terminated": {"exitCode": 0, "finishedAt": "x"}}}],
        "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "r"}}}],
    }
    at = body
    while isinstance(at, dict | list) and at:
        where = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
        if data.draw(st.booleans()):
            at[where] = data.draw(_json)
            break
        at = at[where]
    cache = cache_of()
    cache.take_in("Job" if kind == "job" else "Pod", False, body)
