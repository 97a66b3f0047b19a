"""A server in a thread of the test, with fake workers, and a client that says what it is told, byte by byte."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from impasto.server.front.server import serve
from impasto.server.protocol import codec
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import (
    AskStatus,
    AttachRing,
    Done,
    Goodbye,
    Hello,
    Join,
    Joined,
    OpenRing,
    Picture,
    RenderSettings,
    RingOffered,
    RingReady,
    Shutdown,
    ShuttingDown,
    Slot,
    Status,
    Submit,
    Welcome,
)
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from impasto.server.settings import ServerSettings
from impasto.server.shared_memory import map_segment
from tests.server.fake_worker import COMMAND, write_style

WAIT_S = 30.0
"""Nothing that is expected takes longer."""


def until(condition: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """What the condition says, as soon as that is true."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {timeout_s} s in vain"
        time.sleep(0.005)
    return found


@dataclass
class Server:
    """A running server."""

    settings: ServerSettings
    thread: threading.Thread
    codes: list[int] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.settings.folder

    def log(self) -> str:
        return (self.folder / "events.log").read_text()

    def left(self) -> int:
        """The exit code, once the server is gone."""
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), "the server did not leave"
        return self.codes[0]


@contextmanager
def served(
    styles: Sequence[str] = ("echo", "invert"), *, limits: Mapping[str, Any] | None = None, **settings: Any
) -> Iterator[Server]:
    """A server for the length of a block, in a folder of its own whose path is short enough for a socket."""
    home = Path(tempfile.mkdtemp(prefix="impasto-", dir="/tmp"))
    (home / "styles").mkdir()
    for name in styles:
        write_style(home / "styles", name)
    asked = ServerSettings(
        folder=home / "run",
        devices=("cpu",),
        styles=(home / "styles",),
        worker_command=COMMAND,
        limits=replace(Limits(drain_s=5.0), **(limits or {})),
    )
    server = Server(replace(asked, **settings), threading.Thread())
    ready = threading.Event()

    def run() -> None:
        try:
            server.codes.append(serve(server.settings, on_ready=ready.set))
        finally:
            ready.set()

    server.thread = threading.Thread(target=run, name="server", daemon=True)
    server.thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield server
    finally:
        if server.thread.is_alive():
            with Raw(server.folder) as closer:
                closer.tell(Shutdown(secrets.token_bytes(16), at_once=True))
                server.thread.join(WAIT_S)
        shutil.rmtree(home, ignore_errors=True)
        assert not server.thread.is_alive(), "the server did not leave"


class Raw:
    """Two DEALER sockets. Every wait has a limit."""

    def __init__(self, folder: Path | None = None, *, hello: bool = False, **more: Any) -> None:
        self.context = zmq.Context()
        self.context.linger = 0
        self.control = self.context.socket(zmq.DEALER)
        self.data = self.context.socket(zmq.DEALER)
        self.generation = 0
        self.ring: RingOffered | None = None
        self.memory: Any = None
        self.welcome: Welcome | None = None
        if folder is not None:
            self.connect(folder)
        if hello:
            self.greet(**more)

    def connect(self, folder: Path) -> None:
        self.control.connect(control_endpoint(folder))
        self.data.connect(data_endpoint(folder))

    def greet(self, **more: Any) -> Welcome:
        facts: dict[str, Any] = {"client": "test", "major": 1, "minor": 0, "pid": os.getpid()} | more
        welcome = self.ask(Hello(**facts), Welcome)
        self.welcome = welcome
        self.send(self.data, Join(welcome.session))
        self.hear(Joined, self.data)
        return welcome

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        if self.welcome is not None:
            self.send(self.control, Goodbye())
            self.control.close(200)
        self.memory = None
        self.context.destroy(linger=0)

    def send(self, socket: Any, message: Any, *payload: Any) -> None:
        socket.send_multipart([*codec.encode(message), *payload], copy=True)

    def tell(self, message: Any) -> None:
        if self.welcome is None:
            self.greet()
        self.send(self.control, message)

    def ask(self, message: Any, kind: type[Any], *, timeout_s: float = WAIT_S) -> Any:
        self.send(self.control, message)
        return self.hear(kind, self.control, timeout_s=timeout_s)

    def hear_parts(self, socket: Any, timeout_s: float = WAIT_S) -> tuple[Any, Sequence[Any]]:
        assert socket.poll(timeout_s * 1000), f"nothing came for {timeout_s} s"
        return codec.decode(socket.recv_multipart(), codec.FROM_SERVER)

    def hear(self, kind: type[Any], socket: Any, *, timeout_s: float = WAIT_S) -> Any:
        """The next message of this kind; others are passed over where they may come in between."""
        end = time.monotonic() + timeout_s
        while True:
            message, _ = self.hear_parts(socket, max(0.0, end - time.monotonic()))
            if isinstance(message, kind):
                return message
            assert type(message).TYPE in ("pong", "queued", "styles_changed", "shutting_down"), message

    def open_ring(self, slot_bytes: int = 1 << 16, pairs: int = 3) -> RingOffered:
        offer = self.ask(OpenRing(secrets.token_bytes(16), slot_bytes, pairs), RingOffered)
        self.memory = map_segment(offer.path, offer.segment_bytes)
        nonce = self.memory[offer.nonce_offset : offer.nonce_offset + 16]
        self.ask(AttachRing(secrets.token_bytes(16), offer.ring, nonce), RingReady)
        self.ring = offer
        return offer

    def slot(self, pair: int = 0) -> Slot:
        assert self.ring is not None
        self.generation += 1
        return Slot(self.ring.ring, pair, self.generation)

    def write(self, pair: int, pixels: np.ndarray[Any, Any]) -> None:
        assert self.ring is not None
        start = self.ring.first_slot + 2 * pair * self.ring.slot_bytes
        self.memory[start : start + pixels.nbytes] = pixels.tobytes()

    def read(self, pair: int, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        assert self.ring is not None
        start = self.ring.first_slot + (2 * pair + 1) * self.ring.slot_bytes
        return np.frombuffer(self.memory[start : start + like.nbytes], like.dtype).reshape(like.shape)

    def submit(self, style: str = "echo", *, pixels: Any = None, payload: Sequence[Any] = (), **more: Any) -> bytes:
        """Send a frame; inline unless a slot is given."""
        if pixels is None:
            pixels = PIXELS
        if "slot" not in more and not payload:
            payload = (pixels.tobytes(),)
        request = request_of(style, pixels, **more)
        self.send(self.data, request, *payload)
        return request.id

    def frame(self, style: str = "echo", **more: Any) -> Any:
        """The terminal message of one frame."""
        self.submit(style, **more)
        message, _ = self.answer()
        return message

    def answer(self, timeout_s: float = WAIT_S) -> tuple[Any, Sequence[Any]]:
        """The next message over data that is no place in the queue."""
        while True:
            message, parts = self.hear_parts(self.data, timeout_s)
            if type(message).TYPE != "queued":
                return message, parts

    def status(self) -> Status:
        found = self.ask(AskStatus(secrets.token_bytes(16)), Status)
        assert isinstance(found, Status)
        return found

    def shut_down(self, *, at_once: bool = False) -> None:
        self.ask(Shutdown(secrets.token_bytes(16), at_once), ShuttingDown)

    def still_served(self) -> None:
        """The next good request gets its frame."""
        done = self.frame()
        assert isinstance(done, Done), done


PIXELS = np.arange(6 * 8 * 4, dtype=np.uint8).reshape(6, 8, 4)


def request_of(style: str, pixels: np.ndarray[Any, Any], **more: Any) -> Submit:
    height, width, channels = pixels.shape
    picture = Picture(width, height, channels, str(pixels.dtype), width * channels * pixels.itemsize)  # type: ignore[arg-type]
    look = more.pop("look", None) or RenderSettings(style)
    facts = {"id": secrets.token_bytes(16), "look": look, "picture": picture} | more
    return Submit(**facts)
