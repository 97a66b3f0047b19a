"""A kept frame is the painted one, bit for bit, and only what was painted from the same inputs is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.colour.configuration import configuration
from impasto.core.engine import Engine, Rendered
from impasto.core.frame import AlphaKind, Attribute, ColourLayer, Excess, Frame, KeyMotion, Part, Window
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.grade_settings import After, Before, Resize
from impasto.core.params import Params
from impasto.core.style_file import BUILT_IN, Style, find_style, load_style
from impasto.server.frame_cache.keeping import Keeping
from impasto.server.frame_cache.name import name_of
from impasto.server.frame_cache.painter import CachedPainter
from impasto.server.frame_cache.place import CacheChoice
from impasto.server.frame_cache.program import machine_of
from impasto.server.frame_cache.store import FrameStore
from impasto.server.worker.memory_budget import MemoryBudget
from impasto.server.worker.style_cache import StyleCache
from impasto.server.worker.style_painter import StylePainter
from tests.core.keyframe_paint.test_painted_frames import CARD, NET, PAINT, PLATE, keys_of
from tests.plates import noise, plate
from tests.server.worker.painter_conformance import PainterConformance

NAME = "wheatfield-draft"
MACHINE = machine_of("cpu", "a processor")


class Counted:
    """A painter of a worker, and how often it painted."""

    delivers = False

    def __init__(self, style: str | Style = NAME) -> None:
        self._engine = Engine(style, device="cpu")
        self.style = self._engine.style
        self.painted = 0

    def precision_for(self, *, eight_bit: bool) -> str:
        return self._engine.precision_for(eight_bit=eight_bit)

    def render(self, *arguments: Any, **more: Any) -> Rendered:
        self.painted += 1
        return self._engine.render(*arguments, **more)


@pytest.fixture(scope="module")
def counted() -> Counted:
    return Counted()


@pytest.fixture
def keeping(tmp_path: Path) -> Keeping:
    return Keeping(FrameStore(CacheChoice(tmp_path / "cache", 64 << 20)))


def settled(keeping: Keeping) -> None:
    assert keeping.settle(30)


def overscan() -> Frame:
    """Half RGBA premultiplied with a depth, a data window of its own, a second part, NaN and a hole in alpha."""
    pixels = noise(40, 56, 5, dtype="float16")
    pixels[..., 3][:10] = 0
    pixels[3, 4, 0] = np.nan
    attributes = {
        "chromaticities": Attribute("float[8]", (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)),
        "owner": Attribute("string", "studio"),
    }
    data, display = Window(-4, 2, 56, 40), Window(0, 0, 48, 44)
    first = Part(pixels, ("R", "G", "B", "A", "Z"), ("half",) * 5, data, display, 2.0, attributes)
    second = Part(noise(40, 56, 1), ("id.Y",), ("float",), data, display)
    layer = ColourLayer(0, (0, 1, 2), 3)
    return Frame((first, second), layer, "linear", AlphaKind.ASSOCIATED, 7, "01:00:00:07", "plate.0007.exr")


def bright() -> Frame:
    """8 bits with excess, as a movie over its white leaves it."""
    places = np.array([3, 700], np.intp)
    amount = np.array([[0.1, 0, 0], [0, 0.2, 0.3]], np.float32)
    stated = {"oiio:ColorSpace": Attribute("string", "srgb_rec709_scene"), "owner": Attribute("string", "studio")}
    return replace(part_of(plate(dtype="uint8"), attributes=stated), excess=Excess(places, amount))


CASES: dict[str, tuple[Callable[[], Frame], FrameSettings, str | Style]] = {
    "8 bits": (lambda: plate(dtype="uint8"), FrameSettings(), NAME),
    "16 bits with straight alpha": (
        lambda: replace(plate(dtype="uint16", channels=4), alpha_kind=AlphaKind.UNASSOCIATED),
        FrameSettings(Params(strength=0.5, stroke=2.0, colour=0.3, detail=0.5, exposure=1.0)),
        NAME,
    ),
    "grey": (lambda: plate(channels=1), FrameSettings(), NAME),
    "overscan": (overscan, FrameSettings(), NAME),
    "overscan resized": (
        overscan,
        FrameSettings(None, Before(denoise=0.2, resize=Resize(scale=0.5)), After(sharpen=0.4, resize=Resize(width=60))),
        NAME,
    ),
    "8 bits into half of another space": (
        bright, FrameSettings(output=Output("lin_ap1_scene", "half")), NAME,
    ),
    "excess": (bright, FrameSettings(), NAME),
    "a sphere": (
        lambda: plate(64, 128, dtype="float16"), FrameSettings(projection="equirectangular"), NAME,
    ),
    "painted keys": (
        lambda: Frame.from_pixels(PLATE),
        FrameSettings(output=Output("srgb_rec709_scene"), keys_map=True),
        Style(CARD, NET, keys=keys_of((PLATE, PAINT))),
    ),
}  # fmt: skip


def assert_equal(one: Frame, other: Frame) -> None:
    for each in fields(Frame):
        if each.name not in ("parts", "excess"):
            assert getattr(one, each.name) == getattr(other, each.name), each.name
    assert len(one.parts) == len(other.parts)
    for mine, theirs in zip(one.parts, other.parts, strict=True):
        for each in fields(Part):
            if each.name != "pixels":
                assert getattr(mine, each.name) == getattr(theirs, each.name), each.name
        assert (mine.pixels.dtype, mine.pixels.shape) == (theirs.pixels.dtype, theirs.pixels.shape)
        assert mine.pixels.tobytes() == theirs.pixels.tobytes()
    assert (one.excess is None) == (other.excess is None)
    if one.excess is not None and other.excess is not None:
        assert one.excess.places.tobytes() == other.excess.places.tobytes()
        assert one.excess.amount.tobytes() == other.excess.amount.tobytes()


@pytest.mark.parametrize("case", CASES)
def test_a_kept_frame_is_the_painted_one_bit_for_bit(keeping: Keeping, case: str) -> None:
    frame_of, settings, style = CASES[case]
    behind = Counted(style)
    painter = CachedPainter(behind, keeping, MACHINE)
    painted = painter.render(frame_of(), settings)
    settled(keeping)
    found = painter.render(frame_of(), settings)
    assert behind.painted == 1
    assert (painted.report.cached, found.report.cached) == (False, True)
    assert found.report.invalid_pixels == painted.report.invalid_pixels
    assert found.report.notes == painted.report.notes == ()
    assert_equal(found.frame, painted.frame)


def test_a_kept_frame_bears_the_number_and_the_file_of_the_plate_that_asks(counted: Counted, keeping: Keeping) -> None:
    painter = CachedPainter(counted, keeping, MACHINE)
    painter.render(plate(number=1))
    settled(keeping)
    held = replace(plate(number=2), source="held.0002.exr", timecode="01:00:00:02")
    found = painter.render(held)
    assert found.report.cached
    assert (found.frame.number, found.frame.source, found.frame.timecode) == (2, "held.0002.exr", "01:00:00:02")


def test_a_result_is_delivered_where_it_is_wanted(counted: Counted, keeping: Keeping) -> None:
    painter = CachedPainter(counted, keeping, MACHINE)
    first, second = np.zeros((40, 56, 3), np.float32), np.zeros((40, 56, 3), np.float32)
    painter.render(plate(), into=first)
    painted = first.copy()
    first[:] = 0.5  # its owner writes the next frame there at once
    settled(keeping)
    found = painter.render(plate(), into=second[::-1])
    assert found.report.cached
    np.testing.assert_array_equal(second[::-1], painted)


def with_channel(frame: Frame, value: float) -> Frame:
    pixels = frame.part.pixels.copy()
    pixels[5, 6, 0] = value
    return replace(frame, parts=(replace(frame.part, pixels=pixels),))


def moved(lost: float) -> KeyMotion:
    size = (40, 56)
    return KeyMotion(np.zeros((*size, 2), np.float32), np.full(size, lost, np.float32), np.zeros(size, np.float32))


def part_of(frame: Frame, **changes: Any) -> Frame:
    return replace(frame, parts=(replace(frame.part, **changes),))


MATTE = np.full((40, 56), 0.5, np.float32)
SRGB = {"chromaticities": Attribute("float[8]", (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329))}
OTHERS: dict[str, Callable[[Frame], tuple[Frame, FrameSettings, Any]]] = {
    "a sample": lambda frame: (with_channel(frame, 0.123), FrameSettings(), None),
    "its type": lambda frame: (part_of(frame, pixels=frame.part.pixels.astype("f2")), FrameSettings(), None),
    "a data window": lambda frame: (part_of(frame, data_window=Window(1, 0, 56, 40)), FrameSettings(), None),
    "a space": lambda frame: (replace(frame, colour_space="ACEScg"), FrameSettings(), None),
    "primaries": lambda frame: (part_of(frame, attributes=SRGB), FrameSettings(), None),
    "the kind of alpha": lambda frame: (replace(frame, alpha_kind=AlphaKind.UNASSOCIATED), FrameSettings(), None),
    "the layer": lambda frame: (replace(frame, layer=ColourLayer(0, (2, 1, 0))), FrameSettings(), None),
    "a projection": lambda frame: (replace(frame, projection="equirectangular"), FrameSettings(), None),
    "excess": lambda frame: (replace(frame, excess=bright().excess), FrameSettings(), None),
    "motion": lambda frame: (replace(frame, motion=(moved(0),)), FrameSettings(), None),
    "other motion": lambda frame: (replace(frame, motion=(moved(1),)), FrameSettings(), None),
    "a key without motion": lambda frame: (replace(frame, motion=(None,)), FrameSettings(), None),
    "a matte": lambda frame: (frame, FrameSettings(), MATTE),
    "another matte": lambda frame: (frame, FrameSettings(), MATTE / 2),
    "a parameter": lambda frame: (frame, FrameSettings(Params(strength=0.999)), None),
    "a grade": lambda frame: (frame, FrameSettings(after=After(gamma=1.01)), None),
    "a size": lambda frame: (frame, FrameSettings(before=Before(resize=Resize(scale=0.5))), None),
    "an input space": lambda frame: (frame, FrameSettings(input_space="ACEScg"), None),
    "an output": lambda frame: (frame, FrameSettings(output=Output("ACEScg")), None),
    "the quality of keys": lambda frame: (frame, FrameSettings(keys_quality="best"), None),
    "nothing": lambda frame: (frame, FrameSettings(), None),
}


def test_whatever_decides_the_pixels_gives_another_name(counted: Counted) -> None:
    card = counted.style.card
    names = {what: name_of(*change(plate()), card, MACHINE) for what, change in OTHERS.items()}
    frame, settings = plate(), FrameSettings()
    names["another style"] = name_of(frame, settings, None, load_style(find_style("cel-draft")).card, MACHINE)
    names["other weights"] = name_of(frame, settings, None, replace(card, weights_sha256="0" * 64), MACHINE)
    names["another machine"] = name_of(frame, settings, None, card, machine_of("cpu", "another"))
    names["another precision"] = name_of(frame, settings, None, card, (*MACHINE, "float16"))
    assert None not in names.values()
    assert len(set(names.values())) == len(names)


def test_what_passes_through_unchanged_gives_the_same_name(counted: Counted) -> None:
    card = counted.style.card
    owned = part_of(plate(), attributes={"owner": Attribute("string", "studio")})
    same = replace(owned, number=9, source="other.exr", timecode="00:00:00:09", notes=("read slowly",))
    plain = name_of(plate(), FrameSettings(), None, card, MACHINE)
    assert name_of(same, FrameSettings(), None, card, MACHINE) == plain
    assert name_of(plate(), FrameSettings(card.defaults), None, card, MACHINE) == plain


def test_rows_that_lie_upside_down_in_memory_are_named_by_what_they_show(counted: Counted) -> None:
    flipped = part_of(plate(), pixels=np.ascontiguousarray(plate().part.pixels[::-1])[::-1])
    card = counted.style.card
    assert name_of(flipped, FrameSettings(), None, card, MACHINE) == name_of(
        plate(), FrameSettings(), None, card, MACHINE
    )


def test_two_views_of_a_file_are_painted_every_time(counted: Counted) -> None:
    frame = replace(plate(), stereo="views")
    assert name_of(frame, FrameSettings(), None, counted.style.card, MACHINE) is None
    assert name_of(plate(), FrameSettings(stereo="views"), None, counted.style.card, MACHINE) is None
    assert name_of(frame, FrameSettings(stereo="off"), None, counted.style.card, MACHINE) is not None


def test_a_frame_that_looks_at_those_around_it_is_painted_every_time(counted: Counted) -> None:
    frame = replace(plate(), around=(plate(),))
    assert name_of(frame, FrameSettings(smoothing=0.5), None, counted.style.card, MACHINE) is None


def test_a_configuration_that_does_not_open_hinders_no_frame_that_needs_none(
    counted: Counted, keeping: Keeping, tmp_path: Path
) -> None:
    painter = CachedPainter(counted, keeping, MACHINE)
    with configuration(str(tmp_path / "none.ocio")):
        assert not painter.render(plate(dtype="uint8")).report.cached
        settled(keeping)
        assert not painter.render(plate(dtype="uint8")).report.cached


def test_another_configuration_gives_another_name(counted: Counted, tmp_path: Path) -> None:
    text = "ocio_profile_version: 2\nroles: {default: raw}\ncolorspaces:\n  - !<ColorSpace> {name: %s}\n"
    names = []
    for space in ("raw", "other"):
        path = tmp_path / f"{space}.ocio"
        path.write_text(text.replace("default: raw", f"default: {space}") % space)
        with configuration(str(path), space * 8):
            names.append(name_of(plate(), FrameSettings(), None, counted.style.card, MACHINE))
    names.append(name_of(plate(), FrameSettings(), None, counted.style.card, MACHINE))
    assert None not in names
    assert len(set(names)) == 3


def test_a_frame_with_a_note_is_not_kept(counted: Counted, keeping: Keeping) -> None:
    painter = CachedPainter(counted, keeping, MACHINE)
    wide = replace(plate(512, 1024, dtype="uint8"), source="wide.png")
    assert painter.render(wide).report.notes
    settled(keeping)
    assert not painter.render(wide).report.cached


def test_a_damaged_entry_is_painted_again(counted: Counted, keeping: Keeping) -> None:
    painter = CachedPainter(counted, keeping, MACHINE)
    painted = painter.render(plate())
    settled(keeping)
    (file,) = keeping.store.folder.glob("*.frame")
    whole = file.read_bytes()
    file.write_bytes(whole[:3000] + b"torn" + whole[3004:])
    again = painter.render(plate())
    assert not again.report.cached
    assert_equal(again.frame, painted.frame)
    settled(keeping)
    assert painter.render(plate()).report.cached


def test_a_sound_entry_of_another_layout_is_painted_again(counted: Counted, keeping: Keeping) -> None:
    painter = CachedPainter(counted, keeping, MACHINE)
    precision = counted.precision_for(eight_bit=False)
    name = name_of(plate(), FrameSettings(), None, counted.style.card, (*MACHINE, precision, precision))
    assert name is not None
    for content in (b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null"):
        assert keeping.store.put(name, [content])
        assert not painter.render(plate()).report.cached
        settled(keeping)
        assert painter.render(plate()).report.cached


def test_an_unwritable_cache_is_a_note_and_the_frame_is_painted(counted: Counted, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keeping = Keeping(FrameStore(CacheChoice(tmp_path / "file" / "cache", 64 << 20)))
    painter = CachedPainter(counted, keeping, MACHINE)
    painted = painter.render(plate())
    assert "are not kept" in painted.report.notes[0]
    settled(keeping)
    again = painter.render(plate())
    assert_equal(again.frame, painted.frame)


def test_one_shot_takes_at_most_half_of_the_cache_and_finds_it_again(counted: Counted, tmp_path: Path) -> None:
    keeping = Keeping(FrameStore(CacheChoice(tmp_path, 1 << 20)))
    frame_bytes = plate().part.pixels.nbytes
    for _ in range(2):
        painter = CachedPainter(counted, keeping, MACHINE)
        cached = 0
        for seed in range(60):
            cached += painter.render(plate(seed=seed)).report.cached
            settled(keeping)
    assert (1 << 19) - 2 * frame_bytes < cached * frame_bytes <= 1 << 19
    assert keeping.store.facts().bytes < 0.6 * (1 << 20)


def test_a_frame_that_the_disk_cannot_follow_is_not_waited_for(keeping: Keeping) -> None:
    keeping.store._lock.acquire()  # the disk hangs
    try:
        taken = [keeping.keep(f"{number:040x}", [bytes(10)]) for number in range(20)]
    finally:
        keeping.store._lock.release()
    assert taken[0]
    assert not taken[-1]
    settled(keeping)


class TestCachedPainter(PainterConformance):
    @pytest.fixture
    def painter(self, keeping: Keeping) -> CachedPainter:
        styles = StyleCache(1 << 30, load_style, lambda style, precision, tile: Engine(style, device="cpu", tile=tile))
        path = str(BUILT_IN / f"{NAME}.safetensors")
        behind = StylePainter(styles, styles.style(path), "cpu", "float32", "auto", MemoryBudget())
        return CachedPainter(behind, keeping, MACHINE)
