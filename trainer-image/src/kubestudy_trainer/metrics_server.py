"""The `/metrics` endpoint: each metric's last value and the step that it belongs to."""

import socketserver
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from socket import AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, has_dualstack_ipv6

from prometheus_client import CollectorRegistry, MetricsHandler
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_LABELS = ("study", "trial", "metric")


class LastValues(Collector):
    """The last value of each metric with its step, read and written as a pair.

    Args:
        study: The study's name.
        trial: The trial's number.
    """

    def __init__(self, study: str, trial: int) -> None:
        self._labels = (study, str(trial))
        self._lock = threading.Lock()
        self._last: dict[str, tuple[int, float]] = {}

    def update(self, step: int, metrics: dict[str, float]) -> None:
        """Replace the metrics' last values.

        Args:
            step: The step that the values belong to.
            metrics: Values by metric; NaN and infinities are passed on as such.
        """
        with self._lock:
            for name, value in metrics.items():
                self._last[name] = (step, value)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one scrape's families, which belong to the same moment."""
        with self._lock:
            last = dict(self._last)
        values = GaugeMetricFamily("kubestudy_trial_metric", "The metric's last reported value.", labels=_LABELS)
        steps = GaugeMetricFamily(
            "kubestudy_trial_step", "The step at which the metric was last reported.", labels=_LABELS
        )
        for name, (step, value) in last.items():
            values.add_metric((*self._labels, name), value)
            steps.add_metric((*self._labels, name), step)
        yield values
        yield steps


class MetricsServer:
    """Serves a collector over HTTP from a daemon thread.

    Args:
        collector: What each scrape asks.
        address: The address to bind; empty for all interfaces.
        port: The TCP port.

    Raises:
        OSError: The address and port cannot be bound.
    """

    def __init__(self, collector: Collector, address: str, port: int) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        handler = MetricsHandler.factory(registry)
        self._server = _listen(address, port, handler)
        # The poll only serves a shutdown, which nobody asks for: the thread ends with the process.
        thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 60},
            name="kubestudy-metrics",
            daemon=True,
        )
        thread.start()

    def close_inherited(self) -> None:
        """Let go of the port in a forked child, in which the serving thread does not exist."""
        self._server.socket.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        if self.address_family == AF_INET6 and self.server_address[0] == "::":
            self.socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
        # HTTPServer's own way asks DNS for this machine's full name, which may take seconds and serves
        # nobody here.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class _ServerIPv6(_Server):
    address_family = AF_INET6


def _listen(address: str, port: int, handler: type[MetricsHandler]) -> _Server:
    if ":" in address:
        return _ServerIPv6((address, port), handler)
    if not address and has_dualstack_ipv6():
        try:
            return _ServerIPv6(("::", port), handler)
        except OSError:
            # A kernel may know IPv6 and yet have it switched off; IPv4 then says what is wrong, if anything.
            pass
    return _Server((address, port), handler)
