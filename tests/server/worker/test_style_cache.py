"""Styles that stay loaded: read once, evicted by bytes, replaced only by what has been verified."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from impasto.core.card import KeyFacts
from impasto.core.engine import Engine, Rendered, Report
from impasto.core.errors import DeviceError, OutOfMemory, StyleError
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.grade_settings import Before, Resize
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.params import Params
from impasto.core.style_file import Style
from impasto.core.tiling import AUTO_TILE
from impasto.server.shots.job import tile_of
from impasto.server.worker.device import CANARY_STYLES, canary_picture, others_than, prove
from impasto.server.worker.memory_budget import (
    KEY_BYTES,
    MemoryBudget,
    fitting_tile,
    needed_bytes,
    usual_tile,
)
from impasto.server.worker.painting_device import DeviceLost
from impasto.server.worker.style_cache import StyleCache
from impasto.server.worker.style_painter import StylePainter
from tests.plates import plate
from tests.server.fake_worker import fake_card

GIB = 1 << 30
STYLE_BYTES = 400


class FakeNet:
    """A hundred numbers."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"weight": torch.zeros(100)}


class FakeEngine:
    """Answers with the plate, unless `errors` holds something to raise first."""

    def __init__(self, style: Style, precision: str, tile: Any, errors: list[Exception]) -> None:
        self.style, self.precision, self.tile, self._errors = style, "float32", tile, errors

    def render(self, frame: Frame, settings: FrameSettings | None = None, **asked: Any) -> Rendered:
        if self._errors:
            raise self._errors.pop(0)
        return Rendered(frame, Report(0, {"network": 0.0}, self.tile if isinstance(self.tile, int) else None))


class Disk:
    """Style files as a test says they are."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.reads: list[str] = []
        self.wait: Callable[[], None] = lambda: None
        self.errors: list[Exception] = []
        self.built: list[tuple[str, Any]] = []

    def load(self, path: Path) -> Style:
        self.reads.append(path.stem)
        self.wait()
        if path.stem not in self.digests:
            raise StyleError(f"expected a style in '{path}', got none; fetch the file again")
        return Style(fake_card(path.stem, self.digests[path.stem]), FakeNet(), path)  # type: ignore[arg-type]

    def build(self, style: Style, precision: str, tile: Any) -> Engine:
        self.built.append((style.card.name, tile))
        return FakeEngine(style, precision, tile, self.errors)  # type: ignore[return-value]


@pytest.fixture
def disk() -> Disk:
    disk = Disk()
    disk.digests = {name: name * 64 for name in "abcd"}
    return disk


def style_cache(disk: Disk, styles: int = 2) -> StyleCache:
    """Room for this many styles with one engine each."""
    return StyleCache(2 * STYLE_BYTES * styles, disk.load, disk.build)


def use(cache: StyleCache, name: str) -> None:
    cache.engine(cache.style(f"/{name}.safetensors"), "float32", "auto")


def test_a_style_is_read_once(disk: Disk) -> None:
    cache = style_cache(disk)
    for _ in range(3):
        use(cache, "a")
    assert disk.reads == ["a"]
    assert disk.built == [("a", "auto")]


def test_threads_that_ask_at_once_read_a_style_once(disk: Disk) -> None:
    cache = style_cache(disk)
    asked = threading.Barrier(4, timeout=10)
    disk.wait = lambda: time.sleep(0.05)

    def ask() -> None:
        asked.wait()
        use(cache, "a")

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(ask) for _ in range(4)]:
            each.result(10)
    assert disk.reads == ["a"]
    assert disk.built == [("a", "auto")]


def test_what_was_chosen_of_a_file_goes_when_the_file_is_replaced(disk: Disk) -> None:
    disk.digests = {"many": "1" * 64}
    cache = style_cache(disk, styles=4)
    chosen = "/many.safetensors@wave"
    cache.style("/many.safetensors")
    cache.engine(cache.style(chosen), "float32", "auto")
    assert cache.names() == ("many", "many@wave")
    disk.digests["many"] = "2" * 64
    cache.check("/many.safetensors")
    assert cache.names() == ("many",)
    assert cache.style(chosen).style.card.weights_sha256 == "2" * 64


def test_a_style_that_cannot_be_read_can_be_asked_for_again(disk: Disk) -> None:
    cache = style_cache(disk)
    with pytest.raises(StyleError):
        use(cache, "new")
    disk.digests["new"] = "1" * 64
    use(cache, "new")
    assert disk.reads == ["new", "new"]


def test_what_was_used_longest_ago_is_evicted(disk: Disk) -> None:
    cache = style_cache(disk, styles=2)
    for name in "abac":
        use(cache, name)
    assert cache.names() == ("a", "c")
    assert cache.bytes <= 4 * STYLE_BYTES


def test_the_style_in_use_stays_however_small_the_budget(disk: Disk) -> None:
    cache = style_cache(disk, styles=0)
    use(cache, "a")
    assert cache.names() == ("a",)
    use(cache, "b")
    assert cache.names() == ("b",)


def test_a_file_that_changed_is_not_used_before_it_is_checked(disk: Disk) -> None:
    cache = style_cache(disk)
    before = cache.style("/a.safetensors")
    disk.digests["a"] = "9" * 64
    assert cache.style("/a.safetensors") is before
    assert cache.check("/a.safetensors") == "9" * 64
    after = cache.style("/a.safetensors")
    assert after is not before
    assert after.style.card.weights_sha256 == "9" * 64


def test_a_check_of_the_same_file_keeps_its_engines(disk: Disk) -> None:
    cache = style_cache(disk)
    use(cache, "a")
    cache.check("/a.safetensors")
    use(cache, "a")
    assert disk.built == [("a", "auto")]


def test_a_broken_file_leaves_the_old_style_which_is_never_evicted(disk: Disk) -> None:
    cache = style_cache(disk, styles=1)
    use(cache, "a")
    del disk.digests["a"]
    with pytest.raises(StyleError):
        cache.check("/a.safetensors")
    for name in "bcd":
        use(cache, name)
    use(cache, "a")
    assert cache.style("/a.safetensors").style.card.weights_sha256 == "a" * 64
    disk.digests["a"] = "2" * 64
    cache.check("/a.safetensors")
    for name in "bcd":
        use(cache, name)
    assert "a" not in cache.names()


def test_a_file_that_nobody_watches_is_read_again_once_it_changed(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"first")
    cache = style_cache(disk)
    before = cache.unwatched_style(str(path))
    assert cache.unwatched_style(str(path)) is before
    assert disk.reads == ["a"]
    path.write_bytes(b"trained again")
    disk.digests["a"] = "9" * 64
    assert cache.unwatched_style(str(path)).style.card.weights_sha256 == "9" * 64
    cache.unwatched_style(str(path))
    assert disk.reads == ["a", "a"]


def test_a_file_that_was_only_touched_keeps_its_engines(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"first")
    cache = style_cache(disk)
    before = cache.unwatched_style(str(path))
    os.utime(path, ns=(1, 1))
    assert cache.unwatched_style(str(path)) is before
    assert cache.unwatched_style(str(path)) is before
    assert disk.reads == ["a", "a"]


def test_a_file_that_nobody_watches_and_that_broke_is_refused(disk: Disk, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"first")
    cache = style_cache(disk)
    cache.unwatched_style(str(path))
    path.write_bytes(b"half of it")
    del disk.digests["a"]
    with pytest.raises(StyleError):
        cache.unwatched_style(str(path))


def test_a_shot_goes_on_with_the_style_that_it_began_with(disk: Disk) -> None:
    cache = style_cache(disk)
    painter = painter_of(cache, "a")
    disk.digests["a"] = "9" * 64
    cache.check("/a.safetensors")
    painter.render(plate(8, 8))
    assert painter.style.card.weights_sha256 == "a" * 64


def painter_of(
    cache: StyleCache, name: str, tile: Any = "auto", free: int = 64 * GIB, device: str = "cpu"
) -> StylePainter:
    return StylePainter(cache, cache.style(f"/{name}.safetensors"), device, "float32", tile, MemoryBudget(lambda: free))


SHORTAGES = [
    OutOfMemory("expected memory"),
    MemoryError("Unable to allocate 1 GiB"),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_when_memory_runs_out_other_styles_go_and_the_frame_is_tried_once_more(disk: Disk, shortage: Exception) -> None:
    cache = style_cache(disk, styles=3)
    use(cache, "b")
    use(cache, "c")
    disk.errors.append(shortage)
    report = painter_of(cache, "a").render(plate(8, 8)).report
    assert cache.names() == ("a",)
    assert report.notes == ("memory ran short on cpu: b, c had to be unloaded",)


def test_when_memory_runs_out_twice_the_request_fails_with_a_hint(disk: Disk) -> None:
    disk.errors += [OutOfMemory("first"), OutOfMemory("second")]
    with pytest.raises(OutOfMemory, match="use a smaller style"):
        painter_of(style_cache(disk), "a").render(plate(8, 8))


@pytest.mark.parametrize("error", [DeviceError("illegal address"), RuntimeError("CUDA error: misaligned address")])
def test_an_error_of_a_gpu_that_is_not_memory_loses_the_device(disk: Disk, error: Exception) -> None:
    disk.errors.append(error)
    with pytest.raises(DeviceLost):
        painter_of(style_cache(disk), "a", device="cuda:0").render(plate(8, 8))


@pytest.mark.parametrize("error", [DeviceError("illegal address"), RuntimeError("shapes do not fit"), KeyError("bug")])
def test_the_processor_is_not_lost_to_an_error(disk: Disk, error: Exception) -> None:
    disk.errors.append(error)
    with pytest.raises(type(error)):
        painter_of(style_cache(disk), "a").render(plate(8, 8))


def test_a_frame_that_does_not_fit_whole_is_painted_in_tiles_from_the_start(disk: Disk) -> None:
    cache = style_cache(disk)
    size = 3840, 2160
    whole, tiles = (needed_bytes("draft", size[0] * size[1], 1.0, tile) for tile in (None, 512))
    assert tiles < whole
    report = painter_of(cache, "a", free=int(1.05 * tiles / 0.9)).render(plate(*reversed(size), dtype="uint8")).report
    assert report.tile == 512
    assert report.notes == ("memory is short: painted in tiles of 512 pixels from the start, the result is the same",)


def test_a_frame_that_fits_nowhere_is_refused_before_it_begins(disk: Disk) -> None:
    cache = style_cache(disk)
    with pytest.raises(OutOfMemory, match=r"megapixels would fit"):
        painter_of(cache, "a", free=100 << 20).render(plate(2160, 3840, dtype="uint8"))
    assert disk.built == []


def test_two_frames_are_not_promised_the_same_memory(disk: Disk) -> None:
    style = disk.load(Path("/a.safetensors"))
    need = needed_bytes("draft", 3840 * 2160, 1.0, AUTO_TILE)
    room = MemoryBudget(lambda: int(1.5 * need))
    with room.reserve(style, 3840, 2160, 1.0, "auto") as first:
        assert first == "auto"
        with pytest.raises(OutOfMemory), room.reserve(style, 3840, 2160, 1.0, "auto"):
            pass
    with room.reserve(style, 3840, 2160, 1.0, "auto") as again:
        assert again == "auto"


def test_the_footprint_counts_the_size_after_the_resize_and_the_stroke(disk: Disk) -> None:
    cache = style_cache(disk)
    small = painter_of(cache, "a", free=200 << 20)
    small.render(plate(360, 640))
    with pytest.raises(OutOfMemory):
        small.render(plate(360, 640), FrameSettings(before=Before(resize=Resize(scale=8.0))))
    with pytest.raises(OutOfMemory):
        small.render(plate(720, 1280), FrameSettings(Params(stroke=0.25)))


def keyed(style: Style) -> Style:
    """The style with two painted keys of 8 x 16."""
    facts = KeyFacts((1, 2), 8, 16, "uint8")
    pictures, painted = torch.zeros(2, 3, 8, 16, dtype=torch.uint8), torch.zeros(2, 1, 8, 16, dtype=torch.uint8)
    return replace(style, card=replace(style.card, keys=facts), keys=Keys(facts, pictures, pictures, painted))


def test_the_keys_that_a_style_carries_count_as_memory(disk: Disk) -> None:
    cache = StyleCache(GIB, lambda path: keyed(disk.load(path)), disk.build)
    use(cache, "a")
    pixels = 2 * 8 * 16
    assert cache.bytes == 2 * STYLE_BYTES + pixels * (3 + 3 + 1) + pixels * KEY_BYTES


def test_a_frame_with_keys_is_promised_more_memory(disk: Disk) -> None:
    style = disk.load(Path("/a.safetensors"))
    pixels = 3840 * 2160
    plain, with_keys = (needed_bytes("draft", pixels, 1.0, AUTO_TILE, keys) for keys in (0, 2))
    assert with_keys > plain
    room = MemoryBudget(lambda: int((plain + with_keys) / 2 / 0.9))
    with room.reserve(style, 3840, 2160, 1.0, "auto") as tile:
        assert tile == "auto"
    with room.reserve(keyed(style), 3840, 2160, 1.0, "auto") as tile:
        assert tile != "auto"


def test_a_style_that_sees_the_whole_frame_is_never_tiled() -> None:
    assert fitting_tile("draft", 64, 64, 1.0, None, False, GIB) is None
    with pytest.raises(OutOfMemory):
        fitting_tile("draft", 3840, 2160, 1.0, None, False, GIB)
    assert usual_tile("auto", 1 << 26, 1.0, False, "cpu") is None
    assert usual_tile("auto", 1 << 26, 1.0, True, "cuda:0") == AUTO_TILE
    assert usual_tile("auto", 3840 * 2160, 1.0, True, "cpu") == AUTO_TILE
    assert usual_tile("auto", 3840 * 2160, 1.0, True, "cuda:0") is None
    assert usual_tile(256, 100, 1.0, True, "cpu") == 256


@pytest.mark.parametrize(("number", "tile"), [(0, "auto"), (-1, "off"), (512, 512)])
def test_the_tile_of_the_wire_is_the_engines(number: int, tile: Any) -> None:
    assert tile_of(number) == tile


def test_only_auto_has_other_gpus() -> None:
    assert others_than("cuda:0", "auto", 3) == ("cuda:1", "cuda:2")
    assert others_than("cuda:0", "cuda:0", 3) == ()
    assert others_than("cpu", "auto", 0) == ()


def test_the_test_picture_holds_many_tones() -> None:
    assert len(np.unique(canary_picture())) > 200


def test_the_processor_proves_itself() -> None:
    prove("cpu")


def test_a_device_that_paints_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    render = Engine.render

    def garbled(self: Engine, frame: Frame, *arguments: Any, **asked: Any) -> Rendered:
        rendered = render(self, frame, *arguments, **asked)
        if self.style.card.name == CANARY_STYLES[0]:
            pixels = np.roll(rendered.frame.part.pixels, 1, axis=1)
            part = replace(rendered.frame.part, pixels=pixels)
            rendered = replace(rendered, frame=replace(rendered.frame, parts=(part,)))
        return rendered

    monkeypatch.setattr(Engine, "render", garbled)
    with pytest.raises(DeviceError, match="expected the test picture"):
        prove("cpu")
