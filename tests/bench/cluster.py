"""The operator on a real control plane, with no-op trials on simulated nodes, beside a bare script in the same run.

The script keeps as many Jobs in flight and does nothing else: when one is complete it creates the next and deletes the
old one. Both are timed by the same onlooker, watches of its own: the k-th completion against the creation that takes
its place. The operator goes by the pod's end, of which the Job controller tells later: its time can be negative, and
the time from the pod's end stands beside it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from kubestudy.api.study import HyperparameterStudy
from kubestudy.api.validation import validate
from kubestudy.cluster.jobs import Owner, job_of
from kubestudy.study.trial import Suggestion
from support.cluster.cluster import Cluster, start_operator
from support.cluster.control_plane import ADMIN_TOKEN
from support.cluster.studies import Study, simulated_study

TRIALS = {10: 200, 100: 1000}


@dataclass
class Onlooker:
    """When Jobs of a namespace were seen to be created and to be complete."""

    created: list[float] = field(default_factory=list)
    complete: list[float] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    pods: dict[str, float] = field(default_factory=dict)

    def see_pod(self, pod: dict[str, Any]) -> None:
        if pod.get("status", {}).get("phase") == "Succeeded":
            self.pods.setdefault(pod["metadata"]["name"], time.monotonic())

    def see(self, kind: str, job: dict[str, Any]) -> None:
        name, now = job["metadata"]["name"], time.monotonic()
        if kind == "ADDED":
            self.created.append(now)
        done = any(
            c["type"] == "Complete" and c["status"] == "True" for c in job.get("status", {}).get("conditions", [])
        )
        if done and name not in self.names:
            self.names.add(name)
            self.complete.append(now)

    def report(self, what: str, in_flight: int) -> tuple[float, float, float]:
        p50, p99 = self._waits(self.complete, in_flight)
        rate = len(self.complete) / (self.complete[-1] - self.created[0])
        pod50, pod99 = self._waits(list(self.pods.values()), in_flight)
        print(
            f"  {what}: {rate:.1f} Jobs/s, to the next Job from Complete p50 {p50 * 1000:.0f} ms,"
            f" p99 {p99 * 1000:.0f} ms, from the pod's end p50 {pod50 * 1000:.0f} ms, p99 {pod99 * 1000:.0f} ms"
        )
        return rate, p50, p99

    def _waits(self, ends: list[float], in_flight: int) -> tuple[float, float]:
        waits = [c - e for e, c in zip(ends, self.created[in_flight:], strict=False)]
        cut = statistics.quantiles(waits, n=100)
        return cut[49], cut[98]


class Api:
    """A bare client of the API server."""

    def __init__(self, cluster: Cluster) -> None:
        context = ssl.create_default_context(cafile=str(cluster.folder / "ca.crt"))
        self.base = cluster.control_plane.url
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=200), headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
            read_bufsize=2**21,
        )  # fmt: skip

    async def watch(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        timeout = aiohttp.ClientTimeout(total=None)
        async with self.session.get(f"{self.base}{path}", params={"watch": "true"}, timeout=timeout) as answer:
            async for line in answer.content:
                event = json.loads(line)
                yield event["type"], event["object"]


async def onlook(api: Api, namespace: str, seen: Onlooker, ready: asyncio.Event) -> None:
    ready.set()
    async for kind, job in api.watch(f"/apis/batch/v1/namespaces/{namespace}/jobs"):
        seen.see(kind, job)


async def onlook_pods(api: Api, namespace: str, seen: Onlooker) -> None:
    async for _, pod in api.watch(f"/api/v1/namespaces/{namespace}/pods"):
        seen.see_pod(pod)


async def script(api: Api, namespace: str, manifest: dict[str, Any], in_flight: int, total: int) -> None:
    """Keep Jobs in flight: create the next when one is complete, and delete that."""
    study, problems = validate(manifest)
    assert isinstance(study, HyperparameterStudy), problems
    owner = Owner("script", namespace, "00000000-0000-0000-0000-000000000000", manifest["spec"]["jobTemplate"])
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    made = 0
    tasks = set()

    async def create() -> None:
        nonlocal made
        number, made = made, made + 1
        body = job_of(owner, study.spec, Suggestion(number, {"x": 0.5}))
        del body["metadata"]["ownerReferences"]
        async with api.session.post(api.base + path, json=body) as answer:
            assert answer.status == 201, await answer.text()

    async def delete(name: str) -> None:
        options = {"propagationPolicy": "Background"}
        async with api.session.delete(f"{api.base}{path}/{name}", json=options) as answer:
            assert answer.status in (200, 404), await answer.text()

    def spawn(coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    done: set[str] = set()
    watching = api.watch(path)
    for _ in range(in_flight):
        spawn(create())
    async for _, job in watching:
        name = job["metadata"]["name"]
        if name in done or not any(c["type"] == "Complete" for c in job.get("status", {}).get("conditions", [])):
            continue
        done.add(name)
        if made < total:
            spawn(create())
        spawn(delete(name))
        if len(done) == total:
            break
    await asyncio.gather(*tasks)


async def measure(cluster: Cluster, in_flight: int, total: int) -> None:
    print(f" {in_flight} in flight, {total} trials")
    figures = {}
    for what in ("script", "operator"):
        namespace = cluster.new_namespace(f"{what}-{in_flight}")
        api, seen, ready = Api(cluster), Onlooker(), asyncio.Event()
        looking = asyncio.create_task(onlook(api, namespace, seen, ready))
        looking_pods = asyncio.create_task(onlook_pods(api, namespace, seen))
        await ready.wait()
        await asyncio.sleep(0.5)
        manifest = simulated_study(what, parallelism=in_flight, budget={"maxTrials": total})
        if what == "script":
            await asyncio.wait_for(script(api, namespace, manifest, in_flight, total), 900)
            await asyncio.sleep(2)
        else:
            study = Study(cluster, namespace, what).apply(manifest)
            deadline = time.monotonic() + 900
            while len(seen.complete) < total and time.monotonic() < deadline:
                await asyncio.sleep(1)
            await asyncio.to_thread(study.until_phase, "Complete")
        for task in (looking, looking_pods):
            task.cancel()
        await asyncio.gather(looking, looking_pods, return_exceptions=True)
        await api.session.close()
        figures[what] = seen.report(what, in_flight)
    (r0, p0, q0), (r1, p1, q1) = figures["script"], figures["operator"]
    print(f"  operator / script: throughput {r1 / r0:.2f}, p50 {p1 / p0:.2f}, p99 {q1 / q0:.2f}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        cluster = Cluster(Path(base) / "cluster")
        try:
            cluster.up()
            operator = start_operator(cluster, Path(base) / "operator")
            for in_flight, total in TRIALS.items():
                asyncio.run(measure(cluster, in_flight, total))
            writes = Counter(
                (e["verb"], e["objectRef"]["resource"], e["objectRef"].get("subresource", ""))
                for e in cluster.audit()
                if e["verb"] not in ("get", "list", "watch")
                and "objectRef" in e
                and e["objectRef"]["resource"] != "leases"
            )
            trials = sum(TRIALS.values())
            each = ", ".join(f"{verb} {'/'.join(filter(None, r))} {n / trials:.2f}" for (verb, *r), n in writes.items())
            print(f" the operator's writes a trial: {sum(writes.values()) / trials:.2f} ({each})")
            print(f" the operator's memory: {psutil.Process(operator.process.pid).memory_info().rss / 2**20:.0f} MiB")
            operator.stop()
        finally:
            cluster.down()
