"""What workers say, and that they died, brought to whom it concerns: dispatcher, shots, library, log."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.server.front.event_log import Journal
from impasto.server.front.library import Library
from impasto.server.front.requests import Dispatch
from impasto.server.front.shots import ShotDesk
from impasto.server.front.workers import Event, Lost, Supervisor
from impasto.server.protocol import worker_messages
from impasto.server.scheduler import events as plan


class Foreman:
    """Hears the workers. One owner, one thread."""

    def __init__(
        self, crew: Supervisor, dispatch: Dispatch, shots: ShotDesk, library: Library, journal: Journal
    ) -> None:
        self._crew, self._dispatch, self._shots, self._library = crew, dispatch, shots, library
        self._journal = journal
        self._checks: dict[int, list[worker_messages.CheckStyle]] = {}
        """Style files that each worker was asked about."""

    def see_to_workers(self, now: float) -> None:
        """Start those that are due, end those that are overdue, and hear all of them."""
        self._crew.tick(now)
        self.hear(self._crew.receive())

    def hear(self, events: Sequence[Event]) -> None:
        """Take what workers said. Never raises: what goes wrong is written down, and the next message is heard."""
        for event in events:
            try:
                if isinstance(event, Lost):
                    self._lose(event)
                else:
                    self._take(event.worker, event.message)
            except Exception as error:  # noqa: BLE001  # see above
                self._journal.facts_of_any(error)

    def ask_for_checks(self, now: float) -> None:
        """Have a worker look at the style files that are new."""
        if not self._dispatch.ready:
            return
        worker = min(self._dispatch.ready)
        for check in self._library.poll(now):
            if self._crew.send(worker, check):
                self._checks.setdefault(worker, []).append(check)

    def _take(self, worker: int, message: worker_messages.FromWorker) -> None:
        match message:
            case worker_messages.FramePainted() | worker_messages.ShotEnded():
                self._dispatch.end(worker, message.done.id, message)
            case worker_messages.WorkFailed() | worker_messages.WorkStopped():
                self._dispatch.end(worker, message.id, message)
            case (
                worker_messages.ShotOpened()
                | worker_messages.FramesSafe()
                | worker_messages.TurnAsked()
                | worker_messages.TurnOver()
            ):
                self._shots.heard(worker, message)
            case worker_messages.Beat(moved=moved):
                self._dispatch.moved(moved)
            case worker_messages.Ready(device=device, depth=depth):
                self._journal.note("info", "worker_ready", worker=worker, device=device.device, pid=device.pid)
                self._dispatch.ready.add(worker)
                self._dispatch.feed(plan.WorkerReady(worker, device.device, depth, self._crew.every_device()))
            case worker_messages.StyleChecked(style=style, error=error):
                self._checks[worker] = [each for each in self._checks.get(worker, []) if each.path != message.path]
                self._journal.telemetry.count("styles_changed" if error is None else "styles_refused")
                why = error.message if error is not None else ""
                self._journal.note("info" if error is None else "warning", "style_checked", style=style, why=why)
                self._library.checked(message)
            case worker_messages.WorkerNote(level=level, event=event, facts=facts):
                self._journal.note(level, event, worker=worker, **facts)

    def _lose(self, lost: Lost) -> None:
        self._journal.telemetry.count("workers_lost")
        self._journal.note("warning", "worker_lost", worker=lost.worker, why=lost.why)
        for check in self._checks.pop(lost.worker, []):
            self._library.unanswered(check)
        self._dispatch.lost(lost.worker)
