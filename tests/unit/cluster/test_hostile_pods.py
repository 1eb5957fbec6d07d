"""Whatever stands in a pod's status, what is taken from it is printable and bounded, and breaks no page of metrics."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubestudy.api import limits
from kubestudy.cluster.ends import end_of
from kubestudy.cluster.job_view import job_view
from kubestudy.cluster.pods import pod_facts, pod_view
from kubestudy.metrics.own import OperatorMetrics
from kubestudy.study.outcome import Failed, outcome_of
from support.manifests import spec_of

TEXTS = st.none() | st.text(st.characters(), max_size=30) | st.sampled_from(
    ["\ud800", "\x1b[2J\x1b]0;title\x07", "a\nERROR forged", "x" * 100_000,
     '{"values": {}, "reason": "\\ud800\\u001b[m"}',
     "Traceback\nValueError: \x1b[31m\ud800\n", "[" * 5000, '{"values": {"\\ud800": 1}, "message": "a\\u2028b"}']
)  # fmt: skip
STATES = st.fixed_dictionaries(
    {"terminated": st.fixed_dictionaries({"exitCode": st.integers(0, 255), "reason": TEXTS, "message": TEXTS})}
) | st.fixed_dictionaries({"waiting": st.fixed_dictionaries({"reason": TEXTS, "message": TEXTS})})
STATUSES = st.fixed_dictionaries(
    {"phase": st.sampled_from(["Pending", "Failed", "Succeeded"])}, optional={"reason": TEXTS, "message": TEXTS}
)
METRICS = OperatorMetrics()


def assert_clean(text: str | None) -> None:
    if text is not None:
        assert text.isprintable(), ascii(text)
        text.encode()
        assert len(text) <= limits.SENTENCE_LENGTH.value + limits.REASON_LENGTH.value


@given(STATUSES, STATES, st.sampled_from(["Failed", "Complete"]))
def test_whatever_a_pod_says_comes_out_clean(status: dict[str, Any], state: dict[str, Any], kind: str) -> None:
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "\x1b[2J\ud800"}]
    body = {
        "metadata": {"name": "demo-0-abc"},
        "status": {**status, "conditions": conditions, "containerStatuses": [{"name": "trainer", "state": state}]},
    }
    pod = pod_view(pod_facts(body), "trainer")
    assert_clean(pod.why_waiting)
    job = job_view({"metadata": {}, "spec": {}, "status": {"conditions": [{"type": kind, "status": "True"}]}})
    end = end_of(job, [pod], 0)
    if end is None:
        return
    assert_clean(end.reason)
    assert_clean(end.detail)
    outcome = outcome_of(end, None, spec_of())
    if isinstance(outcome, Failed):
        assert_clean(outcome.reason)
        assert_clean(outcome.message)
        METRICS.trial_failed(outcome.reason)
        METRICS.text().decode()
