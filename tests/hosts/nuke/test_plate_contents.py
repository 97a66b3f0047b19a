"""Plates are the same where their pixels and attributes are, whatever the host noted of how they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.hosts.nuke.plate_contents import digest_of_plate
from tests.hosts.nuke.conftest import write_plate


def digest(folder: Path, **what: object) -> str:
    path = folder / "plate.exr"
    write_plate(str(path), 1, **what)  # type: ignore[arg-type]
    return digest_of_plate(str(path))


@pytest.mark.parametrize("name", ["nuke/node_hash", "input/mtime", "input/filename"])
def test_how_a_plate_was_written_does_not_count(tmp_path: Path, name: str) -> None:
    assert digest(tmp_path, **{name: "a"}) == digest(tmp_path, **{name: "another one"}) == digest(tmp_path)


def test_a_pixel_or_an_attribute_that_differs_counts(tmp_path: Path) -> None:
    kinds = [digest(tmp_path), digest(tmp_path, tint=0.5), digest(tmp_path, lens="35"), digest(tmp_path, lens="50")]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("contents", [b"", b"no EXR", b"v/1\x01\x02\0\0\0", b"v/1\x01\x02\0\0\0name"])
def test_of_another_file_every_byte_counts(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(contents)
    before = digest_of_plate(str(path))
    path.write_bytes(contents + b"x")
    assert digest_of_plate(str(path)) != before
