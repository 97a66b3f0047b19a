"""Where a client's server is: in a runtime folder of this machine, or at an address of the network."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from impasto.core.errors import ServerUnreachable, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.client.transport import Endpoints
from impasto.server.runtime_dir import (
    TCP,
    control_endpoint,
    data_endpoint,
    log_path,
    prepare_folder,
    running,
    runtime_folder,
)

if TYPE_CHECKING:
    from impasto.server.auth import ClientAuth


class ServerAddress(Protocol):
    """Where a server is, or should be."""

    @property
    def local(self) -> bool:
        """Whether memory can be shared with it, so that samples are never packed."""

    @property
    def far(self) -> bool:
        """Whether samples are packed before the connection has been measured."""

    def reach(self, *, start: bool, timeout_s: float) -> Endpoints:
        """Its sockets; with `start` it is started if it does not run. Raises ServerUnreachable."""

    def may_run(self) -> bool:
        """Whether waiting for an answer makes sense."""

    def log_hint(self) -> str:
        """What the log of a lost server says, to be put behind a sentence; may be empty."""


@frozen_dataclass
class LocalAddress:
    """The server of a runtime folder."""

    folder: Path
    command: Sequence[str] | None = None

    @property
    def local(self) -> bool:
        """It is on this machine."""
        return True

    @property
    def far(self) -> bool:
        """It is not."""
        return False

    def reach(self, *, start: bool, timeout_s: float) -> Endpoints:
        """The sockets of the folder's server, which is started where none runs and `start` says so."""
        if sys.platform == "win32":
            raise ServerUnreachable(
                "on Windows a server is reached by address: run `impasto serve --listen tcp://127.0.0.1:PORT` and "
                "connect to that"
            )
        prepare_folder(self.folder)
        if running(self.folder) is None:
            if not start:
                raise ServerUnreachable(
                    f"expected a server in '{self.folder}', none runs; start one with `impasto serve`, or connect "
                    f"with start=True"
                )
            from impasto.server.launcher import launch

            launch(self.folder, self.command, timeout_s)
        return Endpoints(control_endpoint(self.folder), data_endpoint(self.folder), f"the server in '{self.folder}'")

    def may_run(self) -> bool:
        """Whether a server holds the folder."""
        return running(self.folder) is not None

    def log_hint(self) -> str:
        """The last line of the log, and where it is."""
        from impasto.server.launcher import last_line

        log = log_path(self.folder)
        line = last_line(log)
        return f"; its log '{log}' ends with: {line}" if line else f"; its log is '{log}'"


@frozen_dataclass
class RemoteAddress:
    """A server at an address; it is never started from here."""

    host: str
    port: int
    auth: ClientAuth

    def reach(self, *, start: bool, timeout_s: float) -> Endpoints:
        """Both sockets: data is on the port behind that of control."""
        control, data = (f"tcp://{self.host}:{port}" for port in (self.port, self.port + 1))
        return Endpoints(control, data, f"the server at {control}", self.auth)

    def may_run(self) -> bool:
        """Always: it cannot be told from here."""
        return True

    def log_hint(self) -> str:
        """Nothing: its log is on the other machine."""
        return ""

    @property
    def local(self) -> bool:
        """It may be on this machine all the same, but then as another user or behind a tunnel."""
        return False

    @property
    def far(self) -> bool:
        """Whether the address is of another machine."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return True


def parse_address(
    address: str | Path | None, *, command: Sequence[str] | None = None, auth: ClientAuth | None = None
) -> LocalAddress | RemoteAddress:
    """What an address names: 'tcp://HOST:PORT', a runtime folder, or None for the user's own folder.

    Raises UsageError.
    """
    if address is None or isinstance(address, Path) or "://" not in address:
        return LocalAddress(runtime_folder() if address is None else Path(address).absolute(), command)
    match = TCP.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65535:
        raise UsageError(f"expected tcp://HOST:PORT with a port below 65535, or a runtime folder, got '{address}'")
    if auth is None:
        raise UsageError(
            f"expected keys to connect to '{address}', because a server on a network takes no others; make them with "
            f"`impasto auth new` and have the server's owner run `impasto auth add`"
        )
    return RemoteAddress(match["host"], int(match["port"]), auth)
