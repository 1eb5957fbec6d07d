"""The part of a Kubernetes JobTemplateSpec that is read here; every other field is kept as written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from kubestudy.api.base import OpenModel
from kubestudy.api.limits import ARGUMENTS, CONTAINERS, ENVIRONMENT, IMAGE_LENGTH, RESOURCES

TRAINER_CONTAINER = "trainer"
_TRAINER_IMAGE = re.compile(r"(?:.*/)?kubestudy[/-]trainer(?:[-:@].*)?", re.DOTALL)


Texts = Annotated[list[str], Field(max_length=ARGUMENTS.value)]
Quantities = Annotated[dict[str, str | int | float], Field(max_length=RESOURCES.value)]


class EnvVar(OpenModel):
    """One variable of a container's environment (`core/v1 EnvVar`)."""

    name: Annotated[str, Field(min_length=1)]
    value: str | None = None
    value_from: dict[str, Any] | None = None


class Resources(OpenModel):
    """What a container may use (`core/v1 ResourceRequirements`)."""

    limits: Quantities = {}
    requests: Quantities = {}


class Container(OpenModel):
    """One container of a trial's pod (`core/v1 Container`)."""

    name: Annotated[str, Field(min_length=1)]
    image: Annotated[str | None, Field(max_length=IMAGE_LENGTH.value)] = None
    command: Texts = []
    args: Texts = []
    env: Annotated[list[EnvVar], Field(max_length=ENVIRONMENT.value)] = []
    env_from: list[dict[str, Any]] = []
    working_dir: str | None = None
    resources: Resources = Resources()
    volume_mounts: list[dict[str, Any]] = []


def is_trainer_image(image: str | None) -> bool:
    """Tell whether an image is the ready trainer's: `.../kubestudy/trainer:TAG`, under any registry."""
    return image is not None and _TRAINER_IMAGE.fullmatch(image) is not None


def runs_ready_trainer(container: Container) -> bool:
    """Tell whether a container runs the ready trainer: its image, and no command of another program."""
    return not container.command and is_trainer_image(container.image)


def trainer_among(names: Sequence[str | None]) -> int:
    """Return which of a pod's containers trains, by their names: the one named `trainer`, else the first."""
    return names.index(TRAINER_CONTAINER) if TRAINER_CONTAINER in names else 0


class PodSpec(OpenModel):
    """A trial's pod (`core/v1 PodSpec`)."""

    containers: Annotated[list[Container], Field(min_length=1, max_length=CONTAINERS.value)]
    init_containers: list[dict[str, Any]] = []
    resource_claims: list[dict[str, Any]] = []
    termination_grace_period_seconds: Annotated[int, Field(ge=0)] = 30
    active_deadline_seconds: Annotated[int, Field(gt=0)] | None = None

    @property
    def trainer(self) -> Container:
        """The container that trains."""
        return self.containers[self.trainer_index]

    @property
    def trainer_index(self) -> int:
        """The trainer's place in `containers`."""
        return trainer_among([container.name for container in self.containers])


class PodTemplate(OpenModel):
    """`core/v1 PodTemplateSpec`."""

    metadata: dict[str, Any] = {}
    spec: PodSpec


class JobSpec(OpenModel):
    """`batch/v1 JobSpec`."""

    template: PodTemplate
    backoff_limit: Annotated[int, Field(ge=0)] | None = None
    active_deadline_seconds: Annotated[int, Field(gt=0)] | None = None


class JobTemplate(OpenModel):
    """`batch/v1 JobTemplateSpec`, as in a CronJob."""

    metadata: dict[str, Any] = {}
    spec: JobSpec
