"""What the loop does now and then beside messages. A chore that fails is told in the status; the loop goes on."""

from __future__ import annotations

from collections.abc import Callable

from impasto.server.front.event_log import EventLog
from impasto.server.protocol.text import cleaned


class Chores:
    """Runs chores, and keeps the last error of each until it succeeds again."""

    def __init__(self, event_log: EventLog) -> None:
        self._event_log = event_log
        self._failing: dict[str, str] = {}

    def run(self, name: str, chore: Callable[[], object]) -> None:
        """Do it. What it raises is kept, and logged once until another error comes. Never raises."""
        try:
            chore()
        except Exception as error:  # noqa: BLE001  # whatever it was, the server goes on
            why = cleaned(f"{type(error).__name__}: {error}", 300)
            if self._failing.get(name) != why:
                self._event_log.error_facts(error)
                self._event_log.note("warning", "chore_failed", chore=name, why=why)
            self._failing[name] = why
        else:
            self._failing.pop(name, None)

    def problems(self) -> tuple[str, ...]:
        """What is wrong, for the status: one sentence for each chore that fails."""
        return tuple(
            f"could not {name} ({why}); what was known before still counts" for name, why in self._failing.items()
        )
