"""What the runtime makes of watches that lag behind requests. The API server is a stand-in that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kubestudy.api.reasons import Hindrance
from kubestudy.cluster import requests as module
from kubestudy.cluster.api import ApiError, ConflictError, NotFoundError, UnreachableError
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.jobs import Owner, job_of
from kubestudy.cluster.names import job_name
from kubestudy.cluster.runtime import ClusterRuntime
from kubestudy.planning.backoff import Backoff
from kubestudy.planning.starts import Starts
from kubestudy.study.active import ActiveTrial, Stage, on_their_way
from kubestudy.study.trial import Suggestion, TrialPhase, WaitKind
from support.manifests import spec_of

UID = "0b2f7714-0000-4000-8000-000000000000"
AT = "2026-01-31T12:00:00Z"
TRIAL = Suggestion(0, {"lr": 0.1})
NAME = job_name("demo", UID, 0)
TEMPLATE: dict[str, Any] = {"spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "a"}]}}}}


LABELS = {"kubestudy.dev/study-uid": UID, "kubestudy.dev/trial": "0"}
STUDY = {"apiVersion": "kubestudy.dev/v1alpha1", "kind": "HyperparameterStudy", "name": "demo", "uid": UID}


def metadata(name: str, uid: str, owner: dict[str, Any], version: int) -> dict[str, Any]:
    return {
        "name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(version), "creationTimestamp": AT,
        "labels": dict(LABELS), "ownerReferences": [{**owner, "controller": True}],
    }  # fmt: skip


def job_body(uid: str, trial: Suggestion = TRIAL, storage: str = "", version: int = 1) -> dict[str, Any]:
    """Return the Job that the API server would keep."""
    made = job_of(Owner("demo", "ns", UID, TEMPLATE), spec_of(), trial, storage)
    known = metadata(NAME, uid, STUDY, version) | {"annotations": made["metadata"]["annotations"]}
    return {"metadata": known, "spec": made["spec"], "status": {}}


def pod_body(job: str, version: int = 1, name: str = NAME) -> dict[str, Any]:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job}
    return {"metadata": metadata(f"{NAME}-{job}", f"pod-{job}", owner, version), "spec": {}, "status": {}}


class Api:
    """Remembers what was asked of it; creation fails with whatever is in `refusals`, first to last.

    What it creates gets the next of `uids`.
    """

    def __init__(self, uids: tuple[str, ...]) -> None:
        self.uids = list(uids)
        self.created: list[Mapping[str, Any]] = []
        self.deleted: list[str] = []
        self.refusals: list[ApiError] = []
        self.objects: dict[str, Any] = {}

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.refusals:
            raise self.refusals.pop(0)
        self.created.append(body)
        return {**body, "metadata": {**body["metadata"], "uid": self.uids.pop(0), "resourceVersion": "0"}}

    async def get(self, path: str, **query: str) -> Any:
        if path not in self.objects:
            raise NotFoundError(404, "NotFound", "not found")
        return self.objects[path]

    async def delete(self, path: str, uid: str) -> None:
        self.deleted.append(path.rpartition("/")[2])


class Scene:
    """A runtime with its surroundings and a clock."""

    def __init__(self, *uids: str, storage: str = "") -> None:
        self.latencies: list[float] = []
        self.api, self.cache, self.now = Api(uids or ("a",)), Cache(), 1e9
        owner = Owner("demo", "ns", UID, TEMPLATE)
        options: Any = {"clock": lambda: self.now, "launched": self.latencies.append, "storage": storage}
        self.runtime = ClusterRuntime(owner, spec_of(), self.api, self.cache, **options)  # type: ignore[arg-type]

    def job(self, uid: str, condition: str | None = None, *, deleted: bool = False, version: int = 1) -> None:
        conditions = [{"type": condition, "status": "True", "reason": "x"}] if condition else []
        self.cache.take_in("Job", deleted, job_body(uid, version=version) | {"status": {"conditions": conditions}})

    def pod(self, job: str, phase: str, message: str = "", *, version: int = 1) -> dict[str, Any]:
        ended = {
            "terminated": {
                "exitCode": 0 if phase == "Succeeded" else 1,
                "message": message,
                "startedAt": AT,
                "finishedAt": AT,
            }
        }
        running = {"running": {"startedAt": AT}}
        states = [{"name": "trainer", "state": running if phase == "Running" else ended}]
        return pod_body(job, version=version) | {"status": {"phase": phase, "containerStatuses": states}}

    async def observed(self) -> Any:
        await asyncio.sleep(0.01)  # requests under way
        await self.runtime.wait(0)
        found = await self.runtime.observe()
        return found[0] if found else None


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF", Backoff(0.001, 0.001))


def test_a_launched_trial_is_pending_until_the_watch_tells_more() -> None:
    async def play() -> None:
        scene = Scene("first")
        await scene.runtime.launch(TRIAL)
        assert (await scene.observed()).phase is TrialPhase.PENDING
        await scene.runtime.launch(TRIAL)
        assert len(scene.api.created) == 1
        scene.job("first")
        scene.cache.take_in("Pod", False, scene.pod("first", "Running"))
        assert (await scene.observed()).phase is TrialPhase.RUNNING

    asyncio.run(play())


def test_an_old_job_of_the_same_name_is_not_taken_for_the_new_one() -> None:
    async def play() -> None:
        scene = Scene("old", "new")
        await scene.runtime.launch(TRIAL)
        scene.job("old", "Failed")
        scene.cache.take_in("Pod", False, scene.pod("old", "Failed"))
        assert (await scene.observed()).phase is TrialPhase.ENDED
        await scene.runtime.forget(0)
        scene.api.refusals = [ConflictError(409, "AlreadyExists", "exists")]
        await scene.runtime.launch(TRIAL)
        # The watch still tells of the old one.
        assert (await scene.observed()).phase is TrialPhase.PENDING
        scene.job("old", deleted=True)
        scene.job("new")
        scene.cache.take_in("Pod", False, scene.pod("new", "Running"))
        assert (await scene.observed()).phase is TrialPhase.RUNNING
        assert len(scene.api.created) == 2

    asyncio.run(play())


def test_a_refused_template_can_be_mended() -> None:
    async def play() -> None:
        scene = Scene()
        scene.api.refusals = [ApiError(422, "Invalid", "image: bad")] * 3
        await scene.runtime.launch(TRIAL)
        await asyncio.sleep(0.001)
        await scene.runtime.wait(0)
        (observed,) = await scene.runtime.observe()
        assert observed.wait is not None and observed.wait.kind is WaitKind.REFUSED
        assert observed.wait.hindrance == "JobRefused" and "image: bad" in observed.wait.message
        assert Starts().allowed(on_their_way({0: ActiveTrial(TRIAL, Stage.LIVE, observed)}), 0.0) == 0
        template = {"spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "mended"}]}}}}
        scene.runtime.owner = Owner("demo", "ns", UID, template)
        await asyncio.sleep(0.1)
        (created,) = scene.api.created
        assert created["spec"]["template"]["spec"]["containers"][0]["image"] == "mended"
        assert (await scene.observed()).wait is None

    asyncio.run(play())


def test_a_complete_job_whose_pod_no_watch_told_of_is_asked_for() -> None:
    async def play() -> None:
        scene = Scene()
        await scene.runtime.launch(TRIAL)
        scene.job("a", "Complete")
        assert (await scene.observed()).end is None
        scene.now += 10
        scene.api.objects["/api/v1/namespaces/ns/pods"] = {
            "items": [scene.pod("a", "Succeeded", '{"values": {"loss": 2}}')]
        }
        assert (await scene.observed()).end is None
        end = (await scene.observed()).end
        assert end.succeeded and end.result.values == {"loss": 2.0}

    asyncio.run(play())


def test_a_stopped_trial_lives_until_its_pods_are_gone() -> None:
    async def play() -> None:
        scene = Scene()
        await scene.runtime.launch(TRIAL)
        scene.job("a")
        scene.cache.take_in("Pod", False, scene.pod("a", "Running"))
        await scene.observed()
        await scene.runtime.stop(0)
        assert (await scene.observed()).phase is TrialPhase.RUNNING
        assert scene.api.deleted == [NAME]
        scene.job("a", deleted=True)
        assert (await scene.observed()).phase is TrialPhase.RUNNING
        scene.cache.take_in("Pod", True, scene.pod("a", "Running"))
        ended = await scene.observed()
        assert ended.phase is TrialPhase.ENDED and ended.end.interrupted

    asyncio.run(play())


def test_only_a_job_that_takes_an_ended_ones_place_has_a_latency() -> None:
    """An end whose place nobody took, since parallelism was lowered, is not measured against a later launch."""

    async def play() -> None:
        scene = Scene("a", "b")
        await scene.runtime.launch(TRIAL)
        scene.job("a", "Failed")
        scene.cache.take_in("Pod", False, scene.pod("a", "Failed"))
        await scene.observed()
        await scene.runtime.forget(0)
        await scene.runtime.wait(0)
        scene.now += 500
        await scene.runtime.launch(Suggestion(1, {"lr": 0.1}))
        await asyncio.sleep(0.01)
        assert scene.latencies == []

    asyncio.run(play())


# --- whose Job it is ------------------------------------------------------------------------------------------------

JOB = f"/apis/batch/v1/namespaces/ns/jobs/{NAME}"
THERE = ConflictError(409, "AlreadyExists", "exists")
OTHERS = Suggestion(0, {"lr": 0.2})


def unannotated(body: dict[str, Any]) -> dict[str, Any]:
    """A Job as earlier versions made it."""
    return {**body, "metadata": {**body["metadata"], "annotations": {}}}


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (job_body("x", OTHERS, "mine"), "carries other parameters"),
        (job_body("x", TRIAL, "theirs"), "another storage"),
        (unannotated(job_body("x", OTHERS, "mine")), "carries other parameters"),
        ({**job_body("x", TRIAL, "mine"), "spec": {"template": {"spec": {"containers": []}}}}, "other parameters"),
        ({**job_body("x"), "metadata": {**job_body("x")["metadata"], "ownerReferences": []}}, "not its controller"),
    ],
    ids=["parameters", "storage", "parameters-unannotated", "no-parameters", "no-owner"],
)
@pytest.mark.parametrize("told", [True, False], ids=["told-by-the-watch", "not-told"])
def test_anothers_job_of_a_trials_name_is_told_of_and_left_alone(there: dict[str, Any], says: str, told: bool) -> None:
    async def play() -> None:
        scene = Scene("own", storage="mine")
        await scene.runtime.expect([TRIAL])
        ended = scene.pod("x", "Succeeded", '{"values": {"loss": 1}}')
        if told:
            scene.cache.take_in("Job", False, there)
            scene.cache.take_in("Pod", False, ended)
        scene.api.objects[JOB] = there
        scene.api.refusals = [THERE] * 3
        await scene.runtime.launch(TRIAL)
        await asyncio.sleep(0.002)
        for _ in range(50):
            await scene.runtime.wait(0)
            (observed,) = await scene.runtime.observe()
            assert observed.phase is TrialPhase.PENDING and observed.end is None and observed.metrics_url is None
            if observed.wait is not None:
                break
            await asyncio.sleep(0.001)
        assert observed.wait.hindrance is Hindrance.JOB_OF_ANOTHER and says in observed.wait.message
        assert NAME in observed.wait.message
        # Once it is gone the trial gets a Job of its own.
        await asyncio.sleep(0.05)
        assert len(scene.api.created) == 1 and not scene.api.deleted
        scene.cache.take_in("Job", True, there)
        scene.cache.take_in("Pod", True, ended)
        scene.cache.take_in("Job", False, job_body("own", TRIAL, "mine", version=9))
        scene.cache.take_in("Pod", False, scene.pod("own", "Running", version=9))
        assert (await scene.observed()).phase is TrialPhase.RUNNING

    asyncio.run(play())


def test_a_trial_that_waits_for_anothers_job_can_be_stopped_and_that_job_stays() -> None:
    async def play() -> None:
        scene = Scene(storage="mine")
        await scene.runtime.expect([TRIAL])
        there = job_body("x", TRIAL, "theirs")
        scene.cache.take_in("Job", False, there)
        scene.cache.take_in("Pod", False, scene.pod("x", "Running"))
        scene.api.objects[JOB] = there
        scene.api.refusals = [THERE] * 1000
        await scene.runtime.launch(TRIAL)
        await scene.observed()
        await scene.runtime.stop(0)
        ended = await scene.observed()
        assert ended.end is not None and ended.end.interrupted and ended.end.result is None
        assert not scene.api.deleted
        await scene.runtime.forget(0)
        assert await scene.observed() is None and not scene.api.deleted
        await scene.runtime.close()

    asyncio.run(play())


@pytest.mark.parametrize("expected", [[TRIAL], []], ids=["unfinished", "ended"])
def test_anothers_job_is_no_trial_after_a_restart(expected: list[Suggestion]) -> None:
    """Neither one to go on with, nor one that is to be got rid of."""

    async def play() -> None:
        scene = Scene(storage="mine")
        scene.cache.take_in("Job", False, job_body("x", TRIAL, "theirs"))
        scene.cache.take_in("Pod", False, scene.pod("x", "Succeeded", '{"values": {"loss": 1}}'))
        await scene.runtime.expect(expected)
        assert await scene.observed() is None
        assert not scene.api.deleted

    asyncio.run(play())


@pytest.mark.parametrize(
    "there",
    [
        job_body("x", TRIAL, "mine"),
        unannotated(job_body("x", TRIAL)),
        # Another version of a library works the last digit out differently.
        job_body("x", Suggestion(0, {"lr": 0.1 + 1e-17}), "mine"),
    ],
    ids=["own", "unannotated", "last-digit"],
)
@pytest.mark.parametrize("found", [True, False], ids=["found", "adopted"])
def test_a_trials_own_job_goes_on_after_a_restart(there: dict[str, Any], found: bool) -> None:
    async def play() -> None:
        scene = Scene(storage="mine")
        scene.api.objects[JOB] = there
        if found:
            scene.cache.take_in("Job", False, there)
            scene.cache.take_in("Pod", False, scene.pod("x", "Running"))
            await scene.runtime.expect([TRIAL])
        else:
            await scene.runtime.expect([TRIAL])
            scene.api.refusals = [THERE]
            await scene.runtime.launch(TRIAL)
            await asyncio.sleep(0.01)
            scene.cache.take_in("Pod", False, scene.pod("x", "Running"))
        observed = await scene.observed()
        assert observed.phase is TrialPhase.RUNNING and not scene.api.created

    asyncio.run(play())


def test_a_forged_pod_is_never_read_nor_its_result_taken() -> None:
    """In another namespace; in the study's own, without the Job's word for it."""

    async def play() -> None:
        scene = Scene("own")
        await scene.runtime.launch(TRIAL)
        scene.job("own")
        elsewhere = scene.pod("own", "Succeeded", '{"values": {"loss": -9}}')
        elsewhere["metadata"] |= {"namespace": "elsewhere", "uid": "e"}
        beside = scene.pod("made-up", "Succeeded", '{"values": {"loss": -9}}')
        for forged in (elsewhere, beside):
            forged["status"]["podIP"] = "10.6.6.6"
            scene.cache.take_in("Pod", False, forged)
        observed = await scene.observed()
        assert observed.phase is TrialPhase.PENDING and observed.metrics_url is None
        scene.cache.take_in("Pod", False, scene.pod("own", "Running"))
        assert (await scene.observed()).pod == f"{NAME}-own"
        assert not scene.api.deleted

    asyncio.run(play())


def test_a_pod_that_outlived_its_job_holds_its_trial_back_and_is_believed_nothing() -> None:
    async def play() -> None:
        scene = Scene()
        running = scene.pod("gone", "Running")
        running["status"]["podIP"] = "10.6.6.6"
        scene.cache.take_in("Pod", False, running)
        await scene.runtime.expect([TRIAL])
        observed = await scene.observed()
        assert observed.phase is TrialPhase.RUNNING and observed.metrics_url is None
        scene.cache.take_in("Pod", False, scene.pod("gone", "Succeeded", '{"values": {"loss": -9}}', version=2))
        ended = await scene.observed()
        assert ended.end.interrupted and ended.end.result is None

    asyncio.run(play())


# --- the end, and answers that are none -----------------------------------------------------------------------------


def test_nothing_is_asked_for_after_the_end_not_even_by_what_others_waited_for() -> None:
    """A deletion that is tried again, and a creation behind it."""

    async def play() -> None:
        scene = Scene("old")
        await scene.runtime.launch(TRIAL)
        scene.job("old", "Failed")
        scene.cache.take_in("Pod", False, scene.pod("old", "Failed"))
        await scene.observed()
        await scene.runtime.forget(0)
        asked = 0

        async def refuse(path: str, uid: str) -> None:
            nonlocal asked
            asked += 1
            raise UnreachableError(0, "", "away")

        scene.api.delete = refuse  # type: ignore[method-assign]
        await scene.runtime.launch(TRIAL)
        await asyncio.sleep(0.02)
        assert asked
        async with asyncio.timeout(10):
            await scene.runtime.close()
        before = asked, len(scene.api.created)
        await asyncio.sleep(0.02)
        assert (asked, len(scene.api.created)) == before

    asyncio.run(play())


def test_a_cancellation_that_comes_together_with_news_is_not_swallowed() -> None:
    async def play() -> None:
        scene = Scene()
        waiting = asyncio.create_task(scene.runtime.wait(1000))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        scene.job("a")  # wakes it
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(play())


@pytest.mark.parametrize(
    "answer", [{}, {"kind": "Status", "status": "Success"}, {"kind": "Job"}, {"metadata": None}], ids=str
)
def test_a_creation_that_nobody_confirms_is_told_and_tried_again(answer: dict[str, Any]) -> None:
    async def play() -> None:
        scene = Scene("own")
        real, asked = scene.api.create, 0

        async def create(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal asked
            asked += 1
            return answer if asked < 20 else await real(path, body)

        scene.api.create = create  # type: ignore[method-assign]
        await scene.runtime.launch(TRIAL)
        await asyncio.sleep(0.004)
        await scene.runtime.wait(0)
        (observed,) = await scene.runtime.observe()
        assert observed.wait is not None and observed.wait.hindrance is Hindrance.API_SERVER
        for _ in range(200):
            await asyncio.sleep(0.001)
            if asked == 20:
                break
        assert (await scene.observed()).wait is None
        assert len(scene.api.created) == 1

    asyncio.run(play())
