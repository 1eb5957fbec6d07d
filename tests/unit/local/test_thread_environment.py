"""How the threads of numeric libraries wait for work: they sleep, unless the user says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kubestudy.local.container import Machine, execution_of, supervisor_environment
from kubestudy.study.trial import Suggestion
from support.manifests import study_of

Seen = dict[str, str | None]


def waits(shell: Mapping[str, str], container: Mapping[str, str]) -> tuple[Seen, Seen]:
    """Return what a trial's process and the supervisor are told, by the user's shell and the container's env."""
    env = [{"name": name, "value": value} for name, value in container.items()]
    study = study_of(container={"command": ["sh"], "env": env})
    machine = Machine(environment=shell, cores=8, folder=Path("/"), bin_folder=Path("/"))
    execution = execution_of(
        study, Suggestion(0, {"lr": 0.1}), machine, gpus=(), port=1, message=Path("/m"), checkpoint=Path("/c")
    )
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    trial, supervisor = (
        {name: environment.get(name) for name in names}
        for environment in (execution.environment, supervisor_environment(study.spec, machine))
    )
    return trial, supervisor


def test_they_sleep() -> None:
    passive = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": None}
    assert waits({}, {}) == (passive, passive)


def test_as_the_users_shell_says() -> None:
    chosen = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "7"}
    assert waits(chosen, {}) == (chosen, chosen)


def test_as_the_container_says_before_all() -> None:
    # The supervisor too: the library that it loads for its trials reads it once.
    container = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "9"}
    assert waits({"OMP_WAIT_POLICY": "ACTIVE"}, container) == (container, container)
