"""Hostile tenants at work: slots, each with one attack after another, through a phase."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from soak.endpoints import HOSTILE
from soak.hostile import KINDS, QUOTA, Attack, Ground, Turns, Victim
from soak.server import RefusedError, Server, insist
from soak.verdict import Spell

log = logging.getLogger(__name__)

_RESTLESS_SECONDS = 0.1
_FLICKER_SECONDS = 1.0


@dataclass
class Attackers:
    """Hostile tenants.

    Args:
        server: The API server.
        seed: What they draw from.
        slots: How many attack at once.
        life: How many seconds an attack lasts.
        ports: The ports of rude /metrics.
        chosen: The attacks by name; all of them if left out.
    """

    server: Server
    seed: int
    slots: int
    life: float
    ports: Mapping[str, int]
    chosen: Sequence[str] = ()
    victims: Sequence[Victim] = ()
    counts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    history: list[Spell] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._turns = Turns(self.seed, self.chosen)
        self._prometheus = False

    def start(self) -> None:
        """Begin."""
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self.slots)]
        for thread in self._threads:
            thread.start()

    def read_by_prometheus(self) -> None:
        """From now on the operator reads a Prometheus."""
        self._prometheus = True

    def stop(self) -> None:
        """End, and take away what is left."""
        self._over.set()
        for thread in self._threads:
            thread.join(300)

    def _work(self, slot: int) -> None:
        namespace = f"{HOSTILE}-{slot}"
        self.server.make_namespace(namespace)
        insist(lambda: self.server.create(QUOTA, namespace))
        if self._over.wait(slot * self.life / self.slots):
            return
        while not self._over.is_set():
            with self._lock:
                number, kind = next(self._numbers), self._turns.next(prometheus=self._prometheus)
                ground = Ground(number, self.seed + number, self.ports, self.victims)
                attack = None if kind is None else KINDS[kind](ground)
            if kind is None or attack is None:
                self._over.wait(1.0)
            else:
                self._attack(kind, attack, namespace)

    def _attack(self, kind: str, attack: Attack, namespace: str) -> None:
        began = time.monotonic()
        until = began + self.life
        self._create(kind, attack, namespace)
        changes = itertools.cycle(attack.then) if attack.then else None
        while time.monotonic() < until and not self._over.is_set():
            if changes is not None:
                with suppress(RefusedError):
                    self.server.patch(attack.objects[0], namespace, next(changes))
                self._over.wait(_RESTLESS_SECONDS)
            elif attack.again:
                self._over.wait(_FLICKER_SECONDS)
                self._delete(attack, namespace)
                self._create(kind, attack, namespace)
            else:
                self._over.wait(until - time.monotonic())
        self._delete(attack, namespace)
        self.history.append(Spell(kind, began, time.monotonic()))

    def _create(self, kind: str, attack: Attack, namespace: str) -> None:
        for body in attack.objects:
            try:
                self.server.create(body, namespace)
                self.counts[kind][0] += 1
            except RefusedError as error:
                self.counts[kind][1] += 1
                log.debug("%s: %s", kind, error)

    def _delete(self, attack: Attack, namespace: str) -> None:
        for body in attack.objects:
            for _ in range(5):
                try:
                    self.server.delete(body, namespace)
                    break
                except RefusedError as error:
                    if error.status == HTTPStatus.NOT_FOUND:
                        break
                    time.sleep(1.0)
