"""The event log: one line of JSON for each event, and the counters that go with it.

Requests are written down when their answer has left, and frames that went well in batches.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import stat
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final, Literal, TypeAlias

from impasto.core.errors import ImpastoError, ServerError
from impasto.server.front.counters import Counters
from impasto.server.front.sessions import Session
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import Cancelled, Done, ErrorFacts, Expired, Failed, ShotDone, Terminal
from impasto.server.protocol.text import cleaned

LogLevel: TypeAlias = Literal["info", "warning", "error"]

LINE_BYTES: Final = 2048
LOG_BYTES: Final = 64 << 20
LOGS_KEPT: Final = 8
REPEATS_WRITTEN: Final = 20
"""Lines of one kind that a client can cause at will, in `REPEATS_S`; the others are counted."""
REPEATS_S: Final = 10.0
REPEATS_KEPT: Final = 256
BATCH: Final = 16
"""Lines that are written together: a line alone takes several times as long, while the next request waits."""

_FRAME_COUNTERS: Final[Mapping[type[Terminal], str]] = {
    Failed: "frames_failed",
    Cancelled: "frames_cancelled",
    Expired: "frames_expired",
}
_JOB_COUNTERS: Final[Mapping[type[Terminal], str]] = {
    ShotDone: "jobs_done",
    Failed: "jobs_failed",
    Cancelled: "jobs_cancelled",
    Expired: "jobs_cancelled",
}


class LogFile(RotatingFileHandler):
    """A file of JSON lines that never gets in the way: writing to it never raises and never waits.

    Every line is one write of at most `LINE_BYTES` of ASCII: no value can end a line or steer a terminal, and values
    that are too long are cut. At `largest` bytes the file becomes `NAME.1`, that `NAME.2`, and so on; `kept` files
    remain in all. A line that cannot be written is lost and counted in the next one that can; `problem` says so
    meanwhile. The file is the user's own (mode 0600).
    """

    def __init__(
        self,
        path: Path,
        *,
        largest: int = LOG_BYTES,
        kept: int = LOGS_KEPT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is opened before the first event."""
        super().__init__(path, maxBytes=largest, backupCount=kept - 1, delay=True)
        self.problem = ""
        """Why the last event could not be written; empty where it was."""
        self.lost = 0
        """Events that could not be written since one could."""
        self._wall_clock = wall_clock

    def write(self, event: str, level: LogLevel = "info", age_s: float = 0.0, /, **facts: object) -> None:
        """Add a line: time (UTC) at which it happened, `age_s` ago, level, event, and the facts."""
        if self.lost:
            facts["lines_lost_before"] = self.lost
        lost = self.lost
        self.handle(makeLogRecord({"msg": _line(self._wall_clock() - age_s, level, event, facts)}))
        if self.lost == lost:
            self.problem, self.lost = "", 0

    def handleError(self, record: LogRecord) -> None:  # noqa: N802  # the name is logging's
        """Note why the line was lost, and close the file; another event opens it again."""
        error = sys.exc_info()[1]
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        self.problem = f"could not write the log '{cleaned(self.baseFilename)}': {why}"
        self.lost += 1
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()

    def _open(self) -> TextIOWrapper:
        """Open the file if it is one, and end a line that a full disk has torn."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        file = os.open(self.baseFilename, flags, 0o600)
        try:
            facts = os.fstat(file)
            if not stat.S_ISREG(facts.st_mode):
                raise OSError("it is not a plain file; move it away")
            if facts.st_size and os.pread(file, 1, facts.st_size - 1) != b"\n":
                os.write(file, b"\n")
            return os.fdopen(file, "a", encoding="ascii", newline="\n")
        except BaseException:
            os.close(file)
            raise


@dataclass(slots=True)
class _Repeats:
    """Lines of one kind since a moment."""

    since_s: float
    written: int = 0
    held: int = 0
    last: tuple[LogLevel, dict[str, object]] = ("info", {})


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """A request or job with its terminal message, as the log needs it."""

    id: bytes
    session: Session
    label: str
    is_job: bool
    attempt: int
    arrived_s: float
    ended_s: float
    terminal: Terminal


class EventLog:
    """The log file and the counters of a server. One owner, one thread."""

    def __init__(self, file: LogFile, counters: Counters, clock: Callable[[], float]) -> None:
        self.file = file
        self.counters = counters
        self._clock = clock
        self._repeats: dict[tuple[str, ...], _Repeats] = {}
        self._uncounted: list[RequestOutcome] = []
        self._unwritten: list[RequestOutcome] = []

    def note(self, level: LogLevel, event: str, **facts: object) -> None:
        """Write a line."""
        self.write_pending()
        self.file.write(event, level, **facts)

    def repeated(self, level: LogLevel, event: str, count: int = 1, *key: str, **facts: object) -> None:
        """Write a line of a kind that anybody can cause at will: few of them, then one with their number.

        `event` and `key` say which lines are of one kind. `write_repeats` writes the number.
        """
        now = self._clock()
        known = self._repeats.get((event, *key))
        if known is None:
            if len(self._repeats) >= REPEATS_KEPT:
                key = ()  # so many kinds are one
            known = self._repeats.setdefault((event, *key), _Repeats(now))
        if known.written < REPEATS_WRITTEN:
            known.written += 1
            self.note(level, event, **facts, **({"count": count} if count > 1 else {}))
        else:
            known.held += count
            known.last = (level, facts)

    def write_repeats(self, *, everything: bool = False) -> None:
        """Write how many lines of each kind were held back, once the time of that kind is over."""
        now = self._clock()
        for name, known in list(self._repeats.items()):
            if everything or now - known.since_s >= REPEATS_S:
                del self._repeats[name]
                if known.held:
                    level, facts = known.last
                    self.note(level, name[0], **facts, repeated=known.held)

    def session(self, event: str, session: Session, **facts: object) -> None:
        """Write a line about a client; its token is a secret and stays out."""
        hello = session.hello
        about = {"client": hello.client, "pid": hello.pid, "user": session.user, "local": session.local}
        self.note("info", event, **about, lane=hello.lane, **facts)

    def refused(self, error: ImpastoError, facts: ErrorFacts, **more: object) -> None:
        """A message or a client was refused."""
        self.counters.failed(self._clock(), facts)
        about = {"code": facts.code, "message": facts.message, "field": facts.field, **more}
        self.repeated("warning", "refused", 1, facts.code, str(more.get("client", "")), **about)

    def request_ended(self, outcome: RequestOutcome) -> None:
        """A request or job has its terminal message. `catch_up` counts and writes it, when the message has left."""
        self._uncounted.append(outcome)

    def catch_up(self) -> None:
        """Count the requests that ended, and write them down. Frames that went well are written in batches."""
        ended, self._uncounted = self._uncounted, []
        for each in ended:
            self._count(each)
        self._unwritten += ended
        if len(self._unwritten) >= BATCH or not all(isinstance(each.terminal, Done) for each in ended):
            self.write_pending()

    def write_pending(self) -> None:
        """Write what was counted, one line each, in its order among the other lines."""
        unwritten, self._unwritten = self._unwritten, []
        for each in unwritten:
            self._write(each)

    def error_facts(self, error: Exception) -> ErrorFacts:
        """An error as it is answered.

        One that is no error of ours is a bug: the client gets the mark by which the log can be searched, and nothing
        of our inside.
        """
        if isinstance(error, ImpastoError):
            return facts_of(error, field=getattr(error, "field", ""))
        mark = incident()
        trace = "".join(traceback.format_exception(error))
        self.note("error", "bug", incident=mark, error=type(error).__name__, trace=trace[-1800:])
        return facts_of(
            ServerError(f"the server went wrong over this; its log says more under {mark}: please report it"),
            incident=mark,
        )

    def _count(self, outcome: RequestOutcome) -> None:
        terminal = outcome.terminal
        if isinstance(terminal, Done):
            self.counters.painted(outcome.ended_s, terminal.seconds, cached=terminal.cached)
        elif (counter := (_JOB_COUNTERS if outcome.is_job else _FRAME_COUNTERS).get(type(terminal))) is not None:
            self.counters.count(counter)
        if isinstance(terminal, Failed):
            self.counters.failed(outcome.ended_s, terminal.error)

    def _write(self, outcome: RequestOutcome) -> None:
        terminal = outcome.terminal
        facts: dict[str, object] = {}
        if isinstance(terminal, Failed):
            error = terminal.error
            facts = {"code": error.code, "message": error.message, "incident": error.incident}
        elif isinstance(terminal, Done):
            facts = {stage: round(seconds * 1e3, 2) for stage, seconds in terminal.seconds.items()}
        elif isinstance(terminal, Cancelled):
            facts = {"reason": terminal.reason}
        elif isinstance(terminal, ShotDone):
            facts = {"rendered": terminal.rendered, "skipped": terminal.skipped}
        self.file.write(
            "job" if outcome.is_job else "frame",
            "warning" if isinstance(terminal, Failed) else "info",
            self._clock() - outcome.ended_s,
            id=outcome.id,
            client=outcome.session.hello.client,
            user=outcome.session.user,
            what=outcome.label,
            outcome=type(terminal).TYPE,
            attempt=outcome.attempt,
            ms=round((outcome.ended_s - outcome.arrived_s) * 1e3, 2),
            **facts,
        )


def incident() -> str:
    """A new mark by which an answer and the line of the log that belongs to it are found together."""
    return secrets.token_hex(4)


def _line(seconds: float, level: LogLevel, event: str, facts: Mapping[str, object]) -> str:
    """One event as a line of JSON in ASCII, at most `LINE_BYTES` with its end."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"
    head: dict[str, object] = {"time": stamp, "level": level, "event": event[:64]}
    values = {name[:64]: _value(value) for name, value in facts.items()}
    text = json.dumps(head | values | head)  # the head comes first and wins
    for longest in (1600, 1200, 800, 400, 100, 30):
        if len(text) < LINE_BYTES:
            break
        cut = {name: _cut(value, longest) for name, value in values.items()}
        text = json.dumps(head | cut | head)
    if len(text) < LINE_BYTES:
        return text
    return json.dumps(head | {"facts": "too many for a line"})


def _value(value: object) -> object:
    """A value as JSON takes it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):  # a boolean too
        return value if value.bit_length() <= 64 else hex(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _cut(value: object, longest: int) -> object:
    """Both ends of a text: a message begins with what matters, a traceback ends with it."""
    if not isinstance(value, str) or len(value) <= longest:
        return value
    return f"{value[: longest // 2]}…{value[-longest // 2 :]}"
