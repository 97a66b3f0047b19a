"""Passes messages of workers, and their deaths, to the requests, the library and the log."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.server.front.event_log import EventLog
from impasto.server.front.library import Library
from impasto.server.front.requests import Requests
from impasto.server.front.workers import WorkerDied, WorkerEvent
from impasto.server.protocol import worker_messages
from impasto.server.scheduler import events as plan


class WorkerEventHandlers:
    """Handles the messages and deaths of workers. One owner, one thread."""

    def __init__(self, requests: Requests, library: Library, event_log: EventLog) -> None:
        self._requests = requests
        self._workers = requests.workers
        self._library = library
        self._event_log = event_log
        self._checks: dict[int, list[worker_messages.CheckStyle]] = {}
        """Number of each ready worker -> the style files that it was asked to check."""

    def tick(self, now: float) -> None:
        """Start the workers that are due, kill those that are overdue, and handle the messages of all."""
        self._workers.tick(now)
        self.handle(self._workers.receive())

    def handle(self, events: Sequence[WorkerEvent]) -> None:
        """Handle messages and deaths of workers. Never raises: an error is logged, and the next one is handled."""
        for event in events:
            try:
                if isinstance(event, WorkerDied):
                    self._died(event)
                else:
                    self._take(event.worker, event.message)
            except Exception as error:  # noqa: BLE001  # see above
                self._event_log.error_facts(error)

    def check_styles(self, now: float) -> None:
        """Have a worker check the style files that are new."""
        if not self._checks:
            return
        worker = min(self._checks)
        for check in self._library.poll(now):
            if self._workers.send(worker, check):
                self._checks[worker].append(check)

    def _take(self, worker: int, message: worker_messages.FromWorker) -> None:
        match message:
            case worker_messages.FramePainted() | worker_messages.ShotEnded():
                self._requests.end(worker, message.done.id, message)
            case worker_messages.WorkFailed() | worker_messages.WorkStopped():
                self._requests.end(worker, message.id, message)
            case worker_messages.ShotOpened():
                self._requests.report(worker, message.started.id, message)
            case worker_messages.FramesSafe() | worker_messages.TurnAsked() | worker_messages.TurnOver():
                self._requests.report(worker, message.job, message)
            case worker_messages.Beat(moved=moved):
                self._requests.progressed(moved)
            case worker_messages.Ready(device=device, depth=depth):
                self._event_log.note("info", "worker_ready", worker=worker, device=device.device, pid=device.pid)
                self._checks[worker] = []
                self._requests.schedule(plan.WorkerReady(worker, device.device, depth, self._workers.every_device()))
            case worker_messages.StyleChecked(style=style, error=error):
                self._checks[worker] = [each for each in self._checks.get(worker, []) if each.path != message.path]
                self._event_log.counters.count("styles_changed" if error is None else "styles_refused")
                why = error.message if error is not None else ""
                self._event_log.note("info" if error is None else "warning", "style_checked", style=style, why=why)
                self._library.checked(message)
            case worker_messages.WorkerNote(level=level, event=event, facts=facts):
                self._event_log.note(level, event, worker=worker, **facts)

    def _died(self, died: WorkerDied) -> None:
        self._event_log.counters.count("workers_lost")
        self._event_log.note("warning", "worker_lost", worker=died.worker, why=died.why)
        for check in self._checks.pop(died.worker, []):
            self._library.unanswered(check)
        self._requests.worker_died(died.worker)
