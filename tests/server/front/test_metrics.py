"""MetricsServer: on this machine alone, whole, and no burden to the server."""

from __future__ import annotations

import socket
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from impasto.core.errors import ServerError
from impasto.server.front.counters import COUNTERS, Counters, StageFacts
from impasto.server.front.metrics import MetricsServer, MetricsSnapshot
from impasto.server.protocol.messages import DeviceFacts, Status

CARD = DeviceFacts("cuda:0", 'A "card"\n', "busy", 7, "float16", 2, ("wheatfield",), 3 << 30, 4 << 30, 8 << 30)
STATUS = Status(
    id=bytes(16), server="impasto 0.2.0", pid=1, boot=b"\xab" * 16, uptime_s=12.5, health="degraded",
    problems=("the log cannot be written",), devices=(CARD, replace(CARD, device="cuda:1", state="lost")),
    clients=(), styles=3, queued=4, running=2, jobs=1, frames=100, fps=24.5, rss_bytes=50 << 20, endpoints=(),
    errors=(), counters=Counters().totals() | {"frames": 100, "workers_lost": 2},
)  # fmt: skip
SNAPSHOT = MetricsSnapshot(STATUS, {"network": StageFacts(0.02, 0.016, 1.6, 100)})


def fetch(metrics: MetricsServer, path: str = "/metrics", method: str = "GET") -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{metrics.port}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def values(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values by their names …) -> value, as a parser of Prometheus reads them."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_shows_the_last_snapshot() -> None:
    with MetricsServer(0, lambda: SNAPSHOT) as metrics:
        found = values(fetch(metrics))
    assert found["impasto_info", "ab" * 16, "impasto 0.2.0"] == 1
    assert found["impasto_health", "degraded"] == 1
    assert found["impasto_health", "ok"] == 0
    assert found["impasto_queued",] == 4
    assert found["impasto_frames_per_second",] == 24.5
    assert found["impasto_frames_total",] == 100
    assert found["impasto_workers_lost_total",] == 2
    assert found["impasto_worker_up", "cuda:0"] == 1
    assert found["impasto_worker_up", "cuda:1"] == 0
    assert found["impasto_worker_restarts_total", "cuda:0"] == 2
    assert found["impasto_device_total_bytes", "cuda:0"] == 8 << 30
    assert found["impasto_stage_seconds_count", "network"] == 100
    assert found["impasto_stage_seconds_sum", "network"] == 1.6
    assert found["impasto_stage_median_seconds", "network"] == 0.016


def test_every_name_is_ours_and_every_counter_is_there() -> None:
    with MetricsServer(0, lambda: SNAPSHOT) as metrics:
        names = {name for name, *_ in values(fetch(metrics))}
    assert all(name.startswith("impasto_") for name in names)
    assert {f"impasto_{name}_total" for name in COUNTERS} <= names


def test_each_scrape_shows_what_was_published_meanwhile() -> None:
    published = [SNAPSHOT]
    with MetricsServer(0, lambda: published[-1]) as metrics:
        assert values(fetch(metrics))["impasto_queued",] == 4
        published.append(MetricsSnapshot(replace(STATUS, queued=9)))
        assert values(fetch(metrics))["impasto_queued",] == 9


def test_before_the_first_snapshot_there_is_nothing_to_show() -> None:
    with MetricsServer(0, lambda: None) as metrics:
        assert values(fetch(metrics)) == {}


def test_it_listens_on_the_loopback_alone() -> None:
    with MetricsServer(0, lambda: SNAPSHOT) as metrics:
        bound = [c.laddr for c in psutil.Process().net_connections() if c.status == psutil.CONN_LISTEN]
        assert ("127.0.0.1", metrics.port) in bound
        assert not [address for address in bound if address.port == metrics.port and address.ip != "127.0.0.1"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_but_reading_is_allowed(method: str) -> None:
    with MetricsServer(0, lambda: SNAPSHOT) as metrics:
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(metrics, method=method)
        assert refused.value.code == 405
        refused.value.close()
        assert fetch(metrics)


def test_a_client_that_says_nothing_holds_nobody() -> None:
    with MetricsServer(0, lambda: SNAPSHOT) as metrics, socket.create_connection(("127.0.0.1", metrics.port), 5):
        assert fetch(metrics)


def test_a_taken_port_is_an_error_that_says_so() -> None:
    with (
        MetricsServer(0, lambda: SNAPSHOT) as first,
        pytest.raises(ServerError, match=rf"127\.0\.0\.1:{first.port} cannot be had.*choose another with --metrics"),
    ):
        MetricsServer(first.port, lambda: SNAPSHOT)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_an_error_that_says_so(port: int) -> None:
    with pytest.raises(ServerError, match="expected a free port"):
        MetricsServer(port, lambda: SNAPSHOT)


def test_without_prometheus_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ServerError, match="pip install"):
        MetricsServer(0, lambda: SNAPSHOT)


def test_closing_frees_the_port_and_ends_the_thread() -> None:
    before = threading.active_count()
    metrics = MetricsServer(0, lambda: SNAPSHOT)
    metrics.close()
    metrics.close()
    assert threading.active_count() == before
    with MetricsServer(metrics.port, lambda: SNAPSHOT) as again:
        assert again.port == metrics.port
