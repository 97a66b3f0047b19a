"""A server that follows a script: it speaks the whole protocol and paints nothing.

Frames come back as they went. The style says what happens: 'echo', 'hold' (until `release`), 'fail', 'late', 'garbage'
(a short inline result), 'die' (the process ends), and any other is an unknown name. A shot of 10 frames is 'rendered'
at once; with the style 'die' the process ends after 4 frames unless it resumes, with 'hold' it waits for a cancel.

`python -m tests.server.scripted_server` is a process of it, in the runtime folder of its environment.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from impasto.core.errors import ImpastoError, ServerBusy, StyleError, UnknownName
from impasto.server.client.transport import ChannelName
from impasto.server.protocol import limits, messages, pixels
from impasto.server.protocol.codec import FROM_CLIENT, Part, decode, encode
from impasto.server.protocol.errors import facts_of
from impasto.server.runtime_dir import Owner, control_endpoint, data_endpoint, hold_lock, prepare_folder, runtime_folder
from impasto.server.shared_memory import Segment, create_segment, map_segment

FRAMES = 10
LIMIT_S = 10.0


class Script:
    """What the server knows and answers, whatever carries it. `say` sends, and is set by who carries it."""

    def __init__(
        self, *, rings: bool = True, memory: bool = True, nonce: bool = True, credit: int = 3, heartbeat_s: float = 2.0
    ) -> None:
        self.rings, self.memory, self.nonce, self.credit = rings, memory, nonce, credit
        self.heartbeat_s = heartbeat_s
        self.boot = os.urandom(16)
        self.sessions: list[bytes] = []
        self.resumes = True
        self.silent = False
        self.busy_hellos = 0
        self.segment: Segment | None = None
        self.ring = 0
        self.opened: list[int] = []
        self.held: list[messages.Submit] = []
        self._held_parts: dict[bytes, list[bytes]] = {}
        self.held_shots: list[messages.SubmitShot] = []
        self.seen: list[Any] = []
        self.sent_encodings: list[str] = []
        self.revision = 1
        self.say: Callable[[ChannelName, Any, Sequence[Part]], None] = lambda channel, message, parts: None

    def close(self) -> None:
        if self.segment is not None:
            self.segment.close()

    def take(self, channel: ChannelName, parts: Sequence[Part]) -> None:
        message, rest = decode(parts, FROM_CLIENT)
        self.seen.append(message)
        if self.silent:
            return
        try:
            self._answer(channel, message, [bytes(part) for part in rest])
        except ImpastoError as error:
            self.say(channel, messages.Failed(message.id, facts_of(error)), ())

    def seen_of(self, kind: type) -> list[Any]:
        return [message for message in self.seen if isinstance(message, kind)]

    def release(self) -> None:
        held, self.held = self.held, []
        for submit in held:
            self._paint(submit, self._held_parts.pop(submit.id))

    def _answer(self, channel: ChannelName, message: Any, parts: list[bytes]) -> None:
        match message:
            case messages.Hello():
                if self.busy_hellos:
                    self.busy_hellos -= 1
                    self.say(channel, messages.Rejected(facts_of(ServerBusy("too many hellos; wait"))), ())
                    return
                resumed = self.resumes and message.resume in self.sessions
                session = message.resume if resumed else os.urandom(16)
                self.sessions.append(session)
                self.say(channel, self._welcome(session, resumed), ())
            case messages.Join():
                self.say(channel, messages.Joined(), ())
            case messages.OpenRing():
                if not self.memory:
                    raise ServerBusy("no memory for a ring; send inline")
                old, self.segment = self.segment, create_segment(message.slot_bytes, message.pairs)
                if old is not None:
                    old.close()
                self.ring += 1
                made = self.segment
                self.opened.append(made.slot_bytes)
                self.mapped = map_segment(made.fd, made.segment_bytes)
                self.say(
                    channel,
                    messages.RingOffered(
                        message.id,
                        self.ring,
                        made.path,
                        made.segment_bytes,
                        made.slot_bytes,
                        made.pairs,
                        made.first_slot,
                        made.nonce_offset,
                    ),
                    (),
                )
            case messages.AttachRing():
                assert self.segment is not None
                if not self.nonce or message.nonce != self.segment.nonce:
                    raise ImpastoError("another nonce; send inline")
                self.say(channel, messages.RingReady(message.id, message.ring), ())
            case messages.Submit():
                self._submit(message, parts)
            case messages.SubmitShot():
                self._shot(message)
            case messages.Cancel():
                self._cancel(message)
            case messages.Ping():
                self.say(channel, messages.Pong(message.token), ())
            case messages.ListStyles():
                self._styles(message)
            case messages.ShowPreview():
                self.say(channel, messages.PreviewFound(message.id), (b"\x89PNG",))
            case messages.AskStatus():
                self.say(channel, _status(message.id, self.boot), ())
            case messages.Shutdown():
                self.say(channel, messages.ShuttingDown(message.id, 30.0), ())
            case messages.CloseRing() | messages.Goodbye():
                pass
            case _:
                raise AssertionError(f"the script knows no {message}")

    def _cancel(self, message: messages.Cancel) -> None:
        for held in (*self.held, *self.held_shots):
            if held.id == message.id:
                self.held = [each for each in self.held if each.id != message.id]
                self.say("data", messages.Cancelled(message.id, path="/out/part", rendered=3), ())

    def _welcome(self, session: bytes, resumed: bool) -> messages.Welcome:
        return messages.Welcome(
            "scripted 1",
            limits.MAJOR,
            limits.MINOR,
            self.boot,
            session,
            os.getpid(),
            15.0,
            self.heartbeat_s,
            self.credit,
            1 << 30,
            ("ring", "inline") if self.rings else ("inline",),
            ("blosc2", "raw"),
            ("cpu",),
            (),
            (),
            (),
            limits.PIXELS,
            limits.RAW_BYTES,
            resumed,
        )

    def _submit(self, submit: messages.Submit, parts: list[bytes]) -> None:
        self.sent_encodings.append(submit.encoding)
        pixels.check_submit(
            submit,
            slot_bytes=self.segment.slot_bytes if self.segment is not None else None,
            part_sizes=[len(part) for part in parts],
            limits=limits.Limits(),
        )
        match submit.look.style:
            case "echo":
                self._paint(submit, parts)
            case "hold":
                self._held_parts[submit.id] = parts
                if all(each.id != submit.id for each in self.held):
                    self.held.append(submit)
            case "garbage":
                self.say("data", messages.Done(submit.id, {}, inline=True), (b"short",))
            case "late":
                self.say("data", messages.Expired(submit.id, 0.25), ())
            case "die":
                os._exit(9)
            case "fail":
                raise StyleError("the style is broken; train it again")
            case name:
                raise UnknownName("style", name, ["echo"])

    def _paint(self, submit: messages.Submit, parts: list[bytes]) -> None:
        if submit.slot is None:
            self.say("data", messages.Done(submit.id, {}, inline=True, encoding=submit.encoding), parts[:1])
            return
        assert self.segment is not None
        size = pixels.picture_bytes(submit.picture)
        begin, end = (place(submit.slot.pair) for place in (self.segment.in_offset, self.segment.out_offset))
        memory = memoryview(self.mapped)
        memory[end : end + size] = memory[begin : begin + size]
        self.say("data", messages.Done(submit.id, {"server": 0.0}), ())

    def _shot(self, shot: messages.SubmitShot) -> None:
        first = 4 if shot.job.resume else 0
        begun = messages.ShotStarted(shot.id, shot.job.output, 1, FRAMES - first, first, 64, 32, 24.0)
        self.say("data", begun, ())
        if shot.job.look.style == "hold":
            self.held_shots.append(shot)
            return
        if shot.job.look.style == "fail":
            error = facts_of(StyleError("the style is broken"))
            self.say("data", messages.Failed(shot.id, error, "/out/part", 2), ())
            return
        for number in range(first, FRAMES):
            if number == 4 and shot.job.look.style == "die" and not shot.job.resume:
                self.flush()
                os._exit(9)
            stored = messages.StoredFrame(number + 1, f"/out.{number + 1}", number + 1 - first, 0)
            self.say("data", messages.ShotProgress(shot.id, (stored,)), ())
        self.say("data", messages.ShotDone(shot.id, shot.job.output, FRAMES - first, first, 0, 0.5), ())

    def flush(self) -> None:
        """Give what was said time to leave."""
        time.sleep(0.3)

    def _styles(self, asked: messages.ListStyles) -> None:
        names = [f"style-{number:03}" for number in range(100)]
        page = tuple(
            messages.StyleFacts(name, name, "", "draft", "", 8, 1.0, "CC0")
            for name in names[asked.offset : asked.offset + 64]
        )
        self.say("control", messages.StyleList(asked.id, self.revision, len(names), asked.offset, page), ())


def _status(id: bytes, boot: bytes) -> messages.Status:
    return messages.Status(
        id, "scripted 1", os.getpid(), boot, 1.0, "ok", (), (), (), 0, 0, 0, 0, 0, 0.0, 0, (), (), {}
    )


class SocketServer:
    """The script behind two real sockets: in the calling thread by `serve`, in one of its own as a context manager."""

    def __init__(self, script: Script, control: str, data: str, set_up: Callable[[Any], None] | None = None) -> None:
        self._script = script
        self._context = zmq.Context()
        self._stop = threading.Event()
        self._routers: dict[ChannelName, zmq.Socket[bytes]] = {}
        for channel, endpoint in (("control", control), ("data", data)):
            router = self._context.socket(zmq.ROUTER)
            router.setsockopt(zmq.LINGER, 200)
            if set_up is not None:
                set_up(router)
            router.bind(endpoint)
            self._routers[channel] = router  # type: ignore[index]

    def serve(self) -> None:
        poller = zmq.Poller()
        for router in self._routers.values():
            poller.register(router, zmq.POLLIN)
        routes: dict[ChannelName, bytes] = {}

        def say(channel: ChannelName, message: Any, parts: Sequence[Part]) -> None:
            self._routers[channel].send_multipart([routes[channel], *encode(message), *parts])

        self._script.say = say
        while not self._stop.is_set():
            ready = dict(poller.poll(10))
            for channel, router in self._routers.items():
                while router in ready:
                    try:
                        route, *parts = router.recv_multipart(zmq.NOBLOCK)
                    except zmq.Again:
                        break
                    routes[channel] = route
                    self._script.take(channel, parts)

    def __enter__(self) -> SocketServer:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LIMIT_S)
        for router in self._routers.values():
            router.close()
        self._context.term()
        self._script.close()


@contextmanager
def serving(folder: Path, script: Script) -> Iterator[SocketServer]:
    """The scripted server in a thread, holding a runtime folder."""
    prepare_folder(folder)
    with (
        hold_lock(folder, _owner(script)),
        SocketServer(script, control_endpoint(folder), data_endpoint(folder)) as server,
    ):
        yield server


def _owner(script: Script) -> Owner:
    return Owner(os.getpid(), "scripted 1", script.boot.hex(), time.time())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--refuse", action="store_true", help="say why, and end with code 3")
    parser.add_argument("--idle", action="store_true", help="live, but never serve")
    parser.add_argument("--lives", type=float, default=30.0, help="seconds until it ends by itself")
    parser.add_argument("--heartbeat", type=float, default=2.0)
    asked = parser.parse_args()
    if asked.refuse:
        sys.stderr.write("loading…\nno device is called 'cuda:9'; there is: cpu\n\n")
        raise SystemExit(3)
    if asked.idle:
        sys.stderr.write("loading, and loading\n")
        sys.stderr.flush()
        time.sleep(asked.lives)
        return
    script = Script(heartbeat_s=asked.heartbeat)
    folder = prepare_folder(runtime_folder())
    threading.Timer(asked.lives, os._exit, (7,)).start()
    with hold_lock(folder, _owner(script)):
        sys.stdout.write(f"serving as {os.getpid()}\n")
        sys.stdout.flush()
        SocketServer(script, control_endpoint(folder), data_endpoint(folder)).serve()


if __name__ == "__main__":
    main()
