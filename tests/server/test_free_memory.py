"""Free memory: what the machine has, within the limit of a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.server import free_memory
from impasto.server.free_memory import free_memory_bytes

GIB = 1 << 30


def container(folder: Path, limit: str, used: int, cached: int) -> Path:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    return folder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(free_memory, "_of_the_machine", lambda: 8 * GIB)
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    return tmp_path


def test_a_container_may_use_what_its_limit_leaves_and_what_it_can_drop(machine: Path) -> None:
    container(machine, str(2 * GIB), GIB, GIB // 2)
    assert free_memory_bytes() == GIB + GIB // 2


def test_a_container_without_a_limit_has_what_the_machine_has(machine: Path) -> None:
    container(machine, "max", GIB, 0)
    assert free_memory_bytes() == 8 * GIB


def test_without_a_container_the_machine_alone_counts(machine: Path) -> None:
    assert free_memory_bytes() == 8 * GIB


def test_this_machine_says_what_it_has() -> None:
    free = free_memory_bytes()
    assert free is not None
    assert free > 0
