"""What the front writes down: one line of the log for each event, and the counters and figures that go with it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from impasto.core.errors import ImpastoError, ServerError
from impasto.server.front.telemetry import Level, Log, Telemetry, incident
from impasto.server.protocol.errors import facts_of
from impasto.server.protocol.messages import (
    Cancelled,
    Done,
    ErrorFacts,
    Expired,
    Failed,
    ShotDone,
    Terminal,
)

if TYPE_CHECKING:
    from impasto.server.front.requests import Task
    from impasto.server.front.sessions import Session

HANDFUL: Final = 16
"""Lines that are written together: a line alone takes several times as long, while the next request waits."""

_FRAMES: Final[Mapping[type[Terminal], str]] = {
    Failed: "frames_failed",
    Cancelled: "frames_cancelled",
    Expired: "frames_expired",
}
_JOBS: Final[Mapping[type[Terminal], str]] = {
    ShotDone: "jobs_done",
    Failed: "jobs_failed",
    Cancelled: "jobs_cancelled",
    Expired: "jobs_cancelled",
}


class Journal:
    """The log and the figures of a server."""

    def __init__(self, log: Log, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self.log = log
        self.telemetry = telemetry
        self._clock = clock
        self._settled: list[tuple[Task, Terminal, float]] = []
        self._unwritten: list[tuple[Task, Terminal, float]] = []

    def note(self, level: Level, event: str, **facts: object) -> None:
        """A line in the log."""
        self.write_down()
        self.log.write(event, level, **facts)

    def session(self, event: str, session: Session, **facts: object) -> None:
        """A line about a client; its token is a secret and stays out."""
        self.write_down()
        hello = session.hello
        self.log.write(
            event,
            "info",
            client=hello.client,
            pid=hello.pid,
            user=session.user,
            local=session.local,
            lane=hello.lane,
            **facts,
        )

    def refused(self, error: ImpastoError, facts: ErrorFacts, **more: object) -> None:
        """A message or a client that was not taken."""
        self.telemetry.failed(self._clock(), facts)
        self.write_down()
        self.log.write("refused", "warning", code=facts.code, message=facts.message, field=facts.field, **more)

    def settled(self, task: Task, terminal: Terminal, now: float) -> None:
        """A request or job has its terminal message. It is written down by `catch_up`, when the message has left."""
        self._settled.append((task, terminal, now))

    def catch_up(self) -> None:
        """Count what was settled, and write it down. Frames that went well are written in handfuls, soon."""
        settled, self._settled = self._settled, []
        for each in settled:
            self._count(*each)
        self._unwritten += settled
        if len(self._unwritten) >= HANDFUL or not all(isinstance(terminal, Done) for _, terminal, _ in settled):
            self.write_down()

    def write_down(self) -> None:
        """Write what was counted, one line each, in its order among the other lines."""
        unwritten, self._unwritten = self._unwritten, []
        for each in unwritten:
            self._write(*each)

    def _count(self, task: Task, terminal: Terminal, now: float) -> None:
        if isinstance(terminal, Done):
            self.telemetry.painted(now, terminal.seconds)
        elif (counter := (_JOBS if task.is_job else _FRAMES).get(type(terminal))) is not None:
            self.telemetry.count(counter)
        if isinstance(terminal, Failed):
            self.telemetry.failed(now, terminal.error)

    def _write(self, task: Task, terminal: Terminal, now: float) -> None:
        outcome = type(terminal).TYPE
        job = task.is_job
        facts: dict[str, object] = {}
        level: Level = "info"
        if isinstance(terminal, Failed):
            level = "warning"
            facts = {
                "code": terminal.error.code,
                "message": terminal.error.message,
                "incident": terminal.error.incident,
            }
        elif isinstance(terminal, Done):
            facts = {stage: round(seconds * 1e3, 2) for stage, seconds in terminal.seconds.items()}
        elif isinstance(terminal, Cancelled):
            facts = {"reason": terminal.reason}
        elif isinstance(terminal, ShotDone):
            facts = {"rendered": terminal.rendered, "skipped": terminal.skipped}
        self.log.write(
            "job" if job else "frame",
            level,
            self._clock() - now,
            id=task.id,
            client=task.session.hello.client,
            user=task.session.user,
            what=task.label,
            outcome=outcome,
            attempt=task.attempt,
            ms=round((now - task.arrived_s) * 1e3, 2),
            **facts,
        )

    def facts_of_any(self, error: Exception) -> ErrorFacts:
        """An error as it is answered.

        One that is no error of ours is a bug: the client learns the mark by which the log can be searched, and nothing
        of our inside.
        """
        if isinstance(error, ImpastoError):
            return facts_of(error, field=getattr(error, "field", ""))
        self.write_down()
        mark = incident()
        trace = "".join(traceback.format_exception(error))
        self.log.write("bug", "error", incident=mark, error=type(error).__name__, trace=trace[-1800:])
        return facts_of(
            ServerError(f"the server went wrong over this; its log says more under {mark}: please report it"),
            incident=mark,
        )
