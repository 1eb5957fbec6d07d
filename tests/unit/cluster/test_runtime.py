"""What the runtime makes of watches that lag behind requests. The API server is a stand-in that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kubestudy.cluster import requests as module
from kubestudy.cluster.api import ApiError, ConflictError, NotFoundError
from kubestudy.cluster.cache import Cache
from kubestudy.cluster.jobs import Owner
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

    async def delete(self, path: str) -> None:
        self.deleted.append(path.rpartition("/")[2])


class Scene:
    """A runtime with its surroundings and a clock."""

    def __init__(self, *uids: str) -> None:
        self.latencies: list[float] = []
        self.api, self.cache, self.now = Api(uids or ("a",)), Cache(), 1e9
        template = {"spec": {"template": {"spec": {"containers": [{"name": "trainer", "image": "a"}]}}}}
        owner = Owner("demo", "ns", UID, template)
        options: Any = {"clock": lambda: self.now, "launched": self.latencies.append}
        self.runtime = ClusterRuntime(owner, spec_of(), self.api, self.cache, **options)  # type: ignore[arg-type]

    def job(self, uid: str, condition: str | None = None, *, deleted: bool = False, version: int = 1) -> None:
        conditions = [{"type": condition, "status": "True", "reason": "x"}] if condition else []
        body = {"metadata": self._metadata(NAME, uid, version), "spec": {}, "status": {"conditions": conditions}}
        self.cache.take_in("Job", deleted, body)

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
        return {
            "metadata": {**self._metadata(f"{NAME}-{job}", f"pod-{job}", version), "ownerReferences": [{"uid": job}]},
            "status": {
                "phase": phase,
                "containerStatuses": [{"name": "trainer", "state": running if phase == "Running" else ended}],
            },
        }

    @staticmethod
    def _metadata(name: str, uid: str, version: int) -> dict[str, Any]:
        labels = {"kubestudy.dev/study-uid": UID, "kubestudy.dev/trial": "0"}
        return {"name": name, "uid": uid, "resourceVersion": str(version), "creationTimestamp": AT, "labels": labels}

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
