"""How the server is, as `AskStatus` and the metrics are told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import psutil

from impasto.server.front.event_log import Journal
from impasto.server.front.handlers import House
from impasto.server.front.library import Library
from impasto.server.front.requests import Dispatch
from impasto.server.front.sessions import Session, Sessions
from impasto.server.front.shots import ShotDesk
from impasto.server.front.telemetry import health
from impasto.server.protocol.messages import ClientFacts, Status
from impasto.server.protocol.text import cleaned

SCARCE_BYTES = 512 << 20
"""Memory left on the machine below which the server says so."""
SHOWN_BYTES = 400
"""Of each sentence, so that sixteen errors and sixteen problems fit into one message."""
LOADED_SHOWN = 16
ASK_OWNER = "whoever runs the server can see why, with `impasto status` on its machine"


class Condition:
    """Puts the status together."""

    def __init__(
        self,
        house: House,
        sessions: Sessions,
        dispatch: Dispatch,
        shots: ShotDesk,
        library: Library,
        journal: Journal,
        endpoints: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        self._house = house
        self._sessions = sessions
        self._dispatch = dispatch
        self._shots = shots
        self._library = library
        self._journal = journal
        self._endpoints = endpoints
        self._clock = clock
        self._began_s = clock()
        self._process = psutil.Process()
        self.draining = False

    def status(self, id: bytes, asker: Session | None = None) -> Status:
        """How the server is now, as far as the client who asks may know it; everything for the server itself."""
        found = self._status(id)
        return found if asker is None or asker.local or asker.visitor.admin else self._for_guest(found, asker)

    def _status(self, id: bytes) -> Status:
        now = self._clock()
        self._journal.catch_up()
        telemetry = self._journal.telemetry
        devices = tuple(replace(each, loaded=each.loaded[:LOADED_SHOWN]) for each in self._dispatch.crew.facts())
        state, problems = health(devices, self.problems(), draining=self.draining)
        counts = self._dispatch.counts()
        counters = telemetry.counters()
        return Status(
            id=id,
            server=self._house.server,
            pid=os.getpid(),
            boot=self._house.boot,
            uptime_s=now - self._began_s,
            health=state,
            problems=tuple(cleaned(problem, SHOWN_BYTES) for problem in problems),
            devices=devices,
            clients=tuple(self._client(session) for session in self._sessions)[:64],
            styles=len(self._library.facts()),
            queued=counts.queued,
            running=counts.running,
            jobs=len(self._shots),
            frames=counters["frames"],
            fps=telemetry.frames_per_second(now),
            rss_bytes=self._process.memory_info().rss,
            endpoints=tuple(cleaned(endpoint, SHOWN_BYTES) for endpoint in self._endpoints)[:8],
            errors=tuple(replace(each, message=cleaned(each.message, SHOWN_BYTES)) for each in telemetry.errors(now)),
            counters=counters,
        )

    def problems(self) -> tuple[str, ...]:
        """Why the server is not as it should be."""
        found = [*self._dispatch.crew.problems(), *self._library.problems()]
        if self._journal.log.problem:
            found.append(self._journal.log.problem)
        left = psutil.virtual_memory().available
        if left < SCARCE_BYTES:
            found.append(f"the machine has {left >> 20} MiB of memory left; close other programs")
        return tuple(found)

    def _for_guest(self, found: Status, asker: Session) -> Status:
        """What a key that may only render is told: its own clients, and totals that name nobody.

        Sentences are written for whoever runs the server: they name files of its machine and other people's work.
        """
        offered = {facts.name for facts in self._library.facts()}
        own = (session for session in self._sessions if session.visitor.key == asker.visitor.key)
        return replace(
            found,
            problems=(ASK_OWNER,) if found.problems else (),
            devices=tuple(
                replace(each, loaded=tuple(name for name in each.loaded if name in offered)) for each in found.devices
            ),
            clients=tuple(map(self._client, own))[:64],
            endpoints=tuple(each for each in found.endpoints if each.startswith("tcp://")),
            errors=(),
        )

    def _client(self, session: Session) -> ClientFacts:
        tasks = [task for id in session.live if (task := self._dispatch.task(id)) is not None]
        running = sum(task.worker is not None for task in tasks)
        hello = session.hello
        return ClientFacts(
            client=cleaned(hello.client, 64) or "unnamed",
            host=cleaned(hello.host, 64),
            user=cleaned(session.user, 64),
            pid=hello.pid,
            lane=session.agreed.lane,
            transport="ring" if session.ring is not None else "inline" if session.data.route is not None else "none",
            queued=len(tasks) - running,
            running=running,
        )
