"""The honest tenants: what they ask for is drawn from a seed, so that both phases have the same. Pure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from support.cluster.studies import simulated_study

# Trials a second of all tenants together: well below what two cores can start.
TRIALS_A_SECOND = 4.0
_MEAN_PARALLELISM = 1.5
_LEAST_SECONDS = 6.0
# What part of a phase a study would take that nothing disturbs.
_SHARE = 0.55
_EVERY_LATE = 10
_SAMPLERS: Sequence[dict[str, Any]] = ({"name": "random"}, {"name": "tpe", "options": {"n_startup_trials": 4}})


@dataclass(frozen=True, slots=True)
class Planned:
    """A study that an honest tenant will create.

    Attributes:
        namespace: The tenant's.
        manifest: The study.
        trials: How many trials it is to have in the end, all complete.
        late: Whether it comes in a phase's second half, when the operator knows a Prometheus: it has an expression.
    """

    namespace: str
    manifest: dict[str, Any]
    trials: int
    late: bool = False

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.manifest["metadata"]["name"])


def honest(
    seed: int,
    phase: str,
    studies: int,
    tenants: int,
    seconds: float,
    *,
    prometheus: bool = True,
    rate: float = TRIALS_A_SECOND,
) -> list[Planned]:
    """Return what honest tenants ask for.

    Args:
        seed: Draws everything but the namespaces' names.
        phase: What those begin with.
        studies: How many there are.
        tenants: Of how many tenants.
        seconds: How long the phase is to last.
        rate: Trials a second of all of them together.
        prometheus: Whether some of the studies are to ask a Prometheus.
    """
    drawn = random.Random(seed)
    run_for = max(_LEAST_SECONDS, studies * _MEAN_PARALLELISM / rate)
    every = _EVERY_LATE if prometheus else studies + 1
    return list(_drawn(drawn, phase, studies, tenants, seconds, run_for, every))


def _drawn(
    drawn: random.Random, phase: str, studies: int, tenants: int, seconds: float, run_for: float, every: int
) -> Iterator[Planned]:
    for number in range(studies):
        late = number % every == every - 1
        parallelism = drawn.randint(1, 2)
        lasts = run_for * drawn.uniform(0.7, 1.3)
        trials = max(2, round(seconds * _SHARE * (0.5 if late else 1.0) / lasts * parallelism))
        objective = {"metric": "y", "goal": "minimize"}
        if late:
            objective = {"promql": 'max(kubestudy_soak{job="$(job)"})', "name": "y", "goal": "minimize"}
        spec: dict[str, Any] = {"settlingTime": "1s"} if late else {}
        manifest = simulated_study(
            f"study-{number}",
            run_for=f"{lasts:.1f}s",
            objectives=[objective],
            parallelism=parallelism,
            budget={"maxTrials": trials},
            sampler=drawn.choice(_SAMPLERS) | {"seed": number},
            pruner={"name": "none" if late else drawn.choice(["none", "median"])},
            **spec,
        )  # fmt: skip
        yield Planned(f"{phase}-tenant-{number % tenants}", manifest, trials, late)


def idle(phase: str, studies: int, tenants: int) -> list[Planned]:
    """Return studies that do nothing: half of them suspended, half waiting for a node that is not there."""
    nowhere = {"nodeSelector": {"kubestudy.dev/nowhere": "true"}}
    made = []
    for number in range(studies):
        waits = number % 2 == 0
        manifest = simulated_study(f"idle-{number}", **({"pod": nowhere} if waits else {"suspend": True}))
        made.append(Planned(f"{phase}-tenant-{number % tenants}", manifest, 0))
    return made


def value_of(job: str) -> float:
    """Return what the soak's Prometheus says of a Job: a number between 0 and 1 that no other Job has."""
    return int(hashlib.sha256(job.encode()).hexdigest()[:12], 16) / 16**12
