"""The worker's loop: one thread listens to the front, beats and hands work out; others paint and run shot jobs.

A frame request is painted in a thread of the pool. Every shot job has a thread of its own and asks for a turn for each
of its frames. Nothing here knows torch: what paints is a `PaintingDevice`.
"""

from __future__ import annotations

import gc
import os
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from impasto.core.errors import ImpastoError, InvalidRequest, ServerError
from impasto.server.protocol.errors import LAST_RESORT, facts_of
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
    RunShot,
    ShotEnded,
    StopWork,
    StyleChecked,
    TurnGranted,
    WorkerNote,
    WorkFailed,
    WorkStopped,
)
from impasto.server.shared_memory import map_segment
from impasto.server.worker.painting_device import DeviceLost, FrameTask, PaintingDevice
from impasto.server.worker.work_items import MappedRing, Stopped, WorkItem
from impasto.server.worker_pipe import Link, LinkClosed

if TYPE_CHECKING:
    from impasto.server.worker.shot_runner import ShotRunner

BEAT_S: Final = 0.5
_MOVED_PER_BEAT: Final = 64

End: TypeAlias = FramePainted | ShotEnded | WorkFailed | WorkStopped
"""The last message about a work item."""


def work(link: Link[FromFront], device: PaintingDevice, *, leave: Callable[[int], object] = os._exit) -> int:
    """Serve the front until it says `Quit` or is gone; the status to leave the process with.

    The threads that paint are left as they are: the caller ends the process. `leave` ends it at once, from any
    thread, after an error of the device.
    """
    try:
        link.send(device.open())
        # What is there now stays: a full collection would look at all of it while a frame waits.
        gc.collect()
        gc.freeze()
        return _Worker(link, device, leave).serve()
    except LinkClosed:
        return 0
    except DeviceLost as error:
        return _report_exit(link, "device_failed", str(error), DEVICE_FAILED)
    except ImpastoError as error:
        return _report_exit(link, "not_ready", str(error), 1)
    except Exception as error:  # noqa: BLE001  # the log is where somebody looks for it
        return _report_exit(link, "worker_bug", _trace(error), 1)


class _Quit(Exception):
    """The front told the worker to end."""


class _Worker:
    """What the threads of a worker share."""

    def __init__(self, link: Link[FromFront], device: PaintingDevice, leave: Callable[[int], object]) -> None:
        self._link, self._device, self._leave = link, device, leave
        self._rings: dict[int, MappedRing] = {}
        self._lock = threading.Lock()
        """Guards the work items and what has moved."""
        self._items: dict[bytes, WorkItem] = {}
        self._moved: dict[bytes, None] = {}
        self._jobs: dict[bytes, ShotRunner] = {}
        self._beat_at = 0.0
        # More threads than turns do no harm: the front starts no more frames than the device takes at once.
        self._painting = ThreadPoolExecutor(8, thread_name_prefix="impasto-paint")
        self._checking = ThreadPoolExecutor(1, thread_name_prefix="impasto-check-style")

    def serve(self) -> int:
        """Listen and beat until `Quit`, then 0; LinkClosed where the front is gone."""
        try:
            while True:
                self._link.wait(self._idle_s())
                self._listen()
        except _Quit:
            return 0
        finally:
            self._painting.shutdown(wait=False, cancel_futures=True)
            self._checking.shutdown(wait=False, cancel_futures=True)

    def _idle_s(self) -> float:
        """For how long nothing is due."""
        due = min([self._beat_at, *(job.due for job in list(self._jobs.values()))])
        return max(0.0, due - time.monotonic())

    def _listen(self) -> None:
        """Do what is due and what the front said. Raises _Quit, and LinkClosed where the front is gone."""
        now = time.monotonic()
        if now >= self._beat_at:
            self._beat()
            self._beat_at = now + BEAT_S
        for message, file in self._link.receive():
            self._handle(message, file)
        self._link.flush()
        for job in list(self._jobs.values()):
            job.report_if_due(now)

    def _handle(self, message: FromFront, file: int | None) -> None:
        match message:
            case Quit():
                raise _Quit
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
        try:
            segment = map_segment(message.path if file is None else file, message.segment_bytes)
            self._rings[message.ring] = MappedRing(segment, self._device.adopt(segment))
        except (OSError, ValueError) as error:
            self._note("error", "ring_not_mapped", str(error))
        finally:
            if file is not None:
                os.close(file)

    def _paint(self, order: PaintFrame, item: WorkItem) -> None:
        """One frame request, in a thread of the pool."""
        id = order.request.id
        try:
            item.check()
            ring = self._rings.get(order.ring)
            if ring is None:
                raise InvalidRequest(f"expected a ring that is mapped, ring {order.ring} is not; open another")
            with ring.used() as segment:
                task = FrameTask(order.request, order.style_path, segment, order.in_offset, order.out_offset)
                end: End = FramePainted(self._device.paint(task, item.check))
        except Stopped:
            end = WorkStopped(id)
        except BaseException as error:  # noqa: BLE001  # a request must not end the worker, whatever its pixels do
            end = self._failed(id, error)
        self._end(item, end)

    def _start_job(self, order: RunShot) -> None:
        from impasto.server.worker.shot_runner import ShotRunner  # readers and writers of pictures come with it

        item = self._begin(order.request.id)
        job = ShotRunner(order, item, self._send)
        self._jobs[item.id] = job

        def run() -> None:
            try:
                end: End = job.run(self._device.painter)
            except BaseException as error:  # noqa: BLE001  # as for a frame
                end = self._failed(item.id, error, *job.so_far())
            self._jobs.pop(item.id, None)
            self._end(item, end)

        threading.Thread(target=run, name="impasto-shot", daemon=True).start()

    def _check_style(self, order: CheckStyle) -> None:
        try:
            answer = StyleChecked(order.style, order.path, self._device.check_style(order.path))
        except BaseException as error:  # noqa: BLE001  # a style file must not end the worker, whatever is in it
            failed = self._failed(bytes(16), error)
            answer = StyleChecked(order.style, order.path, error=failed.error)
        self._send(answer)

    def _begin(self, id: bytes) -> WorkItem:
        item = WorkItem(id, self._note_move)
        with self._lock:
            self._items[id] = item
        return item

    def _stop(self, id: bytes) -> None:
        with self._lock:
            item = self._items.get(id)
        if item is not None:
            item.stopped = True
        if (job := self._jobs.get(id)) is not None:
            job.wake()

    def _end(self, item: WorkItem, end: End) -> None:
        """Say how a work item ended; it is gone before the front can ask for another of the same id."""
        with self._lock:
            if self._items.get(item.id) is item:
                del self._items[item.id]
        try:
            self._send(end)
        except Exception as error:  # noqa: BLE001  # an end that no message can carry is an end all the same
            try:
                self._send(self._failed(item.id, error))
            except Exception:  # noqa: BLE001
                self._send(WorkFailed(item.id, LAST_RESORT))

    def _failed(self, id: bytes, error: BaseException, path: str = "", rendered: int = 0) -> WorkFailed:
        """An error as the front is told; one that is none of ours is logged with its traceback. Never raises."""
        if isinstance(error, DeviceLost):
            self._leave(_report_exit(self._link, "device_failed", str(error), DEVICE_FAILED))
        try:
            return self._explained(id, error, path, rendered)
        except Exception:  # noqa: BLE001  # an error whose text cannot be had, or sent
            return WorkFailed(id, LAST_RESORT, path, rendered)

    def _explained(self, id: bytes, error: BaseException, path: str, rendered: int) -> WorkFailed:
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
            moved, left = list(self._moved)[:_MOVED_PER_BEAT], list(self._moved)[_MOVED_PER_BEAT:]
            self._moved = dict.fromkeys(left)
            busy = bool(self._items)
        self._link.send(Beat(self._device.facts(busy=busy), tuple(moved)))

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


def _trace(error: BaseException) -> str:
    """Where an error came about, as much of it as a note takes."""
    return "".join(traceback.format_exception(error))[-3000:]


def _report_exit(link: Link[FromFront], event: str, what: str, status: int) -> int:
    """Tell the front why the process leaves, for at most a second; the status to leave with."""
    try:
        link.send(note("error", event, what))
        link.flush(1.0)
    except LinkClosed:
        pass
    return status
