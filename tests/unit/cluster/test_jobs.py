"""A trial's Job: what the user wrote is kept, what a trial needs is added."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubestudy.cluster.jobs import METRICS_PORT, Owner, job_of
from kubestudy.cluster.names import MAX_LENGTH, job_name, label_value
from kubestudy.cluster.template import in_study
from kubestudy.study.trial import Suggestion
from support.manifests import spec_of

UID = "0b2f7714-0000-4000-8000-000000000000"
TRIAL = Suggestion(7, {"lr": 0.1})


def template(**container: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "mine", **container}]}}}}


def job(written: dict[str, Any], trial: Suggestion = TRIAL) -> Any:
    before = copy.deepcopy(written)
    made = job_of(Owner("demo", "ns", UID, written), spec_of(), trial)
    assert written == before, "the study's own template was changed"
    return made


def container_of(made: Any) -> Any:
    return made["spec"]["template"]["spec"]["containers"][0]


def environment(made: Any) -> dict[str, str]:
    return {v["name"]: v.get("value") for v in container_of(made)["env"]}


def test_what_a_trial_needs_is_added() -> None:
    made = job(template(env=[{"name": "MINE", "value": "$(lr)"}]))
    assert made["metadata"]["namespace"] == "ns"
    assert made["metadata"]["labels"]["kubestudy.dev/trial"] == "7"
    assert made["metadata"]["ownerReferences"][0]["uid"] == UID
    assert "blockOwnerDeletion" not in made["metadata"]["ownerReferences"][0]
    pod = made["spec"]["template"]
    assert pod["metadata"]["labels"]["kubestudy.dev/study-uid"] == UID
    assert pod["spec"]["restartPolicy"] == "Never"
    assert made["spec"]["backoffLimit"] == 0
    found = environment(made)
    assert found["lr"] == "0.1"
    assert json.loads(found["KUBESTUDY_TRIALS"]) == [{"number": 7, "params": {"lr": 0.1}}]
    # The user's own come after what they may refer to.
    assert list(found)[-1] == "MINE"
    assert container_of(made)["ports"] == [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}]
    rules = made["spec"]["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "FailJob"]
    assert rules[0]["onPodConditions"][0] == {"type": "DisruptionTarget", "status": "True"}


def test_what_the_user_wrote_stays() -> None:
    written = template(
        terminationMessagePolicy="File",
        ports=[{"name": "metrics", "containerPort": 8000}],
        env=[{"name": "A", "value": "b"}],
    )
    written["metadata"] = {
        "name": "ignored",
        "labels": {"team": "x", "kubestudy.dev/trial": "99"},
        "annotations": {"a": "b"},
    }
    written["spec"] |= {
        "backoffLimit": 3,
        "ttlSecondsAfterFinished": 5,
        "suspend": True,
        "podReplacementPolicy": "TerminatingOrFailed",
    }
    written["spec"]["template"]["metadata"] = {"annotations": {"prometheus.io/scrape": "false"}}
    pod = written["spec"]["template"]["spec"]
    pod |= {"restartPolicy": "OnFailure", "tolerations": [{"operator": "Exists"}], "serviceAccountName": "mine"}
    pod["containers"].append({"name": "sidecar", "image": "other"})
    made = job(written)
    assert made["metadata"]["labels"] == {
        "team": "x", "kubestudy.dev/study": "demo", "kubestudy.dev/study-uid": UID, "kubestudy.dev/trial": "7",
    }  # fmt: skip
    assert made["metadata"]["annotations"] == {"a": "b"}
    assert made["spec"]["template"]["metadata"]["annotations"] == {
        "prometheus.io/scrape": "false", "prometheus.io/port": "8000", "prometheus.io/path": "/metrics",
    }  # fmt: skip
    spec = made["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"], spec["suspend"]) == (3, 5, True)
    # A failure policy is only valid for pods that are never restarted.
    assert "podFailurePolicy" not in spec
    assert spec["podReplacementPolicy"] == "TerminatingOrFailed"
    kept = spec["template"]["spec"]
    assert kept["restartPolicy"] == "OnFailure"
    assert kept["containers"][1] == {"name": "sidecar", "image": "other"}
    assert container_of(made)["terminationMessagePolicy"] == "File"
    assert environment(made)["KUBESTUDY_METRICS_PORT"] == "8000"


def test_a_containers_own_variable_cannot_hide_a_parameter() -> None:
    made = job(template(env=[{"name": "lr", "value": "9"}, {"name": "KUBESTUDY_STUDY", "value": "x"}]))
    assert environment(made)["lr"] == "0.1"
    assert environment(made)["KUBESTUDY_STUDY"] == "demo"


def test_a_parameters_text_is_no_reference() -> None:
    made = job(template(), Suggestion(0, {"lr": "$(HOME)$"}))
    assert environment(made)["lr"] == "$$(HOME)$$"


def test_checkpoints_are_kept_on_the_volume_of_that_name() -> None:
    made = job(template(volumeMounts=[{"name": "checkpoints", "mountPath": "/ckpt/"}]))
    assert environment(made)["KUBESTUDY_CHECKPOINT_DIR"] == f"/ckpt/{made['metadata']['name']}"
    assert "KUBESTUDY_CHECKPOINT_DIR" not in environment(job(template()))


@given(st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True), st.integers(0, 10**6))
def test_names_are_labels_and_no_two_studies_share_one(study: str, number: int) -> None:
    name = job_name(study, UID, number)
    assert len(name) <= MAX_LENGTH
    assert name == name.lower() and "." not in name and not name.startswith("-")
    assert name.endswith(f"-{number}")
    assert name != job_name(study, UID.replace("0", "1"), number)
    assert len(label_value(study)) <= MAX_LENGTH


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            'Job.batch "demo-x" is invalid: spec.template.spec.containers[0].image: Required value',
            "spec.jobTemplate.spec.template.spec.containers[0].image: Required value",
        ),
        ("metadata.labels: Invalid value", "spec.jobTemplate.metadata.labels: Invalid value"),
        ("admission webhook denied it", "admission webhook denied it"),
    ],
)
def test_the_api_servers_paths_become_the_studys(said: str, shown: str) -> None:
    assert in_study(said) == shown


def test_a_job_says_which_storage_its_trial_is_recorded_in() -> None:
    owner = Owner("demo", "ns", UID, template() | {"metadata": {"annotations": {"kubestudy.dev/storage": "forged"}}})
    made = job_of(owner, spec_of(), TRIAL, "0d1e")
    assert made["metadata"]["annotations"] == {"kubestudy.dev/storage": "0d1e"}
