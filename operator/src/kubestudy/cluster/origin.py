"""Whose trial a Job runs: two operators, or a storage that was set back, may both have a trial of one number. Pure.

A Job is a trial's own if it names the storage that the trial is recorded in, and carries the trial's parameters. Jobs
of earlier versions name no storage: for them the parameters decide. Which execution of a trial a Job is, its uid
says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubestudy.api.contract import ENV_TRIALS
from kubestudy.api.limits import TRIAL_PARAMETERS_LENGTH

_DIGEST_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose trial a Job runs.

    Attributes:
        storage: The identity of the storage that the trial is recorded in; empty where the Job names none.
        parameters: What tells the trial's parameters apart from others; empty where the Job holds none.
    """

    storage: str = ""
    parameters: str = ""


def stranger(job: Origin, own: Origin) -> str | None:
    """Return why a Job is not the trial's own, as the end of a sentence; None if it is.

    Args:
        job: What the Job says.
        own: The storage, and the trial's parameters: empty of a trial that has its end already.
    """
    if job.storage and own.storage and job.storage != own.storage:
        return f"it runs a trial of another storage ({job.storage}; this operator's is {own.storage})"
    if own.parameters and job.parameters != own.parameters:
        return "it carries other parameters"
    return None


def parameters_of(params: Mapping[str, Any]) -> str:
    """Return what tells a trial's parameters apart from others.

    The last digits of a number are left out: another version of a library may work them out differently.
    """
    words = sorted((str(name), _word(value)) for name, value in params.items())
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:_DIGEST_LENGTH]


def _word(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else json.dumps(value)


def parameters_in(job: Mapping[str, Any]) -> str:
    """Return the same of a Job's, by the environment of its container; empty if it holds none that can be read."""
    for container in job["spec"]["template"]["spec"]["containers"]:
        for variable in container.get("env") or []:
            if variable.get("name") == ENV_TRIALS:
                return _told(variable.get("value"))
    return ""


def _told(text: Any) -> str:
    if not isinstance(text, str) or len(text) > TRIAL_PARAMETERS_LENGTH.value:
        return ""
    try:
        (trial,) = json.loads(text.replace("$$", "$"))
        return parameters_of(trial["params"])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return ""
