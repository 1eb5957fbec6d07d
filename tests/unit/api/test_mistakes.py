"""A parameter that reaches nothing is told of: it would be tuned, and every value give the same."""

from __future__ import annotations

from typing import Any

import pytest

from kubestudy.api.job import is_trainer_image
from kubestudy.api.mistakes import warnings_of
from kubestudy.api.validation import validate
from support.manifests import LAYERS, LR, OPTIMIZER, manifest, spec_of, study_of, template

TRAINER = "ghcr.io/kubestudy/trainer:0.1.0"


def ready(*args: str, **container: Any) -> dict[str, Any]:
    """Return a study of lr and layers whose trials run the ready trainer."""
    return manifest(parameters=[LR, LAYERS], container={"image": TRAINER, "args": list(args), **container})


@pytest.mark.parametrize(
    "image",
    [
        "kubestudy/trainer",
        "ghcr.io/kubestudy/trainer:0.1.0",
        "registry:5000/a/kubestudy/trainer@sha256:0",
        "r/kubestudy-trainer:1",
    ],
)
def test_the_ready_trainer_is_known_under_any_registry(image: str) -> None:
    assert is_trainer_image(image)


@pytest.mark.parametrize("image", [None, "", "trainer", "ghcr.io/kubestudy/operator:1", "my-kubestudy/trainers:1"])
def test_other_images_are_not_the_ready_trainer(image: str | None) -> None:
    assert not is_trainer_image(image)


def test_the_ready_trainer_has_to_be_given_every_parameter() -> None:
    study, problems = validate(ready("--layers=$(layers)", "--epochs=3"))
    assert study is None
    assert {problem.path: problem.sentence for problem in problems} == {
        "spec.parameters[0].name": "lr reaches nothing: the ready trainer reads only its arguments;"
        " add --lr=$(lr) to args"
    }


@pytest.mark.parametrize(
    "data",
    [
        ready("--lr=$(lr)", "--layers", "$(layers)"),
        ready("--lr=$(RATE)", "--layers=$(N)", env=[{"name": "RATE", "value": "$(lr)"}, {"name": "N", "value": "$(M)"},
              {"name": "M", "value": "1$(layers)"}]),
        ready(command=["python", "-m", "kubestudy_trainer"]),
        ready(image="registry.example.org/me/own:1"),
        # A parameter that others depend on decides over them, whether or not it is passed on.
        manifest(
            parameters=[{**LR, "when": {"optimizer": ["sgd"]}}, OPTIMIZER],
            container={"image": TRAINER, "args": ["--lr=$(lr)"]},
        ),
    ],
    ids=["args", "by env", "another command", "another image", "a condition"],
)  # fmt: skip
def test_parameters_that_reach_the_ready_trainer_or_may_reach_another_program(data: dict[str, Any]) -> None:
    assert validate(data)[1] == []


def test_a_reference_that_is_escaped_or_in_another_container_reaches_nothing() -> None:
    first = {"image": TRAINER, "args": ["--lr=$$(lr)"]}
    _, problems = validate(manifest(jobTemplate=template(first, {"name": "other", "args": ["x"]})))
    assert [problem.path for problem in problems] == ["spec.parameters[0].name"]
    beside = template({"name": "a", "args": []}, {"name": "trainer", "image": TRAINER, "args": ["--lr=$(lr)"]})
    assert validate(manifest(jobTemplate=beside))[1] == []


def test_the_ready_trainer_is_not_judged_by_what_cannot_be_read() -> None:
    data = ready("--layers=$(layers)")
    data["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"].append(5)
    assert [problem.path.rpartition(".")[2] for problem in validate(data)[1]] == ["args[1]"]


def warnings(scripts: dict[str, str] | None = None, command: tuple[str, ...] = (), **container: Any) -> list[str]:
    spec = spec_of(parameters=[LR, LAYERS], container=container)
    return [str(warning) for warning in warnings_of(spec, scripts, command)]


@pytest.mark.parametrize(
    "container",
    [
        {"args": ["--lr=$(lr)", "--layers=$(layers)"]},
        {"command": ["sh", "-c", "train --rate $lr --layers=${layers}"], "args": []},
        {"args": [], "env": [{"name": "RATE", "value": "$(lr)"}, {"name": "LAYERS", "value": "layers"}]},
        {"image": TRAINER, "args": []},  # which is an error, no warning
    ],
    ids=["args", "command", "env", "the ready trainer"],
)
def test_no_warning(container: dict[str, Any]) -> None:
    assert warnings(**container) == []


def test_a_program_that_is_not_seen_to_use_a_parameter() -> None:
    assert warnings(command=(), args=["--layers=$(layers)", "--lrs=3", "clr"]) == [
        "spec.parameters[0].name: lr stands nowhere in command, args or env: unless the program reads it from its"
        " environment, the search for it is in vain; --lr=$(lr) in args passes lr on"
    ]


def test_a_program_that_is_not_seen_to_use_any_parameter_is_told_of_once() -> None:
    (warning,) = warnings(args=[])
    assert warning.startswith("spec.parameters: none stands in command, args or env: unless the program reads them")


def test_a_script_that_could_be_read_is_looked_at_too() -> None:
    assert warnings({"train.py": 'rate = params["lr"]\nfor _ in range(layers): ...'}, args=["train.py"]) == []
    (warning,) = warnings({"train.py": 'lr = params["lr"]'}, args=["train.py"])
    assert "layers stands nowhere in command, args, env or train.py" in warning


def test_what_is_run_instead_of_the_containers_command_counts() -> None:
    assert warnings(command=("train", "$lr", "$layers"), args=[]) == []
    spec = spec_of(parameters=[LR], container={"image": TRAINER, "args": []})
    assert len(warnings_of(spec, command=("train",))) == 1


def test_a_budget_of_gpu_hours_for_a_device_that_is_known_to_some_operator_only() -> None:
    device = {"args": ["$(lr)"], "resources": {"limits": {"example.com/npu": 1, "cpu": 2}}}
    data = manifest(budget={"maxGpuHours": 2}, container=device)
    assert validate(data)[1] == []
    (warning,) = warnings_of(study_of(budget={"maxGpuHours": 2}, container=device).spec)
    assert str(warning) == (
        "spec.budget.maxGpuHours: counts no example.com/npu, unless the operator is told what share of a GPU one is"
        " (operator.gpuResources)"
    )
    known = {"args": ["$(lr)"], "resources": {"limits": {"example.com/npu": 1, "amd.com/gpu": 1}}}
    assert warnings_of(study_of(budget={"maxGpuHours": 2}, container=known).spec) == []
