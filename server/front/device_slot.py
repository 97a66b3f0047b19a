"""A device, the process that works on it, how long that may take for what, and how often it went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass, replace

from impasto.server.protocol import worker_messages
from impasto.server.protocol.messages import DeviceFacts
from impasto.server.worker_pipe import Link

LONGEST_BACKOFF_S = 32.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a worker may take for what, in seconds."""

    ready_s: float = 120.0
    """From its start to `Ready`."""
    silent_s: float = 60.0
    """Without a word, once it was ready: it beats twice a second."""
    linger_s: float = 1.0
    """From the end of its link to the end of its process."""
    quit_s: float = 5.0
    """From `Quit` to the end of its process."""
    unkilled_s: float = 5.0
    """From SIGKILL to the end: a driver may hold a process for ever."""
    long_life_s: float = 60.0
    """A worker that was ready for so long is replaced at once, and earlier losses are forgotten."""


@dataclass(slots=True)
class WorkerProcess:
    """A process, and the front's end of the link to it."""

    number: int
    process: subprocess.Popen[bytes]
    link: Link[worker_messages.FromWorker]
    watch: int | None
    """A file number that becomes readable when the process ends, where the system has such."""
    started_s: float
    heard_s: float
    ready_s: float | None = None
    gone_s: float | None = None
    """When its link ended."""
    quit_s: float | None = None
    killed_s: float | None = None
    why: str = ""
    """Why it was told to go, where it was."""

    def deadline_s(self, patience: Patience) -> float | None:
        """When a worker is to be killed if nothing changes; None once it was."""
        if self.killed_s is not None:
            return None
        if self.gone_s is not None:
            return self.gone_s + patience.linger_s
        if self.quit_s is not None:
            return self.quit_s + patience.quit_s
        if self.ready_s is None:
            return self.started_s + patience.ready_s
        return self.heard_s + patience.silent_s

    def offence(self, patience: Patience) -> str:
        """Why a worker is killed that is beyond its deadline."""
        if self.gone_s is not None:
            return f"{self.why}, and it did not end: killed"
        if self.quit_s is not None:
            return self.why
        if self.ready_s is None:
            return f"killed: not ready after {patience.ready_s:g} s"
        return f"killed: silent for {patience.silent_s:g} s"

    def epitaph(self) -> str:
        """Why a worker is dead, in a few words."""
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
class Workplace:
    """A device, who works there, and how often that went wrong."""

    device: str
    start_s: float | None
    """When the next worker is due; None while there is one."""
    worker: WorkerProcess | None = None
    known: DeviceFacts | None = None
    """What the last worker said of itself."""
    starts: int = 0
    short_lives: int = 0
    problem: str = ""

    def backoff_s(self) -> float:
        """Count one more short life: how long to wait after it. 1, 2, 4 … 32 seconds."""
        self.short_lives += 1
        return min(LONGEST_BACKOFF_S, 2.0 ** min(self.short_lives - 1, 16))

    def facts(self) -> DeviceFacts:
        """The device and its worker, as the status shows them."""
        unknown = DeviceFacts(self.device, "", "starting", 0, "auto", 0, (), 0, 0, 0)
        known = self.known or unknown
        restarts = max(0, self.starts - 1)
        if self.worker is None:
            lost = bool(self.starts or self.problem)
            return replace(unknown, name=known.name, state="lost" if lost else "starting", restarts=restarts)
        if self.worker.ready_s is None:
            return replace(unknown, name=known.name, pid=self.worker.process.pid, restarts=restarts)
        state = "lost" if self.worker.gone_s is not None or self.worker.killed_s is not None else known.state
        return replace(known, state=state, pid=self.worker.process.pid, restarts=restarts)


def watch_process(pid: int) -> int | None:
    """A file number that becomes readable when the process ends; None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
