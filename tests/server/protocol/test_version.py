"""What client and server agree on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from impasto.core.errors import IncompatibleServer
from impasto.server.protocol.limits import MAJOR, MINOR, Limits
from impasto.server.protocol.messages import Hello
from impasto.server.protocol.version import Offer, negotiate

HELLO = Hello("blender 5.0.1", MAJOR, MINOR, 4711)


def test_the_lower_minor_is_spoken() -> None:
    assert negotiate(replace(HELLO, minor=3), Offer(local=True, minor=7)).minor == 3
    assert negotiate(replace(HELLO, minor=9), Offer(local=True, minor=7)).minor == 7


@pytest.mark.parametrize(("theirs", "older"), [(2, "server"), (0, "client")])
def test_another_major_says_who_is_to_be_upgraded(theirs: int, older: str) -> None:
    with pytest.raises(IncompatibleServer, match=f"'blender 5.0.1'.*upgrade the {older}'s impasto"):
        negotiate(replace(HELLO, major=theirs), Offer(local=True))


def test_memory_is_shared_on_one_machine_only() -> None:
    assert negotiate(HELLO, Offer(local=True)).transports == ("ring", "inline")
    assert negotiate(HELLO, Offer(local=False)).transports == ("inline",)


@pytest.mark.parametrize(
    ("client", "server", "agreed"),
    [
        (("raw",), ("blosc2", "raw"), ("raw",)),
        (("raw", "blosc2"), ("blosc2", "raw"), ("blosc2", "raw")),
        (("blosc2",), ("raw",), ("raw",)),
        (("zstd", "blosc2"), ("blosc2",), ("blosc2", "raw")),
        ((), ("raw",), ("raw",)),
    ],
)
def test_encodings_are_those_of_both_and_raw(
    client: tuple[str, ...], server: tuple[str, ...], agreed: tuple[str, ...]
) -> None:
    assert negotiate(replace(HELLO, encodings=client), Offer(local=False, encodings=server)).encodings == agreed


def test_the_lane_decides_lease_and_credit() -> None:
    offer = Offer(local=True, limits=Limits(batch_frames=5, batch_bytes=50, batch_lease_s=500, interactive_frames=2))
    interactive = negotiate(HELLO, offer)
    batch = negotiate(replace(HELLO, lane="batch"), offer)
    assert (interactive.credit_frames, interactive.lease_s) == (2, Limits().interactive_lease_s)
    assert (batch.credit_frames, batch.credit_bytes, batch.lease_s) == (5, 50, 500)
