"""Both Blenders, a real server, and an autouse isolation of everything that a user's machine has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from impasto.hosts.terminal.install.blender_extension.archive import sources, write_extension
from impasto.hosts.terminal.install.blender_extension.client_wheel import client_wheel
from impasto.hosts.terminal.install.blender_extension.wheels import fetch
from impasto.server.client import Client
from tests.hosts.blender.in_blender import VERSIONS, environments, impasto_command, python_of

START_S = 60.0


@pytest.fixture(params=VERSIONS, ids=lambda version: f"blender-{version}")
def blender_version(request: pytest.FixtureRequest) -> str:
    """Each Blender that is tested; skips where it is not installed."""
    version: str = request.param
    python_of(version)
    return version


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"blender-{version}")
def version(request: pytest.FixtureRequest) -> str:
    """Each Blender; module-wide, for scenarios that run in one go."""
    python_of(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips that bakes are tested with."""
    from tests.hosts.blender.bake_media import write_media

    return write_media(tmp_path_factory.mktemp("medien ü"))


@dataclass(frozen=True)
class RenderServer:
    """A server with the real engine, in a folder of its own."""

    runtime: Path
    command: Path

    @property
    def environment(self) -> dict[str, str]:
        """By which Blender finds it, for `in_blender`."""
        return {"IMPASTO_RUNTIME": str(self.runtime), "IMPASTO_COMMAND": str(self.command)}

    def client(self) -> Client:
        return Client.connect(
            self.runtime, command=(str(self.command), "serve", "--idle-exit", "60"), timeout_s=START_S
        )


@pytest.fixture(scope="session")
def render_server() -> Iterator[RenderServer]:
    """A server with the built-in styles on the CPU; tests of one session share it."""
    with TemporaryDirectory(prefix="impasto-") as folder:
        server = RenderServer(Path(folder) / "run", impasto_command(Path(folder)))
        with server.client():
            yield server
            with server.client() as last:
                last.shut_down(at_once=True)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's zip for this system, its wheels fetched once into the folder of the environments."""
    path = tmp_path_factory.mktemp("extension") / "impasto.zip"
    client = client_wheel(path.parent, sources())
    write_extension(path, [client, *fetch(["linux-x64"], environments() / "wheels")], ["linux-x64"])
    return path


@pytest.fixture
def server_environment() -> Iterator[dict[str, str]]:
    """A runtime folder in which no server runs, and the command that starts one there; it is stopped at the end."""
    with TemporaryDirectory(prefix="impasto-") as folder:
        server = RenderServer(Path(folder) / "run", impasto_command(Path(folder)))
        yield server.environment
        _stop(server.runtime)


def _stop(runtime: Path) -> None:
    from impasto.server.runtime_dir import running

    if runtime.exists() and running(runtime) is not None:
        with Client.connect(runtime, start=False) as client:
            client.shut_down(at_once=True)
