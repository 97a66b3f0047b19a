"""The table of requests: every frame request and shot job from its admission to its terminal message.

The scheduler decides and this table carries out. It gives events to the scheduler, instructions to the requests that
they are about, and replies to the outbox. A request is removed when it is answered and no worker uses its pixels.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

from impasto.server.front.event_log import EventLog, RequestOutcome
from impasto.server.front.outbox import Outbox, OutgoingMessage, outgoing
from impasto.server.front.pending_request import PendingRequest, Reply, ShotReport, WorkerEnding, refusal_of
from impasto.server.front.sessions import Session, StoredAnswer
from impasto.server.front.wakeups import BackgroundWork
from impasto.server.front.workers import Workers
from impasto.server.protocol import worker_messages
from impasto.server.protocol.errors import LAST_RESORT, facts_of
from impasto.server.protocol.messages import Expired, Failed, Queued
from impasto.server.scheduler import events as plan
from impasto.server.scheduler.scheduler import Scheduler

QUEUED_WAITING: Final = 32
"""A client that has not read so many messages yet gets none about its place in the queue."""


class Requests:
    """The requests of a server. One owner, one thread."""

    def __init__(
        self,
        scheduler: Scheduler,
        workers: Workers,
        outbox: Outbox,
        background: BackgroundWork,
        event_log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self.workers = workers
        self._scheduler = scheduler
        self._outbox = outbox
        self._background = background
        self._event_log = event_log
        self._clock = clock
        self._table: dict[bytes, PendingRequest] = {}
        self._progress_due_s = math.inf

    def __len__(self) -> int:
        return len(self._table)

    def get(self, id: bytes) -> PendingRequest | None:
        """The request of this id, while it is under way."""
        return self._table.get(id)

    def by_session(self) -> dict[Session, list[PendingRequest]]:
        """The requests of each session that has any."""
        found: dict[Session, list[PendingRequest]] = {}
        for request in self._table.values():
            found.setdefault(request.session, []).append(request)
        return found

    def of(self, session: Session) -> list[PendingRequest]:
        """The requests of a session."""
        return [each for each in self._table.values() if each.session is session]

    @property
    def running(self) -> int:
        """Number of requests that are on a worker."""
        return sum(each.worker is not None for each in self._table.values())

    @property
    def jobs(self) -> int:
        """Number of shot jobs."""
        return sum(each.is_job for each in self._table.values())

    def is_idle(self, worker: int) -> bool:
        """Whether this worker has no request."""
        return all(each.worker != worker for each in self._table.values())

    def add(self, request: PendingRequest) -> None:
        """Take a request into the table, once it has been admitted."""
        self._table[request.id] = request
        if request.is_job:
            self._event_log.counters.count("jobs_started")
        self.schedule(request.submission())

    def schedule(self, event: plan.SchedulerEvent) -> None:
        """Give an event to the scheduler, carry out its instructions, and give it the events that follow from them.

        Carrying out an instruction never calls this method. It returns the event that follows.
        """
        events = deque([event])
        while events:
            for instruction in self._scheduler.handle(events.popleft(), self._clock()):
                following = self._carry_out(instruction)
                if following is not None:
                    events.append(following)

    def next_wake(self) -> float:
        """When `tick` has something to do."""
        due_s = self._scheduler.next_wake()
        return self._progress_due_s if due_s is None else min(due_s, self._progress_due_s)

    def tick(self, now: float) -> None:
        """Do what is due: deadlines, hangs, messages about progress."""
        due_s = self._scheduler.next_wake()
        if due_s is not None and due_s <= now:
            self.schedule(plan.Tick())
        if self._progress_due_s <= now:
            self._progress_due_s = math.inf
            for request in self._table.values():
                self._send_progress(request, now)

    def attach(self, request: PendingRequest) -> None:
        """Answer a client that asks again for a request that runs."""
        for message in request.messages_for_return():
            self._send(request.session, outgoing(message))

    def worker_died(self, worker: int) -> None:
        """A worker is dead, and no longer writes into any memory."""
        orphans = [each for each in self._table.values() if each.worker == worker]
        for request in orphans:
            request.worker = None
        self.schedule(plan.WorkerExited(worker))
        for request in orphans:
            self._remove_if_over(request)

    def progressed(self, ids: tuple[bytes, ...]) -> None:
        """Workers report that these requests make progress."""
        for id in ids:
            if id in self._table:
                self._scheduler.progressed(id, self._clock())

    def report(self, worker: int, id: bytes, message: ShotReport) -> None:
        """Take a worker's report on a job. A report on a request that is not its own is ignored."""
        request = self._table.get(id)
        if request is None or request.worker != worker:
            return
        now = self._clock()
        if isinstance(message, worker_messages.FramesSafe) and message.stored:
            cached = sum(frame.cached for frame in message.stored)
            self._event_log.counters.painted(now, frames=len(message.stored), cached=cached)
        event = request.report(message, now)
        self._send_progress(request, now)
        if event is not None:
            self.schedule(event)

    def end(self, worker: int, id: bytes, ending: WorkerEnding) -> None:
        """Take the end of a request from its worker. An end from another worker is ignored."""
        request = self._table.get(id)
        if request is not None and request.worker == worker:
            try:
                self.schedule(self._end(request, worker, ending))
            except Exception as error:  # noqa: BLE001  # a request that has ended is answered, whatever fails
                self._finish(request, Reply(self._failure(request, error)))
            self._remove_if_over(request)

    def _end(self, request: PendingRequest, worker: int, ending: WorkerEnding) -> plan.SchedulerEvent:
        request.ending, request.worker = ending, None
        outcome: plan.WorkOutcome = "done"
        if isinstance(ending, worker_messages.WorkFailed):
            outcome = "failed"
        elif isinstance(ending, worker_messages.WorkStopped):
            outcome = "stopped"
        return plan.WorkEnded(request.id, worker, outcome)

    def _carry_out(self, instruction: plan.Instruction) -> plan.SchedulerEvent | None:
        """Carry out an instruction. Returns the event that follows at once, if any. An error ends the request."""
        if isinstance(instruction, plan.KillWorker):
            self._event_log.counters.count("workers_hung")
            self._event_log.note("warning", "worker_hung", worker=instruction.worker, silent_s=instruction.silent_s)
            self.workers.kill(instruction.worker, f"killed: a frame made no progress for {instruction.silent_s:.0f} s")
            return None
        request = self._table.get(instruction.job if isinstance(instruction, plan.GrantTurn) else instruction.id)
        if request is None:
            return None
        try:
            self._apply(instruction, request)
        except Exception as error:  # noqa: BLE001  # it is this request's error and no other's
            if isinstance(instruction, plan.StartFrame | plan.StartJob):
                facts = self._event_log.error_facts(error)
                return self._end(request, instruction.worker, worker_messages.WorkFailed(request.id, facts))
            self._finish(request, Reply(self._failure(request, error)))
        return None

    def _failure(self, request: PendingRequest, error: Exception) -> Failed:
        """The terminal message of a request that failed here. Never raises."""
        try:
            return request.failed(self._event_log.error_facts(error))
        except Exception:  # noqa: BLE001  # its text cannot be made
            return Failed(request.id, LAST_RESORT)

    def _apply(self, instruction: plan.Instruction, request: PendingRequest) -> None:
        match instruction:
            case plan.StartFrame(worker=worker, queued_s=queued_s, attempt=attempt):
                request.queued_s = queued_s
                self._start(request, worker, attempt)
            case plan.StartJob(worker=worker, attempt=attempt):
                self._start(request, worker, attempt)
            case plan.GrantTurn(worker=worker, number=number):
                self.workers.send(worker, worker_messages.TurnGranted(request.id, number))
            case plan.Stop():
                request.stop()
            case plan.Wait(position=position):
                if len(request.session.data.waiting) < QUEUED_WAITING:
                    self._send(request.session, outgoing(Queued(request.id, position)))
            case plan.ForwardAnswer():
                reply = request.reply()
                if isinstance(reply, Reply):
                    self._finish(request, reply)
                else:
                    self._background.run(reply, lambda future: self._packed(request, future))
            case plan.Refuse(why=why, retry_after_s=retry_after_s):
                blamed = why in ("lost", "quarantined")
                self._event_log.counters.count("requests_quarantined" if blamed else "requests_refused")
                facts = facts_of(refusal_of(why, request), retry_after_s=retry_after_s)
                self._finish(request, Reply(request.failed(facts)), keep=blamed)
            case plan.AnswerCancelled(reason=reason):
                self._finish(request, Reply(request.cancelled(reason)))
            case plan.AnswerExpired(late_s=late_s):
                self._finish(request, Reply(Expired(request.id, late_s)))

    def _start(self, request: PendingRequest, worker: int, attempt: int) -> None:
        request.worker, request.attempt, request.ending = worker, attempt, None
        if attempt > 1:
            self._event_log.counters.count("requests_retried")
        work = request.start()
        if work is not None:
            self._background.run(work, lambda future: self._loaded(request, attempt, future))

    def _loaded(self, request: PendingRequest, attempt: int, future: Future[Any]) -> None:
        """The function that `start` returned for this attempt has ended."""
        worker = request.worker
        overtaken = worker is None or request.attempt != attempt or request.answered
        if (overtaken or request.stopping) and future.exception() is None:
            request.discard(future.result())
        if overtaken or worker is None:
            return
        if request.stopping:
            self.end(worker, request.id, worker_messages.WorkStopped(request.id))
            return
        try:
            request.loaded(future.result())
        except Exception as error:  # noqa: BLE001  # it is this request's error and no other's
            self.end(worker, request.id, worker_messages.WorkFailed(request.id, self._event_log.error_facts(error)))

    def _packed(self, request: PendingRequest, future: Future[Reply]) -> None:
        """A thread has made the reply."""
        try:
            self._finish(request, future.result())
        except Exception as error:  # noqa: BLE001  # it is this request's error and no other's
            self._finish(request, Reply(self._failure(request, error)))

    def _finish(self, request: PendingRequest, reply: Reply, *, keep: bool = True) -> None:
        """Send the terminal message, once, and store it for a client that asks again.

        A failure that may succeed later is not stored, so that the client can ask again under the same id.
        """
        if not request.answered:
            reply, message = self._encoded(request, reply)
            now = self._clock()
            self._send_due(request, now, everything=True)
            if reply.detach is not None:
                message.on_sent = reply.detach()
            request.answered = True
            terminal = reply.message
            if keep and not (isinstance(terminal, Failed) and terminal.error.retryable):
                stored = StoredAnswer(request.digest, terminal, now, request.slot)
                request.session.answers.keep(request.id, stored)
            self._event_log.counters.count("bytes_out", reply.sample_bytes)
            self._send(request.session, message)
            self._event_log.request_ended(
                RequestOutcome(
                    request.id,
                    request.session,
                    request.label,
                    request.is_job,
                    request.attempt,
                    request.arrived_s,
                    now,
                    terminal,
                )
            )
        self._remove_if_over(request)

    def _encoded(self, request: PendingRequest, reply: Reply) -> tuple[Reply, OutgoingMessage]:
        """A reply as a message. If it cannot be encoded, a failure that says so takes its place."""
        try:
            return reply, outgoing(reply.message, reply.samples)
        except Exception as error:  # noqa: BLE001  # the request is answered in any case
            reply = Reply(self._failure(request, error))
        try:
            return reply, outgoing(reply.message)
        except Exception:  # noqa: BLE001
            reply = Reply(Failed(request.id, LAST_RESORT))
            return reply, outgoing(reply.message)

    def _remove_if_over(self, request: PendingRequest) -> None:
        if request.answered and request.worker is None and self._table.pop(request.id, None) is not None:
            request.release()

    def _send_progress(self, request: PendingRequest, now: float) -> None:
        if request.answered:
            return
        self._send_due(request, now)
        self._progress_due_s = min(self._progress_due_s, request.next_message_s(now))

    def _send_due(self, request: PendingRequest, now: float, *, everything: bool = False) -> None:
        """Send the progress of a request that is due. An error is logged, and the answer still comes."""
        try:
            for message in request.messages_due(now, everything=everything):
                self._send(request.session, outgoing(message))
        except Exception as error:  # noqa: BLE001  # an error in its progress must not keep the answer back
            self._event_log.error_facts(error)

    def _send(self, session: Session, message: OutgoingMessage) -> None:
        if session.closed:
            message.drop()
        else:
            self._outbox.put(session.data, message)
