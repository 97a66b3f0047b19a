"""What is asked of a server after whatever was sent to it, and of every error that it says."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from impasto.server.protocol import codec
from impasto.server.protocol.messages import Done, ErrorFacts, Failed, Ping, Pong, Rejected
from tests.server.running_server import STYLES, WAIT_S, Sandbox, new_sandbox
from tests.server.wire_client import PIXELS, WireClient
from tests.waiting import until

INSIDE = re.compile(r"Traceback|File \"|\.py\b|site-packages|/proc/|/dev/shm|memfd|impasto-[0-9]|0x[0-9a-f]{9,}")
"""What stands in no sentence that a client may read."""
PATH = re.compile(r"(?<![\w.:…])/[\w.-]+(?:/[\w.-]+)+")


@contextmanager
def healthy_server(styles: Sequence[str] = STYLES, *, ready_s: float = WAIT_S, **asked: Any) -> Iterator[Sandbox]:
    """A sandbox whose server says that all is well."""
    with new_sandbox(styles) as sandbox:
        sandbox.serve(**asked)
        with WireClient(sandbox.run, hello=True) as first:
            until(lambda: first.status().health == "ok", ready_s)
        yield sandbox


def assert_served(sandbox: Sandbox, *clients: WireClient) -> None:
    """The server is the same process and serves the next good request of each client with the right pixels."""
    assert sandbox.server.alive, sandbox.server.complaints()
    for client in clients:
        assert client.ask(Ping(41), Pong).token in (0, 41)  # 0: the server asks whether its clients are there
        frame_is_right(client)
        assert client.status().pid == sandbox.server.pid


def frame_is_right(client: WireClient, style: str = "invert") -> None:
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


def answer_to(client: WireClient, id: bytes) -> tuple[Any, Sequence[Any]]:
    """The terminal message of this request; whatever else comes is passed over."""
    return heard(client, client.data, lambda message: getattr(message, "id", None) == id)


def heard(client: WireClient, socket: Any, wanted: Callable[[Any], bool]) -> tuple[Any, Sequence[Any]]:
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


def refused(client: WireClient, request: Any, *payload: bytes) -> Any:
    """The error by which a request on data fails."""
    client.send(client.data, request, *payload)
    message, _ = answer_to(client, request.id)
    assert isinstance(message, Failed), message
    assert_discreet(message.error, codec.encode(request))
    return message.error
