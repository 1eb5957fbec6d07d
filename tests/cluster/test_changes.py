"""A study that is changed while it runs: what is valid is taken in at once, what is not is told of; nothing ends."""

from __future__ import annotations

from typing import Any

import pytest

from support.cluster.cluster import Cluster
from support.cluster.studies import Study, simulated_study
from support.wait import until

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def study(cluster: Cluster, namespace: str) -> Study:
    """A study of which two trials run for ever."""
    made = Study(cluster, namespace).apply(simulated_study(run_for="never", budget={"maxTrials": 9}, parallelism=2))
    until(lambda: made.status.get("trials", {}).get("running") == 2, what="two running trials")
    return made


BAD_TEMPLATE = {"spec": {"template": {"spec": {"containers": [
    {"name": "trainer", "image": "simulated", "args": ["--x=$(x)"],
     "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
]}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "mended", "says"),
    [
        (
            {"pruner": {"name": "median", "options": {"n_startup": 1}}},
            {"pruner": {"name": "median", "options": {"n_startup": None, "n_startup_trials": 1}}},
            "spec.pruner.options.n_startup",
        ),
        (
            {"jobTemplate": BAD_TEMPLATE},
            {"jobTemplate": {"spec": {"template": {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}}}},
            'containers[0].volumeMounts[0].name: Not found: "data"',
        ),
    ],
    ids=["spec", "template"],
)
def test_an_invalid_change_is_told_of_while_the_study_goes_on_and_the_mended_one_clears_it(
    study: Study, wrong: dict[str, Any], mended: dict[str, Any], says: str
) -> None:
    before = {job["metadata"]["uid"] for job in study.jobs}
    study.patch(**wrong)
    until(lambda: study.holds("Degraded"), what="Degraded")
    degraded = study.condition("Degraded")
    assert degraded["reason"] == "InvalidSpec"
    assert says in degraded["message"] and "goes on by the old one" in degraded["message"]
    assert degraded["observedGeneration"] == study.body["metadata"]["generation"]
    assert study.status["phase"] == "Running"
    assert {job["metadata"]["uid"] for job in study.jobs} == before
    study.patch(parallelism=3, **mended)
    until(lambda: len(study.jobs) == 3, what="the third Job, which the mended spec allows")
    until(lambda: not study.holds("Degraded"), what="not Degraded")
    assert study.status["observedGeneration"] == study.body["metadata"]["generation"]


def test_many_changes_in_a_row_end_with_the_last(study: Study) -> None:
    for parallelism in (3, 1, 4, 2, 5):
        study.patch(parallelism=parallelism)
    until(lambda: len(study.jobs) == 5, what="five Jobs")
    study.patch(parallelism=1, suspend=True)
    study.patch(suspend=False)
    study.patch(parallelism=1, stop=True)
    status = study.until_phase("Failed")
    assert study.condition("Failed")["reason"] == "NoTrialCompleted"
    assert (status["trials"]["running"], status["trials"]["pending"]) == (0, 0)
