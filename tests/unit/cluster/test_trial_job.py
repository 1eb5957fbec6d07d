"""A trial's Job, through every order of events that a cluster may have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kubestudy.api.reasons import Hindrance
from kubestudy.cluster import job_stages, trial_job
from kubestudy.cluster.job_stages import (
    Creating,
    Deleted,
    DeleteJob,
    Ended,
    EventsListed,
    ExpireJob,
    Expires,
    Hindered,
    ListEvents,
    ListPods,
    Objects,
    PodsListed,
    Present,
    Releasing,
    Rules,
    Stage,
)
from kubestudy.cluster.job_view import JobView
from kubestudy.cluster.pods import PodView
from kubestudy.cluster.scheduling import in_short, never_fits
from kubestudy.cluster.trial_job import Step, step
from kubestudy.study.trial import Observed, TrialPhase, Wait, WaitKind

NOW = 1e9
RULES = Rules(gpus=1, port=9464, start_timeout=60.0, default_ttl=700)
JOB = JobView("a", created=NOW, one_pod=True, ttl=700)
POD = PodView("p", NOW, "Pending", uid="pod")
PLACED = replace(POD, placed_at=NOW)
RUNNING = replace(PLACED, phase="Running", started=NOW, address="10.0.0.1")


def objects(job: JobView | None, *pods: PodView) -> Objects:
    return Objects(job, tuple(("a", pod) for pod in pods))


def look(stage: Stage, job: JobView | None, *pods: PodView, at: float = NOW, rules: Rules = RULES) -> Step:
    return step(stage, 0, objects(job, *pods), at, rules)


def seen(looked: Step) -> Observed:
    assert looked.observed is not None
    return looked.observed


UNSCHEDULABLE = replace(POD, why_waiting="Unschedulable: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu")


def test_what_waits_for_a_node_waits_as_long_as_it_takes() -> None:
    looked = look(Present("a"), JOB, UNSCHEDULABLE, at=NOW + 1e7)
    wait = seen(looked).wait
    assert seen(looked).phase is TrialPhase.PENDING and not seen(looked).placed
    assert wait is not None and wait.kind is WaitKind.ROOM and wait.hindrance is None
    assert "Insufficient" in wait.message


def test_the_start_timeout_counts_from_the_moment_the_pod_has_its_node() -> None:
    late = replace(PLACED, placed_at=NOW + 1000, why_waiting="ErrImagePull (container trainer): not found")
    looked = look(Present("a"), JOB, late, at=NOW + 1059)
    assert seen(looked).placed and seen(looked).end is None and looked.look_at == NOW + 1060
    assert seen(looked).wait == Wait(WaitKind.START, late.why_waiting or "", Hindrance.TRIAL_WAITING)
    ended = look(looked.stage or Present("a"), JOB, late, at=NOW + 1060)
    end = seen(ended).end
    assert end is not None and end.never_started and not end.interrupted
    assert end.reason == "StartTimeout" and "ErrImagePull" in end.detail


def test_a_job_without_a_pod_asks_what_the_job_controller_says() -> None:
    looked = look(Present("a"), JOB, at=NOW + 1)
    assert not looked.requests and looked.look_at == NOW + trial_job.NO_POD_SECONDS
    looked = look(Present("a"), JOB, at=NOW + 2)
    assert looked.requests == (ListEvents("a"),)
    assert looked.stage is not None
    assert not look(looked.stage, JOB, at=NOW + 3).requests, "asked once in a while"
    said = 'pods "x" is forbidden: violates PodSecurity "restricted:latest"'
    told = job_stages.acknowledge(looked.stage, EventsListed((("FailedCreate", said),)), NOW + 3)
    wait = seen(look(told, JOB, at=NOW + 3)).wait
    assert wait == Wait(WaitKind.REFUSED, said, Hindrance.PODS_REFUSED)


def test_a_quota_on_pods_is_waited_for() -> None:
    said = 'pods "x" is forbidden: exceeded quota: few, requested: cpu=1'
    told = job_stages.acknowledge(Present("a"), EventsListed((("FailedCreate", said),)), NOW)
    wait = seen(look(told, JOB, at=NOW + 3)).wait
    assert wait == Wait(WaitKind.ROOM, said)


def test_a_suspended_job_waits_for_room() -> None:
    wait = seen(look(Present("a"), replace(JOB, suspended=True), at=NOW + 1e7)).wait
    assert wait is not None and wait.kind is WaitKind.ROOM


def test_a_pod_that_is_silent_about_its_start_is_asked_about() -> None:
    looked = look(Present("a"), JOB, PLACED, at=NOW + trial_job.SILENT_START_SECONDS)
    assert looked.requests == (ListEvents("pod"),)
    assert looked.stage is not None
    told = job_stages.acknowledge(looked.stage, EventsListed((("FailedMount", "no such claim"),)), NOW + 21)
    wait = seen(look(told, JOB, PLACED, at=NOW + 21)).wait
    assert wait == Wait(WaitKind.START, "FailedMount: no such claim", Hindrance.TRIAL_WAITING)


@pytest.mark.parametrize(
    "pod",
    [
        replace(RUNNING, phase="Failed", exit_code=143, finished=NOW + 9, deleted_at=NOW + 5),
        replace(RUNNING, phase="Failed", exit_code=1, finished=NOW + 6, deleted_at=NOW + 5, message="boom"),
        replace(RUNNING, deleted_at=NOW + 5, gone=True),
    ],
    ids=["took SIGTERM", "crashed on SIGTERM", "by force"],
)
def test_a_pod_deleted_by_hand_is_an_interruption(pod: PodView) -> None:
    failed = replace(JOB, failed="BackoffLimitExceeded")
    end = seen(look(Present("a", (pod,)), failed, *(() if pod.gone else (pod,)), at=NOW + 9)).end
    assert end is not None and end.interrupted and end.reason == "PodDeleted"


def test_a_pod_deleted_by_force_while_nobody_watched_is_an_interruption() -> None:
    failed = replace(JOB, failed="BackoffLimitExceeded")
    looked = look(Present("a"), failed)
    assert seen(looked).end is None and looked.look_at == NOW + trial_job.POD_LAG_SECONDS and looked.stage is not None
    looked = look(looked.stage, failed, at=NOW + 5)
    assert looked.requests == (ListPods(),) and looked.stage is not None
    listed = job_stages.acknowledge(looked.stage, PodsListed(), NOW + 5)
    end = seen(look(listed, failed, at=NOW + 5)).end
    assert end is not None and end.interrupted and end.reason == "PodDeleted"


def test_a_pod_that_failed_by_itself_and_was_deleted_later_failed() -> None:
    pod = replace(RUNNING, phase="Failed", exit_code=1, finished=NOW + 5, deleted_at=NOW + 50)
    end = seen(look(Present("a"), replace(JOB, failed="BackoffLimitExceeded"), pod, at=NOW + 60)).end
    assert end is not None and not end.interrupted and end.reason == "Error"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (2, "BadParameters"), (3, "NonFiniteMetric"), (4, "OutOfMemory"), (127, "CommandNotFound"), (1, "Error"),
        (7, "Error"),
    ],
)  # fmt: skip
def test_exit_codes_are_their_reasons(code: int, reason: str) -> None:
    pod = replace(RUNNING, phase="Failed", exit_code=code, finished=NOW + 5)
    end = seen(look(Present("a"), replace(JOB, failed="BackoffLimitExceeded"), pod, at=NOW + 6)).end
    assert end is not None and end.reason == reason


def test_a_failed_trials_job_stays_for_its_log_and_any_other_goes() -> None:
    failed = replace(JOB, failed="BackoffLimitExceeded")
    pod = replace(RUNNING, phase="Failed", exit_code=1, finished=NOW)
    ended = look(Present("a"), failed, pod).stage
    assert isinstance(ended, Ended)
    kept = job_stages.released(ended, NOW, RULES, failed, failed=True)
    looked = look(kept, failed, pod)
    assert looked.requests == (ExpireJob(3600),) and looked.stage is not None and looked.observed is None
    rest = look(job_stages.acknowledge(looked.stage, Expires(), NOW), failed, pod, at=NOW + 3000)
    assert not rest.requests and rest.stage is not None
    assert look(rest.stage, None, at=NOW + 3601).stage is None
    gone = job_stages.released(ended, NOW, RULES, failed, failed=False)
    assert look(gone, failed, pod).requests == (DeleteJob(),)
    # After a restart it is found again, and stays.
    found = look(trial_job.found(objects(replace(failed, ttl=3600), pod)), replace(failed, ttl=3600), pod).stage
    assert found is not None
    left = job_stages.released(found, NOW, RULES, replace(failed, ttl=3600), failed=False)
    assert not look(left, replace(failed, ttl=3600), pod).requests


@pytest.mark.parametrize(
    ("message", "never"),
    [
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption:"
            " 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
            False,
        ),
        (
            "0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu. no new claims to deallocate,"
            " preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            True,
        ),
        (
            "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint(s). preemption:"
            " 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            False,
        ),
        (
            "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available:"
            " 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.",
            False,
        ),
        ("no nodes available to schedule pods", False),
        ("", False),
        ("0/" + "9" * 10000 + " nodes are available: " + "1 Insufficient x, " * 10000, False),
    ],
)
def test_what_no_node_can_ever_hold_is_told_apart(message: str, never: bool) -> None:
    assert never_fits(message) is never
    assert "preemption" not in in_short(message)


class ATrialsJob(RuleBasedStateMachine):
    """A cluster that does what clusters do, and tells of it late or not at all; a loop that does what loops do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.generation = 0
        self.stage: Stage | None = None
        self.job: JobView | None = None
        self.pods: dict[str, PodView] = {}
        self.told: Objects = Objects()
        self.pending: list[Any] = []
        self.wanted = False  # the loop wants it to run
        self.observed: Observed | None = None
        self.ends: list[str] = []
        self.executions: set[str] = set()
        self.finished_well: str | None = None

    # --- the loop ------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.wanted)
    @rule()
    def launch(self) -> None:
        previous = self.stage.uid if isinstance(self.stage, Releasing) else None
        if isinstance(self.stage, Releasing) and not self.stage.asked:
            self.pending.append(DeleteJob())
        elif self.stage is not None and not isinstance(self.stage, Releasing):
            return
        self.stage = Creating(previous)
        self.pending.append("create")
        self.wanted = True
        self.look()

    @precondition(lambda self: self.wanted)
    @rule()
    def tell_to_stop(self) -> None:
        stopping = None if self.stage is None else job_stages.stopped(self.stage)
        if stopping is not None:
            self.pending = [request for request in self.pending if request != "create"]
            self.stage = stopping
            self.pending.append(DeleteJob())
            self.look()

    @rule()
    def look(self) -> None:
        if self.stage is None and self.told.empty:
            self.observed = None
            return
        looked = step(self.stage or trial_job.found(self.told), 0, self.told, self.now, RULES)
        self.stage, self.observed = looked.stage, looked.observed
        for request in looked.requests:
            if request not in self.pending:
                self.pending.append(request)
        if self.observed is not None and self.observed.end is not None:
            self.record(self.observed)

    def record(self, ended: Observed) -> None:
        assert ended.end is not None and isinstance(self.stage, Ended)
        if self.wanted:
            self.ends.append(ended.end.reason)
            if ended.end.succeeded:
                assert self.finished_well is not None, "it succeeded only if a pod of it did"
        self.wanted = False
        job = self.told.of(self.stage.uid).job
        self.stage = job_stages.released(self.stage, self.now, RULES, job, failed=not ended.end.interrupted)
        self.observed = None

    @rule()
    def restart(self) -> None:
        """The operator is killed: what it knew is gone, and what it had asked for may never have been sent."""
        self.stage, self.observed, self.pending = None, None, []
        self.tell()
        known = self.wanted
        self.look()
        if known and self.observed is None and self.stage is None:
            self.wanted = False  # nobody runs it: the loop will launch it again

    # --- the API server ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.pending)
    @rule(hindered=st.booleans())
    def answer(self, hindered: bool) -> None:
        request = self.pending[0]
        if hindered:
            if self.stage is not None:
                self.stage = job_stages.acknowledge(self.stage, Hindered(Wait(WaitKind.REFUSED, "no")), self.now)
            return
        if request == "create":
            previous = self.stage.previous if isinstance(self.stage, Creating) else None
            if self.job is not None and self.job.uid == previous:
                return  # an older one of that name is not gone yet
            if self.job is None:
                self.generation += 1
                self.job = JobView(f"job-{self.generation}", created=self.now, one_pod=True, ttl=700)
            self.told = replace(self.told, job=self.job)
        answers: dict[Any, Any] = {DeleteJob: Deleted(), ListPods: PodsListed()}
        reply = answers.get(type(request))
        if isinstance(request, ListEvents):
            reply = EventsListed(())
        elif isinstance(request, ExpireJob):
            reply = Expires()
        elif isinstance(request, DeleteJob):
            self.delete_job()
        elif isinstance(request, ListPods):
            self.tell()
        self.pending.pop(0)
        if reply is not None and self.stage is not None:
            self.stage = job_stages.acknowledge(self.stage, reply, self.now)
        self.look()

    # --- the cluster ---------------------------------------------------------------------------------------------

    def delete_job(self) -> None:
        self.job = None
        for name, pod in self.pods.items():
            self.pods[name] = replace(pod, deleted_at=self.now)

    @precondition(lambda self: self.job is not None and not self.job.over and not self.alive)
    @rule()
    def a_pod_is_made(self) -> None:
        assert self.job is not None
        name = f"{self.job.uid}-{len(self.executions)}"
        self.pods[name] = PodView(name, self.now, "Pending", uid=name)

    @property
    def alive(self) -> list[str]:
        return [name for name, pod in self.pods.items() if not pod.over]

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def a_pod_goes_on(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.alive))
        pod = self.pods[name]
        if pod.placed_at is None:
            self.pods[name] = replace(pod, placed_at=self.now)
        elif pod.started is None:
            self.executions.add(name)
            self.pods[name] = replace(pod, phase="Running", started=self.now)
        elif pod.deleted_at is not None:
            self.pods[name] = replace(pod, phase="Failed", exit_code=143, finished=self.now)
        elif data.draw(st.booleans()):
            self.finished_well = name
            message = '{"values": {"y": 1}}'
            self.pods[name] = replace(pod, phase="Succeeded", exit_code=0, finished=self.now, message=message)
        else:
            self.pods[name] = replace(pod, phase="Failed", exit_code=1, finished=self.now)

    @precondition(lambda self: self.job is not None and self.pods and not self.alive and not self.job.over)
    @rule()
    def the_job_is_over(self) -> None:
        assert self.job is not None
        own = [pod for name, pod in self.pods.items() if name.startswith(f"{self.job.uid}-")]
        well = any(pod.phase == "Succeeded" for pod in own)
        self.job = replace(self.job, complete=well, failed=None if well else "BackoffLimitExceeded")

    @precondition(lambda self: self.job is not None)
    @rule()
    def somebody_deletes_the_job(self) -> None:
        self.delete_job()

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def a_pod_vanishes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.pods)))
        pod = self.pods.pop(name)
        own = self.job is not None and name.startswith(f"{self.job.uid}-")
        if own and self.job is not None and not self.job.over:
            well = pod.phase == "Succeeded"
            self.job = replace(self.job, complete=well, failed=None if well else "BackoffLimitExceeded")

    @rule(seconds=st.sampled_from([1, 7, 70]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.look()

    @rule(part=st.sampled_from(["job", "pods", "all"]))
    def tell(self, part: str = "all") -> None:
        """The watches tell: of Jobs and of pods, each in its own time."""
        job = self.told.job if part == "pods" else self.job
        pods = self.told.pods
        if part != "job":
            pods = tuple((name.rsplit("-", 1)[0], pod) for name, pod in self.pods.items())
        self.told = Objects(job, pods)

    # --- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def what_is_wanted_is_observed(self) -> None:
        if self.wanted:
            assert self.observed is not None or self.stage is not None, "a launched trial is never lost sight of"
        if isinstance(self.stage, Releasing) or self.stage is None:
            assert not self.wanted or self.stage is None

    def teardown(self) -> None:
        """Whatever happened, a trial that was launched comes to an end, and nothing of it is left."""
        for _ in range(100):
            if self.wanted and self.stage is not None:
                self.tell_to_stop()
            for name in self.alive:
                self.pods[name] = replace(self.pods[name], phase="Failed", exit_code=1, finished=self.now)
            if self.job is not None and not self.job.over:
                self.job = replace(self.job, failed="BackoffLimitExceeded")
            while self.pending:
                before = len(self.pending)
                self.answer(False)
                if len(self.pending) == before and self.pending[0] == "create":
                    self.job = None
                if self.job is None:
                    self.pods.clear()
            self.tell()
            self.now += 30
            self.look()
            if isinstance(self.stage, Releasing) and self.stage.request is None:
                self.job = None  # its time to stay is over
            if isinstance(self.stage, Releasing) and isinstance(self.stage.request, ExpireJob):
                self.job = None
            if self.stage is None and not self.wanted and self.told.empty:
                return
            if self.job is None:
                self.pods.clear()
            if self.stage is None and self.wanted:
                self.wanted = False
        raise AssertionError(f"it never ends: {self.stage}, {self.job}, {self.pods}")


ATrialsJob.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = ATrialsJob.TestCase
