"""The metrics for Prometheus, served over HTTP on this machine alone.

The server's own thread publishes snapshots, which never change. The threads of the HTTP server read the last one. There
is no lock: a scrape never waits for a frame, nor a frame for a scrape.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, Self, get_args
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from impasto.core.errors import ServerError
from impasto.server.front.counters import COUNTERS, StageFacts
from impasto.server.front.status import Health
from impasto.server.protocol.messages import Status

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LOOPBACK: Final = "127.0.0.1"
_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """A server at one moment: what its status says, and how long the stages take."""

    status: Status
    stages: Mapping[str, StageFacts] = field(default_factory=dict)


class MetricsServer:
    """A small HTTP server of metrics on the loopback, in threads of its own; closed by `close` or a `with` block.

    `latest` returns the last snapshot that was published, None before the first. Other threads call it, so it must not
    compute anything.
    """

    def __init__(self, port: int, latest: Callable[[], MetricsSnapshot | None]) -> None:
        """Port 0 means any free port. Raises ServerError if the port is in use or prometheus_client is missing."""
        try:
            from prometheus_client import CollectorRegistry, make_wsgi_app
        except ImportError as error:
            raise ServerError(
                "expected prometheus-client for --metrics, it is not installed; run `pip install impasto[server]`"
            ) from error
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(latest))
        try:
            self._server = make_server(LOOPBACK, port, _guarded(make_wsgi_app(registry)), _Threads, _Silent)
        except (OSError, OverflowError) as error:
            raise ServerError(
                f"expected a free port for the metrics, {LOOPBACK}:{port} cannot be had ({error}); "
                "choose another with --metrics"
            ) from error
        self.port: int = self._server.server_port
        """The port that it serves on."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="impasto-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    timeout = 10.0

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a scrape is no event."""


def _guarded(application: Any) -> Any:
    """The application, for requests that name this machine as their host.

    A web page whose own name points to this machine (DNS rebinding) sends that name instead, and is refused.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        host = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
        if host is None or environ.get("HTTP_ORIGIN"):
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"expected 127.0.0.1 or localhost as host, and no page as origin\n"]
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD")])
            return [b""]
        return application(environ, start_response)

    return answer


class _Collector:
    """Gives a registry the metrics, at every scrape."""

    def __init__(self, latest: Callable[[], MetricsSnapshot | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """The last snapshot as metrics; none before the first."""
        snapshot = self._latest()
        if snapshot is not None:
            yield from server_metrics(snapshot.status)
            yield from worker_metrics(snapshot.status)
            yield from stage_metrics(snapshot.stages)


def server_metrics(status: Status) -> Iterator[Metric]:
    """The server as a whole: its version, its health, what waits, and all counters."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("impasto", "The server.", {"server": status.server, "boot": status.boot.hex()})
    state = GaugeMetricFamily(
        "impasto_health", "1 for the health that the server has, 0 for the others.", labels=("state",)
    )
    for each in get_args(Health):
        state.add_metric((each,), float(each == status.health))
    yield state
    gauges = {
        "uptime_seconds": ("Since the start.", status.uptime_s),
        "problems": ("Reasons why the health is not ok.", len(status.problems)),
        "sessions": ("Clients.", len(status.clients)),
        "styles": ("Styles in the library.", status.styles),
        "queued": ("Requests that wait.", status.queued),
        "running": ("Requests that run.", status.running),
        "jobs": ("Shot jobs that run.", status.jobs),
        "frames_per_second": ("Frames painted, over the last ten seconds.", status.fps),
        "front_rss_bytes": ("Memory of the front process.", status.rss_bytes),
    }
    for name, (documentation, value) in gauges.items():
        yield GaugeMetricFamily(f"impasto_{name}", documentation, value=value)
    for name, value in status.counters.items():
        yield CounterMetricFamily(f"impasto_{name}", COUNTERS.get(name, "Since the start."), value=value)


def worker_metrics(status: Status) -> Iterator[Metric]:
    """Every device and its worker."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ("device",)
    up = GaugeMetricFamily("impasto_worker_up", "1 where the device's worker is ready or busy.", labels=labels)
    restarts = CounterMetricFamily("impasto_worker_restarts", "Workers that were replaced.", labels=labels)
    loaded = GaugeMetricFamily("impasto_worker_styles", "Styles that are warm.", labels=labels)
    rss = GaugeMetricFamily("impasto_worker_rss_bytes", "Memory of the worker process.", labels=labels)
    used = GaugeMetricFamily("impasto_device_bytes", "Memory in use on the device.", labels=labels)
    total = GaugeMetricFamily("impasto_device_total_bytes", "Memory of the device.", labels=labels)
    for device in status.devices:
        for metric, value in (
            (up, float(device.state in ("ready", "busy"))),
            (restarts, device.restarts),
            (loaded, len(device.loaded)),
            (rss, device.rss_bytes),
            (used, device.device_bytes),
            (total, device.device_total_bytes),
        ):
            metric.add_metric((device.device,), value)
    yield from (up, restarts, loaded, rss, used, total)


def stage_metrics(stages: Mapping[str, StageFacts]) -> Iterator[Metric]:
    """How long the stages of requests take."""
    from prometheus_client.core import GaugeMetricFamily, SummaryMetricFamily

    labels = ("stage",)
    spans = SummaryMetricFamily("impasto_stage_seconds", "How long the stages of requests take.", labels=labels)
    medians = GaugeMetricFamily("impasto_stage_median_seconds", "Median of the last requests.", labels=labels)
    lasts = GaugeMetricFamily("impasto_stage_last_seconds", "Time of the last request.", labels=labels)
    for stage, facts in stages.items():
        spans.add_metric((stage,), count_value=facts.count, sum_value=facts.total_s)
        medians.add_metric((stage,), facts.median_s)
        lasts.add_metric((stage,), facts.last_s)
    yield from (spans, medians, lasts)
