"""The state of the server: its status, as a client asks for it, and its health."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias

import psutil

from impasto.server.front.event_log import EventLog
from impasto.server.front.handshake import ServerInfo
from impasto.server.front.library import Library
from impasto.server.front.pending_request import PendingRequest
from impasto.server.front.requests import Requests
from impasto.server.front.sessions import Session, Sessions
from impasto.server.protocol.messages import ClientFacts, DeviceFacts, Status
from impasto.server.protocol.text import cleaned

Health: TypeAlias = Literal["ok", "starting", "degraded", "draining"]
SCARCE_BYTES: Final = 512 << 20
"""With less memory left on the machine, the status says so."""
SHOWN_BYTES: Final = 400
"""Bytes of each sentence that are shown, so that sixteen errors and sixteen problems fit into one message."""
LOADED_SHOWN: Final = 16
CLIENTS_SHOWN: Final = 64
ASK_OWNER: Final = "whoever runs the server can see why, with `impasto status` on its machine"
PROBLEMS_SHOWN: Final = 16


class StatusReporter:
    """Makes the status."""

    def __init__(
        self,
        info: ServerInfo,
        sessions: Sessions,
        requests: Requests,
        library: Library,
        event_log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._info = info
        self._sessions = sessions
        self._requests = requests
        self._library = library
        self._event_log = event_log
        self._clock = clock
        self._began_s = clock()
        self._process = psutil.Process()
        self.draining = False
        self.more_problems: list[Callable[[], Sequence[str]]] = []
        """Functions that return further sentences about what is wrong."""

    def status(self, id: bytes, asker: Session | None = None) -> Status:
        """The state of the server now, as far as this client may know it; all of it if no client is given."""
        found = self._status(id)
        return found if asker is None or asker.local or asker.identity.admin else self._without_others(found, asker)

    def _status(self, id: bytes) -> Status:
        now = self._clock()
        self._event_log.catch_up()
        counters = self._event_log.counters
        devices = tuple(replace(each, loaded=each.loaded[:LOADED_SHOWN]) for each in self._requests.workers.facts())
        state, problems = health(devices, self.problems(), draining=self.draining)
        totals = counters.totals()
        running = self._requests.running
        return Status(
            id=id,
            server=self._info.server,
            pid=os.getpid(),
            boot=self._info.boot,
            uptime_s=now - self._began_s,
            health=state,
            problems=tuple(cleaned(problem, SHOWN_BYTES) for problem in problems),
            devices=devices,
            clients=self._clients(self._sessions),
            styles=len(self._library.facts()),
            queued=len(self._requests) - running,
            running=running,
            jobs=self._requests.jobs,
            frames=totals["frames"],
            fps=counters.frames_per_second(now),
            rss_bytes=self._process.memory_info().rss,
            endpoints=tuple(cleaned(endpoint, SHOWN_BYTES) for endpoint in self._info.endpoints)[:8],
            errors=tuple(replace(each, message=cleaned(each.message, SHOWN_BYTES)) for each in counters.errors(now)),
            counters=totals,
        )

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the server, one sentence each."""
        found = [*self._requests.workers.problems(), *self._library.problems()]
        for ask in self.more_problems:
            found += ask()
        if self._event_log.file.problem:
            found.append(self._event_log.file.problem)
        left = psutil.virtual_memory().available
        if left < SCARCE_BYTES:
            found.append(f"the machine has {left >> 20} MiB of memory left; close other programs")
        return tuple(found)

    def _without_others(self, found: Status, asker: Session) -> Status:
        """The status for a key that may only render: its own clients, and totals without names.

        The sentences are for the owner of the server, because they name files of its machine and other people's work.
        """
        offered = {facts.name for facts in self._library.facts()}
        own = (session for session in self._sessions if session.identity.key == asker.identity.key)
        return replace(
            found,
            problems=(ASK_OWNER,) if found.problems else (),
            devices=tuple(
                replace(each, loaded=tuple(name for name in each.loaded if name in offered)) for each in found.devices
            ),
            clients=self._clients(own),
            endpoints=tuple(each for each in found.endpoints if each.startswith("tcp://")),
            errors=(),
        )

    def _clients(self, sessions: Iterable[Session]) -> tuple[ClientFacts, ...]:
        requests = self._requests.by_session()
        shown = itertools.islice(sessions, CLIENTS_SHOWN)
        return tuple(_client_facts(session, requests.get(session, [])) for session in shown)


def _client_facts(session: Session, requests: Sequence[PendingRequest]) -> ClientFacts:
    running = sum(each.worker is not None for each in requests)
    hello = session.hello
    return ClientFacts(
        client=cleaned(hello.client, 64) or "unnamed",
        host=cleaned(hello.host, 64),
        user=cleaned(session.user, 64),
        pid=hello.pid,
        lane=session.agreed.lane,
        transport="ring" if session.ring is not None else "inline" if session.data.address is not None else "none",
        queued=len(requests) - running,
        running=running,
    )


def health(
    devices: Sequence[DeviceFacts], problems: Sequence[str], *, draining: bool = False
) -> tuple[Health, tuple[str, ...]]:
    """The health of a server, and every reason why it is not 'ok'.

    'starting' means that no worker is ready yet and none was lost. 'degraded' means that something is wrong, although
    work may go on. 'draining' comes before both. At most `PROBLEMS_SHOWN` reasons are named; the last then counts the
    others.
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
