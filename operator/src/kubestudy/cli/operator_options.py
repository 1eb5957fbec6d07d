"""`kubestudy operator`: its settings as flags."""

from __future__ import annotations

import os
import signal
from typing import Annotated

import typer

from kubestudy.cli.exits import Exit


def operator(
    storage: Annotated[
        str | None, typer.Option(help="Folder of the journals, or an Optuna RDB URL. [KUBESTUDY_STORAGE]")
    ] = None,
    prometheus_url: Annotated[str | None, typer.Option(help="A Prometheus server. [KUBESTUDY_PROMETHEUS_URL]")] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(help="A namespace to watch, once for each; all if left out. [KUBESTUDY_NAMESPACES, with commas]"),
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json. [KUBESTUDY_LOG_FORMAT]")] = None,
    resync_seconds: Annotated[
        float | None, typer.Option(help="Seconds between full looks at everything. [KUBESTUDY_RESYNC_SECONDS]")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(help="Port of /healthz, /readyz, /metrics. [KUBESTUDY_HEALTH_PORT]")
    ] = None,
    history_port: Annotated[
        int | None, typer.Option(help="Port of studies' histories. [KUBESTUDY_HISTORY_PORT]")
    ] = None,
    health_address: Annotated[str | None, typer.Option(help="Address of both. [KUBESTUDY_HEALTH_ADDRESS]")] = None,
    service: Annotated[
        str | None,
        typer.Option(help="The Service in front of the history's port: namespace/name:port. [KUBESTUDY_SERVICE]"),
    ] = None,
    leader_election: Annotated[
        bool | None,
        typer.Option("--leader-election/--no-leader-election", help="Wait for a Lease. [KUBESTUDY_LEADER_ELECTION]"),
    ] = None,
    lease_namespace: Annotated[str | None, typer.Option(help="Where the Lease is. [KUBESTUDY_LEASE_NAMESPACE]")] = None,
) -> None:
    """Run the operator in a cluster.

    In KUBECONFIG's, or in the one whose pod this is.
    """
    # A container's first process takes no notice of SIGTERM before it says what to do then. Importing takes seconds and
    # may swallow an exception that is raised in the middle; there is nothing to tidy up yet.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(Exit.COMPLETED))
    from kubestudy.cli.operator_command import run_operator

    given = {
        "storage": storage,
        "prometheus_url": prometheus_url,
        "namespaces": tuple(namespace) if namespace else None,
        "log_format": log_format,
        "resync_seconds": resync_seconds,
        "health_port": health_port,
        "history_port": history_port,
        "health_address": health_address,
        "service": service,
        "leader_election": leader_election,
        "lease_namespace": lease_namespace,
    }
    raise typer.Exit(run_operator({name: value for name, value in given.items() if value is not None}))
