"""Programs of protocol 1.0 and later stay understood: the bytes of every message, recorded once and never edited."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from impasto.core.errors import IncompatibleServer
from impasto.server.protocol import limits
from impasto.server.protocol.codec import FROM_CLIENT, FROM_SERVER, Table, decode, encode
from impasto.server.protocol.fields import wire_keys
from tests.compat import record
from tests.compat.samples import SAMPLES

TABLES: Mapping[str, Table[Any]] = {"client": FROM_CLIENT, "server": FROM_SERVER}
RECORDED = [
    pytest.param(record.path_of(minor, side, name), message, TABLES[side], id=f"1.{minor}-{side}-{name}")
    for (minor, side), samples in SAMPLES.items()
    for name, message in samples.items()
]


def parts(path: Path) -> tuple[bytes, bytes]:
    data = path.read_bytes()
    return data[:8], data[8:]


@pytest.mark.parametrize(("path", "message", "table"), RECORDED)
def test_a_recorded_message_is_read_as_it_was_meant(path: Path, message: Any, table: Table[Any]) -> None:
    assert decode(parts(path), table) == (message, ())


@pytest.mark.parametrize(("path", "message", "table"), RECORDED)
def test_a_message_is_written_as_it_was_recorded(path: Path, message: Any, table: Table[Any]) -> None:
    preamble, header = encode(message)
    recorded, wanted = parts(path)
    assert header == wanted
    assert (preamble[:5], preamble[6:]) == (recorded[:5], recorded[6:])
    assert preamble[record.MINOR] == limits.MINOR >= recorded[record.MINOR]


@pytest.mark.parametrize("side", TABLES)
def test_every_message_is_recorded_with_every_field(side: str) -> None:
    table = TABLES[side]
    recorded = [
        (record.path_of(minor, of, name), message)
        for (minor, of), samples in SAMPLES.items()
        for name, message in samples.items()
        if of == side
    ]
    assert {type(message) for _, message in recorded} == set(table.kinds.values())
    for kind in table.kinds.values():
        paths = [path for path, message in recorded if type(message) is kind]
        given = set().union(*(msgpack.unpackb(parts(path)[1]) for path in paths))
        assert given - {"type"} == wire_keys(kind)


def test_every_recording_has_its_sample() -> None:
    assert sorted(record.FOLDER.rglob("*.message")) == sorted(path for path, _ in record.written_today())


@pytest.mark.parametrize(("path", "message", "table"), RECORDED)
def test_what_a_later_minor_version_adds_is_ignored(path: Path, message: Any, table: Table[Any]) -> None:
    preamble, packed = parts(path)
    later = _with_more(msgpack.unpackb(packed), table.kinds[message.TYPE])
    assert decode((preamble[:5] + b"\x07" + preamble[6:], msgpack.packb(later)), table)[0] == message


def _with_more(header: dict[str, Any], kind: Any) -> dict[str, Any]:
    """The header with an unknown key of its own, and one in every map that is a record and no list of settings."""
    records = {"look", "picture", "slot", "matte", "error"}
    nested = {
        name: {**value, "later": [1, "two"]} if name in records and isinstance(value, dict) else value
        for name, value in header.items()
    }
    return {**nested, "later": {"a": None, "b": [1.5]}}


@pytest.mark.parametrize(("path", "message", "table"), RECORDED)
def test_another_major_is_refused_and_says_what_to_upgrade(path: Path, message: Any, table: Table[Any]) -> None:
    preamble, header = parts(path)
    with pytest.raises(IncompatibleServer, match=f"upgrade the {table.receiver}'s impasto"):
        decode((preamble[:4] + b"\x02" + preamble[5:], header), table)
    with pytest.raises(IncompatibleServer, match=f"upgrade the {table.sender}'s impasto"):
        decode((preamble[:4] + b"\x00" + preamble[5:], header), table)


def test_recording_again_adds_what_is_missing_and_edits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    assert record.main() == 0
    (tmp_path / "v1_0" / "client" / "ping.message").write_bytes(b"as it was in 1.0")
    (tmp_path / "v1_0" / "client" / "join.message").unlink()
    capsys.readouterr()

    assert record.main() == 1
    assert "v1_0/client/ping.message is no longer written as it was" in capsys.readouterr().out
    assert (tmp_path / "v1_0" / "client" / "ping.message").read_bytes() == b"as it was in 1.0"
    assert (tmp_path / "v1_0" / "client" / "join.message").exists()
