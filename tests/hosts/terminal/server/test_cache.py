"""`impasto cache`, and what a render does with it, in this process and on a server."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from impasto.core.media import open_reader
from impasto.hosts.terminal.exit_codes import USAGE
from tests.hosts.terminal.conftest import LIMIT_S, Impasto, next_event, server_process
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")

STYLE = ("--style", "wheatfield-draft", "--json")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    return folder


def entries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.frame"))


def pixels_of(path: str) -> list[bytes]:
    with open_reader(path) as reader:
        return [frame.part.pixels.tobytes() for frame in reader]


def test_frames_that_were_painted_before_are_not_painted_again(sequence: str, impasto: Impasto, cache: Path) -> None:
    first = impasto("render", sequence, "one/o.####.exr", *STYLE).events[-1]
    frames = first["frames"]
    assert (first["cached"], len(entries(cache))) == (0, frames)
    entries(cache)[1].unlink()
    second = impasto("render", sequence, "two/o.####.exr", *STYLE).events[-1]
    assert (second["frames"], second["cached"]) == (frames, frames - 1)
    assert pixels_of("one/o.####.exr") == pixels_of("two/o.####.exr")
    third = impasto("render", sequence, "three/o.####.exr", *STYLE, "--strength", "0.9").events[-1]
    assert third["cached"] == 0


def test_a_person_reads_how_many_came_out_of_the_cache(sequence: str, impasto: Impasto, cache: Path) -> None:
    impasto("render", sequence, "one/o.####.exr", *STYLE[:2])
    done = impasto("render", sequence, "two/o.####.exr", *STYLE[:2])
    frames = len(entries(cache))
    assert f"{frames} of {frames} out of the cache" in done.out


def test_no_cache_neither_looks_nor_keeps(sequence: str, impasto: Impasto, cache: Path) -> None:
    impasto("render", sequence, "one/o.####.exr", *STYLE, "--no-cache")
    assert not cache.exists()
    impasto("render", sequence, "two/o.####.exr", *STYLE)
    assert impasto("render", sequence, "three/o.####.exr", *STYLE, "--no-cache").events[-1]["cached"] == 0


def test_an_unwritable_cache_is_a_note_and_the_shot_is_painted(
    sequence: str, impasto: Impasto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / "cache"))
    done = impasto("render", sequence, "one/o.####.exr", *STYLE)
    assert done.code == 0
    assert done.events[-1]["event"] == "finished"
    notes = [each["message"] for each in done.events if each["event"] == "warning"]
    assert sum("painted frames are not kept" in note for note in notes) == 1
    assert len(pixels_of("one/o.####.exr")) == done.events[-1]["frames"]


def test_what_is_kept_is_shown_bounded_and_removed(sequence: str, impasto: Impasto, cache: Path) -> None:
    assert impasto("cache", "show").out.splitlines() == [f"0 painted frames in {cache}", "0 MiB of 4.0 GiB"]
    impasto("render", sequence, "one/o.####.exr", *STYLE)
    count = len(entries(cache))
    (cache / "mine.txt").write_text("mine")
    assert f"{count} painted frames" in impasto("cache", "show").out
    assert "1 file there is not of the cache" in impasto("cache", "show").out
    assert impasto("cache", "limit", "64M").out == "painted frames may take 64 MiB\n"
    assert "of 64 MiB" in impasto("cache", "show").out
    assert f"{count} painted frames removed" in impasto("cache", "clear").out
    assert not entries(cache)
    assert (cache / "mine.txt").exists()


@pytest.mark.parametrize("size", ["much", "0", "-3G", "4 parsecs"])
def test_a_limit_that_is_no_size_is_refused(impasto: Impasto, cache: Path, size: str) -> None:
    refused = impasto("cache", "limit", "--", size)
    assert refused.code == USAGE
    assert not cache.exists()
    assert impasto("serve", f"--cache={size}").code == USAGE


def test_a_server_finds_what_another_process_kept_and_counts_it(
    sequence: str, served: Impasto, impasto: Impasto, cache: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_RUNTIME", str(runtime))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    frames = impasto("render", sequence, "here/o.####.exr", *STYLE).events[-1]["frames"]
    with server_process("--cache", "64M", folder=runtime) as server:
        assert next_event(server)["event"] == "serving"
        there = served("render", sequence, "there/o.####.exr", *STYLE).events[-1]
        assert (there["frames"], there["cached"]) == (frames, frames)
        assert f"{frames} of them out of the cache" in served("status").out
        # Pixels from memory are named as those of a file.
        from impasto.server.client import Client

        with open_reader(sequence) as reader, Client.connect(start=False) as client:
            plate = next(iter(reader)).part.pixels
            with client.submit(plate, style="wheatfield-draft").result(LIMIT_S) as painted:
                assert painted.done.cached
                assert np.ascontiguousarray(painted.pixels).tobytes() == pixels_of("there/o.####.exr")[0]
            with client.submit(plate, style="wheatfield-draft", cache=False).result(LIMIT_S) as again:
                assert not again.done.cached
            with client.submit(plate, style="wheatfield-draft", params={"strength": 0.5}).result(LIMIT_S) as other:
                assert not other.done.cached
            until(lambda: len(entries(cache)) == frames + 1, what="for the new frame to be kept")
    assert pixels_of("here/o.####.exr") == pixels_of("there/o.####.exr")
