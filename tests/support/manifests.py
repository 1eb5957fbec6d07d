"""Small valid manifests as data and as models, changed by each unit test; nothing is run."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from kubestudy.api.study import HyperparameterStudy, StudySpec

LOSS: Mapping[str, Any] = {"metric": "loss", "goal": "minimize"}
LR: Mapping[str, Any] = {"name": "lr", "type": "float", "low": 0.0001, "high": 1.0}
LAYERS: Mapping[str, Any] = {"name": "layers", "type": "int", "low": 1, "high": 4}
OPTIMIZER: Mapping[str, Any] = {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adam"]}


def template(container: Mapping[str, Any] | None = None, *more: Mapping[str, Any]) -> dict[str, Any]:
    first = {"name": "trainer", "image": "image", "args": ["--lr=$(lr)"], **(container or {})}
    return {"spec": {"template": {"spec": {"containers": [first, *more]}}}}


def manifest(
    *,
    parameters: Sequence[Mapping[str, Any]] = (LR,),
    objectives: Sequence[Mapping[str, Any]] = (LOSS,),
    container: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a valid manifest's data; a spec's field that is given as None is left out."""
    whole = {
        "objectives": list(objectives),
        "parameters": list(parameters),
        "budget": {"maxTrials": 6},
        "jobTemplate": template(container if container is not None else {"args": []}),
        **spec,
    }
    return copy.deepcopy(
        {
            "apiVersion": "kubestudy.dev/v1alpha1",
            "kind": "HyperparameterStudy",
            "metadata": {"name": "example"},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
    )


def study_of(**changes: Any) -> HyperparameterStudy:
    return HyperparameterStudy.model_validate(manifest(**changes))


def spec_of(**changes: Any) -> StudySpec:
    return study_of(**changes).spec
