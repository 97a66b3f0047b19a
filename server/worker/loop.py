"""What a worker does from its first message to its last: it listens, paints, runs shot jobs, and says that it lives.

The thread that listens to the front paints the frame that it is told to, while a stand-in listens; what else is to be
painted meanwhile has threads of its own. Whoever listens beats. Every shot job has a thread of its own and asks for a
turn for each of its frames. Nothing here knows torch: what paints is a `Studio`.
"""

from __future__ import annotations

import gc
import mmap
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from impasto.core.errors import ImpastoError, InvalidRequest, ServerError
from impasto.server.helm import Helm
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import DeviceFacts, Done, RenderSettings, Submit
from impasto.server.protocol.text import cleaned
from impasto.server.protocol.worker_messages import (
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
from impasto.server.worker.work_items import Ring, Stopped, Unit
from impasto.server.worker_pipe import Link, LinkClosed

if TYPE_CHECKING:
    from impasto.server.shots.painter import Painter
    from impasto.server.worker.shot_runner import ShotRunner

BEAT_S: Final = 0.5
UNSENT_S: Final = 0.01
"""Between two attempts to send what the front did not take yet."""
_MOVED_AT_ONCE: Final = 64


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

    def painter(self, look: RenderSettings, style_path: str) -> Painter:
        """What paints the frames of a shot job."""
        ...

    def adopt(self, segment: mmap.mmap) -> Callable[[], None]:
        """Make a segment known to the device; what is returned undoes it, and is called when no frame uses it."""
        ...

    def check_style(self, path: str) -> str:
        """Load a style file and put it in the place of the one that was at this path; the SHA-256 of its weights."""
        ...


End: TypeAlias = FramePainted | ShotEnded | WorkFailed | WorkStopped
"""The last message about a unit."""


def work(link: Link[FromFront], studio: Studio, *, leave: Callable[[int], object] = os._exit) -> int:
    """Serve the front until it says `Quit` or is gone; the status to leave the process with.

    The threads that paint are left as they are: the caller ends the process. `leave` ends it at once, from any
    thread, after an error of the device.
    """
    try:
        link.send(studio.open())
        # What is there now stays: a full collection would look at all of it while a frame waits.
        gc.collect()
        gc.freeze()
        return _Worker(link, studio, leave).serve()
    except LinkClosed:
        return 0
    except DeviceLost as error:
        return _say_goodbye(link, "device_failed", str(error), DEVICE_FAILED)
    except ImpastoError as error:
        return _say_goodbye(link, "not_ready", str(error), 1)
    except Exception as error:  # noqa: BLE001  # the log is where somebody looks for it
        return _say_goodbye(link, "worker_bug", _trace(error), 1)


class _Quit(Exception):
    """The front told the worker to end."""


class _Worker:
    """What the threads of a worker share. Messages are taken by who has the helm."""

    def __init__(self, link: Link[FromFront], studio: Studio, leave: Callable[[int], object]) -> None:
        self._link, self._studio, self._leave = link, studio, leave
        self._rings: dict[int, Ring] = {}
        self._lock = threading.Lock()
        self._units: dict[bytes, Unit] = {}
        self._moved: dict[bytes, None] = {}
        self._jobs: dict[bytes, ShotRunner] = {}
        self._helm = Helm((link.fileno(),))
        self._beat_at = 0.0
        self._over = False
        # More threads than turns do no harm: the front starts no more frames than the device takes at once.
        self._painting = ThreadPoolExecutor(8, thread_name_prefix="impasto-paint")
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="impasto-check-style")

    def serve(self) -> int:
        """Listen, and paint what comes while nothing else does, until `Quit`; LinkClosed where the front is gone."""
        stand_in = threading.Thread(target=self._stand_in, name="impasto-listen", daemon=True)
        stand_in.start()
        if not self._helm.take_over(patient=True):
            stand_in.join()  # the system lets nobody take over: it hears everything, and ends the process
            return 0
        try:
            while not self._over:
                self._helm.poll(self._idle_s())
                frame = self._listen()
                if frame is not None:
                    self._helm.give_back()
                    try:
                        self._paint(*frame)
                    finally:
                        self._helm.take_over(patient=True)
        except _Quit:
            pass
        finally:
            self._over = True
            self._helm.give_back()
            self._painting.shutdown(wait=False, cancel_futures=True)
            self._checking.shutdown(wait=False, cancel_futures=True)
        return 0

    def _stand_in(self) -> None:
        """Listen while the thread that serves paints; leave the process where that is at its end."""
        while not self._over:
            # What is due waits for a moment, in case that whoever has the helm is about to see to it.
            if self._helm.wait(max(self._idle_s(), UNSENT_S)) is None:
                continue
            try:
                if not self._over and (frame := self._listen()) is not None:
                    self._painting.submit(self._paint, *frame)
            except (_Quit, LinkClosed):
                self._over = True
                self._leave(0)
            except Exception as error:  # noqa: BLE001  # nobody would beat any more, and the paint may hang
                self._over = True
                self._leave(_say_goodbye(self._link, "worker_bug", _trace(error), 1))
            finally:
                self._helm.release()

    def _idle_s(self) -> float:
        """For how long nothing is due."""
        due = min([self._beat_at, *(job.due for job in list(self._jobs.values()))])
        idle_s = max(0.0, due - time.monotonic())
        return min(idle_s, UNSENT_S) if self._link.unsent else idle_s

    def _listen(self) -> tuple[PaintFrame, Unit] | None:
        """Do what is due and what the front said; a frame that it wants painted now is returned.

        Raises _Quit, and LinkClosed where the front is gone.
        """
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat()
            self._beat_at = now + BEAT_S
        frame: tuple[PaintFrame, Unit] | None = None
        for message, file in self._link.receive():
            if not isinstance(message, PaintFrame):
                self._handle(message, file)
                continue
            if frame is not None:
                self._painting.submit(self._paint, *frame)
            frame = message, self._begin(message.request.id)
        self._link.flush()
        for job in list(self._jobs.values()):
            job.report_if_due(now)
        return frame

    def _handle(self, message: FromFront, file: int | None) -> None:
        match message:
            case Quit():
                raise _Quit
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
        from impasto.server.shared_memory import map_segment

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
        from impasto.server.worker.shot_runner import ShotRunner

        unit = self._begin(order.request.id)
        job = ShotRunner(order, unit, self._send)
        self._jobs[unit.id] = job

        def run() -> None:
            try:
                end: End = job.run(self._studio.painter)
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
        self._note("error", "worker_bug", _trace(error), incident)
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


def _trace(error: Exception) -> str:
    """Where an error came about, as much of it as a note takes."""
    return "".join(traceback.format_exception(error))[-3000:]


def _say_goodbye(link: Link[FromFront], event: str, what: str, status: int) -> int:
    """Tell the front why the process leaves, for at most a second; the status to leave with."""
    try:
        link.send(note("error", event, what))
        link.flush(1.0)
    except LinkClosed:
        pass
    return status
