"""What a worker does from its first message to its last: it listens, paints, runs shot jobs, and says that it lives.

One thread listens to the front and beats. Frame requests are painted in as many threads as the device takes turns at
once; every shot job has a thread of its own and asks for a turn for each of its frames. Nothing here knows torch: what
paints is a `Studio`.
"""

from __future__ import annotations

import mmap
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from impasto.core.errors import ImpastoError, InvalidRequest, ServerError
from impasto.server.protocol.failures import facts_of
from impasto.server.protocol.link import (
    DEVICE_FAILED,
    Beat,
    CheckStyle,
    DropRing,
    FramePainted,
    FromFront,
    FromWorker,
    MapRing,
    PaintFrame,
    Quit,
    Ready,
    RunShot,
    ShotEnded,
    StopWork,
    StyleChecked,
    TurnGranted,
    WorkerNote,
    WorkFailed,
    WorkStopped,
)
from impasto.server.protocol.messages import DeviceFacts, Done, Look, Submit
from impasto.server.protocol.text import cleaned
from impasto.server.worker_link import Link, LinkClosed

if TYPE_CHECKING:
    from impasto.server.shots.render import Painter
    from impasto.server.worker.shot_work import ShotWork

BEAT_S: Final = 0.5
_MOVED_AT_ONCE: Final = 64


class Stopped(Exception):
    """Leaves the work on a frame request that the front took back."""


class DeviceLost(Exception):
    """The device failed, and nothing that it answers from now on can be trusted."""


@dataclass(frozen=True, slots=True)
class FrameTask:
    """A frame request and the memory that its samples pass through."""

    request: Submit
    style_path: str
    segment: mmap.mmap
    in_offset: int
    out_offset: int


class Studio(Protocol):
    """A device with its styles. All but `open` may be called by several threads at once.

    What cannot be done is raised as an ImpastoError; DeviceLost ends the process.
    """

    def open(self) -> Ready:
        """Start the device and prove that it paints as it should. Called once, first."""
        ...

    def facts(self, *, busy: bool) -> DeviceFacts:
        """How the device is; never fails, and never waits for what is being painted."""
        ...

    def paint(self, task: FrameTask, check: Callable[[], None]) -> Done:
        """Paint a frame from in-slot to out-slot. `check` is called wherever the work may be left, and raises."""
        ...

    def painter(self, look: Look, style_path: str) -> Painter:
        """What paints the frames of a shot job."""
        ...

    def adopt(self, segment: mmap.mmap) -> Callable[[], None]:
        """Make a segment known to the device; what is returned undoes it, and is called when no frame uses it."""
        ...

    def check_style(self, path: str) -> str:
        """Load a style file and put it in the place of the one that was at this path; the SHA-256 of its weights."""
        ...


class Ring:
    """A mapped segment, let go when it is dropped and the last frame that uses it has ended."""

    def __init__(self, segment: mmap.mmap, let_go: Callable[[], None]) -> None:
        self._segment, self._let_go = segment, let_go
        self._lock = threading.Lock()
        self._users = 1
        """The front's own interest, and one for each frame."""

    @contextmanager
    def used(self) -> Iterator[mmap.mmap]:
        """The segment, which stays as long as this is open."""
        with self._lock:
            self._users += 1
        try:
            yield self._segment
        finally:
            self.drop()

    def drop(self) -> None:
        """One user less."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self._let_go()


class Unit:
    """A request or job under way: whether it is to stop, and whether it moves."""

    def __init__(self, id: bytes, moved: Callable[[bytes], None]) -> None:
        self.id = id
        self.stopped = False
        self._moved = moved

    def moved(self) -> None:
        """Note progress for the next beat."""
        self._moved(self.id)

    def check(self) -> None:
        """Note progress, and raise Stopped where the unit was told to stop."""
        self.moved()
        if self.stopped:
            raise Stopped


End: TypeAlias = FramePainted | ShotEnded | WorkFailed | WorkStopped
"""The last message about a unit."""


def work(link: Link[FromFront], studio: Studio, *, leave: Callable[[int], object] = os._exit) -> int:
    """Serve the front until it says `Quit` or is gone; the status to leave the process with.

    The threads that paint are left as they are: the caller ends the process. `leave` ends it at once, from any
    thread, after an error of the device.
    """
    try:
        link.send(studio.open())
        return _Worker(link, studio, leave).serve()
    except LinkClosed:
        return 0
    except DeviceLost as error:
        return _say_goodbye(link, "device_failed", str(error), DEVICE_FAILED)
    except ImpastoError as error:
        return _say_goodbye(link, "not_ready", str(error), 1)


class _Worker:
    """The listening thread's own state, and what the other threads share of it."""

    def __init__(self, link: Link[FromFront], studio: Studio, leave: Callable[[int], object]) -> None:
        self._link, self._studio, self._leave = link, studio, leave
        self._rings: dict[int, Ring] = {}
        self._lock = threading.Lock()
        self._units: dict[bytes, Unit] = {}
        self._moved: dict[bytes, None] = {}
        self._jobs: dict[bytes, ShotWork] = {}
        # More threads than turns do no harm: the front starts no more frames than the device takes at once.
        self._painting = ThreadPoolExecutor(8, thread_name_prefix="impasto-paint")
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="impasto-check-style")

    def serve(self) -> int:
        """Listen, beat, and pass on what jobs have stored, until `Quit`; LinkClosed where the front is gone."""
        beat_at = 0.0
        try:
            while True:
                now = time.monotonic()
                if now >= beat_at:
                    self._beat()
                    beat_at = now + BEAT_S
                jobs = list(self._jobs.values())
                due = min([beat_at, *(job.due for job in jobs)])
                self._link.wait(max(0.0, due - now))
                for message, file in self._link.receive():
                    if isinstance(message, Quit):
                        return 0
                    self._handle(message, file)
                self._link.flush()
                for job in jobs:
                    job.tell_if_due(time.monotonic())
        finally:
            self._painting.shutdown(wait=False, cancel_futures=True)
            self._checking.shutdown(wait=False, cancel_futures=True)

    def _handle(self, message: FromFront, file: int | None) -> None:
        match message:
            case PaintFrame():
                self._painting.submit(self._paint, message, self._begin(message.request.id))
            case RunShot():
                self._start_job(message)
            case TurnGranted():
                if (job := self._jobs.get(message.job)) is not None:  # its own thread takes it out
                    job.grant(message.turn)
            case StopWork():
                self._stop(message.id)
            case CheckStyle():
                self._checking.submit(self._check_style, message)
            case MapRing():
                self._map(message, file)
                return
            case DropRing():
                ring = self._rings.pop(message.ring, None)
                if ring is not None:
                    ring.drop()
        if file is not None:
            os.close(file)

    def _map(self, message: MapRing, file: int | None) -> None:
        from impasto.server.ring import map_segment

        try:
            segment = map_segment(message.path if file is None else file, message.segment_bytes)
            self._rings[message.ring] = Ring(segment, self._studio.adopt(segment))
        except (OSError, ValueError) as error:
            self._note("error", "ring_not_mapped", str(error))
        finally:
            if file is not None:
                os.close(file)

    def _paint(self, order: PaintFrame, unit: Unit) -> None:
        """One frame request, in a thread of its own."""
        id = order.request.id
        try:
            unit.check()
            ring = self._rings.get(order.ring)
            if ring is None:
                raise InvalidRequest(f"expected a ring that is mapped, ring {order.ring} is not; open another")
            with ring.used() as segment:
                task = FrameTask(order.request, order.style_path, segment, order.in_offset, order.out_offset)
                end: End = FramePainted(self._studio.paint(task, unit.check))
        except Stopped:
            end = WorkStopped(id)
        except Exception as error:  # noqa: BLE001  # a request must not end the worker, whatever its pixels do
            end = self._failed(id, error)
        self._end(unit, end)

    def _start_job(self, order: RunShot) -> None:
        from impasto.server.worker.shot_work import ShotWork

        unit = self._begin(order.request.id)
        job = ShotWork(order, unit, self._send)
        self._jobs[unit.id] = job

        def run() -> None:
            try:
                end: End = job.run(self._studio)
            except Exception as error:  # noqa: BLE001  # as for a frame
                end = self._failed(unit.id, error, *job.so_far())
            self._jobs.pop(unit.id, None)
            self._end(unit, end)

        threading.Thread(target=run, name="impasto-shot", daemon=True).start()

    def _check_style(self, order: CheckStyle) -> None:
        try:
            answer = StyleChecked(order.style, order.path, self._studio.check_style(order.path))
        except Exception as error:  # noqa: BLE001  # a style file must not end the worker, whatever is in it
            failed = self._failed(bytes(16), error)
            answer = StyleChecked(order.style, order.path, error=failed.error)
        self._send(answer)

    def _begin(self, id: bytes) -> Unit:
        unit = Unit(id, self._note_move)
        with self._lock:
            self._units[id] = unit
        return unit

    def _stop(self, id: bytes) -> None:
        with self._lock:
            unit = self._units.get(id)
        if unit is not None:
            unit.stopped = True
        if (job := self._jobs.get(id)) is not None:
            job.wake()

    def _end(self, unit: Unit, end: End) -> None:
        """Say how a unit ended; it is gone before the front can ask for another of the same id."""
        with self._lock:
            if self._units.get(unit.id) is unit:
                del self._units[unit.id]
        try:
            self._send(end)
        except ImpastoError as error:  # an end that no message can carry is an end all the same
            self._send(self._failed(unit.id, error))

    def _failed(self, id: bytes, error: Exception, path: str = "", rendered: int = 0) -> WorkFailed:
        """An error as the front is told; one that is no ImpastoError goes to the log with its traceback."""
        if isinstance(error, DeviceLost):
            self._leave(_say_goodbye(self._link, "device_failed", str(error), DEVICE_FAILED))
        if isinstance(error, ImpastoError):
            return WorkFailed(id, facts_of(error), path, rendered)
        incident = secrets.token_hex(4)
        self._note("error", "worker_bug", "".join(traceback.format_exception(error))[-3000:], incident)
        told = ServerError(
            f"the painting process met an error of its own, {type(error).__name__}; "
            f"search the server's log for {incident} and report it"
        )
        return WorkFailed(id, facts_of(told, incident=incident), path, rendered)

    def _beat(self) -> None:
        with self._lock:
            moved, left = list(self._moved)[:_MOVED_AT_ONCE], list(self._moved)[_MOVED_AT_ONCE:]
            self._moved = dict.fromkeys(left)
            busy = bool(self._units)
        self._link.send(Beat(self._studio.facts(busy=busy), tuple(moved)))

    def _note_move(self, id: bytes) -> None:
        with self._lock:
            self._moved[id] = None

    def _note(self, level: Literal["info", "warning", "error"], event: str, what: str, incident: str = "") -> None:
        self._send(note(level, event, what, incident))

    def _send(self, message: FromWorker) -> None:
        """From any thread: where the front is gone there is nobody left to work for."""
        try:
            self._link.send(message)
        except LinkClosed:
            self._leave(0)


def note(level: Literal["info", "warning", "error"], event: str, what: str, incident: str = "") -> WorkerNote:
    """A line for the server's log."""
    facts = {"what": cleaned(what)} | ({"incident": incident} if incident else {})
    return WorkerNote(level, event, facts)


def _say_goodbye(link: Link[FromFront], event: str, what: str, status: int) -> int:
    """Tell the front why the process leaves, for at most a second; the status to leave with."""
    try:
        link.send(note("error", event, what))
        link.flush(1.0)
    except LinkClosed:
        pass
    return status
