"""What hostile tenants do: each kind of attack returns the objects that it creates. Pure, but for the random manifests.

All of it is what whoever may edit a namespace can do. Each attack has a namespace with a quota, as a cluster of several
tenants has: filling the cluster with pods is no matter of the operator's.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubestudy.api import contract
from kubestudy.cluster.names import job_prefix, labels
from soak.random_manifests import random_manifests
from support.cluster.studies import simulated_study

Body = dict[str, Any]
QUOTA: Body = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "tenant"},
    "spec": {"hard": {"pods": "10", "count/jobs.batch": "20"}},
}
_LONG = "never"
# Only the first trial is drawn at random; the next ones are computed.
_SOON: Body = {"name": "tpe", "options": {"n_startup_trials": 1}}


@dataclass(frozen=True, slots=True)
class Victim:
    """A study of an honest tenant, of which a hostile one knows the name and uid."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Ground:
    """What an attack is given.

    Attributes:
        number: It makes names unique.
        seed: What it draws from.
        ports: The ports of rude /metrics, by way.
        victims: Honest studies.
    """

    number: int
    seed: int
    ports: Mapping[str, int]
    victims: Sequence[Victim]

    @property
    def drawn(self) -> random.Random:
        """Random numbers of its own."""
        return random.Random(self.seed)

    def study(self, **parts: Any) -> Body:
        """Return a study to start from."""
        return simulated_study(f"attack-{self.number}", **{"budget": {"maxTrials": 20}, **parts})

    def scraped(self, way: str, **parts: Any) -> Body:
        """Return a study whose trials run on, with a rude /metrics."""
        port = {"name": "metrics", "containerPort": self.ports[way]}
        return self.study(run_for=_LONG, container={"ports": [port]}, **parts)


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        objects: What is created.
        then: Changes of the first of them, one after the other, again and again.
        again: Whether it is deleted and created again and again instead.
    """

    objects: Sequence[Body]
    then: Sequence[Body] = ()
    again: bool = False


def _pods(study: Body) -> Body:
    template: Body = study["spec"]["jobTemplate"]["spec"]["template"]
    return template


def _nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    return functools.reduce(lambda inner, _: wrap(inner), range(depth), 0)


def _trainer(study: Body) -> Body:
    container: Body = _pods(study)["spec"]["containers"][0]
    return container


# --- manifests -------------------------------------------------------------------------------------------------------


def quantity(g: Ground) -> Attack:
    return Attack([g.study(container={"resources": {"limits": {"cpu": "1" * 20_000 + "x"}}})])


def gpu_quantity(g: Ground) -> Attack:
    return Attack([g.study(container={"resources": {"limits": {"nvidia.com/gpu": "9" * 60 + "E"}}})])


def candidates(g: Ground) -> Attack:
    return Attack([g.study(sampler={"name": "tpe", "options": {"n_ei_candidates": 50_000_000, "n_startup_trials": 1}})])


def samplers(g: Ground) -> Attack:
    huge = {"n_ei_candidates": 10**9, "n_startup_trials": 0, "multivariate": True, "group": True, "constant_liar": True}
    return Attack([g.study(sampler={"name": "tpe", "options": huge})])


def grid(g: Ground) -> Attack:
    axes: list[Body] = [{"name": "x", "type": "float", "low": 0, "high": 1, "step": 1e-5}]
    axes += [{"name": f"p{i}", "type": "int", "low": 0, "high": 10**9} for i in range(20)]
    return Attack([g.study(parameters=axes, sampler={"name": "grid"})])


def numbers(g: Ground) -> Attack:
    axes = [
        {"name": "x", "type": "float", "low": -1.7e308, "high": 1.7e308},
        {"name": "tiny", "type": "float", "low": 0, "high": 1e300, "step": 1e-300},
        {"name": "log", "type": "float", "low": 5e-324, "high": 1.7e308, "log": True},
        {"name": "wide", "type": "int", "low": -(10**15), "high": 10**15},
    ]
    return Attack([g.study(parameters=axes, budget={"maxTrials": 10**15, "maxGpuHours": 1e308})])


def choices(g: Ground) -> Attack:
    deep = _nested(300, lambda inner: [inner])
    odd = [{"a": [1, {"b": None}]}, 10**300, -0.0, "\u0000\u001b[2J", "x" * 10_000, True, 1, 1.0]
    made = [g.study(parameters=[{"name": "x", "type": "categorical", "choices": c}]) for c in ([deep], odd, odd[2:])]
    for number, study in enumerate(made):
        study["metadata"]["name"] += f"-{number}"
    return Attack(made)


def wide(g: Ground) -> Attack:
    names = [f"p{i}" for i in range(100)]
    axes: list[Body] = [
        {"name": name, "type": "categorical", "choices": [f"{name}-{j}-" + "x" * 90 for j in range(100)]}
        for name in names
    ]
    for one, other in itertools.pairwise(axes):
        other["when"] = {one["name"]: one["choices"][:50]}
    return Attack([g.study(parameters=axes, container={"args": []}, sampler=dict(_SOON))])


def durations(g: Ground) -> Attack:
    long = "9" * 31 + "d"
    times = {"trialStartTimeout": long, "failedJobsHistoryTTL": long, "settlingTime": long}
    budget = {"maxTrials": 10**9, "maxDuration": long, "gracePeriod": long}
    return Attack([g.study(run_for="1s", budget=budget, annotations={"exit-code": "1"}, **times)])


def references(g: Ground) -> Attack:
    names = [f"N{i:03}" for i in range(800)]
    env = [{"name": name, "value": "".join(f"$({n})" for n in names[:50])} for name in names]
    return Attack([g.study(container={"env": env, "args": ["".join(f"$({n})" for n in names)] * 100})])


def nesting(g: Ground) -> Attack:
    study = g.study()
    deep = _nested(900, lambda inner: {"a": inner})
    _trainer(study)["securityContext"] = deep
    _pods(study)["spec"]["affinity"] = deep
    return Attack([study])


def types(g: Ground) -> Attack:
    study = g.study()
    _trainer(study).update(resources={"limits": [1]}, env={"a": 1}, args="text", ports=7, volumeMounts="x")
    study["spec"]["jobTemplate"]["metadata"] = {"labels": 7, "annotations": ["a"], "finalizers": ["a/b"]}
    _pods(study)["metadata"]["labels"] = {contract.LABEL_STUDY_UID: "", contract.LABEL_TRIAL: "-1"}
    return Attack([study])


def long_name(g: Ground) -> Attack:
    made = []
    for number, length in enumerate((180, 180, 180, 240, 253)):
        name = f"attack-{g.number}-{number}-"
        made.append(simulated_study(name + "n" * (length - len(name)), budget={"maxTrials": 3}))
    return Attack(made)


def free_places(g: Ground) -> Attack:
    nowhere = {"nodeSelector": {"kubestudy.dev/nowhere": "true"}}
    return Attack([g.study(parallelism=10_000, budget={"maxTrials": 10_000}, pod=nowhere)])


def many_at_once(g: Ground) -> Attack:
    return Attack([g.study(parallelism=10_000, budget={"maxTrials": 10_000}, run_for=_LONG)])


def restless(g: Ground) -> Attack:
    changes: list[Body] = [{"parallelism": 1 + n % 9, "suspend": n % 3 == 0, "stop": n % 7 == 0} for n in range(50)]
    changes += [{"trialStartTimeout": "no"}, {"budget": {"maxTrials": 1}}, {"objectives": []}]
    return Attack([g.study(run_for="3s")], [{"spec": change} for change in changes])


def flickering(g: Ground) -> Attack:
    return Attack([g.study(run_for="1s", historyPolicy="Delete")], again=True)


def random_manifest(g: Ground) -> Attack:
    made = random_manifests(6, g.seed, g.study(run_for="2s"))
    for number, body in enumerate(made):
        body["metadata"]["name"] = f"attack-{g.number}-{number}"
    return Attack(made)


# --- the pods' own words ---------------------------------------------------------------------------------------------

_WORDS = (
    '{"version": 1, "values": {"y": 1}, "reason": "\\ud800", "message": "\\udfff\\u001b]0;x\\u0007\\u001b[2J"}',
    '{"version": 1, "values": {"y": "\\ud800"}}',
    '{"version": 1, "values": {}, "reason": "a\\nb: ERROR forged\\r\\u2028", "message": "\\n\\n2026 ERROR forged"}',
    '{"version": 1, "values": {"y": ' + "1" * 3900 + "}}",
    '{"version": 1, "values": {"y": 1e999}, "curve": {"y": [[9223372036854775807, 1], [1e400, 2], ["a"]]}}',
    '{"version": 1, "values": {"\\ud800": 1, "y": NaN}}',
    '{"version": 1, "values": ' + "[" * 1900 + "]" * 1900 + "}",
    '{"version": 1, "values": {"y": 1}, "curve": {' + ",".join(f'"m{i}": [[1, {i}]]' for i in range(180)) + "}}",
    "\x1b[2J\x1b]8;;http://a\x07" + "x" * 4000,
    "null",
    '{"version": "9", "values": 7, "reason": ["a"], "curve": [1]}',
)


def words(g: Ground) -> Attack:
    made = []
    for number, said in enumerate(_WORDS):
        study = g.study(run_for="1s", annotations={"message": said, **({"exit-code": "1"} if number % 2 else {})})
        study["spec"]["budget"] = {"maxTrials": 3}
        study["metadata"]["name"] += f"-{number}"
        made.append(study)
    return Attack(made)


def reasons(g: Ground) -> Attack:
    """Reasons of failures without end, as labels of the operator's own metrics would be."""
    made = []
    for number in range(4):
        reason = f"Reason{g.number}x{number}" + "y" * 900
        said = json.dumps({"version": 1, "values": {}, "reason": reason})
        study = g.study(run_for="1s", annotations={"message": said, "exit-code": "1", "reason": reason[:900]})
        study["metadata"]["name"] += f"-{number}"
        study["spec"]["budget"] = {"maxTrials": 4, "maxFailedTrials": 4}
        made.append(study)
    return Attack(made)


# --- labels and Jobs -------------------------------------------------------------------------------------------------


def forged(g: Ground) -> Attack:
    """Pods and Jobs that say that they are trials of somebody else's study."""
    made: list[Body] = []
    for victim in g.victims[:3]:
        for trial in range(3):
            own = labels(victim.name, victim.uid, trial)
            study = g.study(
                annotations={"message": '{"version": 1, "values": {"y": -1000}}'}, container=_metrics(g, "steps")
            )
            template = copy.deepcopy(_pods(study))
            template["metadata"]["labels"] = own
            template["spec"]["restartPolicy"] = "Never"
            name = f"{job_prefix(victim.name, victim.uid)}{trial}"
            owner = {"apiVersion": "kubestudy.dev/v1alpha1", "kind": "HyperparameterStudy", "controller": True,
                     "name": victim.name, "uid": victim.uid}  # fmt: skip
            job = {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template, "backoffLimit": 0},
                   "metadata": {"name": name, "labels": own, "ownerReferences": [owner]}}  # fmt: skip
            pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
                   "metadata": {**template["metadata"], "name": f"{name}-abcde"}}  # fmt: skip
            made += [job, pod]
    return Attack(made)


def _metrics(g: Ground, way: str) -> Body:
    return {"ports": [{"name": "metrics", "containerPort": g.ports[way]}]}


def big_jobs(g: Ground) -> Attack:
    """Suspended Jobs of nearly a megabyte, of a study that does not exist."""
    made: list[Body] = []
    for number in range(8):
        own = labels("nobody", "00000000-0000-0000-0000-000000000000", number)
        template = copy.deepcopy(_pods(g.study(container={"args": ["x" * 900_000]})))
        template["metadata"]["labels"] = own
        template["spec"]["restartPolicy"] = "Never"
        made.append({"apiVersion": "batch/v1", "kind": "Job", "spec": {"suspend": True, "template": template},
                     "metadata": {"name": f"attack-{g.number}-{number}", "labels": own}})  # fmt: skip
    return Attack(made)


def big_study(g: Ground) -> Attack:
    return Attack([g.study(container={"args": ["x" * 900_000]}, parallelism=5)])


# --- /metrics and Prometheus -----------------------------------------------------------------------------------------

_PRUNERS: tuple[Body, ...] = (
    {"name": "successivehalving", "options": {"reduction_factor": 3, "min_early_stopping_rate": 30_000_000}},
    {"name": "successivehalving", "options": {"min_resource": 1, "reduction_factor": 2, "bootstrap_count": 0}},
    {"name": "hyperband", "options": {"min_resource": 1, "max_resource": 10**15, "reduction_factor": 2}},
    {"name": "median", "options": {"n_startup_trials": 0, "n_warmup_steps": 0, "interval_steps": 10**15}},
    {"name": "percentile", "options": {"percentile": 1e-300, "n_startup_trials": 0}},
    {"name": "patient", "options": {"patience": 10**15, "wrapped_pruner": {"name": "median"}}},
)


def pruners(g: Ground) -> Attack:
    made = []
    for number, pruner in enumerate(_PRUNERS):
        made.append(g.scraped("steps", pruner=pruner))
        made[-1]["metadata"]["name"] += f"-{number}"
    return Attack(made)


def _scraping(way: str) -> Callable[[Ground], Attack]:
    return lambda g: Attack(
        [g.scraped(way, parallelism=4, pruner={"name": "median", "options": {"n_startup_trials": 0}})]
    )


_EXPRESSIONS = (
    '{__name__=~".+"}',
    'kubestudy_trial_metric{namespace="hostile"}',
    'max(kubestudy_soak{namespace="hostile"})',
    'label_replace(x{a="hostile"}, "' + "b" * 3000 + '", "$1", "c", "(((a*)*)*)*")',
    '"hostile' + "\\" * 3999 + '"',
    "$(pods)$(window)" * 200 + "hostile",
    "(" * 4000 + "hostile",
)


def expressions(g: Ground) -> Attack:
    made = []
    for number, expression in enumerate(_EXPRESSIONS):
        made.append(g.study(objectives=[{"promql": expression, "name": "y", "goal": "minimize"}], settlingTime="0s"))
        made[-1]["metadata"]["name"] += f"-{number}"
    return Attack(made)


def read_by_prometheus(g: Ground) -> Attack:
    """Trials that run on, which a lying Prometheus is asked about."""
    return Attack([g.study(run_for=_LONG, parallelism=4, pruner={"name": "median"})])


_MANIFESTS = (
    quantity, gpu_quantity, candidates, samplers, grid, numbers, choices, wide, durations, references, nesting, types,
    long_name, free_places, many_at_once, restless, flickering, random_manifest, words, reasons, forged, big_jobs,
    big_study,
)  # fmt: skip
_WAYS = ("quotes", "lines", "names", "odd", "drip", "endless", "headers", "silence", "bomb", "elsewhere")

ALWAYS: Mapping[str, Callable[[Ground], Attack]] = {kind.__name__: kind for kind in _MANIFESTS}
"""Attacks by name that are such whatever the operator reads."""
BY_PODS: Mapping[str, Callable[[Ground], Attack]] = {
    "pruners": pruners,
    **{f"metrics_{way}": _scraping(way) for way in _WAYS},
}
"""Those that are such while it reads trials' pods."""
BY_PROMETHEUS: Mapping[str, Callable[[Ground], Attack]] = {
    kind.__name__: kind for kind in (expressions, read_by_prometheus)
}
"""Those that are such while it reads a Prometheus."""
KINDS: Mapping[str, Callable[[Ground], Attack]] = {**BY_PODS, **BY_PROMETHEUS, **ALWAYS}
"""All of them."""


class Turns:
    """Says which attack comes next: one that came least often, and of these one that is for the present only.

    Args:
        seed: What is drawn from.
        chosen: The attacks by name; all of them if empty.
    """

    def __init__(self, seed: int, chosen: Sequence[str] = ()) -> None:
        self._drawn = random.Random(seed)
        self._chosen = chosen or tuple(KINDS)
        self._counts = dict.fromkeys(KINDS, 0)

    def next(self, *, prometheus: bool) -> str | None:
        """Return the next attack's name; None if no attack is such now.

        Args:
            prometheus: Whether the operator reads a Prometheus.
        """
        now = BY_PROMETHEUS if prometheus else BY_PODS
        fit = [kind for kind in self._chosen if kind in now or kind in ALWAYS]
        if not fit:
            return None
        self._drawn.shuffle(fit)
        kind = min(fit, key=lambda kind: (self._counts[kind], kind in ALWAYS))
        self._counts[kind] += 1
        return kind
