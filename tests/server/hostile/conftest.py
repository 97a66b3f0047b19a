"""A server that all tests of a file share, a client that does nothing wrong, and a client that does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.hostile.checks import assert_served, healthy_server
from tests.server.running_server import Sandbox
from tests.server.wire_client import WireClient


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with healthy_server() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def bystander(shared: Sandbox) -> Iterator[WireClient]:
    with WireClient(shared.run, hello=True, lane="batch") as client:
        client.open_ring()
        yield client


@pytest.fixture
def victim(shared: Sandbox, bystander: WireClient) -> Iterator[WireClient]:
    """A client with a ring; whatever a test did with it, it and another are served afterwards."""
    assert shared.server.alive, shared.server.complaints()
    with WireClient(shared.run, hello=True) as client:
        client.open_ring()
        yield client
        assert_served(shared, bystander, client)


@pytest.fixture
def other(shared: Sandbox) -> Iterator[WireClient]:
    with WireClient(shared.run, hello=True) as client:
        client.open_ring()
        yield client
