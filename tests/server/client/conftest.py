"""A client against a script, without a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.scripted_transport import Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()
