"""The settings of the pages, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from impasto.server.client import Client
from impasto.server.settings import Root

PORT = 7790
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Names by which a browser on this machine reaches it."""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Everything that decides what the pages show, and to whom."""

    token: str
    """Whoever knows it may open the pages."""
    connect: Callable[[], Client]
    """Makes the one session that all tabs share, at its first use."""
    is_running: Callable[[], bool]
    """Whether there is a server that can be asked how it is, without starting one."""
    presets: Path
    """The folder of presets."""
    host: str = "127.0.0.1"
    """The address to listen on, as browsers name it."""
    port: int = PORT
    tls: tuple[Path, Path] | None = None
    """Certificate and key, as PEM files; asked for beyond loopback."""
    plates: Mapping[str, Root] = field(default_factory=dict)
    """Folders that plates may be picked from, by name."""
    runs: Mapping[str, Root] = field(default_factory=dict)
    """Folders below which runs of the trainer are shown; in writable ones they are started."""

    @property
    def scheme(self) -> str:
        """'https' with TLS, else 'http'."""
        return "http" if self.tls is None else "https"

    @property
    def hosts(self) -> frozenset[str]:
        """Every value that the Host header of a request may have."""
        bare = 443 if self.tls is not None else 80
        names = {*LOOPBACK, self.host.lower()} if self.is_loopback else {self.host.lower()}
        return frozenset({f"{name}:{self.port}" for name in names} | (names if self.port == bare else set()))

    @property
    def origins(self) -> frozenset[str]:
        """Every value that the Origin header of a request may have."""
        return frozenset(f"{self.scheme}://{host}" for host in self.hosts)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches the pages."""
        return self.host.lower() in {*LOOPBACK, "::1"}

    @property
    def cookie(self) -> str:
        """The cookie's name: browsers share cookies among all ports of a host."""
        return f"impasto-{self.port}"

    @property
    def base(self) -> str:
        """Where the pages are, without a path."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def address(self) -> str:
        """Where the pages are, with the token, for the user alone."""
        return f"{self.base}/?token={self.token}"
