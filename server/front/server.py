"""The front: one process, one thread, one loop that owns the sockets and the links to the workers.

What clients send goes to the reception, what workers say to the dispatcher; both only change what is known and put
letters into outboxes. At the end of each pass the loop sends what can be sent. Torch is never imported here.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import secrets
import select
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from impasto.server.auth import AllowList, auth_folder, server_pair
from impasto.server.front.access import Gate
from impasto.server.front.background_work import Errands
from impasto.server.front.event_log import Journal
from impasto.server.front.frames import FrameDesk
from impasto.server.front.handlers import Desks, Reception, house_of
from impasto.server.front.library import Library
from impasto.server.front.metrics import Metrics, Snapshot
from impasto.server.front.open_files import free_files, raise_file_limit
from impasto.server.front.outbox import Delivery, Post, letter
from impasto.server.front.requests import Dispatch
from impasto.server.front.rings import RingDesk
from impasto.server.front.segments import Staging
from impasto.server.front.sessions import Session, Sessions, Visitor
from impasto.server.front.shots import ShotDesk
from impasto.server.front.sockets import Doors, Network
from impasto.server.front.status import Condition
from impasto.server.front.telemetry import Log, Telemetry
from impasto.server.front.wakeups import Bell
from impasto.server.front.worker_news import Foreman
from impasto.server.front.workers import Supervisor
from impasto.server.processes import has_ended
from impasto.server.protocol.messages import Pong, ShuttingDown, Status, StylesChanged
from impasto.server.runtime_dir import Owner, hold_lock, prepare_folder
from impasto.server.scheduler import events as plan
from impasto.server.scheduler.scheduler import Scheduler
from impasto.server.settings import ServerSettings
from impasto.server.shared_memory import sweep

AT_ONCE: Final = 64
"""Messages of one socket that are taken before the others have their turn."""
LONGEST_WAIT_S: Final = 0.5
BLOCKED_WAIT_S: Final = 0.002
CHORES_S: Final = 0.25
"""Between two looks at leases, keys, idle memory and the figures."""
PROBES_S: Final = (0.0, 0.02, 0.1, 0.4, 1.0)
"""After a connection ended: when every client is asked whether it is still there."""
ASLEEP_S: Final = 2.0
"""A pass of the loop that took so long was no pass: the process was stopped, or the machine slept."""
CUT_OFF_S: Final = 3.0
"""How long work that is told to stop may take at the end."""
FLUSH_S: Final = 1.0
SPARE_FILES: Final = 16
"""File numbers that are kept for workers and rings of the clients that are there."""
LOG_NAME: Final = "events.log"
OWNER: Final = Visitor()
"""Whoever comes over the local socket."""


def serve(settings: ServerSettings, *, on_ready: Callable[[], None] = lambda: None) -> int:
    """Be the server of a runtime folder until it is told to leave; returns the exit code of the process.

    `on_ready` is called once clients can connect; what they ask waits for the first worker. 0 says that everything
    under way was finished, 1 that some of it was cut off. Raises ServerError where another server holds the folder or
    an address cannot be had, NotPermitted for a folder or keys that others can reach. SIGTERM and SIGINT drain, a
    second one ends at once; the handlers are only set in the main thread.
    """
    raise_file_limit()
    folder = prepare_folder(settings.folder)
    boot = secrets.token_bytes(16)
    server = f"impasto {version('impasto')}"
    with hold_lock(folder, Owner(os.getpid(), server, boot.hex(), time.time(), settings.listen or "")):
        sweep()
        with _Front(settings, server, boot) as front:
            return front.run(on_ready)


@dataclass(slots=True)
class _Leaving:
    """The server is on its way out."""

    deadline_s: float
    at_once: bool
    cut_off: bool = False


class _Front:
    """Everything that a server consists of, and the loop."""

    def __init__(self, settings: ServerSettings, server: str, boot: bytes) -> None:
        self._settings = settings
        self._limits = limits = settings.limits
        self._clock = clock = time.monotonic
        self._open = ExitStack()
        try:
            self._gate, network = self._network()
            log = Log(settings.folder / LOG_NAME)
            self._open.callback(log.close)
            self._journal = journal = Journal(log, Telemetry(), clock)
            self._doors = self._open.enter_context(Doors(settings.folder, limits.raw_bytes, network))
            self._errands = errands = self._open.enter_context(Errands())
            self._bell = self._open.enter_context(Bell())
            self._post = post = Post(self._doors.send)
            self._sessions = Sessions(limits, self._has_room)
            self._library = library = Library(settings.styles)
            self._crew = Supervisor(settings.devices, command=settings.worker_command, log=None, limits=limits)
            self._open.callback(self._crew.stop, 1.0)
            number = itertools.count(1).__next__
            self._staging = Staging(number)
            self._open.callback(self._staging.close)
            self._dispatch = dispatch = Dispatch(Scheduler(limits, settings.devices), self._crew, post, journal, clock)
            rings = RingDesk(dispatch, post, errands, journal, number)
            frames = FrameDesk(dispatch, library, rings, self._staging, errands, limits, clock)
            self._shots = ShotDesk(dispatch, library, settings.roots, limits, clock)
            self._foreman = Foreman(self._crew, dispatch, self._shots, library, journal)
            house = house_of(server, boot)
            self._condition = Condition(
                house, self._sessions, dispatch, self._shots, library, journal, self._doors.endpoints, clock
            )
            self._reception = Reception(
                house,
                limits,
                self._sessions,
                dispatch,
                Desks(frames, self._shots, rings),
                library,
                post,
                journal,
                self._condition.status,
                self.leave,
                clock,
            )
            self._snapshot: Snapshot | None = None
            if settings.metrics_port is not None:
                self._open.enter_context(Metrics(settings.metrics_port, lambda: self._snapshot))
        except BaseException:
            self._open.close()
            raise
        self._boot = boot
        self._leaving: _Leaving | None = None
        self._revision = library.revision
        self._probes: list[float] = []
        self._chores_s = 0.0
        self._busy_s = clock()
        self._files = select.poll()
        self._watched: set[int] = set()
        """Files of the workers."""
        self._crew_due_s = -math.inf
        self._tick_due_s = math.inf

    def __enter__(self) -> _Front:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            self._reception.dismiss(session, "the server left")
        self._journal.write_down()
        self._open.close()
        gc.unfreeze()

    def run(self, on_ready: Callable[[], None]) -> int:
        """The loop."""
        for file in (*self._doors.files(), self._errands.fileno(), self._bell.fileno()):
            self._files.register(file, select.POLLIN)
        self._crew.start()
        self._journal.note("info", "server_started", pid=os.getpid(), boot=self._boot, at=self._doors.endpoints)
        # What is there now stays: a full collection would look at all of it while frames wait.
        gc.collect()
        gc.freeze()
        on_ready()
        passed_s = self._clock()
        while not self._over():
            wait_s = self._wait_s()
            ready = self._poll(wait_s)
            now = self._clock()
            if now - passed_s - wait_s > ASLEEP_S:
                self._sessions.forgive(now - passed_s - wait_s)
                self._foreman.see_to_workers(now)  # before anybody is blamed for having been silent
            passed_s = now
            if self._bell.fileno() in ready:
                self._heed_signals()
            for arrival in self._doors.arrivals(ready, AT_ONCE):
                visitor = OWNER if arrival.route.local else self._visitor(arrival.key)
                if visitor is not None:
                    self._reception.take(arrival.route, visitor, arrival.parts)
            if self._errands.fileno() in ready:
                self._errands.settle(self._journal.facts_of_any)
            if self._crew_due_s <= now:
                self._foreman.see_to_workers(now)
            elif not ready.isdisjoint(self._watched):
                self._foreman.hear(self._crew.receive(ready))
            self._keep_time(now, disconnected=self._doors.disconnected(ready))
            self._flush()
            self._journal.catch_up()
        self._journal.note("info", "server_left", cut_off=bool(self._leaving and self._leaving.cut_off))
        return 1 if self._leaving is not None and self._leaving.cut_off else 0

    def leave(self, at_once: bool) -> None:
        """Take no more work, finish what runs, or cancel it, and end the loop."""
        now = self._clock()
        first = self._leaving is None
        if not first and not at_once:
            return
        seconds = CUT_OFF_S if at_once else self._limits.drain_s
        self._leaving = _Leaving(now + seconds, at_once, cut_off=at_once and len(self._dispatch) > 0)
        self._reception.draining = self._condition.draining = True
        self._journal.note("info", "draining", at_once=at_once)
        if first:
            for session in self._sessions:
                self._post.put(session.control, letter(ShuttingDown(None, 0.0 if at_once else seconds)))
        self._dispatch.feed(plan.Draining(at_once))

    def _over(self) -> bool:
        leaving = self._leaving
        if leaving is None:
            return False
        now = self._clock()
        if not len(self._dispatch):
            self._leaving = _Leaving(min(leaving.deadline_s, now + FLUSH_S), leaving.at_once, leaving.cut_off)
            return not self._post.pending or now >= self._leaving.deadline_s
        if now < leaving.deadline_s:
            return False
        if not leaving.at_once:
            self.leave(at_once=True)
            return False
        leaving.cut_off = True
        return True

    def _wait_s(self) -> float:
        now = self._clock()
        self._crew_due_s = _or_never(self._crew.next_wake())
        self._tick_due_s = _or_never(self._dispatch.next_wake())
        soonest = min(
            self._crew_due_s,
            self._tick_due_s,
            _or_never(self._shots.tick(now)),
            self._probes[0] if self._probes else math.inf,
            self._leaving.deadline_s if self._leaving else math.inf,
            self._chores_s + CHORES_S,
        )
        wait_s = min(LONGEST_WAIT_S, max(0.0, soonest - now))
        return min(wait_s, BLOCKED_WAIT_S) if self._post.blocked else wait_s

    def _poll(self, wait_s: float) -> set[int]:
        """Wait until a file is ready, or for so long."""
        workers = set(self._crew.filenos())
        if workers != self._watched:
            for gone in self._watched - workers:
                self._files.unregister(gone)
            for come in workers - self._watched:
                self._files.register(come, select.POLLIN)
            self._watched = workers
        if self._doors.pending():
            wait_s = 0.0
        # Rounded up: a wait that ends too early is another pass.
        return {file for file, _ in self._files.poll(-int(-wait_s * 1000 // 1))}

    def _heed_signals(self) -> None:
        for _ in range(self._bell.rung()):
            self.leave(at_once=self._leaving is not None)

    def _visitor(self, key: str) -> Visitor | None:
        return self._gate.visitor(key) if self._gate is not None else None

    def _keep_time(self, now: float, *, disconnected: bool) -> None:
        if self._tick_due_s <= now:
            self._dispatch.feed(plan.Tick())
        if disconnected:
            self._probes = sorted({*self._probes, *(now + delay_s for delay_s in PROBES_S)})[-len(PROBES_S) :]
        if self._probes and self._probes[0] <= now:
            self._probes = [each for each in self._probes if each > now]
            for session in self._sessions:
                if session.control.route is None:
                    self._dismiss_if_dead(session)  # a process that is killed closes its sockets before it is dead
                elif not session.control.waiting:
                    self._post.put(session.control, letter(Pong(0)))
        if now - self._chores_s >= CHORES_S:
            self._chores_s = now
            self._do_chores(now)

    def _do_chores(self, now: float) -> None:
        for session in self._sessions.expired(now):
            self._journal.telemetry.count("sessions_lost")
            self._reception.dismiss(session, "silent for longer than its lease")
        self._watch_styles(now)
        self._watch_keys()
        self._journal.write_down()
        for stage in self._staging.stale(now):
            self._dispatch.hide(stage)
            stage.segment.close()
        for worker in self._crew.overgrown():
            if self._dispatch.is_idle(worker):
                self._crew.replace(worker)
        if self._settings.metrics_port is not None:
            status: Status = self._condition.status(bytes(16))
            self._snapshot = Snapshot(status, self._journal.telemetry.stages.facts())
        if len(self._sessions) or len(self._dispatch):
            self._busy_s = now
        idle_exit_s = self._settings.idle_exit_s
        if idle_exit_s is not None and now - self._busy_s > idle_exit_s and self._leaving is None:
            self._journal.note("info", "idle", seconds=idle_exit_s)
            self.leave(at_once=False)

    def _watch_styles(self, now: float) -> None:
        self._foreman.ask_for_checks(now)
        if self._library.revision != self._revision:
            self._revision = self._library.revision
            for session in self._sessions:
                self._post.put(session.control, letter(StylesChanged(self._revision)))

    def _watch_keys(self) -> None:
        if self._gate is None:
            return
        for key in self._gate.denied():
            self._journal.telemetry.count("keys_refused")
            self._journal.note("warning", "key_refused", key=key)
        self._gate.refresh()
        names = self._gate.names()
        for session in self._sessions:
            if not session.local and session.visitor.key not in names:
                self._reception.dismiss(session, "its key was taken off the list")

    def _flush(self) -> None:
        for line, outcome in self._post.flush():
            session = self._sessions.of_line(line)
            if session is None:
                self._post.forget(line)
            elif outcome is Delivery.FULL:
                self._journal.telemetry.count("sessions_lost")
                self._reception.dismiss(session, "did not read what was sent to it")
            else:
                self._sessions.unbind(session, line)
                self._dismiss_if_dead(session)

    def _dismiss_if_dead(self, session: Session) -> None:
        if _left_for_good(session):
            self._journal.telemetry.count("sessions_lost")
            self._reception.dismiss(session, "its process ended")

    def _network(self) -> tuple[Gate | None, Network | None]:
        if self._settings.listen is None:
            return None, None
        folder = self._settings.keys or auth_folder()
        keys = server_pair(folder)
        gate = Gate(AllowList(folder))
        gate.refresh()
        return gate, Network(self._settings.listen, keys, gate)

    def _has_room(self) -> bool:
        """Whether there are file numbers left for another client."""
        return free_files() > SPARE_FILES


def _or_never(time_s: float | None) -> float:
    return math.inf if time_s is None else time_s


def _left_for_good(session: Session) -> bool:
    """Whether the process of a client of this machine has ended, so that it will not come back to its session."""
    return session.local and has_ended(session.hello.pid)
