"""The state of the server: its status as a client asks for it, its health, and the metrics for Prometheus.

Metrics are served over HTTP on this machine alone. The server's own thread publishes snapshots, which never change; the
threads of the HTTP server read the last one. No lock, and a scrape never waits for a frame, nor a frame for a scrape.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, get_args
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psutil

from impasto.core.errors import ServerError
from impasto.server.front.counters import COUNTERS, StageFacts
from impasto.server.front.event_log import EventLog
from impasto.server.front.handshake import ServerInfo
from impasto.server.front.library import Library
from impasto.server.front.pending_request import PendingRequest
from impasto.server.front.requests import Requests
from impasto.server.front.sessions import Session, Sessions
from impasto.server.protocol.messages import ClientFacts, DeviceFacts, Status
from impasto.server.protocol.text import cleaned

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Health: TypeAlias = Literal["ok", "starting", "degraded", "draining"]
SCARCE_BYTES: Final = 512 << 20
"""Memory left on the machine below which the server says so."""
SHOWN_BYTES: Final = 400
"""Of each sentence, so that sixteen errors and sixteen problems fit into one message."""
LOADED_SHOWN: Final = 16
CLIENTS_SHOWN: Final = 64
ASK_OWNER: Final = "whoever runs the server can see why, with `impasto status` on its machine"
PROBLEMS_SHOWN: Final = 16
LOOPBACK: Final = "127.0.0.1"
_HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)


class StatusReporter:
    """Puts the status together."""

    def __init__(
        self,
        info: ServerInfo,
        sessions: Sessions,
        requests: Requests,
        library: Library,
        event_log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._info = info
        self._sessions = sessions
        self._requests = requests
        self._library = library
        self._event_log = event_log
        self._clock = clock
        self._began_s = clock()
        self._process = psutil.Process()
        self.draining = False
        self.more_problems: list[Callable[[], Sequence[str]]] = []
        """Asked for further sentences about what is wrong."""

    def status(self, id: bytes, asker: Session | None = None) -> Status:
        """The state of the server now, as far as this client may know it; everything without a client."""
        found = self._status(id)
        return found if asker is None or asker.local or asker.identity.admin else self._without_others(found, asker)

    def _status(self, id: bytes) -> Status:
        now = self._clock()
        self._event_log.catch_up()
        counters = self._event_log.counters
        devices = tuple(replace(each, loaded=each.loaded[:LOADED_SHOWN]) for each in self._requests.workers.facts())
        state, problems = health(devices, self.problems(), draining=self.draining)
        totals = counters.totals()
        running = self._requests.running
        return Status(
            id=id,
            server=self._info.server,
            pid=os.getpid(),
            boot=self._info.boot,
            uptime_s=now - self._began_s,
            health=state,
            problems=tuple(cleaned(problem, SHOWN_BYTES) for problem in problems),
            devices=devices,
            clients=self._clients(self._sessions),
            styles=len(self._library.facts()),
            queued=len(self._requests) - running,
            running=running,
            jobs=self._requests.jobs,
            frames=totals["frames"],
            fps=counters.frames_per_second(now),
            rss_bytes=self._process.memory_info().rss,
            endpoints=tuple(cleaned(endpoint, SHOWN_BYTES) for endpoint in self._info.endpoints)[:8],
            errors=tuple(replace(each, message=cleaned(each.message, SHOWN_BYTES)) for each in counters.errors(now)),
            counters=totals,
        )

    def problems(self) -> tuple[str, ...]:
        """Why the server is not as it should be."""
        found = [*self._requests.workers.problems(), *self._library.problems()]
        for ask in self.more_problems:
            found += ask()
        if self._event_log.file.problem:
            found.append(self._event_log.file.problem)
        left = psutil.virtual_memory().available
        if left < SCARCE_BYTES:
            found.append(f"the machine has {left >> 20} MiB of memory left; close other programs")
        return tuple(found)

    def _without_others(self, found: Status, asker: Session) -> Status:
        """The status for a key that may only render: its own clients, and totals that name nobody.

        Sentences are written for the owner of the server: they name files of its machine and other people's work.
        """
        offered = {facts.name for facts in self._library.facts()}
        own = (session for session in self._sessions if session.identity.key == asker.identity.key)
        return replace(
            found,
            problems=(ASK_OWNER,) if found.problems else (),
            devices=tuple(
                replace(each, loaded=tuple(name for name in each.loaded if name in offered)) for each in found.devices
            ),
            clients=self._clients(own),
            endpoints=tuple(each for each in found.endpoints if each.startswith("tcp://")),
            errors=(),
        )

    def _clients(self, sessions: Iterable[Session]) -> tuple[ClientFacts, ...]:
        requests = self._requests.by_session()
        shown = itertools.islice(sessions, CLIENTS_SHOWN)
        return tuple(_client_facts(session, requests.get(session, [])) for session in shown)


def _client_facts(session: Session, requests: Sequence[PendingRequest]) -> ClientFacts:
    running = sum(each.worker is not None for each in requests)
    hello = session.hello
    return ClientFacts(
        client=cleaned(hello.client, 64) or "unnamed",
        host=cleaned(hello.host, 64),
        user=cleaned(session.user, 64),
        pid=hello.pid,
        lane=session.agreed.lane,
        transport="ring" if session.ring is not None else "inline" if session.data.address is not None else "none",
        queued=len(requests) - running,
        running=running,
    )


def health(
    devices: Sequence[DeviceFacts], problems: Sequence[str], *, draining: bool = False
) -> tuple[Health, tuple[str, ...]]:
    """The health of a server, and every reason why it is not 'ok'.

    'starting' means that no worker is ready yet and none was lost; 'degraded' that something is wrong although work may
    go on; 'draining' comes before both. At most `PROBLEMS_SHOWN` reasons are named, then how many more there are.
    """
    working = [device for device in devices if device.state in ("ready", "busy")]
    waiting = [device for device in devices if device.state == "starting"]
    reasons = [cleaned(problem) for problem in problems]
    found: Health
    if draining:
        found = "draining"
        reasons.insert(0, "the server finishes what runs and takes no more work")
    elif not working and waiting and not reasons:
        found = "starting"
        reasons = [f"the worker on '{cleaned(device.device, 32)}' is starting" for device in waiting]
    elif not working:
        found = "degraded"
        reasons.insert(0, "no worker is ready; requests wait")
    elif reasons or len(working) + len(waiting) < len(devices):
        found = "degraded"
        reasons = reasons or ["a worker is lost; its work goes to the others"]
    else:
        found = "ok"
    if len(reasons) > PROBLEMS_SHOWN:
        more = len(reasons) - PROBLEMS_SHOWN + 1
        reasons = [*reasons[: PROBLEMS_SHOWN - 1], f"and {more} more; the log has them all"]
    return found, tuple(reasons)


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """A server at one moment: what its status says, and how long the stages take."""

    status: Status
    stages: Mapping[str, StageFacts] = field(default_factory=dict)


class MetricsServer:
    """A small HTTP server of metrics on the loopback, in threads of its own; closed by `close` or a `with` block.

    `latest` returns the last snapshot that was published, None before the first. It is called from other threads, so it
    returns a value that exists, not one that it computes.
    """

    def __init__(self, port: int, latest: Callable[[], MetricsSnapshot | None]) -> None:
        """Port 0 takes a free one. ServerError where the port is taken or prometheus_client is missing."""
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
        """The port that was taken."""
        self._thread = threading.Thread(target=self._server.serve_forever, name="impasto-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving and free the port. Twice does no harm."""
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
    """The application for requests that name this machine alone.

    A page in a browser that has its own name point here (DNS rebinding) sends that name as its host.
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
    """What a registry asks at every scrape."""

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
