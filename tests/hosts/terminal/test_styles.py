"""`impasto styles`."""

from __future__ import annotations

from impasto.core.style import style_files
from tests.hosts.terminal.conftest import Impasto


def test_every_style_has_a_row(impasto: Impasto) -> None:
    done = impasto("styles")
    assert done.code == 0
    for heading in ("name", "size", "halo", "licence", "description"):
        assert heading in done.out.splitlines()[0]
    assert "credit of" in done.out
    assert "Van Gogh" in done.out or "van Gogh" in done.out
    for name in style_files():
        assert name in done.out


def test_programs_get_every_style(impasto: Impasto) -> None:
    *styles, last = impasto("styles", "--json").events
    assert {event["event"] for event in styles} == {"style"}
    assert [event["name"] for event in styles] == list(style_files())
    assert all(event["halo"] > 0 and event["licence"] and len(event["sha256"]) == 64 for event in styles)
    assert last["event"] == "finished"
