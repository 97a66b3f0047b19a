"""The front on a network: keys, what they allow, and pixels that are packed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from impasto.server import auth
from impasto.server.auth import ClientAuth
from impasto.server.protocol import compression
from impasto.server.protocol.messages import (
    CancelClient,
    ClientCancelled,
    Done,
    Failed,
    OpenRing,
    RenderSettings,
    ShotJob,
    Shutdown,
    ShuttingDown,
    SubmitShot,
)
from impasto.server.settings import Root
from tests.plates import write_sequence
from tests.server.running_server import ServerThread, free_port, served
from tests.server.wire_client import WireClient, request_of
from tests.waiting import until


@dataclass
class NetworkServer:
    """A server on the network and the keys of its clients."""

    server: ServerThread
    keys: Path
    pairs: dict[str, tuple[bytes, bytes]]

    def client(self, who: str) -> WireClient:
        client = WireClient()
        _, _, port = (self.server.settings.listen or "").rpartition(":")
        client.connect_network(int(port), ClientAuth(*self.pairs[who], auth.server_pair(self.keys).public))
        return client


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkServer]:
    folder = tmp_path_factory.mktemp("keys") / "keys"
    pairs = {who: zmq.curve_keypair() for who in ("anna", "boss", "demoted", "witness")}
    for who in pairs:
        auth.add(folder, who, pairs[who][0].decode(), "admin" if who in ("boss", "demoted") else "render")
    below = tmp_path_factory.mktemp("plates")
    roots = {"plates": Root(below, writable=True)}
    with served(
        ("echo", "invert", "delay-60000ms"), listen=f"tcp://127.0.0.1:{free_port()}", keys=folder, roots=roots
    ) as server:
        yield NetworkServer(server, folder, pairs)


def revoke(network: NetworkServer, who: str) -> None:
    """Take the key of a connected client off the list, and wait until the server has noticed."""

    def noticed() -> int:
        return network.server.log().count("taken off the list")

    before = noticed()
    auth.revoke(network.keys, who)
    until(lambda: noticed() > before)


def test_an_allowed_key_is_served_under_its_own_name(network: NetworkServer) -> None:
    with network.client("anna") as anna:
        welcome = anna.greet(user="boss", encodings=("blosc2", "raw"))
        assert welcome.transports == ("inline",)
        assert [each.user for each in anna.status().clients] == ["anna"]
        pixels = np.linspace(0, 1, 64 * 64 * 4, dtype=np.float16).reshape(64, 64, 4)
        packed, encoding = compression.pack_samples(pixels.tobytes(), 2, welcome.encodings)
        anna.send(anna.data, request_of("invert", pixels, encoding=encoding), packed)
        done, parts = anna.answer()
        assert isinstance(done, Done)
        result = bytearray(pixels.nbytes)
        compression.unpack_samples(parts[0], done.encoding, memoryview(result))
        np.testing.assert_array_equal(np.frombuffer(result, np.float16).reshape(pixels.shape), 1 - pixels)


def test_a_key_that_only_renders_sees_itself_and_totals(network: NetworkServer) -> None:
    with (
        network.client("anna") as anna,
        network.client("boss") as boss,
        WireClient(network.server.folder, hello=True) as here,
    ):
        anna.greet()
        boss.greet()
        anna.frame("no such style")  # an error with words that are anna's own
        here.frame("/secret/plans.safetensors")
        for sees_all in (boss.status(), here.status()):
            assert {"anna", "boss", "local"} <= {each.user for each in sees_all.clients}
            assert any("/secret/plans" in each.message for each in sees_all.errors)
            assert any(endpoint.startswith("ipc://") for endpoint in sees_all.endpoints)
        own = anna.status()
        assert {each.user for each in own.clients} == {"anna"}
        assert own.errors == ()
        assert {endpoint.partition(":")[0] for endpoint in own.endpoints} == {"tcp"}
        assert own.counters == boss.status().counters
        assert "secret" not in repr(own)


def test_what_a_key_may_do_can_be_changed_while_it_is_connected(network: NetworkServer) -> None:
    with network.client("demoted") as demoted:
        demoted.greet()
        file = network.keys / "allowed" / "demoted.key"
        scratch = file.with_name(".demoted")
        scratch.write_text(file.read_text().replace("admin", "render"))
        scratch.chmod(0o600)
        scratch.replace(file)
        with network.client("witness") as witness:
            witness.greet()
            revoke(network, "witness")  # seen by the server, so that it has read the list since
            witness.welcome = None
        assert demoted.ask(Shutdown(secrets.token_bytes(16)), Failed).error.code == "not_permitted"


def test_a_ring_is_for_the_same_machine(network: NetworkServer) -> None:
    with network.client("anna") as anna:
        anna.greet()
        assert anna.ask(OpenRing(secrets.token_bytes(16), 4096), Failed).error.code == "not_permitted"


@pytest.mark.parametrize("path", ["/etc/passwd.exr", "plates:../x.exr", "other:x.exr", "plates:a\\..\\b.exr"])
def test_paths_are_below_a_root(network: NetworkServer, path: str) -> None:
    with network.client("anna") as anna:
        anna.greet()
        inside: dict[str, Any] = {"input": "plates:i.exr", "output": "plates:o.exr"}
        for more in (
            {**inside, "input": path},
            {**inside, "output": path},
            {**inside, "guides": ("plates:g.exr", path)},
            {**inside, "motion": path},
        ):
            anna.send(anna.data, SubmitShot(secrets.token_bytes(16), ShotJob(RenderSettings("echo"), **more)))
            failed, _ = anna.answer()
            assert failed.error.code in ("not_permitted", "unreadable_media")
            assert str(network.server.settings.roots["plates"].folder) not in failed.error.message


def test_a_style_is_named_and_no_path(network: NetworkServer) -> None:
    with network.client("anna") as anna:
        anna.greet()
        assert anna.frame("/tmp/x.safetensors").error.code == "not_permitted"


def test_a_shot_below_a_root_is_told_by_its_root(network: NetworkServer) -> None:
    folder = network.server.settings.roots["plates"].folder
    write_sequence(folder, range(1, 4))
    with network.client("anna") as anna:
        anna.greet()
        request = SubmitShot(
            secrets.token_bytes(16), ShotJob(RenderSettings("echo"), "plates:plate.####.exr", "plates:out/o.####.exr")
        )
        anna.send(anna.data, request)
        said = []
        while not said or type(said[-1]).TYPE in ("shot_started", "shot_progress"):
            said.append(anna.answer()[0])
    assert type(said[-1]).TYPE == "shot_done", said[-1]
    assert str(folder) not in repr(said)
    assert len(list((folder / "out").glob("o.*.exr"))) == 3


def test_only_an_admin_cancels_what_another_asked_for(network: NetworkServer) -> None:
    with network.client("anna") as anna, network.client("boss") as boss:
        boss.greet()
        boss.submit("delay-60000ms")
        until(lambda: boss.status().running)
        (number,) = (each.number for each in boss.status().clients if each.running)
        anna.greet()
        failed = anna.ask(CancelClient(secrets.token_bytes(16), number), Failed)
        assert failed.error.code == "not_permitted"
        assert boss.ask(CancelClient(secrets.token_bytes(16), number), ClientCancelled).requests == 1
        assert boss.answer()[0].reason == "asked"


def test_only_an_admin_ends_the_server(network: NetworkServer) -> None:
    with network.client("anna") as anna, network.client("boss") as boss:
        anna.greet()
        failed = anna.ask(Shutdown(secrets.token_bytes(16)), Failed)
        assert failed.error.code == "not_permitted"
        boss.greet()
        boss.ask(Shutdown(secrets.token_bytes(16)), ShuttingDown)
        assert network.server.exit_code() == 0
        anna.welcome = boss.welcome = None
