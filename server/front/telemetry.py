"""What a server knows of itself: its log, its counters, how long things take, the last errors, and its health."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from impasto.server.protocol.messages import DeviceFacts, ErrorFacts, PastError
from impasto.server.protocol.text import cleaned

Level: TypeAlias = Literal["info", "warning", "error"]
Health: TypeAlias = Literal["ok", "starting", "degraded", "draining"]

LINE_BYTES: Final = 2048
LOG_BYTES: Final = 64 << 20
LOGS_KEPT: Final = 8
ERRORS_KEPT: Final = 16
PROBLEMS_SHOWN: Final = 16
SPANS_KEPT: Final = 256
"""Of each stage, for its median."""
STAGES: Final = 16
RATE_S: Final = 10.0

COUNTERS: Final[Mapping[str, str]] = {
    "frames": "Frames painted, of frame requests and of shots.",
    "frames_failed": "Frame requests that ended with an error.",
    "frames_cancelled": "Frame requests that were taken back or superseded.",
    "frames_expired": "Frame requests whose deadline passed.",
    "jobs_started": "Shot jobs that were taken.",
    "jobs_done": "Shot jobs that were finished.",
    "jobs_failed": "Shot jobs that ended with an error.",
    "jobs_cancelled": "Shot jobs that were taken back.",
    "requests_refused": "Requests that were not taken: no room, no credit, draining.",
    "requests_retried": "Requests that were given to a second worker.",
    "requests_quarantined": "Requests that killed two workers.",
    "requests_replayed": "Requests that came again and were answered from memory, or attached to.",
    "messages_malformed": "Messages that were none of the protocol.",
    "sessions_opened": "Clients that were welcomed.",
    "sessions_resumed": "Clients that came back to their session.",
    "sessions_lost": "Sessions that ended because their client was silent or did not read.",
    "sessions_refused": "Clients that were not welcomed.",
    "keys_refused": "Connections without a key that is allowed.",
    "rings_opened": "Segments of shared memory that were made.",
    "rings_refused": "Segments of shared memory that could not be made.",
    "bytes_in": "Bytes of samples that came inside messages.",
    "bytes_out": "Bytes of samples that left inside messages.",
    "workers_lost": "Workers that died or were killed.",
    "workers_hung": "Workers that were killed because they made no progress.",
    "styles_changed": "Style files that were verified and taken.",
    "styles_refused": "Style files that were looked at and not taken.",
}
"""Name -> what is counted. A counter that is not here cannot be counted."""


class Log:
    """A file of JSON lines, one for each event, that never gets in the way.

    Every line is one write of at most `LINE_BYTES` of ASCII: whatever a value holds, it can neither end a line nor
    steer a terminal. Values that are too long are cut. At `largest` bytes the file becomes `NAME.1`, that `NAME.2`, and
    so on; `kept` files remain in all. What cannot be written is lost and counted in the next line that can; `problem`
    says so meanwhile. The file is the user's own (mode 0600).
    """

    def __init__(
        self,
        path: Path | None,
        *,
        largest: int = LOG_BYTES,
        kept: int = LOGS_KEPT,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is opened before the first event; `path` None writes nothing at all."""
        self.problem = ""
        """Why the last event could not be written; empty where it was."""
        self.lost = 0
        """Events that could not be written since one could."""
        self._path, self._largest, self._kept, self._wall_clock = path, largest, kept, wall_clock
        self._file: int | None = None
        self._bytes = 0
        self._torn = False

    def write(self, event: str, level: Level = "info", age_s: float = 0.0, /, **facts: object) -> None:
        """Add a line: time (UTC) at which it happened, `age_s` ago, level, event, and the facts. Never raises."""
        if self._path is None:
            return
        if self.lost:
            facts["lines_lost_before"] = self.lost
        line = _line(self._wall_clock() - age_s, level, event, facts)
        try:
            self._append(self._path, line)
        except OSError as error:
            self.problem = f"could not write the log '{cleaned(str(self._path))}': {error.strerror or error}"
            self.lost += 1
            self.close()
        else:
            self.problem, self.lost = "", 0

    def close(self) -> None:
        """Close the file; another event opens it again."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None

    def _append(self, path: Path, line: bytes) -> None:
        if self._file is not None and self._bytes + len(line) > self._largest:
            self.close()
            self._rotate(path)
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
            # Not waiting: a pipe put in the log's place must not hold the server.
            self._file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
            self._bytes = os.fstat(self._file).st_size
        if self._torn:
            line = b"\n" + line
        written = os.write(self._file, line)
        self._bytes += written
        self._torn = written < len(line)
        if self._torn:
            raise OSError(f"only {written} of {len(line)} bytes fitted; free some space")

    def _rotate(self, path: Path) -> None:
        for number in range(self._kept - 1, 0, -1):
            older = path if number == 1 else path.with_name(f"{path.name}.{number - 1}")
            with contextlib.suppress(FileNotFoundError):
                older.replace(path.with_name(f"{path.name}.{number}"))
        if self._kept == 1:
            path.unlink(missing_ok=True)
        self._torn = False


class Rate:
    """How many of something there were per second, over the last `RATE_S` seconds, in slices of a tenth."""

    def __init__(self) -> None:
        self._slices: deque[tuple[int, int]] = deque(maxlen=int(RATE_S * 10))

    def add(self, now: float, count: int = 1) -> None:
        """Note that some happened; `now` never runs backwards."""
        tenth = math.floor(now * 10)
        if self._slices and self._slices[-1][0] == tenth:
            count += self._slices.pop()[1]
        self._slices.append((tenth, count))

    def per_second(self, now: float) -> float:
        """The mean of the last `RATE_S` seconds, whatever the age of the server."""
        first = math.floor(now * 10) - RATE_S * 10
        return sum(count for tenth, count in self._slices if tenth > first) / RATE_S


@dataclass(frozen=True, slots=True)
class StageFacts:
    """How long one stage takes, in seconds."""

    last_s: float
    median_s: float
    """Of the last `SPANS_KEPT`."""
    total_s: float
    count: int


@dataclass(slots=True)
class _Stage:
    spans: deque[float] = field(default_factory=lambda: deque(maxlen=SPANS_KEPT))
    total_s: float = 0.0
    count: int = 0


class Stages:
    """How long the stages of requests take: 'queue', 'upload', 'network', 'download', 'commit' …"""

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}

    def add(self, seconds: Mapping[str, float]) -> None:
        """Note the stages of one request. Of stages without end only the first `STAGES` are kept."""
        for name, taken_s in seconds.items():
            stage = self._stages.get(name)
            if stage is None:
                if len(self._stages) >= STAGES:
                    continue
                stage = self._stages[name] = _Stage()
            stage.spans.append(taken_s)
            stage.total_s += taken_s
            stage.count += 1

    def facts(self) -> dict[str, StageFacts]:
        """Stage -> how long it takes."""
        return {
            name: StageFacts(stage.spans[-1], statistics.median(stage.spans), stage.total_s, stage.count)
            for name, stage in self._stages.items()
        }


class Telemetry:
    """The figures of a server since its start. One owner, one thread."""

    def __init__(self) -> None:
        self.stages = Stages()
        self._frames = Rate()
        self._counters = dict.fromkeys(COUNTERS, 0)
        self._errors: deque[tuple[float, ErrorFacts]] = deque(maxlen=ERRORS_KEPT)

    def count(self, counter: str, by: int = 1) -> None:
        """Count up one of `COUNTERS`; KeyError for any other."""
        self._counters[counter] += by

    def painted(self, now: float, seconds: Mapping[str, float] | None = None, frames: int = 1) -> None:
        """Note frames that were painted, and how long the stages of one took where that is known."""
        self.count("frames", frames)
        self._frames.add(now, frames)
        if seconds:
            self.stages.add(seconds)

    def failed(self, now: float, error: ErrorFacts) -> None:
        """Keep an error that was answered, for the status."""
        self._errors.append((now, error))

    def counters(self) -> dict[str, int]:
        """Counter -> how often, since the start."""
        return dict(self._counters)

    def frames_per_second(self, now: float) -> float:
        """Frames painted per second, over the last ten."""
        return self._frames.per_second(now)

    def errors(self, now: float) -> tuple[PastError, ...]:
        """The last errors, newest last."""
        return tuple(
            PastError(max(0.0, now - then), error.code, cleaned(error.message), cleaned(error.incident, 64))
            for then, error in self._errors
        )


def incident() -> str:
    """A new mark by which an answer and the line of the log that belongs to it are found together."""
    return secrets.token_hex(4)


def health(
    devices: Sequence[DeviceFacts], problems: Sequence[str], *, draining: bool = False
) -> tuple[Health, tuple[str, ...]]:
    """How a server is, and every reason why it is not 'ok'.

    'starting' means that no worker is ready yet and none was lost; 'degraded' that something is wrong although work may
    go on; 'draining' comes before both. At most `PROBLEMS_SHOWN` reasons are named, then how many more there are.
    """
    working = [device for device in devices if device.state in ("ready", "busy")]
    waiting = [device for device in devices if device.state == "starting"]
    reasons = [cleaned(problem) for problem in problems]
    found: Health
    if draining:
        found = "draining"
        reasons.insert(0, "the server finishes what runs and takes no more work")
    elif not working and waiting and not reasons:
        found = "starting"
        reasons = [f"the worker on '{cleaned(device.device, 32)}' is starting" for device in waiting]
    elif not working:
        found = "degraded"
        reasons.insert(0, "no worker is ready; requests wait")
    elif reasons or len(working) + len(waiting) < len(devices):
        found = "degraded"
        reasons = reasons or ["a worker is lost; its work goes to the others"]
    else:
        found = "ok"
    if len(reasons) > PROBLEMS_SHOWN:
        more = len(reasons) - PROBLEMS_SHOWN + 1
        reasons = [*reasons[: PROBLEMS_SHOWN - 1], f"and {more} more; the log has them all"]
    return found, tuple(reasons)


def _line(seconds: float, level: Level, event: str, facts: Mapping[str, object]) -> bytes:
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
        return text.encode("ascii") + b"\n"
    return json.dumps(head | {"facts": "too many for a line"}).encode("ascii") + b"\n"


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
