"""Sandboxes: one for each test that harms its server, one for all tests of a file that leave the server as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running_server import Program, Sandbox, new_sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A runtime folder of the test's own. When the test is over, nothing of it may be left."""
    with new_sandbox() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """A sandbox with one server for all tests of a file that leave it as it was."""
    with new_sandbox() as made:
        made.serve()
        yield made


@pytest.fixture
def server(shared: Sandbox) -> Program:
    """The server of the shared sandbox, which must still be the one that was started."""
    assert shared.server.alive
    return shared.server
