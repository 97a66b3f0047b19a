"""The worker processes: started, watched, reaped and replaced.

Every device has a slot with at most one worker at a time. A worker that ends, closes its link or falls silent is never
used again, nor is its number. `WorkerDied` is reported only when its process is dead, because until then it may still
write into the slots of a ring. The device then gets a new worker: at once after a long life, later and later after
short ones.

Nothing here waits, apart from `stop`. One owner, one thread.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import IO, Final, TypeAlias

from impasto.core.errors import ServerBusy
from impasto.server.free_memory import free_memory_bytes
from impasto.server.front.device_slot import DeviceSlot, Timeouts, WorkerProcess, watch_process
from impasto.server.front.segments import MappedSegment
from impasto.server.processes import private_bytes
from impasto.server.protocol import worker_messages
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import DeviceFacts
from impasto.server.protocol.text import cleaned
from impasto.server.worker_pipe import LinkClosed, link_pair

LATE_S: Final = 5.0
"""A server that wakes so long after a deadline was stopped or asleep itself, so that silence proves nothing."""
STEP_S: Final = 0.02
HARD_LIMIT: Final = 1.25
"""Times the limit above which a worker is replaced when it is idle: then it is killed at work."""
LEFT_BYTES: Final = 192 << 20
"""What a worker must leave the machine, so that the system does not choose a victim itself."""
LARGE_BYTES: Final = 2 << 30
"""A worker that takes less is not what the machine's memory went to."""


@dataclass(frozen=True, slots=True)
class WorkerMessage:
    """A message from a worker."""

    worker: int
    message: worker_messages.FromWorker


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker is dead. `tick` starts a new one, with a number of its own, when it is due."""

    worker: int
    why: str


WorkerEvent: TypeAlias = WorkerMessage | WorkerDied


class Workers:
    """The workers of a server, one for each device."""

    def __init__(
        self,
        devices: Sequence[str],
        *,
        command: Sequence[str],
        log: IO[bytes] | IO[str] | None,
        clock: Callable[[], float] = time.monotonic,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`log` takes what workers print; None: the server's own output. It needs a file number."""
        self._command = tuple(command)
        self._log = log
        self._clock = clock
        self._timeouts = timeouts or Timeouts()
        self._worker_rss_bytes = (limits or Limits()).worker_rss_bytes
        self._devices = tuple(dict.fromkeys(devices))
        self._slots: list[DeviceSlot] = []
        self._numbers = 0
        self._unkilled: list[subprocess.Popen[bytes]] = []
        self._stopped = False

    def start(self) -> None:
        """Start a worker for each device."""
        now = self._clock()
        self._slots = [DeviceSlot(device, now) for device in self._devices]
        self.tick(now)

    def filenos(self) -> list[int]:
        """What to poll for reading; call `receive` when one is readable. Changes with every loss and start."""
        found = []
        for worker in self._workers():
            if worker.closed_s is None:
                found.append(worker.link.fileno())
            if worker.watch is not None:
                found.append(worker.watch)
        return found

    def receive(self, ready: Container[object] | None = None) -> list[WorkerEvent]:
        """Messages of workers, and those that are dead, in the order in which it happened to each.

        Call it with the file numbers that are readable; without any, every worker is asked, as is due after `tick`.
        """
        now = self._clock()
        events: list[WorkerEvent] = []
        for slot in tuple(self._slots):
            if (worker := slot.worker) is None:
                continue
            # Asked before reading, so that its last messages are read.
            ended = (ready is None or worker.watch in ready) and worker.process.poll() is not None
            if not ended and ready is not None and worker.link.fileno() not in ready:
                continue
            while (received := self._read(slot, worker, now)) is not None:
                events += received
                if not ended or not received:
                    break
            stuck = worker.killed_s is not None and now - worker.killed_s >= self._timeouts.unkilled_s
            if ended or stuck:
                events.append(self._reap(slot, worker, now, ended))
        return events

    def tick(self, now: float) -> None:
        """Start the workers that are due, and kill those that are overdue."""
        for slot in self._slots:
            if (worker := slot.worker) is not None:
                with contextlib.suppress(LinkClosed):  # `receive` reports it
                    worker.link.flush()
                self._kill_if_overdue(worker, now)
            elif slot.start_s is not None and now >= slot.start_s and not self._stopped:
                self._start(slot, now)
        self._unkilled = [process for process in self._unkilled if process.poll() is None]

    def next_wake(self) -> float | None:
        """When a `tick` is due although no worker sends anything; None for never."""
        times = []
        for slot in self._slots:
            if (worker := slot.worker) is None:
                if slot.start_s is not None and not self._stopped:
                    times.append(slot.start_s)
                continue
            if (deadline_s := worker.deadline_s(self._timeouts)) is not None:
                times.append(deadline_s)
            if worker.killed_s is not None:
                times.append(worker.killed_s + self._timeouts.unkilled_s)
            ending = worker.closed_s is not None or worker.killed_s is not None
            if (worker.watch is None and ending) or (worker.closed_s is None and worker.link.unsent):
                times.append(self._clock() + STEP_S)
        return min(times, default=None)

    def send(self, worker: int, message: worker_messages.FromFront, file: int | None = None) -> bool:
        """Send a message, and a duplicate of an open file with it; never waits.

        Returns whether it is on its way: for a worker that is gone it is not, and `WorkerDied` follows or has come.
        """
        for each in self._workers():
            if each.number == worker and each.closed_s is None:
                try:
                    each.link.send(message, file)
                except LinkClosed as error:
                    self._link_ended(each, error, self._clock())
                    return False
                except OSError:  # no file number left for the duplicate
                    return False
                return True
        return False

    def map_segment(self, worker: int, mapped: MappedSegment) -> None:
        """Make sure that a worker has a segment mapped. Raises ServerBusy where no file number is left to send it."""
        process = next((each for each in self._workers() if each.number == worker), None)
        if process is None or mapped.number in process.segments:
            return
        segment = mapped.segment
        if segment.fd >= 0:
            try:
                os.close(os.dup(segment.fd))
            except OSError as error:
                raise ServerBusy("expected a free file number, all are in use; close other clients, or wait") from error
        message = worker_messages.MapRing(mapped.number, segment.path, segment.segment_bytes)
        if self.send(worker, message, segment.fd if segment.fd >= 0 else None):
            process.segments.add(mapped.number)

    def unmap_segment(self, mapped: MappedSegment) -> None:
        """No worker needs the segment any more."""
        for each in self._workers():
            if mapped.number in each.segments:
                each.segments.discard(mapped.number)
                self.send(each.number, worker_messages.DropRing(mapped.number))

    def kill(self, worker: int, why: str = "killed: hung") -> None:
        """End a worker at once; `WorkerDied` follows, with this reason."""
        for each in self._workers():
            if each.number == worker:
                self._kill(each, why, self._clock())

    def replace(self, worker: int, why: str = "replaced: it took too much memory") -> None:
        """Ask an idle worker to end, so that a new one replaces it; `WorkerDied` follows, with this reason."""
        for each in self._workers():
            if each.number == worker and each.quit_s is None:
                each.quit_s, each.why = self._clock(), why
                self.send(worker, worker_messages.Quit())

    def overgrown(self) -> tuple[int, ...]:
        """The workers whose memory is above the limit: `replace` them when they are idle."""
        return tuple(
            slot.worker.number
            for slot in self._slots
            if slot.worker is not None
            and slot.reported is not None
            and slot.reported.rss_bytes > self._worker_rss_bytes
        )

    def kill_oversized(self) -> None:
        """Kill every worker, busy or not, that took far more memory than its limit, or left the machine none.

        What it painted is tried once more and then refused.
        """
        now, free = self._clock(), free_memory_bytes()
        for worker in self._workers():
            if worker.ready_s is None or worker.killed_s is not None:
                continue
            taken = private_bytes(worker.process.pid)
            if taken > HARD_LIMIT * self._worker_rss_bytes:
                beyond = f"the limit is {self._worker_rss_bytes / 2**30:.1f}"
            elif free is not None and free < LEFT_BYTES and taken > LARGE_BYTES:
                beyond = f"the machine has {free >> 20} MiB left"
            else:
                continue
            self._kill(worker, f"killed: it took {taken / 2**30:.1f} GiB of memory, {beyond}", now)

    def device_of(self, worker: int) -> str:
        """The device of a worker that has not been reported as lost; empty for any other number."""
        return next(
            (slot.device for slot in self._slots if slot.worker is not None and slot.worker.number == worker), ""
        )

    def facts(self) -> tuple[DeviceFacts, ...]:
        """Every device and its worker, as the status shows them."""
        return tuple(slot.facts() for slot in self._slots)

    def every_device(self) -> tuple[str, ...] | None:
        """The devices that there are workers for, or will be; None until it is known what 'auto' became."""
        devices = tuple(slot.device for slot in self._slots)
        return None if "auto" in devices else devices

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the workers, for the status: one sentence each."""
        found = [f"worker on '{slot.device}': {slot.problem}" for slot in self._slots if slot.problem]
        for slot in self._slots:
            if slot.worker is not None and slot.worker.number in self.overgrown() and slot.reported is not None:
                found.append(
                    f"worker on '{slot.device}' takes {slot.reported.rss_bytes / 2**30:.1f} GiB of memory, the limit "
                    f"is {self._worker_rss_bytes / 2**30:.1f}; it is replaced when it is idle"
                )
        found += [f"worker process {process.pid} cannot be ended; its driver holds it" for process in self._unkilled]
        return tuple(found)

    def stop(self, timeout_s: float, *, insist_s: float = 1.0) -> None:
        """End every worker: ask, after `timeout_s` terminate, after `insist_s` more kill. Starts no new one.

        The only method that waits; when it returns, no worker is left but one that the system cannot end.
        """
        self._stopped = True
        for worker in self._workers():
            self.send(worker.number, worker_messages.Quit())
        processes = [worker.process for worker in self._workers()] + self._unkilled
        self._await_ends(processes, timeout_s)
        for insist, timeout_s in (("terminate", insist_s), ("kill", min(insist_s, self._timeouts.unkilled_s))):
            alive = [process for process in processes if process.poll() is None]
            for process in alive:
                process.terminate() if insist == "terminate" else process.kill()
            self._await_ends(alive, timeout_s)
        for slot in self._slots:
            if slot.worker is not None:
                self._close(slot.worker)
            slot.worker, slot.start_s = None, None

    def _workers(self) -> list[WorkerProcess]:
        return [slot.worker for slot in self._slots if slot.worker is not None]

    def _start(self, slot: DeviceSlot, now: float) -> None:
        """Start a worker; where the system cannot, note the problem and try again later."""
        slot.start_s = None
        ours, theirs = None, None
        try:
            ours, theirs = link_pair()
            number = theirs.fileno()
            process = subprocess.Popen(
                (*self._command, "--fd", str(number), "--device", slot.device),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=None if self._log is None else subprocess.STDOUT,
                pass_fds=(number,),
            )
        except OSError as error:
            if ours is not None:
                ours.close()
            delay = slot.backoff_s()
            slot.problem = f"could not be started ({cleaned(str(error), 300)}); tried again in {delay:.0f} s"
            slot.start_s = now + delay
            return
        finally:
            if theirs is not None:
                theirs.close()
        self._numbers += 1
        slot.starts += 1
        slot.worker = WorkerProcess(self._numbers, process, ours, watch_process(process.pid), now, now)

    def _read(self, slot: DeviceSlot, worker: WorkerProcess, now: float) -> list[WorkerEvent] | None:
        """Messages of a worker; None when its link has ended."""
        if worker.closed_s is not None:
            return None
        try:
            if worker.link.unsent:
                worker.link.flush()
            received = worker.link.receive()
        except LinkClosed as error:
            self._link_ended(worker, error, now)
            return None
        for message, file in received:
            if file is not None:  # workers have none to give
                os.close(file)
            if isinstance(message, worker_messages.Ready):
                self._ready(slot, worker, message, now)
            elif isinstance(message, worker_messages.Beat):
                slot.reported = message.device
        if received:
            worker.last_message_s = now
        return [WorkerMessage(worker.number, message) for message, _ in received]

    def _link_ended(self, worker: WorkerProcess, error: LinkClosed, now: float) -> None:
        """The link has ended; the process is given a moment to follow."""
        worker.closed_s = now
        worker.why = worker.why or f"its link ended ({cleaned(str(error), 300)})"

    def _ready(self, slot: DeviceSlot, worker: WorkerProcess, ready: worker_messages.Ready, now: float) -> None:
        """A worker is ready: note the device that it chose, and add slots for the others that it found."""
        worker.ready_s = now
        slot.reported, slot.problem = ready.device, ""
        if slot.device == "auto":
            slot.device = ready.device.device
            taken = {each.device for each in self._slots}
            self._slots += [DeviceSlot(device, now) for device in dict.fromkeys(ready.others) if device not in taken]

    def _kill_if_overdue(self, worker: WorkerProcess, now: float) -> None:
        """Kill a worker that is overdue."""
        deadline_s = worker.deadline_s(self._timeouts)
        if deadline_s is None or now < deadline_s:
            return
        if now - deadline_s > LATE_S and worker.closed_s is None and worker.quit_s is None:
            worker.started_s = worker.last_message_s = now
        else:
            self._kill(worker, worker.overdue_reason(self._timeouts), now)

    def _kill(self, worker: WorkerProcess, why: str, now: float) -> None:
        if worker.killed_s is None:
            worker.killed_s, worker.why = now, why
            worker.process.kill()

    def _reap(self, slot: DeviceSlot, worker: WorkerProcess, now: float, ended: bool) -> WorkerDied:
        """Take a dead worker from its device, and set the start of the next one."""
        if not ended:
            self._unkilled.append(worker.process)
        why = worker.exit_reason()
        self._close(worker)
        slot.worker = None
        if worker.ready_s is not None and now - worker.ready_s >= self._timeouts.long_life_s:
            slot.short_lives = 0
            delay = 0.0
        else:
            delay = slot.backoff_s()
        slot.start_s = now + delay
        slot.problem = f"was lost ({why}); a new one takes its place"
        if slot.short_lives > 1:
            slot.problem = f"was lost {slot.short_lives} times in a row, now {why}; a new one starts in {delay:.0f} s"
        return WorkerDied(worker.number, why)

    def _close(self, worker: WorkerProcess) -> None:
        worker.link.close()
        if worker.watch is not None:
            os.close(worker.watch)
            worker.watch = None

    def _await_ends(self, processes: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> None:
        until = time.monotonic() + timeout_s  # not the given clock: this waits for real
        for process in processes:
            while process.poll() is None and (left := until - time.monotonic()) > 0:
                for worker in self._workers():
                    with contextlib.suppress(LinkClosed):
                        worker.link.flush()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(left, STEP_S))
