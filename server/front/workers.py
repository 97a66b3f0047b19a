"""The worker processes: started, listened to, buried and replaced.

Every device has a post, and a post has at most one worker at a time. A worker that ends, closes its link or falls
silent is gone for good: its number is never used again, and `Lost` is reported only when its process is dead, because
until then it may still write into the slots of the ring. The post then gets a new worker, at once after a long life,
later and later after short ones.

Nothing here waits, apart from `stop`. One owner, one thread.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import IO, TypeAlias

from impasto.server.front.device_slot import Patience, WorkerProcess, Workplace, watch_process
from impasto.server.protocol import worker_messages
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import DeviceFacts
from impasto.server.protocol.text import cleaned
from impasto.server.worker_pipe import LinkClosed, link_pair

LATE_S = 5.0
"""Whoever wakes so long after a deadline was stopped or asleep itself, and may not blame a worker for silence."""
STEP_S = 0.02


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker said something."""

    worker: int
    message: worker_messages.FromWorker


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is dead. A new one, with a number of its own, is started by `tick` when its time has come."""

    worker: int
    why: str


Event: TypeAlias = Heard | Lost


class Supervisor:
    """The workers of a server, one for each device."""

    def __init__(
        self,
        devices: Sequence[str],
        *,
        command: Sequence[str],
        log: IO[bytes] | IO[str] | None,
        clock: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`log` takes what workers print, None leaves it to the server's own output; it needs a file number."""
        self._command = tuple(command)
        self._log = log
        self._clock = clock
        self._patience = patience or Patience()
        self._worker_rss_bytes = (limits or Limits()).worker_rss_bytes
        self._devices = tuple(dict.fromkeys(devices))
        self._posts: list[Workplace] = []
        self._numbers = 0
        self._undead: list[subprocess.Popen[bytes]] = []
        self._stopped = False

    def start(self) -> None:
        """Start a worker for each device."""
        now = self._clock()
        self._posts = [Workplace(device, now) for device in self._devices]
        self.tick(now)

    def filenos(self) -> list[int]:
        """What to poll for reading; call `receive` when one is readable. Changes with every loss and start."""
        found = []
        for worker in self._workers():
            if worker.gone_s is None:
                found.append(worker.link.fileno())
            if worker.watch is not None:
                found.append(worker.watch)
        return found

    def receive(self, ready: Container[int] | None = None) -> list[Event]:
        """What workers said, and which are dead, in the order in which it happened to each.

        Call it with the file numbers that are readable; without any, every worker is looked at, as is due after every
        `tick`.
        """
        now = self._clock()
        events: list[Event] = []
        for post in tuple(self._posts):
            if (worker := post.worker) is None:
                continue
            # Before listening, so that its last words are heard.
            ended = (ready is None or worker.watch in ready) and worker.process.poll() is not None
            if not ended and ready is not None and worker.link.fileno() not in ready:
                continue
            while (said := self._listen(post, worker, now)) is not None:
                events += said
                if not ended or not said:
                    break
            stuck = worker.killed_s is not None and now - worker.killed_s >= self._patience.unkilled_s
            if ended or stuck:
                events.append(self._bury(post, worker, now, ended))
        return events

    def tick(self, now: float) -> None:
        """Start the workers that are due, and kill those that are overdue."""
        for post in self._posts:
            if (worker := post.worker) is not None:
                with contextlib.suppress(LinkClosed):  # heard of by `receive`
                    worker.link.flush()
                self._lose_patience(worker, now)
            elif post.start_s is not None and now >= post.start_s and not self._stopped:
                self._start(post, now)
        self._undead = [process for process in self._undead if process.poll() is None]

    def next_wake(self) -> float | None:
        """When a `tick` is due although nobody says anything; None for never."""
        times = []
        for post in self._posts:
            if (worker := post.worker) is None:
                if post.start_s is not None and not self._stopped:
                    times.append(post.start_s)
                continue
            if (deadline_s := worker.deadline_s(self._patience)) is not None:
                times.append(deadline_s)
            if worker.killed_s is not None:
                times.append(worker.killed_s + self._patience.unkilled_s)
            ending = worker.gone_s is not None or worker.killed_s is not None
            if (worker.watch is None and ending) or (worker.gone_s is None and worker.link.unsent):
                times.append(self._clock() + STEP_S)
        return min(times, default=None)

    def send(self, worker: int, message: worker_messages.FromFront, file: int | None = None) -> bool:
        """Send a message, and a duplicate of an open file with it; never waits.

        Says whether it is on its way: for a worker that is gone it is not, and `Lost` follows or has come already.
        """
        for each in self._workers():
            if each.number == worker and each.gone_s is None:
                try:
                    each.link.send(message, file)
                except LinkClosed as error:
                    self._part(each, error, self._clock())
                    return False
                except OSError:  # no file number left for the duplicate
                    return False
                return True
        return False

    def kill(self, worker: int, why: str = "killed: hung") -> None:
        """End a worker at once; `Lost` follows, with this reason."""
        for each in self._workers():
            if each.number == worker:
                self._kill(each, why, self._clock())

    def replace(self, worker: int, why: str = "replaced: it took too much memory") -> None:
        """Let an idle worker go, so that a fresh one takes its place; `Lost` follows, with this reason."""
        for each in self._workers():
            if each.number == worker and each.quit_s is None:
                each.quit_s, each.why = self._clock(), why
                self.send(worker, worker_messages.Quit())

    def overgrown(self) -> tuple[int, ...]:
        """The workers whose memory is above the limit: `replace` them when they are idle."""
        return tuple(
            post.worker.number
            for post in self._posts
            if post.worker is not None and post.known is not None and post.known.rss_bytes > self._worker_rss_bytes
        )

    def device_of(self, worker: int) -> str:
        """The device of a worker that has not been reported as lost; empty for any other number."""
        return next(
            (post.device for post in self._posts if post.worker is not None and post.worker.number == worker), ""
        )

    def facts(self) -> tuple[DeviceFacts, ...]:
        """Every device and its worker, as the status shows them."""
        return tuple(post.facts() for post in self._posts)

    def every_device(self) -> tuple[str, ...] | None:
        """The devices that there are workers for, or will be; None until it is known what 'auto' became."""
        devices = tuple(post.device for post in self._posts)
        return None if "auto" in devices else devices

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the workers, for the status: one sentence each."""
        found = [f"worker on '{post.device}': {post.problem}" for post in self._posts if post.problem]
        for post in self._posts:
            if post.worker is not None and post.worker.number in self.overgrown() and post.known is not None:
                found.append(
                    f"worker on '{post.device}' takes {post.known.rss_bytes / 2**30:.1f} GiB of memory, the limit is "
                    f"{self._worker_rss_bytes / 2**30:.1f}; it is replaced when it is idle"
                )
        found += [f"worker process {process.pid} cannot be ended; its driver holds it" for process in self._undead]
        return tuple(found)

    def stop(self, timeout_s: float) -> None:
        """Let every worker go: ask, after `timeout_s` terminate, a second later kill. Starts no new one.

        The only method that waits; when it returns, no worker is left but one that the system cannot end.
        """
        self._stopped = True
        for worker in self._workers():
            self.send(worker.number, worker_messages.Quit())
        processes = [worker.process for worker in self._workers()] + self._undead
        self._await_ends(processes, timeout_s)
        for insist, patience_s in (("terminate", 1.0), ("kill", self._patience.unkilled_s)):
            alive = [process for process in processes if process.poll() is None]
            for process in alive:
                process.terminate() if insist == "terminate" else process.kill()
            self._await_ends(alive, patience_s)
        for post in self._posts:
            if post.worker is not None:
                self._close(post.worker)
            post.worker, post.start_s = None, None

    def _workers(self) -> list[WorkerProcess]:
        return [post.worker for post in self._posts if post.worker is not None]

    def _start(self, post: Workplace, now: float) -> None:
        """Start a worker; where the system cannot, say so and try again later."""
        post.start_s = None
        ours, theirs = None, None
        try:
            ours, theirs = link_pair()
            number = theirs.fileno()
            process = subprocess.Popen(
                (*self._command, "--fd", str(number), "--device", post.device),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=None if self._log is None else subprocess.STDOUT,
                pass_fds=(number,),
            )
        except OSError as error:
            if ours is not None:
                ours.close()
            delay = post.backoff_s()
            post.problem = f"could not be started ({cleaned(str(error), 300)}); tried again in {delay:.0f} s"
            post.start_s = now + delay
            return
        finally:
            if theirs is not None:
                theirs.close()
        self._numbers += 1
        post.starts += 1
        post.worker = WorkerProcess(self._numbers, process, ours, watch_process(process.pid), now, now)

    def _listen(self, post: Workplace, worker: WorkerProcess, now: float) -> list[Event] | None:
        """What a worker said; None when its link has ended."""
        if worker.gone_s is not None:
            return None
        try:
            if worker.link.unsent:
                worker.link.flush()
            said = worker.link.receive()
        except LinkClosed as error:
            self._part(worker, error, now)
            return None
        for message, file in said:
            if file is not None:  # workers have none to give
                os.close(file)
            if isinstance(message, worker_messages.Ready):
                self._welcome(post, worker, message, now)
            elif isinstance(message, worker_messages.Beat):
                post.known = message.device
        if said:
            worker.heard_s = now
        return [Heard(worker.number, message) for message, _ in said]

    def _part(self, worker: WorkerProcess, error: LinkClosed, now: float) -> None:
        """The link has ended; the process is given a moment to follow."""
        worker.gone_s = now
        worker.why = worker.why or f"its link ended ({cleaned(str(error), 300)})"

    def _welcome(self, post: Workplace, worker: WorkerProcess, ready: worker_messages.Ready, now: float) -> None:
        """A worker works: bind its post to the device that it chose, and open posts for the others it saw."""
        worker.ready_s = now
        post.known, post.problem = ready.device, ""
        if post.device == "auto":
            post.device = ready.device.device
            taken = {each.device for each in self._posts}
            self._posts += [Workplace(device, now) for device in dict.fromkeys(ready.others) if device not in taken]

    def _lose_patience(self, worker: WorkerProcess, now: float) -> None:
        """Kill a worker that is overdue."""
        deadline_s = worker.deadline_s(self._patience)
        if deadline_s is None or now < deadline_s:
            return
        if now - deadline_s > LATE_S and worker.gone_s is None and worker.quit_s is None:
            worker.started_s = worker.heard_s = now
        else:
            self._kill(worker, worker.offence(self._patience), now)

    def _kill(self, worker: WorkerProcess, why: str, now: float) -> None:
        if worker.killed_s is None:
            worker.killed_s, worker.why = now, why
            worker.process.kill()

    def _bury(self, post: Workplace, worker: WorkerProcess, now: float, ended: bool) -> Lost:
        """Take a dead worker from its post, and set the time of its successor."""
        if not ended:
            self._undead.append(worker.process)
        why = worker.epitaph()
        self._close(worker)
        post.worker = None
        if worker.ready_s is not None and now - worker.ready_s >= self._patience.long_life_s:
            post.short_lives = 0
            delay = 0.0
        else:
            delay = post.backoff_s()
        post.start_s = now + delay
        post.problem = f"was lost ({why}); a new one takes its place"
        if post.short_lives > 1:
            post.problem = f"was lost {post.short_lives} times in a row, now {why}; a new one starts in {delay:.0f} s"
        return Lost(worker.number, why)

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
