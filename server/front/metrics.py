"""The figures of a server for Prometheus, over HTTP on this machine alone.

The server's own thread publishes snapshots, which never change; the threads of the HTTP server read the last one. No
lock, and a scrape never waits for a frame, nor a frame for a scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, get_args

from impasto.core.errors import ServerError
from impasto.server.front.telemetry import COUNTERS, Health, StageFacts
from impasto.server.protocol.messages import Status

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A server at one moment: what its status says, and how long the stages take."""

    status: Status
    stages: Mapping[str, StageFacts] = field(default_factory=dict)


class Metrics:
    """A small HTTP server of metrics on the loopback, in threads of its own; closed by `close` or a `with` block.

    `latest` returns the last snapshot that was published, None before the first. It is called from other threads, so it
    returns a value that exists: `lambda: front.snapshot`, not one that it computes.
    """

    def __init__(self, port: int, latest: Callable[[], Snapshot | None]) -> None:
        """Port 0 takes a free one. ServerError where the port is taken or prometheus_client is missing."""
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError as error:
            raise ServerError(
                "expected prometheus-client for --metrics, it is not installed; run `pip install impasto[server]`"
            ) from error
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(latest))
        try:
            self._server, self._thread = start_http_server(port, addr=LOOPBACK, registry=registry)
        except (OSError, OverflowError) as error:
            raise ServerError(
                f"expected a free port for the metrics, {LOOPBACK}:{port} cannot be had ({error}); "
                "choose another with --metrics"
            ) from error
        self.port: int = self._server.server_port
        """The port that was taken."""

    def close(self) -> None:
        """Stop serving and free the port. Twice does no harm."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Collector:
    """What a registry asks at every scrape."""

    def __init__(self, latest: Callable[[], Snapshot | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """The last snapshot as metrics; none before the first."""
        snapshot = self._latest()
        if snapshot is not None:
            yield from server_metrics(snapshot.status)
            yield from worker_metrics(snapshot.status)
            yield from stage_metrics(snapshot.stages)


def server_metrics(status: Status) -> Iterator[Metric]:
    """The server as a whole: who it is, how it is, what waits, what was counted."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("impasto", "The server.", {"server": status.server, "boot": status.boot.hex()})
    state = GaugeMetricFamily("impasto_health", "1 for how the server is, 0 for how it is not.", labels=("state",))
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
    lasts = GaugeMetricFamily("impasto_stage_last_seconds", "Of the last request.", labels=labels)
    for stage, facts in stages.items():
        spans.add_metric((stage,), count_value=facts.count, sum_value=facts.total_s)
        medians.add_metric((stage,), facts.median_s)
        lasts.add_metric((stage,), facts.last_s)
    yield from (spans, medians, lasts)
