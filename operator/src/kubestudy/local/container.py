"""What a trial's process is to run, as its pod's container would: command, args, environment, folder. Pure."""

from __future__ import annotations

import shutil
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubestudy.api import contract
from kubestudy.api.expansion import expand
from kubestudy.api.gpus import gpu_limits
from kubestudy.api.job import Container, EnvVar, is_trainer_image, runs_ready_trainer
from kubestudy.api.limits import EXPANDED_LENGTH
from kubestudy.api.problems import Problem
from kubestudy.api.quantity import number_of
from kubestudy.api.study import HyperparameterStudy, StudySpec
from kubestudy.local.gpu_pool import gpus_per_trial
from kubestudy.study.trial import Suggestion
from kubestudy.study.trial_environment import trial_environment

# What a process needs of the machine it runs on, and a container's image would bring along.
_INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH",
    "LD_LIBRARY_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
)  # fmt: skip
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# How OpenMP's threads wait for work: the standard's variable, and the one by which GNU's library overrides it.
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_AT = "spec.jobTemplate.spec.template.spec"


@dataclass(frozen=True, slots=True)
class Execution:
    """What a trial's process runs.

    Attributes:
        argv: The program and its arguments; None for the built-in trainer.
        args: The built-in trainer's arguments.
        environment: Its whole environment.
        folder: Its working directory.
    """

    argv: tuple[str, ...] | None
    args: tuple[str, ...]
    environment: dict[str, str]
    folder: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What a trial's process gets of this machine.

    Attributes:
        environment: The runner's own environment.
        cores: CPU cores that may be used.
        folder: Working directory of trials.
        bin_folder: Where the programs installed beside kubestudy are; first in PATH.
        command: The user's `--exec`, instead of an image's own entry point; empty if not given.
    """

    environment: Mapping[str, str]
    cores: int
    folder: Path
    bin_folder: Path
    command: tuple[str, ...] = ()


def uses_builtin(spec: StudySpec, machine: Machine) -> bool:
    """Tell whether trials run the ready trainer that is installed here."""
    return not machine.command and runs_ready_trainer(spec.job_template.spec.template.spec.trainer)


def problems_here(study: HyperparameterStudy, machine: Machine) -> list[Problem]:
    """Say what of a valid study cannot run as a process on this machine."""
    pod = study.spec.job_template.spec.template.spec
    at = f"{_AT}.containers[{pod.trainer_index}]"
    container = pod.trainer
    problems = []
    if not container.command and not machine.command and not is_trainer_image(container.image):
        problems.append(
            Problem(
                f"{at}.command",
                f"is needed to run {container.image or 'a container without an image'} on this machine, where images"
                " are not unpacked: write the command into the manifest, or give it with --exec 'python train.py'",
            )
        )
    problems += _command_problems(f"{at}.command", container, machine)
    for field, measured in (("objectives", study.spec.objectives), ("constraints", study.spec.constraints)):
        problems += [
            Problem(
                f"spec.{field}[{i}].promql",
                "is evaluated by a Prometheus server, which a run on this machine has none of:"
                " name a metric that the trial reports",
            )
            for i, one in enumerate(measured)
            if one.promql is not None
        ]
    for i, variable in enumerate(container.env):
        problems += _value_problems(f"{at}.env[{i}]", variable, machine)
    return problems


def _command_problems(at: str, container: Container, machine: Machine) -> list[Problem]:
    """Find a program that is not on this machine, before every trial fails for it."""
    command = machine.command or tuple(container.command)
    if not command or "$(" in command[0] or any(variable.name == "PATH" for variable in container.env):
        return []
    if shutil.which(
        str(working_folder(container, machine) / command[0]) if "/" in command[0] else command[0],
        path=search_path(machine),
    ):
        return []
    found = (working_folder(container, machine) / command[0]).is_file()
    what = "is a file that cannot be executed" if found else "is no program on this machine"
    remedy = f"; was it meant to be python {command[0]}?" if command[0].endswith(".py") else ""
    return [Problem("--exec" if machine.command else f"{at}[0]", f"{command[0]} {what}{remedy}")]


def search_path(machine: Machine) -> str:
    """Return where a trial's process looks for programs."""
    return f"{machine.bin_folder}:{machine.environment.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"


def working_folder(container: Container, machine: Machine) -> Path:
    """Return where a trial's process runs: the container's workingDir where this machine has it."""
    wanted = container.working_dir
    return Path(wanted) if wanted and Path(wanted).is_dir() else machine.folder


def _value_problems(at: str, variable: EnvVar, machine: Machine) -> list[Problem]:
    source = variable.value_from
    if source is None or variable.name in machine.environment or _downward(source, "", "", "") is not None:
        return []
    if any(isinstance(ref, dict) and ref.get("optional") is True for ref in source.values()):
        return []
    kind = next(iter(source), "valueFrom")
    return [
        Problem(
            f"{at}.valueFrom",
            f"{kind} is known to a cluster only: set the variable for this run, {variable.name}=... kubestudy run ...",
        )
    ]


def warnings_here(study: HyperparameterStudy, machine: Machine, gpus: int) -> list[str]:
    """Say, once a run, what of the Job template has no effect on this machine.

    Args:
        study: The study.
        machine: This machine.
        gpus: How many GPUs it has.
    """
    pod = study.spec.job_template.spec.template.spec
    container = pod.trainer
    said = []
    wanted = gpus_per_trial(pod)
    if wanted:
        asked = f"a trial asks for {wanted} GPU{'s' if wanted > 1 else ''} ({', '.join(gpu_limits(pod))})"
        if not gpus:
            said.append(f"{asked} and this machine has none: trials run on the CPU")
        elif wanted > gpus:
            said.append(f"{asked} and this machine has {gpus}: each gets {gpus}")
    others = [c.name for c in pod.containers if c is not container]
    if others or pod.init_containers:
        said.append(f"only the container {container.name} runs on this machine, no other container of the pod")
    if container.volume_mounts:
        said.append("volumes are not mounted on this machine: paths under mountPath are this machine's own")
    if container.env_from:
        said.append("envFrom is known to a cluster only: set what it brings in your own shell, by env")
    if container.working_dir and not Path(container.working_dir).is_dir():
        said.append(f"workingDir {container.working_dir} is not on this machine: trials run in {machine.folder}")
    return said


def cpu_threads(spec: StudySpec, cores: int) -> int:
    """Return how many CPU threads one trial may use: its CPU limit, else its share of the cores."""
    limit = spec.job_template.spec.template.spec.trainer.resources.limits.get("cpu")
    if limit is not None:
        return max(1, int(number_of(limit)))
    return max(1, cores // spec.parallelism)


def thread_environment(threads: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep numeric libraries to a number of threads, which sleep while they wait.

    OpenMP's threads spin for milliseconds by default. Where a machine has other things to do, each then waits for one
    that is not running: trials with two threads took twenty times as long.

    Args:
        threads: How many threads.
        environment: The runner's own environment, where the user may have said how threads are to wait.
    """
    chosen = {name: environment[name] for name in _WAITING if name in environment}
    return {**dict.fromkeys(_THREADS, str(threads)), "OMP_WAIT_POLICY": "PASSIVE", **chosen}


def supervisor_environment(spec: StudySpec, machine: Machine) -> dict[str, str]:
    """Return the environment of the trials' supervisor.

    The numeric libraries that it loads for its trials read how threads are to wait once, when they are loaded: what a
    trial's own environment says of it comes too late.
    """
    threads = thread_environment(cpu_threads(spec, machine.cores), machine.environment)
    variables = spec.job_template.spec.template.spec.trainer.env
    waiting = {v.name: v.value for v in variables if v.name in _WAITING and v.value is not None}
    return {**machine.environment, **threads, **waiting, "PYTHONUNBUFFERED": "1"}


def execution_of(
    study: HyperparameterStudy,
    trial: Suggestion,
    machine: Machine,
    *,
    gpus: Sequence[str],
    port: int | None,
    message: Path,
    checkpoint: Path,
) -> Execution:
    """Work out what a trial's process runs.

    Args:
        study: The study.
        trial: The trial.
        machine: This machine.
        gpus: Ids of the GPUs it may use; with none it sees none.
        port: The loopback port for its `/metrics`; None for no server.
        message: The file of its termination message.
        checkpoint: The folder of its checkpoints.

    Raises:
        ValueError: One of its texts unfolds to more than a program can be given.
    """
    spec, most = study.spec, EXPANDED_LENGTH.value
    container = spec.job_template.spec.template.spec.trainer
    inherited = {k: v for k, v in machine.environment.items() if k in _INHERITED or k.startswith("LC_")}
    inherited["PATH"] = search_path(machine)
    # A pipe or a file gets a program's output at once, not when its buffer is full: logs are read while it runs.
    inherited["PYTHONUNBUFFERED"] = "1"
    threads = thread_environment(cpu_threads(spec, machine.cores), machine.environment)
    known = trial_environment(
        study.metadata.name,
        spec,
        trial,
        message=str(message),
        checkpoint=str(checkpoint),
        address="127.0.0.1",
        port=port,
    )
    pod_name = f"{study.metadata.name}-{trial.number}"
    namespace = study.metadata.namespace or "default"
    own: dict[str, str] = {}
    visible = ChainMap(own, known)
    for variable in container.env:
        value = _value(variable, pod_name, namespace, study.metadata.name, machine)
        if value is not None:
            own[variable.name] = expand(value, visible, most)
    command = machine.command or tuple(container.command)
    folder = working_folder(container, machine)
    args = tuple(expand(arg, visible, most) for arg in container.args)
    argv = (*(expand(part, visible, most) for part in command), *args) if command else None
    # What KubeStudy sets goes last: a container's own env cannot hide it.
    return Execution(
        argv=argv,
        args=args,
        environment={**inherited, **threads, "CUDA_VISIBLE_DEVICES": ",".join(gpus), **own, **known},
        folder=str(folder),
    )


def _value(variable: EnvVar, pod: str, namespace: str, study: str, machine: Machine) -> str | None:
    if variable.value_from is None:
        return variable.value or ""
    if variable.name in machine.environment:
        return machine.environment[variable.name]
    return _downward(variable.value_from, pod, namespace, study)


def _downward(source: Mapping[str, object], pod: str, namespace: str, study: str) -> str | None:
    """Return what the downward API would say, where a process on this machine has the like of it."""
    reference = source.get("fieldRef")
    path = reference.get("fieldPath") if isinstance(reference, dict) else None
    return {
        "metadata.name": pod,
        "metadata.namespace": namespace,
        f"metadata.labels['{contract.LABEL_STUDY}']": study,
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }.get(str(path))
