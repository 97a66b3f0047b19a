"""The devices of a server: those that are there, those that were, and whether others may yet be found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from impasto.server.scheduler.workers import names_of

DEVICE_WAIT_S: Final = 30.0
"""How long work waits for a device that may yet be found."""


class KnownDevices:
    """Every name by which a device may be asked for."""

    def __init__(self, devices: Sequence[str]) -> None:
        """`devices` are those of the settings; with 'auto' among them, others may be found later."""
        self._finds_more = "auto" in devices
        self._names = {name for device in devices for name in names_of(device)} - {"auto"}
        self._families = {device for device in devices if ":" not in device}
        """Devices of the settings without a number, each of which may turn out to be any of its family."""

    def add(self, device: str) -> None:
        """A worker is ready on this device."""
        self._names.update(names_of(device))

    def end_search(self, devices: Iterable[str]) -> bool:
        """These are all devices, whatever 'auto' stood for. Whether that was not known before."""
        if not self._finds_more:
            return False
        self._finds_more = False
        self._families.discard("auto")
        self._names.update(name for device in devices for name in names_of(device))
        return True

    def has(self, device: str) -> bool:
        """Whether this device is there, or was."""
        return device in ("", "auto") or device in self._names

    def may_have(self, device: str) -> bool:
        """Whether this device is there, was there, or may be found to be there."""
        return self.has(device) or self._finds_more or names_of(device)[-1] in self._families
