"""The worker processes: started, watched, reaped and replaced.

Every device has at most one worker at a time. A worker that ends, closes its link or sends nothing for too long is not
used again, and its number is not given to another. `WorkerDied` is reported when its process is dead and not before,
because until then it may still write into the slots of a ring. Then the device gets a new worker: at once if the old
one ran for long, otherwise after a delay that doubles with each early loss.

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
from impasto.server.front.segments import MappedSegment
from impasto.server.front.supervised_device import SupervisedDevice, Timeouts, WorkerProcess, watch_process
from impasto.server.processes import private_bytes
from impasto.server.protocol import worker_messages
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import DeviceFacts
from impasto.server.protocol.text import cleaned
from impasto.server.worker_pipe import LinkClosed, link_pair

LATE_S: Final = 5.0
"""A server that wakes so long after a deadline was itself stopped or asleep: it cannot tell who was silent."""
STEP_S: Final = 0.02
HARD_LIMIT: Final = 1.25
"""A worker above its memory limit is replaced when it is idle; above this many times the limit it is killed at once."""
LEFT_BYTES: Final = 192 << 20
"""Memory that a worker must leave free. With less, the system would choose itself which process to kill."""
LARGE_BYTES: Final = 2 << 30
"""A worker that takes less than this is not why the machine is short of memory."""


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
        self._device_names = tuple(dict.fromkeys(devices))
        self._devices: list[SupervisedDevice] = []
        self._numbers = 0
        self._unkilled: list[subprocess.Popen[bytes]] = []
        self._stopped = False

    def start(self) -> None:
        """Start a worker for each device."""
        now = self._clock()
        self._devices = [SupervisedDevice(name, now) for name in self._device_names]
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
        """Messages of workers, and news of dead ones, for each worker in the order in which it happened.

        `ready` holds the file numbers that are readable. Without it every worker is read, as is due after `tick`.
        """
        now = self._clock()
        events: list[WorkerEvent] = []
        for device in tuple(self._devices):
            if (worker := device.worker) is None:
                continue
            # Asked before the read, so that its last messages are not missed.
            ended = (ready is None or worker.watch in ready) and worker.process.poll() is not None
            if not ended and ready is not None and worker.link.fileno() not in ready:
                continue
            while (received := self._read(device, worker, now)) is not None:
                events += received
                if not ended or not received:
                    break
            stuck = worker.killed_s is not None and now - worker.killed_s >= self._timeouts.unkilled_s
            if ended or stuck:
                events.append(self._reap(device, worker, now, ended))
        return events

    def tick(self, now: float) -> None:
        """Start the workers that are due, and kill those that are overdue."""
        for device in self._devices:
            if (worker := device.worker) is not None:
                with contextlib.suppress(LinkClosed):  # `receive` reports it
                    worker.link.flush()
                self._kill_if_overdue(worker, now)
            elif device.start_s is not None and now >= device.start_s and not self._stopped:
                self._start(device, now)
        self._unkilled = [process for process in self._unkilled if process.poll() is None]

    def next_wake(self) -> float | None:
        """When a `tick` is due even if no worker sends anything; None for never."""
        times = []
        for device in self._devices:
            if (worker := device.worker) is None:
                if device.start_s is not None and not self._stopped:
                    times.append(device.start_s)
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

        Returns whether it could be sent. For a worker that is gone it cannot, and `WorkerDied` follows or has come.
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
        """Let a worker map a segment, unless it has. Raises ServerBusy where no file number is left to send it."""
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
            device.worker.number
            for device in self._devices
            if device.worker is not None
            and device.reported is not None
            and device.reported.rss_bytes > self._worker_rss_bytes
        )

    def kill_oversized(self) -> None:
        """Kill every worker, busy or not, that takes far more memory than its limit, or leaves the machine almost none.

        The frames that it painted are tried once more, and refused if that fails too.
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
            (device.name for device in self._devices if device.worker is not None and device.worker.number == worker),
            "",
        )

    def facts(self) -> tuple[DeviceFacts, ...]:
        """Every device and its worker, as the status shows them."""
        return tuple(device.facts() for device in self._devices)

    def every_device(self) -> tuple[str, ...] | None:
        """The devices that have a worker or will have one; None until it is known which devices 'auto' stands for."""
        devices = tuple(device.name for device in self._devices)
        return None if "auto" in devices else devices

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the workers, for the status: one sentence each."""
        found = [f"worker on '{device.name}': {device.problem}" for device in self._devices if device.problem]
        for device in self._devices:
            if device.worker is not None and device.worker.number in self.overgrown() and device.reported is not None:
                found.append(
                    f"worker on '{device.name}' takes {device.reported.rss_bytes / 2**30:.1f} GiB of memory, the limit "
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
        for device in self._devices:
            if device.worker is not None:
                self._close(device.worker)
            device.worker, device.start_s = None, None

    def _workers(self) -> list[WorkerProcess]:
        return [device.worker for device in self._devices if device.worker is not None]

    def _start(self, device: SupervisedDevice, now: float) -> None:
        """Start a worker; where the system cannot, note the problem and try again later."""
        device.start_s = None
        ours, theirs = None, None
        try:
            ours, theirs = link_pair()
            number = theirs.fileno()
            process = subprocess.Popen(
                (*self._command, "--fd", str(number), "--device", device.name),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=None if self._log is None else subprocess.STDOUT,
                pass_fds=(number,),
            )
        except OSError as error:
            if ours is not None:
                ours.close()
            delay = device.backoff_s()
            device.problem = f"could not be started ({cleaned(str(error), 300)}); tried again in {delay:.0f} s"
            device.start_s = now + delay
            return
        finally:
            if theirs is not None:
                theirs.close()
        self._numbers += 1
        device.starts += 1
        device.worker = WorkerProcess(self._numbers, process, ours, watch_process(process.pid), now, now)

    def _read(self, device: SupervisedDevice, worker: WorkerProcess, now: float) -> list[WorkerEvent] | None:
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
                self._ready(device, worker, message, now)
            elif isinstance(message, worker_messages.Beat):
                device.reported = message.device
        if received:
            worker.last_message_s = now
        return [WorkerMessage(worker.number, message) for message, _ in received]

    def _link_ended(self, worker: WorkerProcess, error: LinkClosed, now: float) -> None:
        """The link has ended; the process is given a moment to follow."""
        worker.closed_s = now
        worker.why = worker.why or f"its link ended ({cleaned(str(error), 300)})"

    def _ready(self, device: SupervisedDevice, worker: WorkerProcess, ready: worker_messages.Ready, now: float) -> None:
        """A worker is ready: note the device that it chose, and add the others that it found."""
        worker.ready_s = now
        device.reported, device.problem = ready.device, ""
        if device.name == "auto":
            device.name = ready.device.device
            taken = {each.name for each in self._devices}
            self._devices += [SupervisedDevice(name, now) for name in dict.fromkeys(ready.others) if name not in taken]

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

    def _reap(self, device: SupervisedDevice, worker: WorkerProcess, now: float, ended: bool) -> WorkerDied:
        """Take a dead worker from its device, and set the start of the next one."""
        if not ended:
            self._unkilled.append(worker.process)
        why = worker.exit_reason()
        self._close(worker)
        device.worker = None
        if worker.ready_s is not None and now - worker.ready_s >= self._timeouts.long_life_s:
            device.short_lives = 0
            delay = 0.0
        else:
            delay = device.backoff_s()
        device.start_s = now + delay
        device.problem = f"was lost ({why}); a new one takes its place"
        if device.short_lives > 1:
            device.problem = (
                f"was lost {device.short_lives} times in a row, now {why}; a new one starts in {delay:.0f} s"
            )
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
