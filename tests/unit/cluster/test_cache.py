"""The cache of Jobs and pods, and the patches of a status."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubestudy.cluster.api import collection, resource_in
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.status_writer import merge_patch


def body(name: str, version: int, uid: str = "study", trial: int = 0) -> dict[str, Any]:
    labels = {"kubestudy.dev/study-uid": uid, "kubestudy.dev/trial": str(trial)}
    return {"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels, "resourceVersion": str(version)}}


def test_a_change_wakes_its_study_only() -> None:
    cache = Cache()
    mine, other = cache.subscribe("study"), cache.subscribe("other")
    cache.take_in("Job", False, body("a", 1))
    assert mine.is_set() and not other.is_set()
    assert cache.trials("study")[0].job is not None
    cache.take_in("Pod", False, body("a-x", 2))
    cache.take_in("Job", True, body("a", 3))
    assert cache.trials("study")[0].job is None
    cache.take_in("Pod", True, body("a-x", 4))
    assert not cache.trials("study")


def test_a_listing_takes_away_what_is_gone_and_keeps_what_is_newer() -> None:
    cache = Cache()
    cache.take_in("Job", False, body("gone", 5, trial=1))
    cache.take_in("Job", False, body("kept", 9, trial=2))
    cache.take_in("Job", False, body("new", 20, trial=3))
    cache.replace([body("kept", 8, trial=2), body("found", 7, trial=4)], [], began=10)
    trials = cache.trials("study")
    assert set(trials) == {2, 3, 4}
    kept = trials[2].job
    assert kept is not None and kept["metadata"]["resourceVersion"] == "9"


def test_what_has_not_our_labels_is_passed_over() -> None:
    cache = Cache()
    cache.take_in("Pod", False, {"metadata": {"name": "x", "uid": "u"}})
    cache.take_in("Job", False, {"metadata": {"name": "x", "labels": {"kubestudy.dev/trial": "no number"}}})
    assert not cache.trials("study")


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
