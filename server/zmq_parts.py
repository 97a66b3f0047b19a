"""Messages of several parts over ZeroMQ. Neither function waits: zmq.Again comes before the first part, or never.

pyzmq's own, `send_multipart` and `recv_multipart`, ask the socket about every part and build flags out of enums, which
takes as long as sending does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zmq

from impasto.server.protocol.codec import Part

_NOW: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK) | int(zmq.SNDMORE)


def send_parts(socket: zmq.Socket[bytes], parts: Sequence[Part], *, copy: bool) -> None:
    """Send a message. Without `copy` ZeroMQ reads the parts where they are, until they have left."""
    for part in parts[:-1]:
        socket.send(part, _MORE, copy)
    socket.send(parts[-1], _NOW, copy)


def receive_frames(socket: zmq.Socket[bytes]) -> list[zmq.Frame]:
    """Receive a message, its parts where ZeroMQ put them."""
    frames = [socket.recv(_NOW, copy=False)]
    while frames[-1].more:
        frames.append(socket.recv(_NOW, copy=False))
    return frames
