"""One device: its worker process, the time limits of the process, and how often it was lost."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass, field, replace
from typing import Final

from impasto.server.protocol import worker_messages
from impasto.server.protocol.messages import DeviceFacts
from impasto.server.worker_pipe import Link

LONGEST_BACKOFF_S: Final = 32.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a worker may take, in seconds."""

    ready_s: float = 120.0
    """From its start to `Ready`."""
    silent_s: float = 60.0
    """Without a message, once it was ready: it sends one twice a second."""
    linger_s: float = 1.0
    """From the end of its link to the end of its process."""
    quit_s: float = 5.0
    """From `Quit` to the end of its process."""
    unkilled_s: float = 5.0
    """From SIGKILL to its end: a driver may hold a process for ever."""
    long_life_s: float = 60.0
    """A worker that was ready for so long is replaced at once, and earlier losses no longer count."""


@dataclass(slots=True)
class WorkerProcess:
    """A process, and the front's end of the link to it."""

    number: int
    process: subprocess.Popen[bytes]
    link: Link[worker_messages.FromWorker]
    watch: int | None
    """A file number that becomes readable when the process ends, where the system has one."""
    started_s: float
    last_message_s: float
    ready_s: float | None = None
    closed_s: float | None = None
    """When its link ended."""
    quit_s: float | None = None
    killed_s: float | None = None
    why: str = ""
    """Why it was told to end, where it was."""
    segments: set[int] = field(default_factory=set)
    """Numbers of the shared memory that it has mapped."""

    def deadline_s(self, timeouts: Timeouts) -> float | None:
        """When a worker is to be killed if nothing changes; None once it was."""
        if self.killed_s is not None:
            return None
        if self.closed_s is not None:
            return self.closed_s + timeouts.linger_s
        if self.quit_s is not None:
            return self.quit_s + timeouts.quit_s
        if self.ready_s is None:
            return self.started_s + timeouts.ready_s
        return self.last_message_s + timeouts.silent_s

    def overdue_reason(self, timeouts: Timeouts) -> str:
        """Why a worker is killed that is past its deadline."""
        if self.closed_s is not None:
            return f"{self.why}, and it did not end: killed"
        if self.quit_s is not None:
            return self.why
        if self.ready_s is None:
            return f"killed: not ready after {timeouts.ready_s:g} s"
        return f"killed: silent for {timeouts.silent_s:g} s"

    def exit_reason(self) -> str:
        """Why the process ended, in a few words."""
        code = self.process.returncode
        if code is None:
            return f"{self.why}; it does not end"
        if self.killed_s is not None or self.quit_s is not None:
            return self.why
        if code == worker_messages.DEVICE_FAILED:
            return f"device error (exit code {worker_messages.DEVICE_FAILED})"
        if code == -signal.SIGKILL:
            return "killed by SIGKILL, as a system short of memory does"
        if code < 0:
            return f"killed by {signal.Signals(-code).name if -code in set(signal.Signals) else f'signal {-code}'}"
        return f"ended with exit code {code}"


@dataclass(slots=True)
class SupervisedDevice:
    """A device with at most one worker, and how often its workers were lost early."""

    name: str
    start_s: float | None
    """When the next worker is due; None while there is one."""
    worker: WorkerProcess | None = None
    reported: DeviceFacts | None = None
    """What the last worker reported of itself."""
    starts: int = 0
    short_lives: int = 0
    problem: str = ""

    def backoff_s(self) -> float:
        """Count one more short life: how long to wait after it. 1, 2, 4 … 32 seconds."""
        self.short_lives += 1
        return min(LONGEST_BACKOFF_S, 2.0 ** min(self.short_lives - 1, 16))

    def facts(self) -> DeviceFacts:
        """The device and its worker, as the status shows them."""
        unknown = DeviceFacts(self.name, "", "starting", 0, "auto", 0, (), 0, 0, 0)
        known = self.reported or unknown
        restarts = max(0, self.starts - 1)
        if self.worker is None:
            lost = bool(self.starts or self.problem)
            return replace(unknown, name=known.name, state="lost" if lost else "starting", restarts=restarts)
        if self.worker.ready_s is None:
            return replace(unknown, name=known.name, pid=self.worker.process.pid, restarts=restarts)
        state = "lost" if self.worker.closed_s is not None or self.worker.killed_s is not None else known.state
        return replace(known, state=state, pid=self.worker.process.pid, restarts=restarts)


def watch_process(pid: int) -> int | None:
    """A file number that becomes readable when the process ends; None where the system has none."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
