"""What the server does at intervals beside messages. A step that fails appears in the status; the server goes on."""

from __future__ import annotations

from collections.abc import Callable

from impasto.server.front.event_log import EventLog
from impasto.server.protocol.text import cleaned


class Housekeeping:
    """Runs the steps, and keeps the last error of each until it succeeds again."""

    def __init__(self, event_log: EventLog) -> None:
        self._event_log = event_log
        self._failing: dict[str, str] = {}

    def run(self, name: str, step: Callable[[], object]) -> None:
        """Run a step. Keep what it raises, and log it once until another error comes. Never raises."""
        try:
            step()
        except Exception as error:  # noqa: BLE001  # whatever it was, the server goes on
            why = cleaned(f"{type(error).__name__}: {error}", 300)
            if self._failing.get(name) != why:
                self._event_log.error_facts(error)
                self._event_log.note("warning", "housekeeping_failed", step=name, why=why)
            self._failing[name] = why
        else:
            self._failing.pop(name, None)

    def problems(self) -> tuple[str, ...]:
        """What is wrong, for the status: one sentence for each step that fails."""
        return tuple(
            f"could not {name} ({why}); what was known before still counts" for name, why in self._failing.items()
        )
