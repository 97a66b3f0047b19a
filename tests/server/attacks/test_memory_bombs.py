"""Small files and short messages that ask for more memory than there is: refused before anything is allocated."""

from __future__ import annotations

import errno
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from impasto.core import resize
from impasto.core.card import Card
from impasto.core.errors import NoSpace, OutOfMemory, OutputError, UnreadableMedia, UsageError
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import After, Resize
from impasto.core.media import ShotInfo, open_writer
from impasto.core.resize import resize_frame
from impasto.server.protocol.messages import Failed, RenderSettings, ShotDone, ShotJob, SubmitShot
from impasto.server.shots import memory
from impasto.server.shots.render import render_shot
from tests.server.fake_worker import FakePainter, Script, fake_card
from tests.server.running_server import served
from tests.server.wire_client import WireClient
from tests.waiting import until

MEGA = 1_000_000
GIB = 1 << 30


@pytest.fixture
def plates(tmp_path: Path) -> str:
    path = str(tmp_path / "p.####.png")
    with open_writer(path, ShotInfo("", "sequence", 1, 2, 32, 16)) as writer:
        for number in (1, 2):
            writer.write(Frame.from_pixels(np.full((16, 32, 3), 99, np.uint8), number=number))
    return path


class _Style:
    card: Card = fake_card("none")


class _NoPainter:
    """Nothing may come so far."""

    style, precision = _Style(), "float32"

    def render(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a frame was painted")


def job(plates: str, output: Path, **more: Any) -> ShotJob:
    return ShotJob(RenderSettings("echo"), plates, str(output / "o.####.png"), **more)


@pytest.mark.parametrize("where", ["before_resize", "after_resize"])
def test_a_size_beyond_the_limit_is_refused_before_the_first_frame(where: str, plates: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"at most 67 megapixels.*30000x30000"):
        render_shot(job(plates, tmp_path, **{where: "30000x30000"}), _NoPainter(), most_pixels=67 * MEGA)  # type: ignore[arg-type]


def test_a_plate_beyond_the_limit_is_refused_before_the_first_frame(plates: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="as the plate, got 32x16"):
        render_shot(job(plates, tmp_path), _NoPainter(), most_pixels=32 * 16 - 1)  # type: ignore[arg-type]


def test_a_size_beyond_the_free_memory_is_refused_before_the_first_frame(
    plates: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory_bytes", lambda: 1 << 30)
    with pytest.raises(OutOfMemory, match=r"GiB are free"):
        render_shot(job(plates, tmp_path, after_resize="8000x8000"), _NoPainter())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        (FrameSettings(), {"the plate": (100, 50)}),
        (FrameSettings(after=After(resize=Resize.parse("200%"))), {"the plate": (100, 50), "the result": (200, 100)}),
    ],
)
def test_every_step_has_its_size(settings: FrameSettings, sizes: dict[str, tuple[int, int]]) -> None:
    assert memory.sizes_of(settings, 100, 50) == sizes


def test_a_server_refuses_a_bomb_in_its_message_and_goes_on(plates: str, tmp_path: Path) -> None:
    with served() as server, WireClient(server.folder, hello=True) as client:
        bomb = SubmitShot(secrets.token_bytes(16), job(plates, tmp_path / "out", after_resize="30000x30000"))
        begun = time.monotonic()
        client.send(client.data, bomb)
        failed = until(lambda: next((each for each in [client.answer()[0]] if isinstance(each, Failed)), None))
        assert failed.error.code == "usage"
        assert time.monotonic() - begun < 10
        assert client.status().counters["workers_lost"] == 0
        client.send(client.data, SubmitShot(secrets.token_bytes(16), job(plates, tmp_path / "out")))
        assert until(lambda: isinstance(client.answer()[0], ShotDone))


def test_the_limit_of_the_server_holds_for_its_shots(plates: str, tmp_path: Path) -> None:
    with served(limits={"pixels": 1000}) as server, WireClient(server.folder, hello=True) as client:
        asked = SubmitShot(secrets.token_bytes(16), job(plates, tmp_path / "out", after_resize="200%"))
        client.send(client.data, asked)
        failed = until(lambda: next((each for each in [client.answer()[0]] if isinstance(each, Failed)), None))
        assert "as the result, got 64x32" in failed.error.message


def test_a_worker_far_above_its_limit_is_killed_at_work() -> None:
    with (
        served(("hang", "echo"), limits={"worker_rss_bytes": 1 << 20}) as server,
        WireClient(server.folder, hello=True) as client,
    ):
        client.submit("hang")
        until(lambda: "the limit is 0.0" in server.log())
        assert "killed: it took" in server.log()
        assert client.status().counters["workers_lost"] >= 1


class _Stop(Exception):
    pass


@pytest.mark.parametrize("size", ["300%", "50%", "97x40", "20x200"])
def test_a_resize_can_be_left_at_every_step(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).random((24, 48, 4), np.float32)
    frame = Frame.from_pixels(pixels)
    window = replace(frame.part.data_window, x=3, y=1)
    frame = replace(frame, parts=(replace(frame.part, data_window=window),))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    at_once = resize_frame(frame, Resize.parse(size), cancelled=count)
    few, steps = steps, 0
    monkeypatch.setattr(resize, "BAND_PIXELS", 50)
    whole = resize_frame(frame, Resize.parse(size), cancelled=count)
    assert np.array_equal(whole.colour, at_once.colour)
    assert steps > few + 4  # the larger the picture, the more
    for last in range(1, steps + 1):
        with pytest.raises(_Stop):
            resize_frame(frame, Resize.parse(size), cancelled=_stopping_at(last))


def _stopping_at(last: int) -> Callable[[], None]:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == last:
            raise _Stop

    return check


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def failing(error: Exception, cause: Exception | None, left: list[int | None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of `shortage_named` that fails; `left` is what the limit of the process leaves, before and after."""
    answers = iter(left)
    monkeypatch.setattr(memory, "own_memory_bytes", lambda: next(answers))
    with memory.shortage_named(3840, 2160):
        raise error from cause


@pytest.mark.parametrize(
    ("error", "cause", "left"),
    [
        (OutputError("expected to write 'o.exr', got: no reason given; choose another format"), None, [GIB, 8 << 20]),
        (UnreadableMedia("expected sound pixels"), MemoryError(), [GIB, 8 << 20]),
        (OutputError("expected"), OSError(errno.ENOMEM, "Cannot allocate memory"), [GIB, 8 << 20]),
        (MemoryError("Unable to allocate 190. MiB"), None, [None, None]),
    ],
    ids=repr,
)
def test_a_library_that_ran_out_of_memory_is_told_as_that_with_the_size_that_fits(
    error: Exception, cause: Exception | None, left: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutOfMemory, match=r"3840x2160.*about [1-9]\.\d megapixels would fit"):
        failing(error, cause, left, monkeypatch)


@pytest.mark.parametrize(
    ("error", "cause", "left"),
    [
        (OutputError("expected"), PermissionError(errno.EACCES, "Permission denied"), [GIB, 8 << 20]),
        (NoSpace("expected room"), None, [GIB, 8 << 20]),
        (OutputError("expected"), None, [GIB, 100 << 20]),
        (OutputError("expected"), None, [None, None]),
        (UsageError("expected"), None, [GIB, 8 << 20]),
    ],
    ids=repr,
)
def test_what_has_another_reason_stays(
    error: Exception, cause: Exception | None, left: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)):
        failing(error, cause, left, monkeypatch)


def test_a_writer_without_memory_ends_a_shot_with_that(
    plates: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "own_memory_bytes", lambda: 8 << 20)
    monkeypatch.setattr(oiio.ImageOutput, "create", lambda name: None)
    cut: list[str] = []
    with pytest.raises(OutOfMemory, match="no reason given"):
        render_shot(job(plates, tmp_path / "out"), FakePainter(Script("echo", 0, tmp_path), 0), on_cut=cut.append)  # type: ignore[arg-type]
    assert list((tmp_path / "out").iterdir()) == []


def test_the_limit_of_the_process_counts_as_free_memory() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); "
        "from impasto.server.free_memory import free_memory_bytes; print(free_memory_bytes())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True, env=os.environ
    ).stdout
    assert 0 < int(printed) < 1 << 30
