"""A client that says what it is told, byte by byte: two DEALER sockets without the client's own rules."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from impasto.server.auth import ClientAuth
from impasto.server.protocol import codec
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
    Ping,
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
from impasto.server.shared_memory import map_segment

PREAMBLE, PING = codec.encode(Ping(7))
WAIT_S = 30.0
"""No answer takes longer."""


class WireClient:
    """Sockets to the control and the data endpoint of a server. Every wait has a limit."""

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

    def connect_network(self, port: int, auth: ClientAuth) -> None:
        """Connect to a server that listens on this port and the next one."""
        for socket, number in ((self.control, port), (self.data, port + 1)):
            socket.curve_publickey, socket.curve_secretkey = auth.public, auth.secret
            socket.curve_serverkey = auth.server
            socket.connect(f"tcp://127.0.0.1:{number}")

    def greet(self, **more: Any) -> Welcome:
        facts: dict[str, Any] = {"client": "test", "major": 1, "minor": 0, "pid": os.getpid()} | more
        welcome = self.ask(Hello(**facts), Welcome)
        self.welcome = welcome
        self.send(self.data, Join(welcome.session))
        self.hear(Joined, self.data)
        return welcome

    def __enter__(self) -> WireClient:
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
