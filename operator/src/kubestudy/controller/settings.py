"""What an operator is told at its start: by flags, else by KUBESTUDY_* variables. Source: pydantic-settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from kubestudy.api.gpus import GPU_SHARES
from kubestudy.api.limits import SEARCH_CALL_SECONDS
from kubestudy.api.text import clean
from kubestudy.cluster.api import namespace_here
from kubestudy.metrics.server import Access, is_address
from kubestudy.search.storage import place_in

# RFC 9110, token.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
Share = Annotated[float, Field(ge=0, le=1024, allow_inf_nan=False)]


class Settings(BaseSettings):
    """The operator's settings."""

    model_config = SettingsConfigDict(env_prefix="KUBESTUDY_", extra="ignore")

    storage: Annotated[
        str, Field(description="Folder of the journals, one a study; or an Optuna RDB URL.", min_length=1)
    ] = "/var/lib/kubestudy"
    work_folder: Annotated[
        Path | None,
        Field(
            description="Folder of the process' own that outlives it: notes of which studies it works on, for the case"
            " that one of them gets it killed. Beside the journals if left out; nowhere with a database."
        ),
    ] = None
    search_seconds: Annotated[
        float,
        Field(
            description="Seconds after which a call to a study's search (opening its storage, asking, telling) is given"
            " up.",
            ge=1,
            le=3600,
        ),
    ] = SEARCH_CALL_SECONDS.value
    prometheus_url: Annotated[
        str | None,
        Field(description="A Prometheus server; without one trials' pods are scraped.", pattern=r"^https?://"),
    ] = None
    prometheus_token_file: Annotated[Path | None, Field(description="A file that holds a bearer token for it.")] = None
    prometheus_username: Annotated[str | None, Field(description="For basic authentication there.")] = None
    prometheus_password_file: Annotated[Path | None, Field(description="A file that holds the password.")] = None
    prometheus_ca_file: Annotated[Path | None, Field(description="Authorities instead of the system's.")] = None
    prometheus_cert_file: Annotated[Path | None, Field(description="A client certificate.")] = None
    prometheus_key_file: Annotated[Path | None, Field(description="Its key.")] = None
    prometheus_headers: Annotated[
        dict[str, str],
        NoDecode,
        Field(description='More headers, as JSON: {"X-Scope-OrgID": "team"}.', default_factory=dict),
    ]
    prometheus_settling_seconds: Annotated[
        float,
        Field(
            description="Seconds after a trial's end until Prometheus has its last values: a scrape interval.",
            ge=0,
            le=3600,
        ),
    ] = 30.0
    prometheus_confine: Annotated[
        bool | None,
        Field(
            description="Whether studies' promql expressions are made to read series of their own namespace alone, by a"
            " matcher on the label namespace. Left out: where KUBESTUDY_NAMESPACES is set."
        ),
    ] = None
    prometheus_namespace_parameter: Annotated[
        str | None,
        Field(
            description="The parameter of a query that takes the study's namespace, for a proxy that keeps tenants"
            " apart by it (prom-label-proxy, OpenShift's tenancy port): namespace.",
            pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$",
        ),
    ] = None
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
    history_port: Annotated[
        int, Field(description="Port of studies' histories and living trials; 0 for a free one.", ge=0, le=65535)
    ] = 8082
    history_token_file: Annotated[
        Path | None,
        Field(description="A file that holds a token which callers of the history port are to send; none if left out."),
    ] = None
    health_address: Annotated[str, Field(description="Address of both ports.")] = "0.0.0.0"  # noqa: S104  (of its own pod)
    service: Annotated[
        str | None,
        Field(
            description="The Service in front of the history's port: namespace/name:port. kubectl study asks it.",
            pattern=r"^[a-z0-9-]+/[a-z0-9-]+:[a-z0-9-]+$",
        ),
    ] = None
    gpu_resources: Annotated[
        dict[str, Share],
        NoDecode,
        Field(
            description="What share of a GPU one of a resource, or of a DRA device class, is, by pattern, as JSON:"
            ' {"nvidia.com/gpu.shared": 0.25}. These go before the usual ones.',
            default_factory=dict,
        ),
    ]
    leader_election: Annotated[bool, Field(description="Wait for a Lease before working.")] = True
    lease_namespace: Annotated[str, Field(description="Where the Lease is.", default_factory=namespace_here)]
    lease_name: Annotated[str, Field(description="What it is called.")] = "kubestudy-operator"

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        return tuple(filter(None, (n.strip() for n in given.split(",")))) if isinstance(given, str) else given

    @field_validator("prometheus_url")
    @classmethod
    def _is_address(cls, given: str | None) -> str | None:
        if given is not None and not is_address(given):
            raise ValueError(
                "is no URL of a server: http://HOST:PORT/PATH; write special characters of a password as %XX"
            )
        return given

    @field_validator("prometheus_headers", "gpu_resources", mode="before")
    @classmethod
    def _parse(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is no JSON ({error})") from error

    @field_validator("prometheus_headers")
    @classmethod
    def _fit_for_http(cls, given: dict[str, str]) -> dict[str, str]:
        for name, value in given.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{clean(name, 60)!r} is no name of an HTTP header: use letters, digits and -")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of {name} is no value of an HTTP header: use printable ASCII, in one line")
        return given

    @property
    def gpu_shares(self) -> Mapping[str, float]:
        """By pattern of a resource's or device class's name, the first that fits: what share of a GPU one is."""
        return {
            **self.gpu_resources,
            **{name: share for name, share in GPU_SHARES.items() if name not in self.gpu_resources},
        }

    @property
    def prometheus(self) -> Access | None:
        """How Prometheus is reached."""
        if self.prometheus_url is None:
            return None
        return Access(
            url=self.prometheus_url,
            token_file=self.prometheus_token_file,
            username=self.prometheus_username,
            password_file=self.prometheus_password_file,
            ca_file=self.prometheus_ca_file,
            cert_file=self.prometheus_cert_file,
            key_file=self.prometheus_key_file,
            headers=self.prometheus_headers,
            namespace_parameter=self.prometheus_namespace_parameter,
        )

    @property
    def confined(self) -> bool:
        """Whether expressions read series of their study's namespace alone."""
        return bool(self.namespaces) if self.prometheus_confine is None else self.prometheus_confine

    @property
    def storage_place(self) -> Path | str:
        """The storage as a folder, or as a URL."""
        return place_in(self.storage)

    @property
    def work_notes(self) -> Path | None:
        """Where notes of what is worked on are kept; None for nowhere."""
        if self.work_folder is not None:
            return self.work_folder
        return self.storage_place if isinstance(self.storage_place, Path) else None

    @property
    def operator_name(self) -> str:
        """What tells this operator from others of the cluster: where its Lease is, and what it is called."""
        return f"{self.lease_namespace}/{self.lease_name}"
