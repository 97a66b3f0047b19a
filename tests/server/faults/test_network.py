"""Networks that are slow, cut or half open, and clients without a right to come. Most go over TCP with keys."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq

from impasto.core.errors import NotPermitted, ServerUnreachable
from impasto.server import auth
from impasto.server.auth import ClientAuth
from impasto.server.client import Client
from impasto.server.protocol.messages import Done, Failed, Hello, Join, Joined, Rejected, Welcome
from tests.plates import noise
from tests.server.relay import RelayedAddress, relayed
from tests.server.running_server import Program, Sandbox, free_port, new_sandbox
from tests.server.wire_client import WireClient
from tests.waiting import until

PIXELS = noise(54, 96, 4)
LIMIT_S = 30.0


@dataclass
class NetworkSandbox:
    """A sandbox whose server listens on the network, and keys for its clients."""

    sandbox: Sandbox
    server: Program
    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def keys_of(self, who: str, *, allowed: bool = True) -> ClientAuth:
        own = auth.new_pair(self.sandbox.root / f"keys of {who}", "client")
        if allowed:
            auth.add(self.folder, who, own.public.decode())
        return ClientAuth(own.public, own.secret, auth.server_pair(self.folder).public)

    def via(self, own: ClientAuth) -> RelayedAddress:
        data = f"tcp://127.0.0.1:{self.port + 1}"
        return RelayedAddress(self.address, data, lambda channel: "tcp://127.0.0.1:0", own)

    def raw(self, own: ClientAuth) -> WireClient:
        raw = WireClient()
        raw.connect_network(self.port, own)
        return raw

    def opened(self) -> int:
        with self.sandbox.client() as client:
            return client.status().counters["sessions_opened"] - 1


@pytest.fixture(scope="module")
def network() -> Iterator[NetworkSandbox]:
    with new_sandbox() as made:
        port, folder = free_port(), made.root / "keys"
        limits = {"heartbeat_s": 0.5, "interactive_lease_s": 4.0, "sessions_per_user": 16}
        server = made.serve(listen=f"tcp://127.0.0.1:{port}", keys=str(folder), limits=limits)
        yield NetworkSandbox(made, server, port, folder)


@pytest.fixture(scope="module")
def anna(network: NetworkSandbox) -> ClientAuth:
    return network.keys_of("anna")


def painted(client: Client, pixels: np.ndarray[Any, Any] = PIXELS) -> None:
    with client.submit(pixels, style="invert").result(timeout=LIMIT_S) as result:
        np.testing.assert_allclose(result.pixels, 1 - pixels)


def test_a_slow_link_delays_and_loses_nothing(network: NetworkSandbox, anna: ClientAuth) -> None:
    with network.via(anna) as link, link.client() as client:
        painted(client)
        link.control.link.delay_s = link.data.link.delay_s = 0.3
        assert client.ping() > 0.6
        futures = [client.submit(PIXELS * part, style="invert") for part in (0.25, 0.5, 1.0)]
        for part, future in zip((0.25, 0.5, 1.0), futures, strict=True):
            np.testing.assert_allclose(future.result(timeout=LIMIT_S).pixels, 1 - PIXELS * np.float32(part))


def test_a_network_that_is_cut_within_every_part_ends_the_request_and_frees_its_memory(
    network: NetworkSandbox, anna: ClientAuth
) -> None:
    large = noise(1024, 1024, 4)
    with network.via(anna) as link, link.client() as client:
        painted(client, large)
        front = psutil.Process(network.server.pid)
        before = front.memory_info().rss
        link.data.link.cut_after = large.nbytes // 2
        for _ in range(2):
            begun = time.monotonic()
            with pytest.raises(ServerUnreachable):
                client.submit(large, style="echo").result(timeout=LIMIT_S)
            assert time.monotonic() - begun < 20.0
        link.data.link.cut_after = float("inf")
        until(lambda: front.memory_info().rss < before + (64 << 20))
        painted(client, large)


def test_a_network_that_is_cut_fails_the_frame_under_way_and_carries_the_next(
    network: NetworkSandbox, anna: ClientAuth
) -> None:
    with network.via(anna) as link, link.client() as client, network.sandbox.client() as looker:
        painted(client)
        future = client.submit(PIXELS, style="slow-400ms")
        until(lambda: looker.status().running)
        begun = time.monotonic()
        link.data.cut()
        with pytest.raises(ServerUnreachable, match="sent again"):
            future.result(timeout=LIMIT_S)
        assert time.monotonic() - begun < 2.0
        painted(client)
        until(lambda: not looker.status().running)


def test_a_network_that_is_cut_again_while_the_keys_are_exchanged_is_no_denial(
    network: NetworkSandbox, anna: ClientAuth
) -> None:
    with network.via(anna) as link, link.client() as client:
        painted(client)
        future = client.submit(PIXELS, style="slow-400ms")
        before, link.control.link.cut_after = link.control.connections, 100
        link.cut()
        with pytest.raises(ServerUnreachable):
            future.result(timeout=LIMIT_S)
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(painted, client)
            until(lambda: link.control.connections >= before + 2)
            link.control.link.cut_after = float("inf")
            later.result(LIMIT_S)


@pytest.mark.slow
def test_a_network_that_falls_silent_is_noticed_on_both_sides_and_used_again_when_it_speaks(
    network: NetworkSandbox, anna: ClientAuth
) -> None:
    with network.via(anna) as link, link.client(timeout_s=LIMIT_S) as client:
        painted(client)
        link.silence(True)
        begun = time.monotonic()
        with pytest.raises(ServerUnreachable):
            client.submit(PIXELS, style="echo").result(timeout=LIMIT_S)
        assert time.monotonic() - begun < 15.0
        with network.sandbox.client() as looker:
            until(lambda: "relayed" not in [each.client for each in looker.status().clients])
        link.silence(False)
        link.cut()
        painted(client)


@pytest.mark.slow
def test_a_peer_that_says_a_byte_now_and_then_holds_up_nobody_and_is_put_out(
    network: NetworkSandbox, anna: ClientAuth
) -> None:
    with (
        socket.create_connection(("127.0.0.1", network.port)) as control,
        socket.create_connection(("127.0.0.1", network.port + 1)) as data,
        network.via(anna) as link,
        link.client() as client,
    ):
        greeting = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
        begun, gone = time.monotonic(), set()
        for peer in (control, data):
            peer.settimeout(0.05)
        while len(gone) < 2 and time.monotonic() - begun < 12.0:
            painted(client)
            place = int((time.monotonic() - begun) * 1.0) % len(greeting)
            for peer in {control, data} - gone:
                try:
                    peer.send(greeting[place : place + 1])
                    if peer.recv(64) == b"":
                        gone.add(peer)
                except TimeoutError:
                    continue
                except OSError:
                    gone.add(peer)
        assert len(gone) == 2, "a peer that does not shake hands was kept"


def test_a_slow_sender_holds_up_nobody(network: NetworkSandbox, anna: ClientAuth) -> None:
    with network.via(anna) as slow, network.via(anna) as fast, slow.client() as slug, fast.client() as client:
        painted(slug)
        slow.data.link.bytes_per_s = 400_000
        pixels = noise(108, 192, 4)
        future = slug.submit(pixels, style="invert")
        times = []
        while not future.done():
            begun = time.monotonic()
            painted(client)
            times.append(time.monotonic() - begun)
        np.testing.assert_allclose(future.result().pixels, 1 - pixels)
        assert len(times) > 3
        assert max(times) < 2.0


# Strangers


def test_a_key_that_is_not_on_the_list_is_refused_and_noted(network: NetworkSandbox) -> None:
    stranger = network.keys_of("stranger", allowed=False)
    opened = network.opened()
    with pytest.raises(NotPermitted, match="auth add"):
        Client.connect(network.address, auth=stranger, timeout_s=10)
    until(lambda: "key_refused" in network.sandbox.log())
    assert stranger.public.decode() in network.sandbox.log()
    assert network.opened() == opened + 1


def test_a_client_without_keys_is_not_heard(network: NetworkSandbox) -> None:
    opened = network.opened()
    with WireClient() as raw:
        raw.control.connect(network.address)
        raw.send(raw.control, Hello("nobody", 1, 0, os.getpid()))
        assert not raw.control.poll(1000)
    assert network.opened() == opened + 1


def test_a_key_that_is_revoked_ends_its_session_and_comes_in_no_more(network: NetworkSandbox) -> None:
    bert = network.keys_of("bert")
    with Client.connect(network.address, auth=bert, timeout_s=10, name="bert's") as client:
        painted(client)
        auth.revoke(network.folder, "bert")
        with network.sandbox.client() as looker:
            until(lambda: "bert's" not in [each.client for each in looker.status().clients])
        with pytest.raises((NotPermitted, ServerUnreachable)):
            client.submit(PIXELS, style="echo", timeout_s=8).result(timeout=LIMIT_S)
    with pytest.raises(NotPermitted):
        Client.connect(network.address, auth=bert, timeout_s=10)


def test_a_recorded_conversation_that_is_said_again_opens_nothing(network: NetworkSandbox, anna: ClientAuth) -> None:
    with network.via(anna) as link, link.client() as client:
        painted(client)
        recorded = bytes(link.control.first_words)
    opened = network.opened()
    with socket.create_connection(("127.0.0.1", network.port), timeout=10) as replay:
        replay.sendall(recorded)
        answer = b""
        try:
            while read := replay.recv(4096):
                answer += read
                if b"ERROR" in answer:
                    break
        except (TimeoutError, ConnectionError):
            pass
    assert b"\x04READY" not in answer.upper().replace(b"\x05READY", b"\x04READY")
    assert network.opened() == opened + 1


def test_the_session_of_another_key_or_machine_cannot_be_joined_or_taken_over(
    network: NetworkSandbox, anna: ClientAuth
) -> None:
    carl = network.keys_of("carl")
    with network.raw(anna) as hers, network.raw(carl) as his, WireClient(network.sandbox.run) as local:
        token = hers.greet().session
        for other in (his, local):
            other.send(other.data, Join(token))
            refused = other.hear(Rejected, other.data)
            assert refused.error.code == "not_permitted"
            taken = other.ask(Hello("thief", 1, 0, os.getpid(), resume=token), Welcome)
            assert not taken.resumed
            assert taken.session != token
        hers.still_served()


def test_the_session_of_a_server_that_died_opens_nothing_at_the_next(sandbox: Sandbox) -> None:
    first = sandbox.serve()
    with WireClient(sandbox.run) as raw:
        token = raw.greet().session
        first.kill()
        sandbox.serve()
        with WireClient(sandbox.run) as again:
            again.send(again.data, Join(token))
            assert "not there" in again.hear(Rejected, again.data).error.message
            welcome = again.ask(Hello("again", 1, 0, os.getpid(), resume=token), Welcome)
            assert not welcome.resumed
            again.send(again.data, Join(welcome.session))
            again.hear(Joined, again.data)
            again.still_served()
        raw.welcome = None


# Full queues, on this machine


def test_of_two_thousand_requests_against_full_queues_each_gets_one_answer(sandbox: Sandbox) -> None:
    count = 2000
    sandbox.serve()
    tiny = np.zeros((2, 2, 4), np.uint8)
    with WireClient() as raw:
        for channel in (raw.control, raw.data):
            channel.sndhwm = channel.rcvhwm = 2
        raw.connect(sandbox.run)
        raw.greet()
        asked, waiting = 0, set()
        answers = {"done": 0, "failed": 0}
        end = time.monotonic() + LIMIT_S
        while asked < count or waiting:
            assert time.monotonic() < end, f"{len(waiting)} of {asked} were not answered"
            # Send until no more is taken, and only then read, for as long as there is something.
            while asked < count and len(waiting) < 500 and raw.data.poll(2, zmq.POLLOUT):
                waiting.add(raw.submit(pixels=tiny))
                asked += 1
            while raw.data.poll(20):
                message, _ = raw.hear_parts(raw.data)
                if isinstance(message, Done | Failed):
                    waiting.remove(message.id)
                    answers[message.TYPE] += 1
                    assert isinstance(message, Done) or "under way at once" in message.error.message
        assert sum(answers.values()) == count
        assert answers["done"] > 0
        assert not raw.data.poll(100), "one was answered twice"


def test_of_two_thousand_requests_of_a_client_each_is_painted(shared: Sandbox) -> None:
    tiny = noise(4, 4, 4, seed=int.from_bytes(secrets.token_bytes(2), "big"))
    with shared.client() as client:
        waiting = []
        for number in range(2000):
            waiting.append(client.submit(tiny, style="invert" if number % 2 else "echo"))
            if len(waiting) == 3:
                with waiting.pop(0).result(timeout=LIMIT_S):
                    pass
        for future in waiting:
            future.result(timeout=LIMIT_S).release()
        assert client.status().frames >= 2000


def test_a_relay_that_is_beside_a_local_server_may_be_half_open_too(shared: Sandbox) -> None:
    with relayed(shared, "half") as link, link.client() as client:
        painted(client)
        link.data.link.silent = True
        future = client.submit(PIXELS, style="echo")
        with pytest.raises(TimeoutError):
            future.result(timeout=0.5)
        link.data.link.silent = False
        with future.result(timeout=LIMIT_S) as result:
            np.testing.assert_array_equal(result.pixels, PIXELS)
