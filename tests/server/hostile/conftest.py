"""A server that all tests of a file share, somebody who does nothing wrong, and somebody who does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.hostile.house import House, goes_on, house
from tests.server.running_server import Raw


@pytest.fixture(scope="module")
def running() -> Iterator[House]:
    with house(("echo", "invert", "delay-50ms", "delay-400ms", "fail", "oom", "bug")) as found:
        yield found


@pytest.fixture(scope="module")
def bystander(running: House) -> Iterator[Raw]:
    with Raw(running.folder, hello=True, lane="batch") as raw:
        raw.open_ring()
        yield raw


@pytest.fixture
def victim(running: House, bystander: Raw) -> Iterator[Raw]:
    """A client with a ring; whatever a test did with it, it and another are served afterwards."""
    assert running.process.poll() is None, running.complaints()
    with Raw(running.folder, hello=True) as raw:
        raw.open_ring()
        yield raw
        goes_on(running, bystander, raw)


@pytest.fixture
def other(running: House) -> Iterator[Raw]:
    with Raw(running.folder, hello=True) as raw:
        raw.open_ring()
        yield raw
