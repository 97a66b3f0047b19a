"""One `impasto … --json` process: its events, its cancel and its end.

A thread reads the lines into a bounded queue; another keeps the last words of standard error. Whoever owns the
`Run` reads the queue. Every wait has a limit, the process never outlives the owner, and exactly one end is told:
the process's own, or one made up in its place where it died or fell silent.

Should the host itself be killed, nobody reads the lines any more, and the command ends at the next one it prints.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from typing import IO, Any, Callable, Sequence

from impasto.hosts.bridge.command import Command, clean_environment, find_command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.events import ENDS, Event, RunCancelled, RunEnd, RunFailed, parse_event

WAITING_LINES = 256
"""Lines that may wait to be read. Behind them the process itself waits, so that nothing grows."""
LAST_WORDS = 20
"""Lines of standard error that are kept, for the case that the process ends without a word."""
SILENCE_S = 3600.0
"""A shot that waits behind another one of the same server has nothing to say meanwhile."""
STEP_S = 0.2
"""How often a wait looks whether something else happened."""


class Run:
    """A running command. A context manager; on leaving, the process is gone, whatever happened.

    Raises BridgeError where the command cannot be started. `silence_s` is how long no line may come before the
    process is taken for stuck and ended; `grace_s` how long it may take to end in order once it was asked to.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        command: Command | None = None,
        silence_s: float = SILENCE_S,
        grace_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        words = (command or find_command()).words
        self._silence_s, self._grace_s, self._clock = silence_s, grace_s, clock
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._closing = threading.Event()
        self._asked_at: float | None = None
        self.ended: RunEnd | None = None
        """How it ended, once that was read."""
        try:
            self._process = subprocess.Popen([*words, *arguments, "--json"], **_way_to_start())
        except (OSError, ValueError) as error:
            raise BridgeError(
                f"expected to start '{words[0]}', which failed: {error}; run `impasto doctor` in a terminal"
            ) from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._heard_at = clock()
        self._readers = (
            threading.Thread(target=self._read, args=(self._process.stdout,), name="impasto lines", daemon=True),
            threading.Thread(target=self._keep, args=(self._process.stderr,), name="impasto words", daemon=True),
        )
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def next_event(self, timeout_s: float) -> Event | None:
        """The next event, or None when none came within the time; after the end always None.

        The last event is a Finished, Cancelled or Failed, and `ended` from then on.
        """
        until = self._clock() + timeout_s
        while self.ended is None:
            self._check_time()
            try:
                line = self._lines.get(timeout=max(0.0, min(STEP_S, until - self._clock())))
            except queue.Empty:
                if self._clock() >= until:
                    return None
                continue
            self._heard_at = self._clock()
            event = self._gone() if line is None else parse_event(line)
            if isinstance(event, ENDS):
                self.ended = event
            if event is not None:
                return event
        return None

    def cancel(self) -> None:
        """Ask the process to end in order, as Ctrl-C does; it is killed if it has not after the grace."""
        if self._asked_at is None and self._process.poll() is None:
            self._asked_at = self._clock()
            try:
                self._process.send_signal(_INTERRUPT)
            except OSError:
                self._process.kill()

    def close(self) -> None:
        """End the process if it still runs: in order if it can, else at once. Safe to call again."""
        self._closing.set()
        if self._process.poll() is None:
            self.cancel()
            try:
                self._process.wait(self._grace_s)
            except subprocess.TimeoutExpired:
                _kill(self._process)
                # A process that hangs in a dead disk cannot even be killed; it is left to the system.
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(self._grace_s)
        for reader in self._readers:
            reader.join(self._grace_s)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _check_time(self) -> None:
        """Kill a process that does not end although it was asked to, or that has been silent for too long."""
        now = self._clock()
        if self._asked_at is not None and now - self._asked_at > self._grace_s:
            _kill(self._process)
        elif now - self._heard_at > self._silence_s:
            self._last_words.append(
                f"no line came for {self._silence_s:g} s; `impasto status` shows whether the server is busy"
            )
            _kill(self._process)
            self._heard_at = now

    def _gone(self) -> RunEnd:
        """What is told in the place of a process that ended without telling."""
        try:
            code = self._process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            _kill(self._process)
            code = -1
        self._readers[1].join(1.0)
        if self._asked_at is not None:
            return RunCancelled()
        said = " ".join(self._last_words).strip() or "it said nothing"
        return RunFailed(
            "died",
            f"expected `impasto` to say how it ended, it ended with code {code} instead ({said}); run `impasto doctor`",
            "run `impasto doctor`",
            code,
        )

    def _read(self, stream: IO[str]) -> None:
        try:
            for line in stream:
                self._put(line)
        except (OSError, ValueError):
            pass  # the stream was closed under us; the end is told all the same
        self._put(None)

    def _put(self, line: str | None) -> None:
        while not self._closing.is_set():
            try:
                self._lines.put(line, timeout=STEP_S)
            except queue.Full:
                continue
            return

    def _keep(self, stream: IO[str]) -> None:
        try:
            for line in stream:
                self._last_words.append(line.strip())
        except (OSError, ValueError):
            pass


def follow(run: Run, on_event: Callable[[Event], None], cancelled: Callable[[], bool], poll_s: float = 0.1) -> RunEnd:
    """Read a run to its end, tell every event, and cancel it as soon as `cancelled` says so."""
    while run.ended is None:
        event = run.next_event(poll_s)
        if event is not None:
            on_event(event)
        if run.ended is None and cancelled():
            run.cancel()
    return run.ended


def _way_to_start() -> dict[str, Any]:
    """Pipes, a clean environment, and a group of its own, so that a signal reaches the command and nobody else."""
    way: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": clean_environment(),
        "encoding": "utf-8",
        "errors": "replace",
    }
    if sys.platform == "win32":
        # Without a window; a group, because only groups can be sent CTRL_BREAK.
        way["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    else:
        way["start_new_session"] = True
    return way


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process at once, with whatever it started in its group; the render server is in a group of its own."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


if sys.platform == "win32":
    _INTERRUPT = signal.CTRL_BREAK_EVENT
else:
    _INTERRUPT = signal.SIGINT
