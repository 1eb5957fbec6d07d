"""What an operator is told at its start: by flags, else by KUBESTUDY_* variables. Source: pydantic-settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kubestudy.cluster.api import namespace_here


class Settings(BaseSettings):
    """The operator's settings."""

    model_config = SettingsConfigDict(env_prefix="KUBESTUDY_", extra="ignore")

    storage: Annotated[
        str, Field(description="Folder of the journals, one a study; or an Optuna RDB URL.", min_length=1)
    ] = "/var/lib/kubestudy"
    prometheus_url: Annotated[str | None, Field(description="A Prometheus server.")] = None
    namespaces: Annotated[
        tuple[str, ...], NoDecode, Field(description="Namespaces to watch; all of them if left out.")
    ] = ()
    log_format: Annotated[Literal["text", "json"], Field(description="How to write the log.")] = "text"
    resync_seconds: Annotated[
        float, Field(description="Seconds between two full looks at Jobs and pods.", ge=10, le=86400)
    ] = 300.0
    health_port: Annotated[
        int, Field(description="Port of /healthz, /readyz and /metrics; 0 for a free one.", ge=0, le=65535)
    ] = 8080
    health_address: Annotated[str, Field(description="Address of that port.")] = "0.0.0.0"
    service: Annotated[
        str | None,
        Field(
            description="The Service in front of that port, as namespace/name:port; kubectl study asks it for history.",
            pattern=r"^[a-z0-9-]+/[a-z0-9-]+:[a-z0-9-]+$",
        ),
    ] = None
    leader_election: Annotated[bool, Field(description="Wait for a Lease before working.")] = True
    lease_namespace: Annotated[str, Field(description="Where the Lease is.", default_factory=namespace_here)]
    lease_name: Annotated[str, Field(description="What it is called.")] = "kubestudy-operator"

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        return tuple(filter(None, (n.strip() for n in given.split(",")))) if isinstance(given, str) else given

    @property
    def storage_place(self) -> Path | str:
        """The storage as a folder, or as a URL."""
        return self.storage if "://" in self.storage else Path(self.storage)
