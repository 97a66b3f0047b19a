"""Whoever puts files into a watched folder gets neither the operator's files nor their names."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import UsageError
from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.hosts.events import ShotPainted, ShotSkipped
from impasto.hosts.terminal.exit_codes import USAGE
from impasto.hosts.terminal.watch import trust
from impasto.hosts.terminal.watch.arrivals import listing_of
from impasto.hosts.terminal.watch.record import LOCK, NAME, held, read_record
from impasto.hosts.terminal.watch.trust import require_private
from tests.hosts.terminal.conftest import Impasto, names
from tests.hosts.terminal.watch.test_command import Room, room, void

assert room  # a fixture

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A picture of the operator outside the folder."""
    path = tmp_path / "private" / "x.png"
    with open_writer(str(path), ShotInfo("", "still", 1, 1, 8, 8)) as writer:
        writer.write(Frame.from_pixels(np.zeros((8, 8, 3), np.uint8)))
    return path


def test_links_are_not_followed_and_are_named_once(room: Room, secret: Path) -> None:
    (room.folder / "x.png").symlink_to(secret)
    (room.folder / "clip.mov").symlink_to(secret)
    (room.folder / "reel").symlink_to(secret.parent)
    (room.folder / "notes.txt").symlink_to(secret)
    os.mkfifo(room.folder / "pipe.png")
    (room.folder / "good.mov").write_bytes(b"x")
    room.run()
    assert [Path(each.input).name for each in room.painted] == ["good.mov"]
    left = room.of(ShotSkipped)
    assert sorted(Path(event.input).name for event in left) == ["clip.mov", "reel", "x.png"]
    assert all("not followed; copy" in event.message for event in left)


def test_a_file_that_becomes_a_link_while_it_waits_is_left(room: Room, secret: Path) -> None:
    for name in ("a.mov", "sub/b.mov"):
        (room.folder / name).parent.mkdir(exist_ok=True)
        (room.folder / name).write_bytes(b"x")

    def swap() -> None:
        if not (room.folder / "sub").is_symlink():
            (room.folder / "sub").rename(room.folder / ".sub")
            (room.folder / "sub").symlink_to(secret.parent)

    original = room.render

    def render(*given: object) -> bool:
        swap()
        return original(*given)  # type: ignore[arg-type]

    room.render = render  # type: ignore[method-assign,assignment]
    room.run()
    assert [Path(event.input).name for event in room.of(ShotPainted)] == ["a.mov"]
    assert [Path(event.input).name for event in room.of(ShotSkipped)] == ["sub"]


@pytest.mark.parametrize("name", [LOCK, NAME])
def test_a_link_in_the_place_of_lock_or_record_creates_and_reads_nothing(room: Room, tmp_path: Path, name: str) -> None:
    (room.folder / "painted").mkdir()
    target = tmp_path / "new.file"
    (room.folder / "painted" / name).symlink_to(target)
    into = str(room.folder / "painted")
    with pytest.raises(UsageError, match="found a link; remove it"), held(into):
        read_record(into, str(room.folder))
    assert not target.exists()


def test_a_record_of_another_user_is_no_record(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    into = room.folder / "painted"
    into.mkdir()
    (into / NAME).write_text(json.dumps({"shots": {}}))
    monkeypatch.setattr(trust.os, "geteuid", lambda: 4711)
    with pytest.raises(UsageError, match="expected a file of your own"):
        read_record(str(into), str(room.folder))


def test_a_pipe_in_the_place_of_the_record_does_not_wait_for_a_writer(room: Room) -> None:
    (room.folder / "painted").mkdir()
    os.mkfifo(room.folder / "painted" / NAME)
    with pytest.raises(UsageError, match="or no file; remove it"):
        read_record(str(room.folder / "painted"), str(room.folder))


def test_results_go_where_nobody_else_may_write(tmp_path: Path, secret: Path, impasto: Impasto) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    watch = ("watch", uploads, "--style", "identity", "--once")
    (uploads / "painted").symlink_to(secret.parent)
    assert "found a link or a file" in impasto(*watch).err
    (uploads / "painted").unlink()
    (uploads / "painted").mkdir()
    (uploads / "painted").chmod(0o777)
    assert "chmod go-w" in impasto(*watch).err
    (uploads / "painted").chmod(0o755)
    uploads.chmod(0o777)
    done = impasto(*watch)
    assert (done.code, len(done.err.splitlines())) == (USAGE, 1)
    assert f"others may write into '{uploads}'; name a folder with --into" in done.err
    assert names(secret.parent) == ["x.png"]
    assert impasto(*watch, "--into", tmp_path / "out").code == 0
    uploads.chmod(0o1777)
    assert impasto(*watch).code == 0


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_private(str(tmp_path))
    monkeypatch.setattr(trust.os, "geteuid", lambda: 4711)
    with pytest.raises(UsageError, match="to belong to user 4711"):
        require_private(str(tmp_path))


def test_the_group_that_is_the_user_alone_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o775)
    monkeypatch.setattr(trust, "_is_of_one_user", lambda group, user: True)
    require_private(str(tmp_path))
    monkeypatch.setattr(trust, "_is_of_one_user", lambda group, user: False)
    with pytest.raises(UsageError, match="mode 0775"):
        require_private(str(tmp_path))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o775


def test_a_listing_has_no_links(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").symlink_to(secret)
    void((folder / "b.png").write_bytes(b"x"))
    found: list[str] = []
    assert set(listing_of(str(folder), (), found.append)) == {"b.png"}
    assert found == ["a.png"]
