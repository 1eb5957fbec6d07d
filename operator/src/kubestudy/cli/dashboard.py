"""Optuna Dashboard on an open storage, until interrupted."""

from __future__ import annotations

import os
import signal
import socket

from optuna.storages import BaseStorage

from kubestudy.cli.exits import Exit
from kubestudy.cli.output import complain, note


def serve(opened: BaseStorage, host: str, port: int) -> Exit:
    """Serve Optuna Dashboard until interrupted.

    Args:
        opened: The storage.
        host: The address to listen on.
        port: The port to listen on; 0 for a free one.
    """
    # Nothing is to be saved, and no library on the way may take Ctrl-C for an error of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A container's first process takes no notice of SIGTERM by itself.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(Exit.COMPLETED))
    try:
        import optuna_dashboard
    except ImportError:
        complain("error: Optuna Dashboard is not installed: pip install 'kubestudy[local]'")
        return Exit.FAILED
    try:
        with socket.create_server((host, port)) as probe:
            port = probe.getsockname()[1]
    except OSError as error:
        complain(f"error: cannot listen on {host}:{port} ({error.strerror}): choose another --port")
        return Exit.FAILED
    note(f"Optuna Dashboard: http://{host}:{port}/ (Ctrl-C ends it)")
    optuna_dashboard.run_server(opened, host=host, port=port)
    return Exit.COMPLETED
