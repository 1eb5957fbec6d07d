"""However many faults a manifest has, each is reported, and nothing else."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.validation import validate
from kubestudy.search.search_checks import search_problems

POD = "spec.jobTemplate.spec.template.spec"
TRAINER = f"{POD}.containers[0]"
LIMITS = f"{TRAINER}.resources.limits"
P = "spec.parameters"
LR, LAYERS, OPTIMIZER, MOMENTUM, EPS = (f"{P}[{i}]" for i in range(5))
GONE = object()

BASE: dict[str, Any] = {
    "apiVersion": "kubestudy.dev/v1alpha1",
    "kind": "HyperparameterStudy",
    "metadata": {"name": "example", "labels": {"team": "a"}},
    "spec": {
        "objectives": [
            {"metric": "loss", "goal": "minimize", "target": 0.1},
            {"promql": "sum(power)", "name": "power", "goal": "minimize"},
        ],
        "constraints": [
            {"metric": "latency", "min": 0.5, "max": 2.0},
            {"promql": "max(memory)", "name": "memory", "max": 10.0},
        ],
        "parameters": [
            {"name": "lr", "type": "float", "low": 0.001, "high": 1.0, "log": True},
            {"name": "layers", "type": "int", "low": 1, "high": 9, "step": 2, "when": {"optimizer": ["adam"]}},
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam", 1.5, "lion"]},
            {
                "name": "momentum",
                "type": "float",
                "low": 0.0,
                "high": 0.9,
                "step": 0.1,
                "when": {"optimizer": ["sgd", "adam"], "layers": [1, 3]},
            },
            {"name": "eps", "type": "float", "low": 0.5, "high": 1.0},
        ],
        "sampler": {"name": "tpe", "seed": 7, "options": {"multivariate": True, "n_startup_trials": 3}},
        "pruner": {"name": "none", "options": {}},
        "parallelism": 4,
        "budget": {
            "maxTrials": 60,
            "maxFailedTrials": 5,
            "maxDuration": "2h",
            "maxGpuHours": 12.0,
            "patience": 20,
            "gracePeriod": "30s",
        },
        "suspend": False,
        "stop": False,
        "trialStartTimeout": "5m",
        "failedJobsHistoryTTL": "1h",
        "settlingTime": "30s",
        "historyPolicy": "Retain",
        "jobTemplate": {
            "metadata": {"labels": {"team": "a"}},
            "spec": {
                "backoffLimit": 1,
                "template": {
                    "spec": {
                        "terminationGracePeriodSeconds": 30,
                        "containers": [
                            {
                                "name": "trainer",
                                "image": "image",
                                "command": ["python", "train.py"],
                                "args": ["--lr=$(lr)", "--layers=$(layers)", "$(SEED)"],
                                "env": [{"name": "SEED", "value": "1"}, {"name": "MODE", "value": "fast"}],
                                "resources": {"limits": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": 1}},
                            },
                            {"name": "sidecar", "args": ["--quiet"]},
                        ],
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Fault:
    """A value that is wrong at a place.

    Attributes:
        place: The place.
        value: The value; GONE: there is none.
        path: Where the problem is said to be.
        says: A part of its sentence.
        beside: Other places by which it is judged: a fault there may hide it.
    """

    place: str
    value: Any
    path: str
    says: str
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.place}={'gone' if self.value is GONE else self.value}"[:80]


def fault(place: str, value: Any, says: str, *beside: str, at: str | None = None) -> Fault:
    return Fault(place, value, at or place, says, beside)


def bounds(parameter: str) -> tuple[str, ...]:
    return tuple(f"{parameter}.{field}" for field in ("type", "low", "high", "step", "log"))


NAMES = (
    *(f"{P}[{i}].name" for i in range(5)),
    f"{POD}.containers[0].name",
    f"{POD}.containers[1].name",
    f"{POD}.containers[2]",
    f"{P}[5]",
)
ENDS = tuple(f"spec.budget.{end}" for end in ("maxTrials", "maxDuration", "maxGpuHours", "patience"))

FAULTS = [
    # scalars
    fault("apiVersion", "kubestudy.dev/v1", "did you mean kubestudy.dev/v1alpha1?"),
    fault("kind", "Study", "is not HyperparameterStudy"),
    fault("metadata.name", "Upper", "is no name for an object"),
    fault("metadata.name", GONE, "is required"),
    fault("metadata.namespace", 1, "is no text"),
    fault("spec.parallelism", 0, "must be at least 1"),
    fault("spec.parallelism", "4", "take the quotes away"),
    fault("spec.suspend", "yes", "neither true nor false"),
    fault("spec.stop", None, "neither true nor false"),
    fault("spec.trialStartTimeout", 90, "write it as 90s"),
    fault("spec.failedJobsHistoryTTL", "an hour", "write it as 90s"),
    fault("spec.settlingTime", "soon", "write it as 90s"),
    fault("spec.historyPolicy", "Keep", "is not Retain or Delete"),
    fault("spec.paralelism", 2, "did you mean parallelism?"),
    # objectives
    fault("spec.objectives[0].goal", "minimise", "did you mean minimize?"),
    fault("spec.objectives[0].target", math.nan, "can never be reached"),
    fault("spec.objectives[0].target", "0.1", "is no number"),
    fault("spec.objectives[0].metric", "a b", "no metric's name"),
    fault("spec.objectives[1].promql", "sum($(pod))", "did you mean pods?"),
    fault("spec.objectives[1].goal", GONE, "is required"),
    fault("spec.objectives[1].extra", 1, "no such field"),
    fault("spec.objectives[2]", {"metric": "loss", "goal": "maximize"}, "twice", "spec.objectives[0].metric"),
    fault("spec.objectives[2]", None, "no mapping of fields to values"),
    # constraints
    fault("spec.constraints[0].min", 3.0, "is above max", "spec.constraints[0].max"),
    fault("spec.constraints[0].max", math.inf, "no finite number"),
    fault("spec.constraints[1].max", GONE, "limits nothing", at="spec.constraints[1]"),
    fault(
        "spec.constraints[1].name",
        "power",
        "something else among the objectives",
        "spec.objectives[1]",
        "spec.constraints[1].promql",
    ),
    fault("spec.constraints[0].name", "x", "a metric has a name already", "spec.constraints[0].metric"),
    fault("spec.constraints[2]", {"metric": "latency", "min": 0.0}, "twice", "spec.constraints[0].metric"),
    # parameters: ranges
    fault(f"{LR}.low", 0, "has no logarithm", *bounds(LR)),
    fault(f"{LR}.low", 5, "is not below high", *bounds(LR)),
    fault(f"{LR}.high", "1", "is no number"),
    fault(f"{LR}.step", 0.1, "cannot go with log", *bounds(LR)),
    fault(f"{LR}.choices", [1], "belongs to categorical", f"{LR}.type"),
    fault(f"{EPS}.low", 2.0, "is not below high", *bounds(EPS)),
    fault(f"{EPS}.low", GONE, "is required", f"{EPS}.type"),
    fault(f"{EPS}.high", math.nan, "no finite number", f"{EPS}.type"),
    fault(f"{EPS}.step", -1.0, "must be above 0", *bounds(EPS)),
    fault(f"{EPS}.step", 2.0, "at most high - low", *bounds(EPS)),
    fault(f"{EPS}.type", "double", "is not float, int or categorical"),
    fault(f"{EPS}.log", "yes", "neither true nor false"),
    fault(f"{EPS}.minimum", 1, "no such field"),
    fault(f"{LAYERS}.step", 1.5, "no whole number", *bounds(LAYERS), f"{MOMENTUM}.when.layers"),
    # parameters: names
    fault(f"{EPS}.name", "1st", "cannot be an environment variable"),
    fault(f"{EPS}.name", "PATH", "would hide"),
    fault(f"{EPS}.name", "momentum", "the name of two", f"{MOMENTUM}.name"),
    fault(f"{EPS}.name", 5, "is no text"),
    fault(f"{EPS}.name", GONE, "is required"),
    fault(f"{P}[5]", "text", "no mapping of fields to values"),
    # parameters: choices
    fault(f"{OPTIMIZER}.choices[2]", None, "a text, number or boolean is expected, not null"),
    fault(f"{OPTIMIZER}.choices[2]", [64, 64], "a text, number or boolean is expected, not [64, 64]"),
    fault(f"{OPTIMIZER}.choices[2]", math.inf, "no finite number", f"{OPTIMIZER}.type"),
    fault(f"{OPTIMIZER}.choices[3]", "sgd", "cannot be told from", f"{OPTIMIZER}.type", f"{OPTIMIZER}.choices[0]"),
    fault(f"{OPTIMIZER}.low", 1, "belongs to float and int", f"{OPTIMIZER}.type"),
    fault(f"{OPTIMIZER}.log", True, "belongs to float and int", f"{OPTIMIZER}.type"),
    # parameters: conditions
    fault(f"{MOMENTUM}.when.optimizer[1]", "sdg", "did you mean sgd?", OPTIMIZER, f"{MOMENTUM}.name"),
    fault(f"{MOMENTUM}.when.optimizer[1]", None, "a text, number or boolean is expected"),
    fault(f"{MOMENTUM}.when.optimizer", [], "lists no value"),
    fault(f"{MOMENTUM}.when.layers", "3", "no list: write [3]"),
    fault(f"{MOMENTUM}.when.layers[0]", 2, "in steps of 2", LAYERS, f"{MOMENTUM}.name"),
    fault(f"{MOMENTUM}.when.nobody", [1], "there is no parameter nobody", *NAMES),
    fault(f"{MOMENTUM}.when.momentum", [1], "cannot depend on itself", f"{MOMENTUM}.name", f"{EPS}.name"),
    fault(f"{MOMENTUM}.when.lr", [1], "is a float", f"{LR}.type", f"{LR}.name", f"{MOMENTUM}.name"),
    fault(f"{LAYERS}.when", {}, "must not be empty"),
    fault(f"{LAYERS}.when.optimizer[0]", "adm", "did you mean adam?", OPTIMIZER, f"{LAYERS}.name"),
    fault(f"{OPTIMIZER}.when", {"layers": [1]}, "in a circle", OPTIMIZER, LAYERS, f"{EPS}.name", at=f"{LAYERS}.when"),
    # sampler, pruner
    fault("spec.sampler.name", "tpee", "did you mean tpe?", "spec.sampler.options"),
    fault("spec.sampler.seed", -1, "must be at least 0"),
    fault("spec.sampler.options.n_startup", 3, "no such option", "spec.sampler.name"),
    fault("spec.sampler.options.multivariate", 3, "3 is no", "spec.sampler.name"),
    fault("spec.sampler.options.seed", 3, "a field of its own", "spec.sampler.name"),
    fault("spec.pruner.name", "medain", "did you mean median?", "spec.pruner.options"),
    fault("spec.pruner.name", "median", "by one objective", "spec.objectives", at="spec.pruner"),
    fault("spec.pruner.options.x", 3, "no such option", "spec.pruner.name"),
    # budget
    fault("spec.budget.maxTrials", 0, "at least 1"),
    fault("spec.budget.maxFailedTrials", -1, "at least 1"),
    fault("spec.budget.maxDuration", "0s", "above zero"),
    fault("spec.budget.maxDuration", "2 hours", "write it as 90s"),
    fault("spec.budget.maxGpuHours", math.inf, "no finite number"),
    fault("spec.budget.patience", True, "is no whole number"),
    fault("spec.budget.gracePeriod", 30, "write it as 90s"),
    fault("spec.budget.maxTrial", 30, "did you mean maxTrials?"),
    fault(f"{LIMITS}.nvidia.com/gpu", GONE, "never used up", *ENDS, LIMITS, at="spec.budget.maxGpuHours"),
    # the Job
    fault(f"{TRAINER}.args[0]", "--lr=$(lrr)", "did you mean lr?", *NAMES, f"{TRAINER}.env"),
    fault(f"{TRAINER}.args[1]", None, "is no text"),
    fault(f"{TRAINER}.command[1]", "$(script)", "$$(script) keeps it", *NAMES, f"{TRAINER}.env"),
    fault(f"{TRAINER}.env[1].name", "eps", "is a parameter too", *NAMES),
    fault(f"{TRAINER}.env[1].name", "KUBESTUDY_X", "are set by KubeStudy", *NAMES),
    fault(f"{TRAINER}.env[1].value", 5, "is no text: put it in quotes"),
    fault(f"{TRAINER}.env[0].valueFrom", {"a": {}}, "has both", f"{TRAINER}.env[0].value", at=f"{TRAINER}.env[0]"),
    fault(f"{LIMITS}.cpu", "lots", "no Kubernetes quantity", at=f"{LIMITS}['cpu']"),
    fault(f"{LIMITS}.memory", None, "a text or number is expected"),
    fault(f"{LIMITS}.nvidia.com/gpu", 0.5, "must be a whole number", at=f"{LIMITS}['nvidia.com/gpu']"),
    fault(f"{LIMITS}.amd.com/gpu", "0.5", "must be a whole number", at=f"{LIMITS}['amd.com/gpu']"),
    fault(f"{TRAINER}.resources.limit", {}, "did you mean limits?"),
    fault(f"{TRAINER}.imag", "x", "did you mean image?"),
    fault(f"{POD}.containers[1].args[0]", "$(lr)", "parameters reach the trainer's container only", *NAMES),
    fault(f"{POD}.containers[1].comand", ["x"], "did you mean command?"),
    fault(f"{POD}.containers[2]", {"image": "x"}, "is required", at=f"{POD}.containers[2].name"),
    fault(f"{POD}.terminationGracePeriodSeconds", -1, "must be at least 0"),
    fault("spec.jobTemplate.spec.backoffLimits", 2, "did you mean backoffLimit?"),
    fault("spec.jobTemplate.spec.activeDeadlineSeconds", 0, "must be above 0"),
]


def steps(place: str) -> list[str | int]:
    """Cut a place into keys and list indices; a resource's name has dots of its own."""
    head, _, resource = place.partition(f"{LIMITS}.")
    if resource:
        return [*steps(LIMITS), resource]
    return [int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", head) if part]


def put(data: Any, one: Fault) -> None:
    *way, last = steps(one.place)
    for step in way:
        data = data[step]
    if one.value is GONE:
        del data[last]
    elif isinstance(last, int):
        while len(data) <= last:  # items between the last one and this one repeat no other
            data.append(None)
        data[last] = copy.deepcopy(one.value)
    else:
        data[last] = copy.deepcopy(one.value)


def _touch(a: str, b: str) -> bool:
    mine, yours = steps(a), steps(b)
    shared = min(len(mine), len(yours))
    return mine[:shared] == yours[:shared]


def independent(faults: Sequence[Fault]) -> bool:
    """Tell whether no fault stands where another does, or where another is judged by."""
    return not any(
        _touch(one.place, other)
        for one in faults
        for two in faults
        if one is not two
        for other in (two.place, *two.beside)
    )


def report(faults: Sequence[Fault]) -> dict[str, list[str]]:
    data = copy.deepcopy(BASE)
    # A field that goes is taken last: others may stand in what it is a part of.
    for one in sorted(faults, key=lambda one: one.value is GONE):
        put(data, one)
    study, problems = validate(data, search_problems)
    assert (study is None) == bool(problems)
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(problem.path, []).append(problem.sentence)
    return found


def test_the_manifest_without_a_fault_is_valid() -> None:
    assert report([]) == {}


@pytest.mark.parametrize("one", FAULTS, ids=map(str, FAULTS))
def test_a_fault_is_reported_once_and_nothing_else(one: Fault) -> None:
    found = report([one])
    assert list(found) == [one.path], found
    (sentence,) = found[one.path]
    assert one.says in sentence
    assert "alue error" not in sentence


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(FAULTS), min_size=2, max_size=5, unique_by=str).filter(independent))
def test_no_fault_hides_another(faults: list[Fault]) -> None:
    found = report(faults)
    for one in faults:
        assert any(one.says in sentence for sentence in found.get(one.path, [])), (str(one), found)
    # Several conditions too many in one `when` are a fault of that, too.
    told = {one.path for one in faults}
    assert all(any(path.startswith(f"{more}.") for path in told) for more in set(found) - told), found
