"""The environment variables by which an orchestrator tells a process which trial it runs."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRIALS = "KUBESTUDY_TRIALS"
STUDY = "KUBESTUDY_STUDY"
OBJECTIVES = "KUBESTUDY_OBJECTIVES"
METRICS_PORT = "KUBESTUDY_METRICS_PORT"
METRICS_ADDRESS = "KUBESTUDY_METRICS_ADDRESS"
TERMINATION_LOG = "KUBESTUDY_TERMINATION_LOG"
CHECKPOINT_DIR = "KUBESTUDY_CHECKPOINT_DIR"

DEFAULT_TERMINATION_LOG = "/dev/termination-log"
DEFAULT_CHECKPOINT_DIR = "checkpoint"

Parameter = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says about this process's trial.

    Attributes:
        number: The trial's number in its study; None where `KUBESTUDY_TRIALS` is malformed.
        params: The trial's parameters by name; inactive conditional parameters are absent.
        study: The study's name, empty without an orchestrator.
        objectives: The names of the metrics that the study optimises, empty where unknown.
        metrics_port: The TCP port for `/metrics` as it was given; None for no server.
        metrics_address: The address to bind; empty for all interfaces.
        termination_log: The file for the termination message; None for none.
        checkpoint_dir: The directory that survives a restart of the same trial.
        problem: One line that says why `KUBESTUDY_TRIALS` is malformed; None where it is not.
    """

    number: int | None
    params: dict[str, Parameter]
    study: str
    objectives: tuple[str, ...]
    metrics_port: str | None
    metrics_address: str
    termination_log: Path | None
    checkpoint_dir: Path
    problem: str | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Environment":
        """Read the variables; those that are missing or empty take their defaults.

        Args:
            environ: The process's environment, `os.environ`.
        """
        number: int | None = 0
        params: dict[str, Parameter] = {}
        problem: str | None = None
        if text := environ.get(TRIALS):
            try:
                number, params = _only_trial(text)
            except ValueError as error:
                number, problem = None, f"{TRIALS} {error}"
        objectives = (name.strip() for name in environ.get(OBJECTIVES, "").split(","))
        return cls(
            number=number,
            params=params,
            study=environ.get(STUDY, ""),
            objectives=tuple(dict.fromkeys(name for name in objectives if name)),
            metrics_port=environ.get(METRICS_PORT) or None,
            metrics_address=environ.get(METRICS_ADDRESS, ""),
            termination_log=_termination_log(environ),
            checkpoint_dir=Path(environ.get(CHECKPOINT_DIR) or DEFAULT_CHECKPOINT_DIR),
            problem=problem,
        )


def _termination_log(environ: Mapping[str, str]) -> Path | None:
    if path := environ.get(TERMINATION_LOG):
        return Path(path)
    if os.access(DEFAULT_TERMINATION_LOG, os.W_OK):
        return Path(DEFAULT_TERMINATION_LOG)
    return None


def _only_trial(text: str) -> tuple[int, dict[str, Parameter]]:
    try:
        trials = json.loads(text, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(trials, list) or not all(isinstance(trial, dict) for trial in trials):
        raise ValueError('must be a JSON list like [{"number": 7, "params": {"lr": 0.01}}]')
    if len(trials) != 1:
        raise ValueError(f"holds {len(trials)} trials, and a process runs exactly one")
    return _number(trials[0]), _params(trials[0])


def _number(trial: dict[str, Any]) -> int:
    number = trial.get("number")
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"has the trial number {number!r}, which must be an integer of at least 0")
    return number


def _params(trial: dict[str, Any]) -> dict[str, Parameter]:
    params = trial.get("params")
    if not isinstance(params, dict):
        raise ValueError("has a trial without an object of parameters under params")  # noqa: TRY004 - as JSON
    for name, value in params.items():
        if not isinstance(value, (float, int, str, bool)):
            raise ValueError(f"gives {name!r} neither a number nor a string nor a boolean")  # noqa: TRY004
    return params


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
