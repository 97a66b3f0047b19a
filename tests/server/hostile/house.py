"""A server in a process of its own, what it weighs, and what is asked of it after whatever was sent to it."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from impasto.server.protocol import codec
from impasto.server.protocol.messages import Done, ErrorFacts, Failed, Ping, Pong, Rejected
from tests.server.fake_worker import COMMAND
from tests.server.running_server import PIXELS, WAIT_S, Raw, until

ROOT = Path(__file__).parents[3]
SERVE = """
import json, sys
from dataclasses import replace
from pathlib import Path
from impasto.server.front.server import serve
from impasto.server.protocol.limits import Limits
from impasto.server.settings import ServerSettings
from tests.server.fake_worker import write_style
home, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
(home / "styles").mkdir()
for name in asked["styles"]:
    write_style(home / "styles", name)
settings = ServerSettings(
    folder=home / "run", devices=("cpu",), styles=(home / "styles",), worker_command=asked["command"],
    limits=replace(Limits(drain_s=5.0), **asked["limits"]),
)
sys.exit(serve(settings, on_ready=lambda: print("ready", flush=True)))
"""
INSIDE = re.compile(r"Traceback|File \"|\.py\b|site-packages|/proc/|/dev/shm|memfd|impasto-[0-9]|0x[0-9a-f]{9,}")
"""What stands in no sentence that a client may read."""
PATH = re.compile(r"(?<![\w.:…])/[\w.-]+(?:/[\w.-]+)+")


@dataclass
class House:
    """A running server."""

    home: Path
    process: subprocess.Popen[str]

    @property
    def folder(self) -> Path:
        return self.home / "run"

    def log_lines(self) -> list[bytes]:
        return (self.folder / "events.log").read_bytes().splitlines(keepends=True)

    def complaints(self) -> str:
        """What the server, or a library in it, wrote where nobody reads it."""
        return (self.home / "stderr").read_text()

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def files(self) -> Counter[str]:
        """Open files by their kind, with the names that differ from one to the next taken out."""
        folder = f"/proc/{self.process.pid}/fd"
        kinds: Counter[str] = Counter()
        for number in os.listdir(folder):
            try:
                kinds[re.sub(r"\d+", "N", os.readlink(f"{folder}/{number}"))] += 1
            except FileNotFoundError:
                continue  # closed meanwhile
        return kinds


@contextmanager
def house(
    styles: Sequence[str] = ("echo", "invert", "delay-50ms", "delay-400ms", "slow-400ms"),
    *,
    limits: Mapping[str, Any] | None = None,
    command: Sequence[str] = COMMAND,
    ready_s: float = WAIT_S,
) -> Iterator[House]:
    """A server for the length of a block."""
    home = Path(tempfile.mkdtemp(prefix="impasto-", dir="/tmp"))
    asked = {"styles": list(styles), "limits": dict(limits or {}), "command": list(command)}
    with (home / "stderr").open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(home), json.dumps(asked)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
        )
    running = House(home, process)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", running.complaints()
        with Raw(running.folder, hello=True) as first:
            until(lambda: first.status().health == "ok", ready_s)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(WAIT_S)
        assert process.stdout is not None
        process.stdout.close()
        shutil.rmtree(home, ignore_errors=True)


def goes_on(house: House, *clients: Raw) -> None:
    """The server is the same process and serves the next good request of each client with the right pixels."""
    assert house.process.poll() is None, house.complaints()
    for client in clients:
        assert client.ask(Ping(41), Pong).token in (0, 41)  # 0: the server asks whether its clients are there
        frame_is_right(client)
        assert client.status().pid == house.process.pid


def frame_is_right(client: Raw, style: str = "invert") -> None:
    """One frame, in the ring where the client has one, in the message otherwise."""
    seed = int.from_bytes(os.urandom(4), "little")
    pixels = np.random.default_rng(seed).integers(0, 256, PIXELS.shape, np.uint8)
    if client.ring is not None:
        client.write(0, pixels)
        id = client.submit(style, pixels=pixels, slot=client.slot(0))
        done, _ = answer_to(client, id)
        assert isinstance(done, Done), done
        result = client.read(0, pixels)
    else:
        id = client.submit(style, pixels=pixels)
        done, parts = answer_to(client, id)
        assert isinstance(done, Done), done
        result = np.frombuffer(parts[0], np.uint8).reshape(pixels.shape)
    np.testing.assert_array_equal(result, 255 - pixels)


def answer_to(client: Raw, id: bytes) -> tuple[Any, Sequence[Any]]:
    """The terminal message of this request; whatever else comes is passed over."""
    return heard(client, client.data, lambda message: getattr(message, "id", None) == id)


def heard(client: Raw, socket: Any, wanted: Callable[[Any], bool]) -> tuple[Any, Sequence[Any]]:
    """The next message that is wanted, and its parts, within `WAIT_S` of the one before."""
    while True:
        message, parts = client.hear_parts(socket)
        if type(message).TYPE != "queued" and wanted(message):
            return message, parts


def error_in(message: Any) -> ErrorFacts:
    assert isinstance(message, Failed | Rejected), message
    return message.error


def assert_discreet(error: ErrorFacts, sent: Sequence[bytes]) -> None:
    """An error says one line, and nothing of the server's inside: no traceback, no segment, no path of its own."""
    for text in (error.message, error.field, error.incident):
        assert text.isprintable(), text
        assert not any(found.encode() not in b"".join(sent) for found in INSIDE.findall(text)), text
    for path in PATH.findall(error.message):
        assert any(path.encode() in part for part in sent), f"'{path}' was never sent: {error.message}"
    assert error.code != "server", f"a bug was answered: {error.message}"
    assert error.message


def new_id() -> bytes:
    return secrets.token_bytes(16)


def refused(client: Raw, request: Any, *payload: bytes) -> Any:
    """The error by which a request on data fails."""
    client.send(client.data, request, *payload)
    message, _ = answer_to(client, request.id)
    assert isinstance(message, Failed), message
    assert_discreet(message.error, codec.encode(request))
    return message.error
