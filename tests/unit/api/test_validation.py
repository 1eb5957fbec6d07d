"""A wrong manifest is refused with every fault at once, each at its path, each with a sentence that helps."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubestudy.api.validation import validate
from kubestudy.search.search_checks import search_problems
from support.manifests import LAYERS, LOSS, LR, OPTIMIZER, manifest, spec_of, template

IN_TRAINER = "spec.jobTemplate.spec.template.spec.containers[0]"

GPUS = (
    "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "amd.com/gpu", "gpu.intel.com/i915",
    "gpu.intel.com/xe",
)  # fmt: skip


def problems(data: Any) -> dict[str, str]:
    """Return the sentences by path."""
    study, found = validate(data)
    assert (study is None) == bool(found)
    by_path = {problem.path: problem.sentence for problem in found}
    assert len(by_path) == len(found), f"a path is named twice: {[str(p) for p in found]}"
    return by_path


def parameter(**fields: Any) -> dict[str, Any]:
    return manifest(parameters=[{"name": "x", **fields}])


def floats(**fields: Any) -> dict[str, Any]:
    return parameter(**{"type": "float", "low": 0.5, "high": 2.0, **fields})


def ints(**fields: Any) -> dict[str, Any]:
    return parameter(**{"type": "int", "low": 1, "high": 9, **fields})


def choices(*values: Any, **fields: Any) -> dict[str, Any]:
    return parameter(type="categorical", choices=list(values), **fields)


def when(conditions: Any, *others: Any) -> dict[str, Any]:
    return manifest(parameters=[{**LR, "when": conditions}, *(others or (OPTIMIZER, LAYERS))])


def resources(**limits: Any) -> dict[str, Any]:
    return manifest(container={"resources": {"limits": limits}})


def claims(*names: str, **spec: Any) -> dict[str, Any]:
    data = manifest(**spec)
    pod = data["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["resourceClaims"] = [{"name": name, "resourceClaimTemplateName": "one-gpu"} for name in names]
    return data


def test_a_valid_manifest_has_no_problem() -> None:
    assert problems(manifest()) == {}


@pytest.mark.parametrize(
    "data",
    [
        floats(log=True),
        floats(step=0.5),
        floats(low=-1, high=1),
        ints(step=4),
        choices(2, 2.5, "text", True),
        choices("on", True),
        when({"optimizer": ["adam"]}),
        when({"layers": [1, 4], "optimizer": ["sgd"]}),
        when({"layers": [5]}, {**LAYERS, "high": 9, "step": 2}),
        manifest(parameters=[{**LR, "name": "path"}]),
        manifest(budget={}, sampler={"name": "grid"}, parameters=[LAYERS]),
        manifest(budget={}, objectives=[{**LOSS, "target": 0.1}]),
        manifest(budget={"patience": 3}),
        manifest(budget={"maxDuration": "1h30m"}),
        manifest(budget={"maxTrials": 1, "gracePeriod": "0s"}),
        manifest(container={"args": ["$(lr)", "$$(other)", "$(KUBESTUDY_STUDY)", "$ (x) $x ${x}"]}),
        manifest(container={"args": ["$(OWN)"], "env": [{"name": "OWN", "value": "1"}]}),
        manifest(container={"args": ["$(ANY)"], "envFrom": [{"configMapRef": {"name": "c"}}]}),
        *(manifest(budget={"maxGpuHours": 2}, container={"resources": {"limits": {name: 1}}}) for name in GPUS),
        claims("gpu", budget={"maxGpuHours": 2}),
        manifest(objectives=[LOSS, {"metric": "time", "goal": "minimize"}]),
        manifest(container={"resources": {"limits": {"cpu": "500m", "memory": "1.5Gi", "nvidia.com/gpu": 2}}}),
    ],
)
def test_accepted(data: dict[str, Any]) -> None:
    assert problems(data) == {}


@pytest.mark.parametrize(
    ("data", "path", "says"),
    [
        (manifest(paralelism=2), "spec.paralelism", "did you mean parallelism?"),
        (manifest(budget={"maxTrial": 2}), "spec.budget.maxTrial", "did you mean maxTrials?"),
        (floats(lo=1), "spec.parameters[0].lo", "did you mean low?"),
        (floats(zzzzzz=1), "spec.parameters[0].zzzzzz", "known here: choices, high, log, low"),
        ({**manifest(), "kind": "HyperparameterStudi"}, "kind", "did you mean HyperparameterStudy?"),
        ({**manifest(), "apiVersion": "kubestudy.dev/v1"}, "apiVersion", "did you mean kubestudy.dev/v1alpha1?"),
        ({**manifest(), "metadata": {"name": "Upper"}}, "metadata.name", "lowercase"),
        ({**manifest(), "metadata": {}}, "metadata.name", "is required"),
        ({**manifest(), "spec": None}, "spec", "no mapping"),
        ([], "", "is no HyperparameterStudy"),
        ("text", "", "is no HyperparameterStudy"),
        # numbers
        (floats(low=2.0), "spec.parameters[0].low", "2 is not below high (2)"),
        (floats(low=3), "spec.parameters[0].low", "not below high"),
        (floats(low=0, log=True), "spec.parameters[0].low", "no logarithm"),
        (floats(low=-1, log=True), "spec.parameters[0].low", "no logarithm"),
        (floats(log=True, step=0.1), "spec.parameters[0].step", "cannot go with log"),
        (floats(step=0), "spec.parameters[0].step", "above 0"),
        (floats(step=9), "spec.parameters[0].step", "at most high - low"),
        (floats(low=math.nan), "spec.parameters[0].low", "no finite number"),
        (floats(high=math.inf), "spec.parameters[0].high", "no finite number"),
        (floats(low="0.5"), "spec.parameters[0].low", "take the quotes away"),
        (floats(low=None), "spec.parameters[0].low", "is required"),
        (floats(choices=[1]), "spec.parameters[0].choices", "belongs to categorical"),
        (ints(low=0.5), "spec.parameters[0].low", "no whole number"),
        (ints(high=2.0**60), "spec.parameters[0].high", "no whole number within"),
        (ints(step=1.5), "spec.parameters[0].step", "no whole number"),
        # choices
        (parameter(type="categorical"), "spec.parameters[0].choices", "is required"),
        (choices(), "spec.parameters[0].choices", "must not be empty"),
        (choices("a", low=1), "spec.parameters[0].low", "belongs to float and int"),
        (choices("a", log=True), "spec.parameters[0].log", "belongs to float and int"),
        (choices("a", "a"), "spec.parameters[0].choices[1]", "cannot be told from"),
        (choices(1, True), "spec.parameters[0].choices[1]", "cannot be told from"),
        (choices(1, 1.0), "spec.parameters[0].choices[1]", "cannot be told from"),
        (choices("1", 1), "spec.parameters[0].choices[1]", "cannot be told from"),
        (choices(math.nan), "spec.parameters[0].choices[0]", "no finite number"),
        (choices("a\0b"), "spec.parameters[0].choices[0]", "no NUL"),
        (choices("a" * 2000), "spec.parameters[0].choices[0]", "1024 characters"),
        (choices([1], 2), "spec.parameters[0].choices[0]", ""),
        (choices(*range(101)), "spec.parameters[0].choices", "too long"),
        # when
        (when({"optimiser": ["sgd"]}), "spec.parameters[0].when.optimiser", "did you mean optimizer?"),
        (when({"optimizer": ["sdg"]}), "spec.parameters[0].when.optimizer[0]", "did you mean sgd?"),
        (when({"optimizer": [True]}), "spec.parameters[0].when.optimizer[0]", "choices are sgd, adam"),
        (when({"optimizer": []}), "spec.parameters[0].when.optimizer", "lists no value"),
        (when({"layers": [9]}), "spec.parameters[0].when.layers[0]", "int from 1 to 4"),
        (when({"layers": ["1"]}), "spec.parameters[0].when.layers[0]", "int from 1 to 4"),
        (when({"layers": [2]}, {**LAYERS, "high": 9, "step": 2}), "spec.parameters[0].when.layers[0]", "steps of 2"),
        (when({"lr": [1]}), "spec.parameters[0].when.lr", "cannot depend on itself"),
        (
            when({"w": [1]}, {"name": "w", "type": "float", "low": 0, "high": 1}),
            "spec.parameters[0].when.w",
            "is a float",
        ),
        (when({"optimizer": "sgd"}), "spec.parameters[0].when.optimizer", "no list: write [sgd]"),
        # ends
        (manifest(budget=None), "spec.budget", "never end"),
        (manifest(budget={"maxFailedTrials": 3}), "spec.budget", "never end"),
        (manifest(budget={"maxTrials": 0}), "spec.budget.maxTrials", "at least 1"),
        (manifest(budget={"maxTrials": -1}), "spec.budget.maxTrials", "at least 1"),
        (manifest(budget={"patience": 0}), "spec.budget.patience", "at least 1"),
        (manifest(budget={"maxFailedTrials": 0, "maxTrials": 1}), "spec.budget.maxFailedTrials", "at least 1"),
        (manifest(budget={"maxGpuHours": 0}), "spec.budget.maxGpuHours", "above 0"),
        (manifest(budget={"maxGpuHours": math.inf, "maxTrials": 1}), "spec.budget.maxGpuHours", "no finite number"),
        (manifest(budget={"maxGpuHours": 2}), "spec.budget.maxGpuHours", "never used up"),
        (
            manifest(budget={"maxGpuHours": 2}, container={"resources": {"limits": {"gpu.intel.com/millicores": 500}}}),
            "spec.budget.maxGpuHours",
            "never used up",
        ),
        (
            manifest(budget={"maxGpuHours": 2}, container={"resources": {"limits": {"nvidia.com/gpu": 0}}}),
            "spec.budget.maxGpuHours",
            "never used up",
        ),
        (claims(budget={"maxGpuHours": 2}), "spec.budget.maxGpuHours", "never used up"),
        (manifest(budget={"maxDuration": "0s"}), "spec.budget.maxDuration", "above zero"),
        (manifest(budget={"maxDuration": "2 hours"}), "spec.budget.maxDuration", "90s, 45m, 1h30m or 2d"),
        (manifest(budget={"maxDuration": 90}), "spec.budget.maxDuration", "90 is no duration: write it as 90s"),
        (manifest(parallelism=0), "spec.parallelism", "at least 1"),
        (manifest(parallelism=True), "spec.parallelism", "no whole number"),
        # objectives
        (manifest(objectives=[]), "spec.objectives", "must not be empty"),
        (manifest(objectives=[{**LOSS, "target": math.nan}]), "spec.objectives[0].target", "can never be reached"),
        (manifest(objectives=[{**LOSS, "target": math.inf}]), "spec.objectives[0].target", "can never be reached"),
        (manifest(objectives=[{**LOSS, "goal": "minimise"}]), "spec.objectives[0].goal", "did you mean minimize?"),
        (manifest(objectives=[LOSS, LOSS]), "spec.objectives[1]", "twice"),
        (manifest(objectives=[{"goal": "minimize"}]), "spec.objectives[0]", "exactly one of"),
        (manifest(objectives=[{**LOSS, "promql": "up"}]), "spec.objectives[0]", "exactly one of"),
        (manifest(objectives=[{**LOSS, "metric": "a b"}]), "spec.objectives[0].metric", "no metric's name"),
        (
            manifest(objectives=[LOSS, {**LOSS, "metric": "b"}], pruner={"name": "median"}),
            "spec.pruner",
            "one objective",
        ),
        (manifest(pruner={"name": "medain"}), "spec.pruner.name", "did you mean median?"),
        # the Job
        (manifest(jobTemplate=None), "spec.jobTemplate", "is required"),
        (manifest(container={"args": ["$(lrr)"]}), f"{IN_TRAINER}.args[0]", "did you mean lr?"),
        (manifest(container={"command": ["a", "$(b)"]}), f"{IN_TRAINER}.command[1]", "$$(b) keeps it"),
        (manifest(container={"comand": ["a"]}), f"{IN_TRAINER}.comand", "did you mean command?"),
        (
            manifest(jobTemplate=template({}, {"name": "sidecar", "args": ["$(lr)"]})),
            "spec.jobTemplate.spec.template.spec.containers[1].args[0]",
            "trainer's container only",
        ),
        (manifest(container={"env": [{"name": "lr"}]}), f"{IN_TRAINER}.env[0].name", "is a parameter too"),
        (manifest(container={"env": [{"name": "KUBESTUDY_X"}]}), f"{IN_TRAINER}.env[0].name", "set by KubeStudy"),
        (resources(cpu="lots"), f"{IN_TRAINER}.resources.limits['cpu']", "no Kubernetes quantity"),
        *(
            (resources(**{name: "0.5"}), f"{IN_TRAINER}.resources.limits['{name}']", "must be a whole number")
            for name in (*GPUS, "gpu.intel.com/millicores", "example.com/device")
        ),
    ],
)
def test_refused_with_a_sentence_that_helps(data: Any, path: str, says: str) -> None:
    found = problems(data)
    assert list(found) == [path], found
    assert says in found[path]


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "LD_PRELOAD",
        "PYTHONPATH",
        "KUBERNETES_PORT",
        "KUBESTUDY_TRIALS",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "NCCL_DEBUG",
    ],
)
def test_a_parameter_cannot_hide_a_variable_of_the_system(name: str) -> None:
    assert "would hide" in problems(manifest(parameters=[{**LR, "name": name}]))["spec.parameters[0].name"]


@pytest.mark.parametrize("name", ["1st", "a-b", "a b", "ä", "a=b", "a\n", "a.b", " a"])
def test_a_parameter_is_named_like_an_environment_variable(name: str) -> None:
    assert "environment variable" in problems(manifest(parameters=[{**LR, "name": name}]))["spec.parameters[0].name"]


def test_a_name_stands_once() -> None:
    assert problems(manifest(parameters=[LR, LR])) == {
        "spec.parameters[1].name": "lr is the name of two parameters: rename one"
    }


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_conditions_in_a_circle_are_named_together(names: str) -> None:
    circle = [
        {"name": name, "type": "int", "low": 0, "high": 1, "when": {names[i - 1]: [0]}} for i, name in enumerate(names)
    ]
    found = problems(manifest(parameters=[*circle, {**LAYERS, "when": {"a": [1]}}]))
    assert found == {
        "spec.parameters[0].when": f"{' and '.join(names)} depend on each other in a circle: take one condition away"
    }


def test_every_fault_is_reported_at_once() -> None:
    data = manifest(
        paralelism=1,
        parameters=[
            {**LR, "low": 5},
            {"name": "PATH", "type": "categorical", "choices": ["a"], "when": {"nobody": [1]}},
            {"name": "c", "type": "integer"},
            {**LAYERS, "log": True, "step": 2},
        ],
        objectives=[{**LOSS, "goal": "down", "target": math.nan}],
        budget={"maxFailedTrials": 0},
        container={"args": ["$(c)", "$(d)"]},
    )
    assert set(problems(data)) == {
        "spec.paralelism",
        "spec.parameters[0].low",
        "spec.parameters[1].name",
        "spec.parameters[1].when.nobody",
        "spec.parameters[2].type",
        "spec.parameters[3].step",
        "spec.objectives[0].goal",
        "spec.objectives[0].target",
        "spec.budget.maxFailedTrials",
        f"{IN_TRAINER}.args[1]",
    }


def test_problems_come_in_the_order_of_the_manifest() -> None:
    data = manifest(
        objectives=[{**LOSS, "goal": "down"}],
        parameters=[
            {**LR, "low": 5},
            {"name": "c", "type": "categorical", "choices": [None, "a", "a"]},
            {"type": "int"},
        ],
        container={"args": ["--lr=$(lr)", 5], "resources": {"limits": {"cpu": "x"}}},
        constraints=[{"metric": "m"}],
    )
    assert list(problems(data)) == [
        "spec.objectives[0].goal",
        "spec.parameters[0].low",
        "spec.parameters[1].choices[0]",
        "spec.parameters[1].choices[2]",
        "spec.parameters[2].name",
        "spec.parameters[2].low",
        "spec.parameters[2].high",
        f"{IN_TRAINER}.args[1]",
        f"{IN_TRAINER}.resources.limits['cpu']",
        "spec.constraints[0]",
    ]


def test_options_are_judged_beside_every_other_fault() -> None:
    data = manifest(
        parameters=[{**LR, "low": 5}],
        sampler={"name": "tpe", "options": {"seed": 1}},
        pruner={"name": "median", "options": {"warmup": 1}},
        objectives=[{**LOSS, "goal": "down"}],
    )
    _, found = validate(data, search_problems)
    assert {problem.path for problem in found} == {
        "spec.parameters[0].low",
        "spec.sampler.options.seed",
        "spec.pruner.options.warmup",
        "spec.objectives[0].goal",
    }


def test_a_required_field_under_a_misspelt_name_is_recognised() -> None:
    data = manifest()
    pod = data["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["container"] = pod.pop("containers")
    (sentence,) = problems(data).values()
    assert sentence == "is required: container is no field, did you mean containers?"


def test_without_a_readable_space_the_other_faults_are_still_reported() -> None:
    data = manifest(budget={}, objectives=[{**LOSS, "target": math.inf}], container={"args": ["$(lr)"]})
    del data["spec"]["parameters"]
    assert {"spec.parameters", "spec.objectives[0].target"} <= set(problems(data))


def test_fields_are_written_in_camel_case_only_as_the_api_server_knows_them() -> None:
    assert "did you mean maxTrials?" in problems(manifest(budget={"max_trials": 3}))["spec.budget.max_trials"]


@pytest.mark.parametrize("field", ["int", "float", "str", "bool"])
def test_an_unknown_field_named_like_a_type_is_found_at_its_own_path(field: str) -> None:
    assert "no such field" in problems(floats(**{field: 1}))[f"spec.parameters[0].{field}"]


def test_a_boolean_is_no_number_and_has_no_quotes_to_take_away() -> None:
    assert problems(floats(low=True))["spec.parameters[0].low"] == "True is no number"


def test_a_key_that_is_no_text_is_named_where_it_stands() -> None:
    found = problems(manifest(sampler={"options": {1: 2}}))
    (path,) = found
    assert path.startswith("spec.sampler.options") and "[key]" not in path


@pytest.mark.parametrize(
    "data",
    [
        floats(low=-(10**400)),
        manifest(objectives=[{**LOSS, "target": 10**400}]),
        when({"layers": [10**400]}, {**LAYERS, "high": math.inf}),
        resources(**{"nvidia.com/gpu": "1e999"}),
        resources(cpu="1e99999999999999999999"),
        manifest(parameters=[{**LAYERS, "name": f"p{i}"} for i in range(10_000)]),
        dict[Any, Any](manifest()) | {1: 2, None: 3, False: 4},
        floats(step=5e-324),
    ],
    ids=["low", "target", "when", "gpus", "cpu", "10000 parameters", "keys", "tiny step"],
)
def test_extreme_values_never_end_in_a_traceback(data: Any) -> None:
    validate(data)


def test_no_sentence_holds_control_characters_of_the_manifest() -> None:
    evil = "a\x1b[31m\nb"
    data = manifest(
        parameters=[{**LR, "when": {evil: [evil]}}, {**OPTIMIZER, "choices": ["a", evil, evil]}],
        container={"args": [f"$({evil})"], "resources": {"limits": {evil: evil}}},
    )
    lines = [str(problem) for problem in validate(data)[1]]
    assert lines
    assert [line for line in lines if not line.isprintable()] == []


def test_a_sentence_stays_short_whatever_the_manifest_holds() -> None:
    data = manifest(pruner={"name": "x" * 100_000}, container={"args": ["$(" + "y" * 100_000 + ")"]})
    assert [str(p)[:200] for p in validate(data)[1] if len(str(p)) > 1000] == []


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["lr", "int", "float", "categorical", "1e999", "2Gi", "10s", "tpe", "grid", "median", 10**400]),
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "type", "low", "high", "step", "log", "choices", "when", "x", "containers", "spec"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def _places(data: Any) -> list[tuple[Any, Any]]:
    pairs = list(data.items()) if isinstance(data, dict) else list(enumerate(data)) if isinstance(data, list) else []
    return [found for key, inner in pairs for found in ((data, key), *_places(inner))]


_FULL = manifest(
    parameters=[LR, {**LAYERS, "step": 1}, {**OPTIMIZER, "when": {"layers": [1, 2]}}],
    objectives=[{**LOSS, "target": 0.1}],
    sampler={"name": "tpe", "seed": 1, "options": {"multivariate": True}},
    pruner={"name": "median", "options": {"n_startup_trials": 3}},
    budget={"maxTrials": 3, "maxDuration": "1h", "patience": 3},
    container={"args": ["$(lr)"], "env": [{"name": "A", "value": "b"}], "resources": {"limits": {"cpu": 1}}},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 10_000), _ANYTHING), min_size=1, max_size=3))
def test_whatever_stands_in_place_of_a_field_there_is_an_answer(changes: list[tuple[int, Any]]) -> None:
    data = copy.deepcopy(_FULL)
    for where, value in changes:
        places = _places(data)
        holder, key = places[where % len(places)]
        holder[key] = value
    study, found = validate(data, search_problems)
    assert (study is None) == bool(found)
    for problem in found:
        assert problem.sentence


@pytest.mark.parametrize(("text", "seconds"), [(None, 3600), ("0s", 0), ("2d", 172_800)])
def test_how_long_the_job_of_a_failed_trial_stays(text: str | None, seconds: float) -> None:
    assert spec_of(failedJobsHistoryTTL=text).failed_jobs_history_seconds == seconds


CONSTRAINT = {"metric": "latency", "max": 2.0}
POWER = {"promql": "sum(power)", "goal": "minimize", "name": "power"}


@pytest.mark.parametrize(
    ("spec", "path", "sentence"),
    [
        ({"constraints": [{"metric": "m"}]}, "spec.constraints[0]", "limits nothing"),
        ({"constraints": [{"max": 1.0}]}, "spec.constraints[0]", "exactly one of metric and promql"),
        ({"constraints": [{**CONSTRAINT, "min": 3.0}]}, "spec.constraints[0].min", "is above max"),
        ({"constraints": [{**CONSTRAINT, "max": math.inf}]}, "spec.constraints[0].max", "no finite number"),
        ({"constraints": [CONSTRAINT, CONSTRAINT]}, "spec.constraints[1]", "twice"),
        ({"constraints": [{**CONSTRAINT, "name": "x"}]}, "spec.constraints[0].name", "a metric has a name already"),
        (
            {"objectives": [POWER], "constraints": [{"promql": "max(other)", "name": "power", "max": 1.0}]},
            "spec.constraints[0].name",
            "something else among the objectives",
        ),
        (
            {"objectives": [{**POWER, "promql": 'sum(x{pod=~"$(pod)"})'}]},
            "spec.objectives[0].promql",
            "$(pod) is no variable of an expression: did you mean pods?",
        ),
        ({"settlingTime": "soon"}, "spec.settlingTime", "is no duration"),
        ({"settlingTime": 30}, "spec.settlingTime", "is no duration: write it as 90s"),
        ({"failedJobsHistoryTTL": "an hour"}, "spec.failedJobsHistoryTTL", "is no duration: write it as 90s"),
        ({"failedJobsHistoryTtl": "1h"}, "spec.failedJobsHistoryTtl", "did you mean failedJobsHistoryTTL?"),
        ({"objectives": [{**POWER, "name": "a b"}]}, "spec.objectives[0].name", "is no metric's name"),
    ],
)
def test_what_is_wrong_with_constraints_and_expressions(spec: dict[str, Any], path: str, sentence: str) -> None:
    _, problems = validate(manifest(**spec))
    assert [problem.path for problem in problems] == [path]
    assert sentence in problems[0].sentence


def test_constraints_and_expressions_that_are_fine() -> None:
    memory = {"promql": 'max(memory{pod=~"$(pods)"}[$(window)])', "min": 1.0, "max": 2.0}
    study, problems = validate(manifest(objectives=[POWER], constraints=[CONSTRAINT, memory]))
    assert problems == [] and study is not None
    assert list(study.spec.expressions) == ["power", memory["promql"]]


@pytest.mark.parametrize(("count", "length", "refused"), [(10, 1, False), (11, 1, True), (4, 80, False), (4, 90, True)])
def test_the_choices_of_all_parameters_together_are_bounded(count: int, length: int, refused: bool) -> None:
    """Each trial's record holds them all: 10,000 choices took half a megabyte of memory a trial."""
    choices = [f"{i:03}".ljust(length, "x") if length > 3 else i for i in range(100)]
    parameters = [{"name": f"p{n}", "type": "categorical", "choices": choices} for n in range(count)]
    problems = validate(manifest(parameters=parameters))[1]
    assert [problem.path for problem in problems] == (["spec.parameters"] if refused else [])
    assert all("choices of" in problem.sentence and "use fewer" in problem.sentence for problem in problems)
