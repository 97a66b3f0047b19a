"""Entries in a folder: whole or not there, bounded by bytes, least recently used first, safe for several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import OutputError, UsageError
from impasto.server.frame_cache.place import (
    DEFAULT_BYTES,
    CacheChoice,
    bytes_of,
    cache_choice,
    cache_folder,
    limit_of,
    set_limit,
)
from impasto.server.frame_cache.store import FrameStore

MIB = 1 << 20


def name(number: int) -> str:
    return f"{number:040x}"


def store_in(folder: Path, limit_bytes: int | None = 16 * MIB, *, read_only: bool = False) -> FrameStore:
    return FrameStore(CacheChoice(folder, limit_bytes, read_only))


def entry_file(folder: Path, number: int = 1) -> Path:
    return folder / f"{name(number)}.frame"


def content_of(store: FrameStore, number: int) -> bytes | None:
    found = store.get(name(number))
    return None if found is None else found.tobytes()


def test_an_entry_comes_back_bit_for_bit(tmp_path: Path) -> None:
    store = store_in(tmp_path / "new")
    pixels = np.random.default_rng(1).random((20, 30, 3), np.float32)
    assert store.put(name(1), [b"head", pixels])
    assert content_of(store, 1) == b"head" + pixels.tobytes()
    assert store.get(name(2)) is None


@pytest.mark.parametrize("damage", ["flipped", "short", "long", "empty", "renamed"])
def test_a_damaged_entry_is_removed_and_missing(tmp_path: Path, damage: str) -> None:
    store, file = store_in(tmp_path), entry_file(tmp_path)
    store.put(name(1), [bytes(range(256)) * 100])
    whole = file.read_bytes()
    wanted = 1
    match damage:
        case "flipped":
            file.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
        case "short":
            file.write_bytes(whole[:-1])
        case "long":
            file.write_bytes(whole + b"\0")
        case "empty":
            file.write_bytes(b"")
        case "renamed":
            wanted = 2
            file.rename(entry_file(tmp_path, 2))
    assert store.get(name(wanted)) is None
    assert not entry_file(tmp_path, wanted).exists()
    assert store.damaged == 1


def test_the_least_recently_used_entries_are_evicted(tmp_path: Path) -> None:
    store = store_in(tmp_path, 10 * MIB)
    for number in range(9):
        store.put(name(number), [bytes(MIB)])
        os.utime(entry_file(tmp_path, number), (1000 + number, 1000 + number))
    assert content_of(store, 0) is not None  # used now
    for number in range(9, 12):
        store.put(name(number), [bytes(MIB)])
    there = {number for number in range(12) if entry_file(tmp_path, number).exists()}
    assert {0, 9, 10, 11} <= there
    assert not {1, 2} & there
    assert store.facts().bytes <= 10 * MIB


def test_an_entry_of_more_than_half_the_limit_is_not_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path, 2 * MIB)
    assert not store.put(name(1), [bytes(MIB + 1)])
    assert store.facts().entries == 0


def test_a_read_only_cache_is_read_and_never_written(tmp_path: Path) -> None:
    store_in(tmp_path).put(name(1), [b"kept"])
    os.utime(entry_file(tmp_path), (1000, 1000))
    store = store_in(tmp_path, read_only=True)
    assert content_of(store, 1) == b"kept"
    assert entry_file(tmp_path).stat().st_mtime == 1000
    assert not store.put(name(2), [b"more"])
    entry_file(tmp_path).write_bytes(b"damaged")
    assert store.get(name(1)) is None
    assert entry_file(tmp_path).exists()


def test_a_folder_that_cannot_be_written_is_said_once_and_tried_again_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    now = [0.0]
    store = FrameStore(CacheChoice(tmp_path / "file" / "cache", 4 * MIB), clock=lambda: now[0])
    assert not store.put(name(1), [b"frame"])
    assert "are not kept" in store.problem
    (tmp_path / "file").unlink()
    assert not store.put(name(1), [b"frame"])  # no attempt yet
    now[0] = 61.0
    assert store.put(name(1), [b"frame"])
    assert store.problem == ""


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*anything: object) -> int:
        raise OSError(28, "No space left on device")

    store = store_in(tmp_path)
    monkeypatch.setattr("impasto.server.frame_cache.store.os.write", full)
    assert not store.put(name(1), [b"frame"])
    assert "full" in store.problem
    assert list(tmp_path.iterdir()) == []


def test_the_last_gibibyte_of_a_disk_is_left_to_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "free")(1 << 30)
    monkeypatch.setattr("impasto.server.frame_cache.store.shutil.disk_usage", lambda folder: usage)
    store = store_in(tmp_path)
    assert not store.put(name(1), [b"frame"])
    assert "1 GiB" in store.problem


def test_foreign_files_are_counted_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    (tmp_path / "notes.frame").write_bytes(b"mine")
    (tmp_path / name(7)).write_bytes(b"mine")
    store = store_in(tmp_path)
    store.put(name(1), [b"frame"])
    assert (store.facts().entries, store.facts().foreign) == (1, 3)
    assert store.trim(0) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["holiday.jpg", "notes.frame", name(7)])


RACER = """
import sys
from pathlib import Path
from impasto.server.frame_cache.place import CacheChoice
from impasto.server.frame_cache.store import FrameStore
store = FrameStore(CacheChoice(Path(sys.argv[1]), 4 << 20))
print("ready", flush=True)
for turn in range(300):
    number = turn * 7 % 40
    wanted = bytes([number]) * (200_000 + number)
    found = store.get(f"{number:040x}")
    if found is None:
        store.put(f"{number:040x}", [wanted])
    elif found.tobytes() != wanted:
        sys.exit(f"wrong content of {number}")
    if turn % 50 == 49:
        store.trim(1 << 20)
sys.exit(store.problem or store.damaged)
"""


def test_processes_that_race_get_whole_entries_and_keep_within_the_limit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    for racer in racers:
        _, told = racer.communicate(timeout=120)
        assert racer.returncode == 0, told.decode()
    facts = store_in(tmp_path).facts()
    assert facts.bytes <= (4 << 20) * (1 + 3 / 16)
    assert facts.foreign == 0


DIES = """
import sys
from pathlib import Path
import impasto.server.frame_cache.store as module
from impasto.server.frame_cache.place import CacheChoice
written = module._write_all
def hangs(descriptor, view):
    written(descriptor, view[: view.nbytes // 2])
    print("half", flush=True)
    sys.stdin.read()
def first(descriptor, view):
    written(descriptor, view)
    module._write_all = hangs
module._write_all = first
module.FrameStore(CacheChoice(Path(sys.argv[1]), 4 << 20)).put("1".rjust(40, "0"), [bytes(1000)])
"""


def test_a_process_killed_in_the_middle_of_an_entry_leaves_none(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIES, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == b"half\n"
        dying.send_signal(signal.SIGKILL)
        dying.wait(30)
    assert len(list(tmp_path.iterdir())) == 1
    store = store_in(tmp_path)
    assert store.get(name(1)) is None
    assert store.facts().foreign == 0
    assert store.put(name(1), [b"painted again"])
    assert [each.name for each in tmp_path.iterdir()] == [entry_file(tmp_path).name]


def test_what_another_machine_left_unfinished_goes_after_an_hour(tmp_path: Path) -> None:
    left = tmp_path / f".{name(3)}.0a1b2c3d-1-deadbeef.part.frame"
    left.write_bytes(b"half")
    store_in(tmp_path).put(name(1), [b"frame"])
    assert left.exists()
    old = time.time() - 4000
    os.utime(left, (old, old))
    store_in(tmp_path).put(name(2), [b"frame"])
    assert not left.exists()


@pytest.mark.parametrize(
    ("text", "expected"), [("4G", 4 << 30), ("500 MiB", 500 << 20), ("1.5t", 3 << 39), ("2097152", 2 << 20)]
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert bytes_of(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-4G", "4 X", "0", "100", "1e9", "4GG", "9999999999T"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a size of the cache"):
        bytes_of(text)


def test_the_limit_stays_with_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert limit_of(folder) == DEFAULT_BYTES
    set_limit(folder, 3 << 20)
    assert store_in(folder, None).limit_bytes == 3 << 20
    (folder / "limit").write_text("nonsense")
    assert limit_of(folder) == DEFAULT_BYTES


def test_a_limit_that_cannot_be_noted_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        set_limit(tmp_path / "file" / "cache", MIB)


def test_what_a_server_is_asked_to_keep(tmp_path: Path) -> None:
    named = {"IMPASTO_CACHE": str(tmp_path)}
    assert cache_choice("", "cuda:0", named) == CacheChoice(tmp_path)
    assert cache_choice("2G", "cpu", named) == CacheChoice(tmp_path, 2 << 30)
    assert cache_choice("read-only", "cpu", named) == CacheChoice(tmp_path, read_only=True)
    assert cache_choice("off", "cpu", named) is None
    assert cache_choice("", "cpu", {"IMPASTO_CACHE": "off"}) is None
    assert cache_choice("", "cpu", {}) == CacheChoice(cache_folder({}))
    assert cache_choice("", "cuda:0", {}) is None
    assert cache_choice("1G", "cuda:0", {}) == CacheChoice(cache_folder({}), 1 << 30)
    with pytest.raises(UsageError):
        cache_choice("sometimes", "cpu", named)
    assert cache_folder({"XDG_CACHE_HOME": "/somewhere", "LOCALAPPDATA": "/somewhere"}).name == "frames"
