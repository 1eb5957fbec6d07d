"""A process that has imported `kubestudy` and what its commands import, and forks for each command (see forks.py).

    python -m support.fork_server FD

Orders come through the socket FD, each with five descriptors: the command's standard streams, and a pipe that is given
its wait status when it has ended. When the socket is closed the process ends; its forks do not.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import random
import selectors
import signal
import socket
import sys
from dataclasses import dataclass

import numpy as np
from kubernetes.aio.config import kube_config

import kubestudy
from kubestudy.cli import app
from support.forks import LENGTH, STATUS

# What commands import only when they come to need it.
_LATER = ("optuna.importance", "optuna.visualization", "plotly.graph_objects", "plotly.io", "sklearn.ensemble")


@dataclass(frozen=True)
class _Order:
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]


def _import_everything() -> None:
    for module in pkgutil.walk_packages(kubestudy.__path__, "kubestudy."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LATER:
        importlib.import_module(name)


def _serve(orders: socket.socket) -> _Order | None:
    """Fork for each order. Returns the order in each fork, and None here when there will be no more."""
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the tests and their commands
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    ends: dict[int, int] = {}
    while True:
        ready = {key.fileobj for key, _ in selector.select()}
        if woken in ready:
            woken.recv(4096)
            _reap(ends)
        if orders not in ready:
            continue
        head, descriptors, *_ = socket.recv_fds(orders, LENGTH.size, 4)
        if not head:
            return None
        *streams, end = descriptors
        (size,) = LENGTH.unpack(head)
        arguments, folder, environment = json.loads(_exactly(orders, size))
        pid = os.fork()
        if pid == 0:
            selector.close()
            for descriptor in (*ends.values(), end):
                os.close(descriptor)
            for other in (orders, woken, wake):
                other.close()
            return _Order(arguments, folder, environment, streams)
        ends[pid] = end
        orders.sendall(LENGTH.pack(pid))
        for stream in streams:
            os.close(stream)


def _exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += source.recv(size - len(found))
    return found


def _reap(ends: dict[int, int]) -> None:
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        end = ends.pop(pid)
        os.write(end, STATUS.pack(status))
        os.close(end)


def _become(order: _Order) -> None:
    """Make this fork what a process of the command's own would be."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, stream in enumerate(order.streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    # The client of Kubernetes reads this variable when it is imported.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = order.environment.get("KUBECONFIG", "")
    sys.argv[:] = order.arguments
    random.seed()
    np.random.seed()


def main() -> None:
    """Serve; in a fork, run the command."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    _import_everything()
    gc.collect()
    gc.freeze()  # what forks share stays shared
    order = _serve(orders)
    if order is not None:
        _become(order)
        app.main()


if __name__ == "__main__":
    main()
