"""A client in a process of its own, which a test may kill or stop: `client_program.py WHAT FOLDER [MORE…]`.

wait-in-queue      three slow frames under way, then "ready", then nothing
write-half         half a plate in a slot that is never submitted, then "ready"
send-inline BYTES  one frame inline through the sockets of FOLDER; "ready" before it is sent
paint STYLE        frame after frame; "painted" after each, or the name of the error
flood              thousands of questions whose answers are never read; "ready" after a quarter of them
"""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path

import numpy as np

from impasto.core.errors import ImpastoError
from impasto.server.client import Client
from impasto.server.protocol.messages import AskStatus
from tests.plates import noise
from tests.server.wire_client import WireClient

PLATE = noise(54, 96, 4)
FLOOD = 3200


def say(word: str) -> None:
    print(word, flush=True)  # what the test waits for


def sleep() -> None:
    while True:
        time.sleep(60)


def wait_in_queue(folder: Path) -> None:
    with Client.connect(folder, start=False, name="doomed") as client:
        futures = [client.submit(PLATE, style="slow-400ms") for _ in range(3)]
        say("ready")
        sleep()
        del futures


def write_half(folder: Path) -> None:
    with Client.connect(folder, start=False, name="doomed") as client, client.slot(96, 54, 4, "float32") as slot:
        slot.pixels[:27] = 0.5
        say("ready")
        sleep()


def send_inline(folder: Path, size: str) -> None:
    with WireClient(folder, hello=True) as raw:
        say("ready")
        width = 4096
        raw.submit("echo", pixels=np.zeros((int(size) // (4 * width), width, 4), np.uint8))
        sleep()


def paint(folder: Path, style: str) -> None:
    with Client.connect(folder, start=False, name="painter", timeout_s=10) as client:
        while True:
            try:
                with client.submit(PLATE, style=style).result(timeout=10) as result:
                    say("painted" if np.array_equal(result.pixels, PLATE) else "torn")
            except (ImpastoError, TimeoutError) as error:
                say(type(error).__name__)
                time.sleep(0.1)


def flood(folder: Path) -> None:
    with WireClient() as raw:
        raw.control.rcvhwm = raw.data.rcvhwm = 1
        raw.control.sndhwm = 1
        raw.connect(folder)
        raw.greet(client="flood")
        for count in range(FLOOD):
            if count == FLOOD // 4:
                say("ready")
            raw.send(raw.control, AskStatus(secrets.token_bytes(16)))
        sleep()


ACTIONS = {
    "wait-in-queue": wait_in_queue,
    "write-half": write_half,
    "send-inline": send_inline,
    "paint": paint,
    "flood": flood,
}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])  # type: ignore[operator]
