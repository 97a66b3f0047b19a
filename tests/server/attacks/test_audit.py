"""Nobody can wash out the log, connections that were broken off leave a line, and metrics stay on this machine."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import zmq

from impasto.server import auth
from impasto.server.front.counters import Counters
from impasto.server.front.event_log import REPEATS_S, REPEATS_WRITTEN, EventLog, LogFile
from impasto.server.front.metrics import MetricsServer
from impasto.server.protocol.messages import Ping, Rejected
from tests.server.running_server import free_port, served
from tests.server.wire_client import WireClient
from tests.waiting import until


@pytest.fixture
def metrics() -> Iterator[MetricsServer]:
    with MetricsServer(0, lambda: None) as server:
        yield server


def status_of(metrics: MetricsServer, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", metrics.port, timeout=10)
    try:
        connection.putrequest("GET", "/metrics", skip_host=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9100", "LOCALHOST", "[::1]:80"])
def test_metrics_are_served_to_this_machine(metrics: MetricsServer, host: str) -> None:
    assert status_of(metrics, {"Host": host}) == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost:1:2", "127.0.0.1@evil"])
def test_metrics_are_refused_under_another_name(metrics: MetricsServer, host: str) -> None:
    assert status_of(metrics, {"Host": host}) == 403


def test_metrics_are_refused_to_pages(metrics: MetricsServer) -> None:
    assert status_of(metrics, {"Host": "localhost", "Origin": "http://evil.example"}) == 403


def lines(path: Path, event: str) -> list[dict[str, object]]:
    found = map(json.loads, path.read_text().splitlines())
    return [line for line in found if line["event"] == event]


def test_lines_that_anybody_can_cause_are_few_and_counted(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "events.log"
    log = EventLog(LogFile(path), Counters(), lambda: now[0])
    for number in range(1000):
        log.repeated("warning", "refused", 1, "anna", number=number)
    log.repeated("warning", "refused", 1, "boss", number=-1)
    log.write_repeats()
    assert len(lines(path, "refused")) == REPEATS_WRITTEN + 1
    now[0] = REPEATS_S
    log.write_repeats()
    last = lines(path, "refused")[-1]
    assert (last["repeated"], last["number"]) == (1000 - REPEATS_WRITTEN, 999)
    log.repeated("warning", "refused", 1, "anna", number=5)
    assert lines(path, "refused")[-1]["number"] == 5
    log.file.close()


def test_so_many_kinds_of_lines_are_one(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    log = EventLog(LogFile(path), Counters(), lambda: 0.0)
    for number in range(5000):
        log.repeated("warning", "refused", 1, str(number))
    assert len(lines(path, "refused")) < 500
    log.file.close()


def test_the_refusals_of_one_client_do_not_fill_the_log() -> None:
    with served() as server, WireClient(server.folder, hello=True) as client:
        for _ in range(500):
            client.send(client.data, Ping(1))
        for _ in range(500):
            client.hear(Rejected, client.data)
        path = server.folder / "events.log"
        assert len(lines(path, "refused")) <= REPEATS_WRITTEN
    assert not path.exists()  # the folder goes with the server; the count was written before


def test_failed_handshakes_leave_a_line(tmp_path: Path) -> None:
    keys, port = tmp_path / "keys", free_port()
    public, secret = zmq.curve_keypair()
    auth.add(keys, "anna", public.decode())
    with served(listen=f"tcp://127.0.0.1:{port}", keys=keys) as server:
        with WireClient() as without_key:
            without_key.control.connect(f"tcp://127.0.0.1:{port}")
            until(lambda: lines(server.folder / "events.log", "handshake_failed"))
        before = len(lines(server.folder / "events.log", "handshake_failed"))
        with WireClient() as wrong_server:
            wrong_server.control.curve_publickey, wrong_server.control.curve_secretkey = public, secret
            wrong_server.control.curve_serverkey = zmq.curve_keypair()[0]
            wrong_server.control.connect(f"tcp://127.0.0.1:{port}")
            until(lambda: len(lines(server.folder / "events.log", "handshake_failed")) > before)
        with socket.create_connection(("127.0.0.1", port)) as odd:
            odd.sendall(b"GET / HTTP/1.1\r\n\r\n" + secrets.token_bytes(64))
            with WireClient(server.folder, hello=True) as client:
                until(lambda: client.status().counters["handshakes_failed"] > before)
