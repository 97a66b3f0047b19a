"""Paths from other machines: plain files below named roots, and nothing else."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.core.errors import NotPermitted, UnreadableMedia, UsageError
from impasto.server.file_roots import is_plain_name, resolve, resolve_folder, root_of
from impasto.server.settings import Root

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no roots are served on Windows")


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Root]:
    plates, out, outside = (tmp_path / name for name in ("plates", "out", "outside"))
    for folder in (plates / "a" / "b", out / "done", outside):
        folder.mkdir(parents=True)
    for name in ("plate.exr", "a/b/p.0001.exr", "a/b/p.0002.exr", "ü.exr"):
        (plates / name).write_bytes(b"plate")
    (outside / "secret.exr").write_bytes(b"secret")
    return {"plates": Root(plates), "out": Root(out, writable=True)}


@pytest.mark.parametrize("text", ["plates:plate.exr", "plates:a/b/p.####.exr", "plates:a/b/p.%04d.exr", "plates:ü.exr"])
def test_a_plain_file_or_sequence_is_found(text: str, roots: dict[str, Root]) -> None:
    assert resolve(text, roots, write=False) == roots["plates"].folder / text.partition(":")[2]


@pytest.mark.parametrize("text", ["out:new.exr", "out:made/for/it/o.####.exr", "out:done/o.mp4"])
def test_a_result_may_be_new(text: str, roots: dict[str, Root]) -> None:
    assert resolve(text, roots, write=True) == roots["out"].folder / text.partition(":")[2]


@pytest.mark.parametrize(
    "relative",
    [
        "/etc/passwd.exr",
        "../outside/secret.exr",
        "a/../../outside/secret.exr",
        "a/../plate.exr",
        "a//plate.exr",
        "./plate.exr",
        "",
        "a/",
        "..\\outside\\secret.exr",
        "\\\\server\\share\\plate.exr",
        "//server/share/plate.exr",
        "C:/plate.exr",
        "C:plate.exr",
        "plate.exr:stream.exr",
        "pla\0te.exr",
        "pla\nte.exr",
        "pla\x1bte.exr",
        "pla\u202ete.exr",
        "pla\udc80te.exr",
        "pla" + chr(0xD800) + "te.exr",
        "%n.exr",
        "%d.exr",
        "%s.exr",
        "%00d.exr",
        "%99d.exr",
        "{x.__class__}.exr",
        "~/plate.exr",
        "~root/plate.exr",
        "$HOME/plate.exr",
        "${HOME}/plate.exr",
        "`id`.exr",
        "*.exr",
        "pl?te.exr",
        "[a-z]late.exr",
        "x" * 300 + ".exr",
        "é" * 126 + ".exr",
        "a/" * 2100 + "plate.exr",
        "a/" * 70 + "plate.exr",
        "CON",
        "NUL.exr",
        "com1.exr",
        "a/aux/plate.exr",
        "plate.exr.",
        "plate.exr ",
        " plate.exr",
        "a /plate.exr",
        "a\u2215b\uff0fplate.exr",
        "a\u2044plate.exr",
        "u\u0308.exr",
        "p.####.####.exr",
        "p.####.%04d.exr",
        "####/plate.exr",
        "p.@@@@.exr",
        "plate",
        "plate.txt",
        "plate.safetensors",
        "plate.exr/",
    ],
)
@pytest.mark.parametrize("root", ["plates", "out"])
def test_a_name_that_means_more_than_itself_is_refused(root: str, relative: str, roots: dict[str, Root]) -> None:
    with pytest.raises(NotPermitted) as caught:
        resolve(f"{root}:{relative}", roots, write=root == "out")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text", ["plate.exr", "/tmp/plate.exr", "none:plate.exr", "Plates:plate.exr", ":plate.exr", ""]
)
def test_a_path_outside_every_root_is_refused(text: str, roots: dict[str, Root]) -> None:
    with pytest.raises(NotPermitted, match="ROOT:folder/file"):
        resolve(text, roots, write=False)
    with pytest.raises(NotPermitted, match=r"\(none\)"):
        resolve(text, {}, write=False)


@pytest.mark.parametrize("text", ["plates:nowhere.exr", "plates:no/where.exr", "plates:PLATE.exr", "plates:q.####.exr"])
def test_a_file_that_is_not_there_is_said_by_the_clients_own_name(text: str, roots: dict[str, Root]) -> None:
    with pytest.raises(UnreadableMedia) as caught:
        resolve(text, roots, write=False)
    assert text in str(caught.value)
    assert str(roots["plates"].folder) not in str(caught.value)


def test_a_root_for_reading_is_not_written_to(roots: dict[str, Root]) -> None:
    with pytest.raises(NotPermitted, match=":rw"):
        resolve("plates:new.exr", roots, write=True)


def final_link(plates: Path, outside: Path) -> None:
    (plates / "x.exr").symlink_to(outside / "secret.exr")


def dangling_link(plates: Path, outside: Path) -> None:
    (plates / "x.exr").symlink_to(outside / "new.exr")


def folder(plates: Path, outside: Path) -> None:
    (plates / "x.exr").mkdir()


def pipe(plates: Path, outside: Path) -> None:
    os.mkfifo(plates / "x.exr")


def unix_socket(plates: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(plates)
        made.bind("x.exr")
        os.chdir(here)


@pytest.mark.parametrize("make", [final_link, dangling_link, folder, pipe, unix_socket])
@pytest.mark.parametrize("root", ["plates", "out"])
def test_only_a_plain_file_is_opened(
    make: Callable[[Path, Path], None], root: str, roots: dict[str, Root], tmp_path: Path
) -> None:
    make(roots[root].folder, tmp_path / "outside")
    with pytest.raises(NotPermitted, match=r"x\.exr"):
        resolve(f"{root}:x.exr", roots, write=root == "out")


@pytest.mark.parametrize("root", ["plates", "out"])
def test_no_folder_on_the_way_is_a_link(root: str, roots: dict[str, Root], tmp_path: Path) -> None:
    (roots[root].folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(NotPermitted, match="link"):
        resolve(f"{root}:link/secret.exr", roots, write=root == "out")


def test_a_frame_of_a_sequence_that_is_a_link_is_refused(roots: dict[str, Root], tmp_path: Path) -> None:
    (roots["plates"].folder / "a/b/p.0003.exr").symlink_to(tmp_path / "outside" / "secret.exr")
    with pytest.raises(NotPermitted, match=r"p\.0003\.exr"):
        resolve("plates:a/b/p.####.exr", roots, write=False)


def test_a_file_of_two_names_is_not_read(roots: dict[str, Root], tmp_path: Path) -> None:
    os.link(tmp_path / "outside" / "secret.exr", roots["plates"].folder / "x.exr")
    with pytest.raises(NotPermitted, match="hard links"):
        resolve("plates:x.exr", roots, write=False)


def test_a_file_named_as_a_pattern_is_looked_at_too(roots: dict[str, Root], tmp_path: Path) -> None:
    (roots["plates"].folder / "a/b/p.####.exr").symlink_to(tmp_path / "outside" / "secret.exr")
    with pytest.raises(NotPermitted, match="link"):
        resolve("plates:a/b/p.####.exr", roots, write=False)


def test_a_root_is_written_as_a_name_and_a_folder(tmp_path: Path) -> None:
    assert root_of(f"plates={tmp_path}") == ("plates", Root(tmp_path))
    assert root_of(f"out={tmp_path}:rw") == ("out", Root(tmp_path, writable=True))


@pytest.mark.parametrize("text", ["plates", "=/tmp", "p=/tmp", "a/b=/tmp", "plates=", "plates=/no/where", "../x=/tmp"])
def test_what_is_no_root_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        root_of(text)


def test_a_folder_is_found_below_its_root_and_never_by_a_link(roots: dict[str, Root]) -> None:
    plates = roots["plates"].folder
    assert [resolve_folder(text, roots) for text in ("plates", "plates:", "plates:a/b")] == [
        plates,
        plates,
        plates / "a/b",
    ]
    (plates / "link").symlink_to(plates / "a")
    for text in ("plates:link", "plates:link/b", "plates:..", "plates:plate.exr", "plates:a/", "nowhere", "/etc"):
        with pytest.raises(NotPermitted):
            resolve_folder(text, roots)
    with pytest.raises(UnreadableMedia):
        resolve_folder("plates:c", roots)


def test_a_file_of_another_kind_is_found_where_its_ending_is_named(roots: dict[str, Root]) -> None:
    style = roots["plates"].folder / "s.safetensors"
    style.write_bytes(b"weights")
    assert resolve("plates:s.safetensors", roots, write=False, endings=(".safetensors",)) == style
    for text, endings in (("plates:s.safetensors", None), ("plates:plate.exr", (".safetensors",))):
        with pytest.raises(NotPermitted, match="its last name is not that of"):
            resolve(text, roots, write=False, endings=endings)
    names = ("plate.exr", "a b", "a/b", "..", "odd[1].png", "link~", "")
    assert [name for name in names if is_plain_name(name)] == ["plate.exr", "a b"]
