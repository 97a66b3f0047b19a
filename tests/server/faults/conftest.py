"""Houses for the faults: one for each test, and one for those that do no harm to the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.faults.house import House, Program, house


@pytest.fixture
def home() -> Iterator[House]:
    """A runtime folder of the test's own. When the test is over, nothing of it may be left."""
    with house() as built:
        yield built


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    """A house with one server for all tests of a file that leave it as it was."""
    with house() as built:
        built.serve()
        yield built


@pytest.fixture
def server(shared: House) -> Program:
    """The server of the shared house, which must still be the one that was started."""
    assert shared.servers[0].alive
    return shared.servers[0]
