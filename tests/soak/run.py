"""A soak from its beginning to its report: a phase without hostile tenants, and the same again with them."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak import faults as faults_of
from soak.attackers import Attackers
from soak.endpoints import WAYS
from soak.evidence import audit_of, errors_in, honest_in
from soak.faults import Fault, Faults
from soak.hostile import Victim
from soak.keeper import Keeper
from soak.proxy import DisturbingProxy
from soak.server import COLLECTIONS, STUDIES, RefusedError, Server, insist
from soak.tenants import TRIALS_A_SECOND, Planned, honest, idle
from soak.verdict import Bounds, Phase, Spell, verdict
from support.cluster import processes, rights
from support.cluster.access import write_kubeconfig
from support.cluster.cluster import ACCOUNT, NAMESPACE, ROOT, Cluster
from support.wait import until

# A phase lasts as long as its studies do; past so many times its length, and so many seconds, it has failed.
_PATIENCE = 3.0
_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 2.0
_ENDED = frozenset({"Complete", "Failed"})


@dataclass(frozen=True, slots=True)
class Options:
    """What a soak is to be.

    Attributes:
        seconds: How long it is to last: half of it without hostile tenants, half with them.
        studies: How many studies at once; a tenth of them hostile.
        tenants: Of how many tenants.
        idle: How many of them do nothing.
        seed: What everything is drawn from.
        every: Seconds from one fault to the next on average; 0 for none.
        hostile: The attacks by name; all of them if left out.
        prometheus: Whether the operator reads a Prometheus from half-time on, and some studies ask it.
        calm: Whether there is a phase without hostile tenants, to compare with.
        beset: Whether there is one with them.
        sample: Seconds between two looks at the operator.
        rate: Trials a second of all honest tenants together.
    """

    seconds: float = 1800.0
    studies: int = 200
    tenants: int = 20
    idle: int = 0
    seed: int = 1
    every: float = 20.0
    hostile: Sequence[str] = ()
    prometheus: bool = True
    calm: bool = True
    beset: bool = True
    sample: float = 1.0
    rate: float = TRIALS_A_SECOND

    @property
    def slots(self) -> int:
        """How many attacks there are at once."""
        return max(_LEAST_SLOTS, self.studies // 10)

    @property
    def phases(self) -> list[str]:
        """The phases' names."""
        return [name for name, on in (("calm", self.calm), ("beset", self.beset)) if on]

    @property
    def phase_seconds(self) -> float:
        """How long a phase is to last."""
        return self.seconds / len(self.phases)


# So that a short soak meets all of them too.
_LEAST_SLOTS = 8
_ATTACK_SECONDS = (10.0, 90.0)


class Soak:
    """A cluster, and what is done to it.

    Args:
        cluster: A cluster that runs, with a control plane of its own.
        folder: Where the operators' logs and storages are.
        options: What the soak is to be.
        say: Told in a line how it goes.
    """

    def __init__(self, cluster: Cluster, folder: Path, options: Options, say: Callable[[str], None] = print) -> None:
        self._cluster, self._folder, self._options, self._say = cluster, folder, options, say
        self._server = Server(cluster.control_plane)

    def run(self) -> list[Phase]:
        """Run all phases."""
        control_plane = self._cluster.control_plane
        with (
            DisturbingProxy(control_plane.url, control_plane.folder / "ca.crt") as proxy,
            _endpoints(self._folder) as ends,
        ):
            return [self._phase(name, proxy, ends) for name in self._options.phases]

    # --- one phase -------------------------------------------------------------------------------------------------

    def _phase(self, name: str, proxy: DisturbingProxy, ends: Endpoints) -> Phase:
        options, seconds = self._options, self._options.phase_seconds
        running = options.studies - options.idle
        asked = running - running // 10 if options.beset and options.calm else running
        planned = honest(
            options.seed, name, asked, options.tenants, seconds, prometheus=options.prometheus, rate=options.rate
        )
        sleeping = idle(name, options.idle, options.tenants)
        self._make_namespaces(planned + sleeping)
        keeper = Keeper(self._folder / name, self._kubeconfig(name, proxy), options.sample)
        keeper.start()
        attackers = self._attackers(ends) if name == "beset" else None
        try:
            _until_ready(keeper)
            began = time.monotonic()
            self._create([p for p in sleeping + planned if not p.late])
            if attackers is not None:
                attackers.victims = self._victims(planned)
                attackers.start()
            plan = faults_of.plan(options.seed, seconds, options.every) if options.every else []
            faults = Faults(self._cluster.control_plane, proxy, keeper, keeper.storage, ends.prometheus)
            self._say(f"{name}: {len(planned)} honest studies, {len(plan)} faults")
            half = functools.partial(self._half, planned, keeper, attackers, ends)
            spells = self._go_through(plan, faults, began, seconds, half if options.prometheus else None)
            self._await(planned, began + seconds * _PATIENCE + _PATIENCE_SECONDS)
            if attackers is not None:
                time.sleep(max(0.0, began + seconds - time.monotonic()))
            took = time.monotonic() - began
            if attackers is not None:
                attackers.stop()
            return self._finish(name, planned, sleeping, keeper, attackers, plan, spells, took)
        finally:
            if attackers is not None:
                attackers.stop()
            keeper.stop()

    def _half(self, planned: list[Planned], keeper: Keeper, attackers: Attackers | None, ends: Endpoints) -> None:
        """Half-time: from now on trials are read by Prometheus, and there are studies that ask it."""
        keeper.start_again(f"--prometheus-url={ends.prometheus}")
        if attackers is not None:
            attackers.read_by_prometheus()
        self._create([p for p in planned if p.late])

    def _go_through(
        self, plan: list[Fault], faults: Faults, began: float, seconds: float, half: Callable[[], None] | None
    ) -> list[Spell]:
        """Bring the faults about, each in its time; return when each was."""
        spells = []
        steps: list[tuple[float, Callable[[], None], str]] = [(seconds / 2, half, "half-time")] if half else []
        steps += [(f.at, lambda f=f: faults.bring(f), f"{f.kind}, {f.seconds:.0f} s") for f in plan]  # type: ignore[misc]
        for at, act, what in sorted(steps, key=lambda step: step[0]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            self._say(f"  {time.monotonic() - began:6.1f} s: {what}")
            since = time.monotonic()
            act()
            spells.append(Spell(what, since, time.monotonic()))
        return spells

    def _await(self, planned: list[Planned], deadline: float) -> None:
        wanted = {(p.namespace, p.name) for p in planned}
        while time.monotonic() < deadline:
            with suppress(RefusedError):
                phases = {(b["metadata"]["namespace"], b["metadata"]["name"]): (b.get("status") or {}).get("phase")
                          for b in self._server.list(STUDIES)}  # fmt: skip
                if all(phases.get(key) in _ENDED for key in wanted):
                    return
            time.sleep(_LOOK_SECONDS)

    def _finish(
        self, name: str, planned: list[Planned], sleeping: list[Planned], keeper: Keeper, attackers: Attackers | None,
        plan: list[Fault], spells: list[Spell], took: float,
    ) -> Phase:  # fmt: skip
        def jobs() -> list[Any]:
            return [job for ns in sorted({p.namespace for p in planned})
                    for job in self._server.list(COLLECTIONS["Job"].format(ns))]  # fmt: skip

        with suppress(AssertionError):  # the verdict tells of those that stay
            until(lambda: not jobs() or sleeping, 30, 1.0)
        bodies, left = self._server.list(STUDIES), jobs()
        keeper.stop()
        time.sleep(2.0)  # the audit log is written within a second
        studies = honest_in(planned, bodies, audit_of(self._cluster.control_plane.audit_log), keeper.storage, left)
        for p in {p.namespace: p for p in planned + sleeping}.values():
            with suppress(RefusedError):
                self._server.ask(
                    "DELETE",
                    COLLECTIONS["HyperparameterStudy"].format(p.namespace),
                    {"propagationPolicy": "Background"},
                )
        attacks = (
            {} if attackers is None else {kind: (made, refused) for kind, (made, refused) in attackers.counts.items()}
        )
        counted = dict(Counter(str(f.kind) for f in plan))
        spells = spells + (attackers.history if attackers is not None else [])
        return Phase(
            name,
            studies,
            list(keeper.samples),
            list(keeper.restarts),
            took,
            counted,
            attacks,
            spells,
            errors_in(keeper.log),
        )

    # --- parts -------------------------------------------------------------------------------------------------------

    def _kubeconfig(self, name: str, proxy: DisturbingProxy) -> Path:
        token = self._cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration=24h").strip()
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return write_kubeconfig(folder / "kubeconfig", {"server": proxy.url}, token)

    def _make_namespaces(self, planned: Sequence[Planned]) -> None:
        for namespace in sorted({p.namespace for p in planned}):
            self._server.make_namespace(namespace)

    def _create(self, planned: Sequence[Planned]) -> None:
        for p in planned:
            insist(lambda p=p: self._server.create(p.manifest, p.namespace))  # type: ignore[misc]

    def _victims(self, planned: Sequence[Planned]) -> list[Victim]:
        wanted = {(p.namespace, p.name) for p in planned}
        found = [b["metadata"] for b in self._server.list(STUDIES)]
        return [Victim(m["namespace"], m["name"], m["uid"]) for m in found if (m["namespace"], m["name"]) in wanted]

    def _attackers(self, ends: Endpoints) -> Attackers:
        least, most = _ATTACK_SECONDS
        life = max(least, min(most, self._options.phase_seconds / 6))
        return Attackers(self._server, self._options.seed, self._options.slots, life, ends.ports, self._options.hostile)


def _until_ready(keeper: Keeper) -> None:
    """Wait for an operator; not for one that ends again and again."""
    until(lambda: keeper.ready() or len(keeper.restarts) > 1, 120, what="a ready operator")
    if not keeper.ready():
        raise processes.ClusterError(f"the operator does not start: {keeper.log.read_text()[-2000:]}")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The rude servers.

    Attributes:
        prometheus: The URL of the Prometheus.
        ports: The ports of /metrics, by way.
    """

    prometheus: str
    ports: dict[str, int]


@contextmanager
def _endpoints(folder: Path) -> Iterator[Endpoints]:
    """Run the rude servers for a while."""
    port, ports = processes.free_port(), {way: processes.free_port() for way in WAYS}
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "soak.endpoints", str(port), *(f"{way}={p}" for way, p in ports.items())]
    with (folder / "endpoints.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT / "tests", stdout=log, stderr=log)
    try:
        found = Endpoints(f"http://127.0.0.1:{port}", ports)
        until(lambda: processes.answers(f"{found.prometheus}/api/v1/query?query=1"), 60, what="the soak's servers")
        yield found
    finally:
        process.kill()
        process.wait()


def soak(
    folder: Path, options: Options, bounds: Bounds, say: Callable[[str], None] = print
) -> tuple[list[Phase], list[str]]:
    """Start a cluster, soak it, and end it; return what was seen, and what of it does not hold.

    Args:
        folder: Where the cluster, logs and storages are.
        options: What the soak is to be.
        bounds: What is asked for.
        say: Told in a line how it goes.
    """
    cluster = Cluster(folder / "cluster")
    try:
        cluster.up()
        phases = Soak(cluster, folder, options, say).run()
        wrong = verdict(phases, bounds)
        try:
            rights.check(cluster)
        except AssertionError as error:
            wrong.append(f"an operator asked for what its manifests do not grant: {error}")
        return phases, wrong
    finally:
        cluster.down()
