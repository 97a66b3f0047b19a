"""Segments: sealed or named, proven by their nonce, never a SIGBUS, nothing left behind."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import ServerBusy
from impasto.server import shared_memory
from impasto.server.shared_memory import (
    NoMapping,
    NoRoom,
    SegmentLayout,
    create_segment,
    layout_for,
    map_segment,
    read_nonce,
    sweep,
)

PAGE = 4096
linux = pytest.mark.skipif(sys.platform != "linux", reason="memfd is Linux's own")


def test_slots_begin_at_pages_and_never_overlap() -> None:
    laid = layout_for(5000, 3)
    assert laid.slot_bytes == 8192
    places = [laid.in_offset(pair) for pair in range(3)] + [laid.out_offset(pair) for pair in range(3)]
    assert sorted(places) == [laid.first_slot + step * laid.slot_bytes for step in range(6)]
    assert laid.segment_bytes == laid.first_slot + 6 * 8192
    assert laid.nonce_offset + shared_memory.NONCE_BYTES <= laid.first_slot


@pytest.mark.parametrize("pair", [-1, 3])
def test_a_pair_that_is_not_there_is_refused(pair: int) -> None:
    with pytest.raises(ValueError, match="below 3"):
        SegmentLayout(PAGE, 3).in_offset(pair)


def test_what_one_side_writes_the_other_reads() -> None:
    with create_segment(PAGE, 2) as made:
        there = map_segment(made.path, made.segment_bytes)
        here = map_segment(made.fd, made.segment_bytes)
        there[made.out_offset(1) : made.out_offset(1) + 4] = b"tide"
        assert here[made.out_offset(1) : made.out_offset(1) + 4] == b"tide"
        assert read_nonce(there, made.layout) == made.nonce != bytes(shared_memory.NONCE_BYTES)


@linux
def test_another_process_maps_it_by_its_path() -> None:
    with create_segment(PAGE, 1) as made:
        program = (
            "import sys; from impasto.server.shared_memory import *; m = map_segment(sys.argv[1], int(sys.argv[2]));"
            "sys.stdout.buffer.write(read_nonce(m, layout_for(4096, 1)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, made.path, str(made.segment_bytes)], capture_output=True, timeout=30
        )
        assert run.stdout == made.nonce, run.stderr


@linux
def test_nobody_can_shrink_a_segment() -> None:
    with create_segment(PAGE, 1) as made, pytest.raises(PermissionError):
        os.ftruncate(made.fd, PAGE)


def test_memory_outlives_the_segment_that_made_it() -> None:
    made = create_segment(PAGE, 1)
    view = np.frombuffer(map_segment(made.path, made.segment_bytes), np.uint8)
    made.close()
    view[:] = 7
    assert int(view.sum()) == 7 * made.segment_bytes


def test_a_named_segment_is_private_and_loses_its_name(tmp_path: Path) -> None:
    with create_segment(PAGE, 1, folders=[tmp_path]) as made:
        (found,) = tmp_path.iterdir()
        assert shared_memory.NAMED.fullmatch(found.name)
        assert found.stat().st_mode & 0o777 == 0o600
        mapped = map_segment(made.path, made.segment_bytes)
        made.unlink()
        assert not list(tmp_path.iterdir())
        assert read_nonce(mapped, made.layout) == made.nonce


def test_a_named_segment_goes_where_there_is_most_space(tmp_path: Path) -> None:
    with create_segment(PAGE, 1, folders=[tmp_path / "missing", tmp_path]) as made:
        assert Path(made.path).parent == tmp_path


def test_more_than_half_of_the_free_space_is_refused(tmp_path: Path) -> None:
    facts = os.statvfs(tmp_path)
    with pytest.raises(NoRoom, match="close other programs") as refused:
        create_segment(facts.f_bavail * facts.f_frsize // 2, 1, folders=[tmp_path])
    assert isinstance(refused.value, ServerBusy)
    assert not list(tmp_path.iterdir())


@linux
def test_more_than_half_of_the_free_memory_is_refused() -> None:
    with pytest.raises(NoRoom):
        create_segment(1 << 44, 2)


@linux
def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(NoRoom):
        create_segment(PAGE, 1, folders=[tmp_path])
    assert not list(tmp_path.iterdir())


@linux
def test_where_memfd_is_refused_a_file_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str, flags: int) -> int:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refused)
    with create_segment(PAGE, 1) as made:
        assert not made.path.startswith("/proc/")
        assert read_nonce(map_segment(made.path, made.segment_bytes), made.layout) == made.nonce


def test_a_file_of_another_size_is_not_mapped(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(PAGE))
    with pytest.raises(NoMapping, match="8192"):
        map_segment(str(tmp_path / "short"), 8192)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(bytes(PAGE))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(NoMapping):
        map_segment(str(tmp_path / "link"), PAGE)


@linux
def test_an_open_file_of_a_process_that_is_no_segment_is_not_even_opened(tmp_path: Path) -> None:
    with (tmp_path / "private").open("wb") as other, pytest.raises(NoMapping, match="something else"):
        map_segment(f"/proc/{os.getpid()}/fd/{other.fileno()}", PAGE)


def test_a_path_that_is_gone_is_an_error_of_ours() -> None:
    with pytest.raises(NoMapping, match="No such file"):
        map_segment("/nowhere/impasto-1-0123456789abcdef", PAGE)


def test_the_sweep_takes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, timeout=30)
    names = {
        "dead": f"impasto-{int(dead.stdout)}-0123456789abcdef",
        "ours": f"impasto-{os.getpid()}-0123456789abcdef",
        "else": f"impasto-{int(dead.stdout)}-notes.txt",
    }
    for name in names.values():
        (tmp_path / name).touch()
    assert sweep([tmp_path, tmp_path / "missing"]) == [tmp_path / names["dead"]]
    assert {path.name for path in tmp_path.iterdir()} == {names["ours"], names["else"]}


def test_segments_leave_no_open_file() -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(20):
        with create_segment(PAGE, 1) as made:
            map_segment(made.path, made.segment_bytes)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


@linux
def test_a_warm_segment_takes_no_page_faults() -> None:
    with create_segment(8 << 20, 1) as made:
        memory = np.frombuffer(map_segment(made.path, made.segment_bytes), np.uint8)
        plate = np.ones(8 << 20, np.uint8)
        slot = memory[made.in_offset(0) :][: 8 << 20]
        np.copyto(slot, plate)
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(10):
            np.copyto(slot, plate)
        assert resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before <= 8
