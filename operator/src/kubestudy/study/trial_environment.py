"""The environment that tells a trial what it is: the same in a pod and in a process on this machine. Pure."""

from __future__ import annotations

import json

from kubestudy.api import contract
from kubestudy.api.study import StudySpec
from kubestudy.api.values import environment_of
from kubestudy.study.trial import Suggestion


def trial_environment(
    study: str,
    spec: StudySpec,
    trial: Suggestion,
    *,
    message: str,
    checkpoint: str | None,
    address: str,
    port: int | None,
) -> dict[str, str]:
    """Return the variables that KubeStudy sets for a trial, its parameters among them.

    Args:
        study: The study's name.
        spec: Its spec.
        trial: The trial's number and parameters.
        message: The file of its termination message.
        checkpoint: The folder of its checkpoints; None where it has none.
        address: The address its `/metrics` is served on.
        port: The port of that; None for no server.
    """
    system = {
        contract.ENV_STUDY: study,
        contract.ENV_TRIALS: json.dumps([{"number": trial.number, "params": dict(trial.params)}]),
        contract.ENV_OBJECTIVES: ",".join(dict.fromkeys(m.metric for m in spec.measured if m.metric)),
        contract.ENV_TERMINATION_LOG: message,
        contract.ENV_METRICS_ADDRESS: address,
    }
    if port is not None:
        system[contract.ENV_METRICS_PORT] = str(port)
    if checkpoint is not None:
        system[contract.ENV_CHECKPOINT_DIR] = checkpoint
    return system | environment_of(trial.params, [p.name for p in spec.parameters])
