"""The front: one process, one thread, one loop that owns the sockets and the pipes to the workers.

Messages of clients go to `handlers`, messages of workers to `worker_events`; both only change what is known and fill
the outbox. At the end of each pass the loop sends what can be sent. Torch is never imported here.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import secrets
import time
from collections.abc import Callable, Container
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import zmq

from impasto.server.auth import AllowList, auth_folder, server_pair
from impasto.server.front.access import LOCAL_USER, Identity, NetworkAccess
from impasto.server.front.counters import Counters
from impasto.server.front.event_log import EventLog, LogFile
from impasto.server.front.frames import FrameContext
from impasto.server.front.handlers import ControlHandler, ControlHandlers, MessageHandlers, RequestHandlers
from impasto.server.front.handshake import SessionHandlers, server_info
from impasto.server.front.housekeeping import Housekeeping
from impasto.server.front.library import Library
from impasto.server.front.metrics import MetricsServer, MetricsSnapshot
from impasto.server.front.outbox import Outbox, SendResult, outgoing
from impasto.server.front.requests import Requests
from impasto.server.front.rings import RingHandlers
from impasto.server.front.segments import Staging
from impasto.server.front.sessions import Sessions
from impasto.server.front.shots import ShotContext
from impasto.server.front.sockets import ListenSettings, ServerSockets
from impasto.server.front.status import StatusReporter
from impasto.server.front.wakeups import BackgroundWork, StopSignals, free_files, raise_file_limit
from impasto.server.front.worker_events import WorkerEventHandlers
from impasto.server.front.workers import Workers
from impasto.server.protocol.messages import (
    AttachRing,
    Cancel,
    CancelClient,
    CloseRing,
    Goodbye,
    OpenRing,
    Pong,
    ShuttingDown,
    StylesChanged,
)
from impasto.server.runtime_dir import Owner, hold_lock, prepare_folder
from impasto.server.scheduler import events as plan
from impasto.server.scheduler.scheduler import Scheduler
from impasto.server.settings import ServerSettings
from impasto.server.shared_memory import sweep

AT_ONCE: Final = 64
"""Messages of one socket that are taken before those of the others."""
LONGEST_WAIT_S: Final = 0.5
BLOCKED_WAIT_S: Final = 0.002
HOUSEKEEPING_S: Final = 0.25
"""Between two checks of leases, keys, idle memory and figures."""
PROBES_S: Final = (0.0, 0.02, 0.1, 0.4, 1.0)
"""After a connection ended: when every client is probed."""
ASLEEP_S: Final = 2.0
"""A pass of the loop that took so long: the process was stopped, or the machine slept."""
CUT_OFF_S: Final = 1.0
"""How long work that is told to stop may take at the end. With `FLUSH_S` and the end of the workers it is under 3 s."""
FLUSH_S: Final = 0.5
QUIT_S: Final = 1.0
"""How long workers may take to leave by themselves; after `--now` a quarter of it."""
SPARE_FILES: Final = 16
"""File numbers that are kept for workers and rings of the clients that are connected."""
LOG_NAME: Final = "events.log"


def serve(settings: ServerSettings, *, on_ready: Callable[[], None] = lambda: None) -> int:
    """Run the server of a runtime folder until it is told to leave; returns the exit code of the process.

    `on_ready` is called once clients can connect; what they ask waits for the first worker. 0 says that everything
    under way was finished, 1 that some of it was cut off. Raises ServerError where another server holds the folder or
    an address is taken, NotPermitted for a folder or keys that others can reach. SIGTERM and SIGINT drain, a second one
    ends at once; the handlers are only set in the main thread.
    """
    raise_file_limit()
    folder = prepare_folder(settings.folder)
    boot = secrets.token_bytes(16)
    server = f"impasto {version('impasto')}"
    with hold_lock(folder, Owner(os.getpid(), server, boot.hex(), time.time(), settings.listen or "")):
        sweep()
        with _Server(settings, server, boot) as front:
            return front.run(on_ready)


@dataclass(slots=True)
class _Shutdown:
    """The server is on its way out."""

    deadline_s: float
    at_once: bool
    cut_off: bool = False


class _Server:
    """The parts of a server, and the loop."""

    def __init__(self, settings: ServerSettings, server: str, boot: bytes) -> None:
        self._settings = settings
        self._clock = time.monotonic
        self._resources = ExitStack()
        self._shutdown: _Shutdown | None = None
        try:
            self._open(settings, server, boot)
        except BaseException:
            self._resources.close()
            raise
        self._revision = self._library.revision
        self._probes: list[float] = []
        self._housekeeping_s = 0.0
        self._busy_s = self._clock()
        self._poller = zmq.Poller()
        self._worker_files: set[int] = set()
        self._workers_due_s = -math.inf
        self._requests_due_s = math.inf

    def _open(self, settings: ServerSettings, server: str, boot: bytes) -> None:
        """Make every part, the ones that others need first; they are closed in the opposite order."""
        limits, clock, resources = settings.limits, self._clock, self._resources
        self._access = NetworkAccess(AllowList(settings.keys or auth_folder())) if settings.listen else None
        listen = None
        if settings.listen and self._access is not None:
            listen = ListenSettings(settings.listen, server_pair(settings.keys or auth_folder()), self._access)
        file = LogFile(settings.folder / LOG_NAME)
        resources.callback(file.close)
        self._log = log = EventLog(file, Counters(), clock)
        self._housekeeping = Housekeeping(log)
        self._sockets = resources.enter_context(ServerSockets(settings.folder, limits.raw_bytes, listen))
        self._signals = resources.enter_context(StopSignals())
        self._outbox = outbox = Outbox(self._sockets.send)
        self._sessions = sessions = Sessions(limits, lambda: free_files() > SPARE_FILES)
        self._library = library = Library(settings.styles)
        command = (*settings.worker_command, *(("--cache", settings.cache) if settings.cache else ()))
        self._workers = workers = Workers(settings.devices, command=command, log=None, limits=limits)
        resources.callback(self._stop_workers)
        number = itertools.count(1).__next__
        self._staging = Staging(number, clock)
        resources.callback(self._staging.close)
        self._background = background = resources.enter_context(BackgroundWork())
        scheduler = Scheduler(limits, settings.devices)
        self._requests = requests = Requests(scheduler, workers, outbox, background, log, clock)
        self._worker_events = WorkerEventHandlers(requests, library, log)
        rings = RingHandlers(workers, outbox, background, log, number)
        info = server_info(server, boot, self._sockets.endpoints, limits)
        self._status = StatusReporter(info, sessions, requests, library, log, clock)
        self._status.more_problems += [self._housekeeping.problems, self._sockets.accepting.problems]
        if self._access is not None:
            self._status.more_problems.append(self._access.problems)
        self._handshake = handshake = SessionHandlers(info, sessions, requests, rings, outbox, log)
        frames = FrameContext(library, limits, workers, self._staging, clock)
        shots = ShotContext(library, settings.roots, limits, workers, clock)
        submissions = RequestHandlers(sessions, requests, frames, shots, outbox, log, clock)
        control = ControlHandlers(library, outbox, log, limits.drain_s, self._status.status, self.leave)
        table: dict[type, ControlHandler] = {
            OpenRing: rings.open,
            AttachRing: rings.attach,
            CloseRing: rings.close,
            Cancel: submissions.cancel,
            CancelClient: submissions.cancel_client,
            Goodbye: handshake.goodbye,
            **control.table(),
        }
        self._handlers = MessageHandlers(sessions, handshake, submissions, table, outbox, log)
        self._snapshot: MetricsSnapshot | None = None
        if settings.metrics_port is not None:
            resources.enter_context(MetricsServer(settings.metrics_port, lambda: self._snapshot))
        log.note("info", "server_started", pid=os.getpid(), boot=boot, at=self._sockets.endpoints)

    def _stop_workers(self) -> None:
        at_once = self._shutdown is not None and self._shutdown.at_once
        self._workers.stop(QUIT_S / 4 if at_once else QUIT_S, insist_s=QUIT_S / 4 if at_once else QUIT_S)

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            self._handshake.close(session, "the server left")
        self._log.write_pending()
        self._log.write_repeats(everything=True)
        self._resources.close()
        gc.unfreeze()

    def run(self, on_ready: Callable[[], None]) -> int:
        """The loop."""
        self._sockets.register(self._poller)
        for file in (self._background.fileno(), self._signals.fileno()):
            self._poller.register(file, zmq.POLLIN)
        self._workers.start()
        # What is there now stays: a full collection would look at all of it while frames wait.
        gc.collect()
        gc.freeze()
        on_ready()
        passed_s = self._clock()
        while not self._is_over():
            wait_s = self._wait_s()
            ready = self._poll(wait_s)
            now = self._clock()
            if now - passed_s - wait_s > ASLEEP_S:
                self._sessions.extend_leases(now - passed_s - wait_s)
                self._worker_events.tick(now)  # before a worker is killed for having been silent
            passed_s = now
            self._pass(ready, now)
        cut_off = self._shutdown is not None and self._shutdown.cut_off
        self._log.note("info", "server_left", cut_off=cut_off)
        return 1 if cut_off else 0

    def leave(self, at_once: bool) -> None:
        """Take no more work, finish what runs, or cancel it, and end the loop."""
        now = self._clock()
        first = self._shutdown is None
        if not first and not at_once:
            return
        seconds = CUT_OFF_S if at_once else self._settings.limits.drain_s
        self._shutdown = _Shutdown(now + seconds, at_once, cut_off=at_once and len(self._requests) > 0)
        self._handshake.draining = self._status.draining = True
        self._log.note("info", "draining", at_once=at_once)
        if first:
            for session in self._sessions:
                self._outbox.put(session.control, outgoing(ShuttingDown(None, 0.0 if at_once else seconds)))
        self._requests.schedule(plan.Draining(at_once))

    def _pass(self, ready: Container[object], now: float) -> None:
        """Take everything that has come and do everything that is due, then send."""
        if self._signals.fileno() in ready:
            for _ in range(self._signals.count()):
                self.leave(at_once=self._shutdown is not None)
        for incoming in self._sockets.receive(ready, AT_ONCE):
            identity: Identity | None = LOCAL_USER
            if not incoming.sender.local:
                identity = None if self._access is None else self._access.identity(incoming.key)
            if identity is not None:
                self._handlers.handle(incoming, identity, now)
        if self._background.fileno() in ready:
            self._background.run_callbacks(self._log.error_facts)
        if self._workers_due_s <= now:
            self._worker_events.tick(now)
        elif any(file in ready for file in self._worker_files):
            self._worker_events.handle(self._workers.receive(ready))
        if self._requests_due_s <= now:
            self._requests.tick(now)
        connections = self._sockets.connection_events(ready)
        if connections.accepted or connections.disconnected:
            self._limit_connections()
        if connections.failed_handshakes:
            self._log.counters.count("handshakes_failed", connections.failed_handshakes)
            self._log.repeated("warning", "handshake_failed", connections.failed_handshakes)
        self._probe_clients(now, disconnected=connections.disconnected)
        if now - self._housekeeping_s >= HOUSEKEEPING_S:
            self._housekeeping_s = now
            self._housekeep(now)
        self._flush()
        self._log.catch_up()

    def _is_over(self) -> bool:
        shutdown = self._shutdown
        if shutdown is None:
            return False
        now = self._clock()
        if not len(self._requests):
            shutdown.deadline_s = min(shutdown.deadline_s, now + FLUSH_S)
            return not self._outbox.pending or now >= shutdown.deadline_s
        if now < shutdown.deadline_s:
            return False
        if not shutdown.at_once:
            self.leave(at_once=True)
            return False
        shutdown.cut_off = True
        return True

    def _wait_s(self) -> float:
        """How long the loop may wait for something to come."""
        now = self._clock()
        workers_due_s = self._workers.next_wake()
        self._workers_due_s = math.inf if workers_due_s is None else workers_due_s
        self._requests_due_s = self._requests.next_wake()
        soonest = min(
            self._workers_due_s,
            self._requests_due_s,
            self._probes[0] if self._probes else math.inf,
            self._shutdown.deadline_s if self._shutdown else math.inf,
            self._housekeeping_s + HOUSEKEEPING_S,
        )
        wait_s = min(LONGEST_WAIT_S, max(0.0, soonest - now))
        return min(wait_s, BLOCKED_WAIT_S) if self._outbox.blocked else wait_s

    def _poll(self, wait_s: float) -> Container[object]:
        """Wait until a socket or file is ready, or for so long; those that are."""
        workers = set(self._workers.filenos())
        if workers != self._worker_files:
            for gone in self._worker_files - workers:
                self._poller.unregister(gone)
            for added in workers - self._worker_files:
                self._poller.register(added, zmq.POLLIN)
            self._worker_files = workers
        # Rounded up: a wait that ends too early is another pass.
        return {each for each, _ in self._poller.poll(math.ceil(wait_s * 1000))}

    def _probe_clients(self, now: float, *, disconnected: bool) -> None:
        """Find the clients whose connection ended: only sending tells which."""
        if disconnected:
            self._probes = sorted({*self._probes, *(now + delay_s for delay_s in PROBES_S)})[-len(PROBES_S) :]
        if self._probes and self._probes[0] <= now:
            self._probes = [each for each in self._probes if each > now]
            for session in self._sessions:
                if session.control.address is None:
                    self._handshake.close_if_dead(session)  # a killed process closes its sockets before it is dead
                elif not session.control.waiting:
                    self._outbox.put(session.control, outgoing(Pong(0)))

    def _limit_connections(self) -> None:
        known = 2 * sum(not session.local for session in self._sessions)
        self._sockets.accepting.update(free_files(), self._sockets.network_connections - known)

    def _housekeep(self, now: float) -> None:
        """Do what is due at intervals. A step that fails does not keep the others from being done."""
        run = self._housekeeping.run
        run("end the sessions that are silent", lambda: self._expire(now))
        run("limit connections", self._limit_connections)
        run("look for changed styles", lambda: self._check_styles(now))
        run("read the keys", self._check_keys)
        run("write the log", self._write_log)
        run("watch the memory of the workers", self._workers.kill_oversized)
        run("free memory", self._free_memory)
        run("publish the figures", self._publish)
        if len(self._sessions) or len(self._requests):
            self._busy_s = now
        idle_exit_s = self._settings.idle_exit_s
        if idle_exit_s is not None and now - self._busy_s > idle_exit_s and self._shutdown is None:
            self._log.note("info", "idle", seconds=idle_exit_s)
            self.leave(at_once=False)

    def _expire(self, now: float) -> None:
        for session in self._sessions.expired(now):
            self._handshake.close(session, "silent for longer than its lease", lost=True)

    def _check_styles(self, now: float) -> None:
        self._worker_events.check_styles(now)
        if self._library.revision != self._revision:
            self._revision = self._library.revision
            for session in self._sessions:
                self._outbox.put(session.control, outgoing(StylesChanged(self._revision)))

    def _write_log(self) -> None:
        self._log.write_pending()
        self._log.write_repeats()

    def _free_memory(self) -> None:
        for unused in self._staging.stale():
            self._workers.unmap_segment(unused)
            unused.segment.close()
        for worker in self._workers.overgrown():
            if self._requests.is_idle(worker):
                self._workers.replace(worker)

    def _publish(self) -> None:
        if self._settings.metrics_port is not None:
            self._snapshot = MetricsSnapshot(self._status.status(bytes(16)), self._log.counters.stages.facts())

    def _check_keys(self) -> None:
        if self._access is None:
            return
        for key in self._access.denied():
            self._log.counters.count("keys_refused")
            self._log.repeated("warning", "key_refused", 1, key, key=key)
        self._access.refresh()
        names = self._access.names()
        for session in self._sessions:
            if not session.local and session.identity.key not in names:
                self._handshake.close(session, "its key was taken off the list")

    def _flush(self) -> None:
        for queue, result in self._outbox.flush():
            session = self._sessions.of_queue(queue)
            if session is None:
                self._outbox.forget(queue)
            elif result is SendResult.FULL:
                self._handshake.close(session, "did not read what was sent to it", lost=True)
            else:
                self._sessions.unbind(session, queue)
                self._handshake.close_if_dead(session)
