"""Two eyes of one painting: halves of a frame, and the views of an EXR."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.errors import UsageError
from impasto.core.frame import Attribute, ColourLayer, Frame, Part, Samples, Window
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.immersive import Stereo, layout_of, views_of
from impasto.core.keyframe_paint.plates import fetched
from impasto.core.metrics import sharpness_ratio
from impasto.core.stereo import stated_disparity
from tests.bench.eyes import Pair, pair, sphere


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine("wheatfield-draft", device="cpu", precision="float32")


@pytest.fixture(scope="module")
def eyes() -> Pair:
    return pair(270, 480, grain=0.005)


def frame_of(picture: Samples) -> Frame:
    return Frame.from_pixels(np.ascontiguousarray(picture), colour_space="srgb")


def apart(left: Samples, right: Samples, eyes: Pair) -> float:
    """Mean difference of surfaces that both eyes see, by the true disparity."""
    return float(np.abs(fetched(np.ascontiguousarray(left), eyes.disparity) - right)[eyes.both].mean())


@pytest.mark.parametrize(("stereo", "axis"), [("sbs", 1), ("ou", 0)])
def test_both_eyes_get_the_same_strokes(engine: Engine, eyes: Pair, stereo: Stereo, axis: int) -> None:
    frame = frame_of(np.concatenate((eyes.left, eyes.right), axis=axis))
    left, right = np.split(engine(frame, FrameSettings(stereo=stereo)).colour, 2, axis=axis)
    alone = engine(frame_of(eyes.right)).colour
    assert np.allclose(left, engine(frame_of(eyes.left)).colour, atol=1e-5)
    assert apart(left, right, eyes) < 0.6 * apart(left, alone, eyes)
    assert apart(left, right, eyes) < 1.2 * apart(eyes.left, eyes.right, eyes)
    assert sharpness_ratio(right, alone) > 0.95


def test_what_one_eye_alone_sees_has_its_own_paint(engine: Engine, eyes: Pair) -> None:
    frame = frame_of(np.concatenate((eyes.left, eyes.right), axis=1))
    right = np.split(engine(frame, FrameSettings(stereo="sbs")).colour, 2, axis=1)[1]
    alone = engine(frame_of(eyes.right)).colour
    hidden = np.abs(right - alone)[~eyes.both]
    assert np.median(hidden) < 1e-3


def test_identity_gives_both_eyes_back_exactly(eyes: Pair) -> None:
    frame = frame_of(np.concatenate((eyes.left, eyes.right), axis=1).astype(np.float32))
    assert np.array_equal(Engine("identity", device="cpu")(frame, FrameSettings(stereo="sbs")).colour, frame.colour)


def test_eyes_on_a_sphere_join_at_the_wrap(engine: Engine) -> None:
    left = sphere(128)
    frame = frame_of(np.concatenate((left, np.roll(left, 2, axis=1)), axis=0))
    settings = FrameSettings(projection="equirectangular", stereo="ou")
    upper, lower = np.split(engine(frame, settings).colour, 2)
    off = np.abs(np.roll(upper, 2, axis=1) - lower).mean(axis=(0, 2))
    assert off[:4].mean() < 2 * off.mean() + 1e-3
    assert off.mean() < 0.02


@pytest.mark.parametrize("stereo", ["sbs", "ou"])
def test_a_picture_for_one_eye_is_refused(engine: Engine, eyes: Pair, stereo: Stereo) -> None:
    with pytest.raises(UsageError, match=r"expected two eyes .* give --stereo off"):
        engine(frame_of(eyes.left), FrameSettings(stereo=stereo))


def test_what_a_file_states_is_not_refused_and_black_frames_never_are(engine: Engine, eyes: Pair) -> None:
    engine(replace(frame_of(eyes.left), stereo="sbs"))
    engine(frame_of(np.zeros((32, 64, 3), np.float32)), FrameSettings(stereo="sbs"))


def test_halves_that_differ_in_size_are_refused_where_asked_for_and_left_where_stated(
    engine: Engine, eyes: Pair
) -> None:
    odd = frame_of(eyes.left[:, :-1])
    with pytest.raises(UsageError, match="expected two equal halves for --stereo sbs, got a picture of 479x270"):
        engine(odd, FrameSettings(stereo="sbs"))
    rendered = engine.render(replace(odd, stereo="sbs"))
    assert "479x270 has no two equal halves" in rendered.report.notes[0]
    assert np.array_equal(rendered.frame.colour, engine(odd).colour)


def test_views_are_refused_where_there_are_none(engine: Engine, eyes: Pair) -> None:
    with pytest.raises(UsageError, match="expected a left and a right view"):
        engine(frame_of(eyes.left), FrameSettings(stereo="views"))


def in_parts(eyes: Pair) -> Frame:
    """The eyes as parts, the right one the first; the left one's data window lacks its first ten columns."""
    height, width = eyes.left.shape[:2]
    whole = Window(0, 0, width, height)
    parts = []
    for view, picture, window in (
        ("right", eyes.right, whole),
        ("left", eyes.left[:, 10:], Window(10, 0, width - 10, height)),
    ):
        facts = {"view": Attribute("string", view), "name": Attribute("string", f"rgba_{view}")}
        parts.append(Part(picture, ("R", "G", "B"), ("float",) * 3, window, whole, attributes=facts))
    depth = np.ones((height, width, 1), np.float32)
    parts.append(Part(depth, ("Z",), ("float",), whole, whole, attributes={"name": Attribute("string", "depth")}))
    return Frame(tuple(parts), ColourLayer(0, (0, 1, 2)), colour_space="srgb", stereo="views")


def in_layers(eyes: Pair, disparity: Samples) -> Frame:
    """The eyes as layers of one part, with the disparity of the right one as Nuke writes it."""
    height, width = eyes.left.shape[:2]
    names = ("R", "G", "B", "left.R", "left.G", "left.B", "disparityR.x", "disparityR.y")
    facts = {"multiView": Attribute("string[2]", ("right", "left"))}
    pixels = np.concatenate((eyes.right, eyes.left, disparity), axis=2)
    window = Window(0, 0, width, height)
    part = Part(pixels, names, ("float",) * 8, window, window, attributes=facts)
    return Frame((part,), ColourLayer(0, (0, 1, 2)), colour_space="srgb", stereo="views")


def test_both_views_of_an_exr_are_painted_alike_and_all_else_stays(engine: Engine, eyes: Pair) -> None:
    for frame in (in_parts(eyes), in_layers(eyes, eyes.disparity)):
        painted = engine(frame)
        first, second = views_of(frame) or (frame.layer, frame.layer)
        assert painted.layer == frame.layer
        seen = [replace(painted, layer=layer).colour for layer in (first, second)]
        assert np.allclose(seen[0], engine(frame_of(eyes.right)).colour, atol=1e-5)
        missing = eyes.left.shape[1] - seen[1].shape[1]
        left = np.pad(seen[1], ((0, 0), (missing, 0), (0, 0)))
        clear = replace(eyes, both=eyes.both & (np.arange(left.shape[1]) > 40))
        assert apart(left, seen[0], clear) < 1.2 * apart(eyes.left, eyes.right, clear)
    assert np.array_equal(painted.part.pixels[..., 6:], frame.part.pixels[..., 6:])
    assert painted.parts[0].channels == frame.parts[0].channels


def test_a_result_without_room_for_both_views_has_the_first_and_says_so(engine: Engine, eyes: Pair) -> None:
    frame, settings = in_parts(eyes), FrameSettings(output=Output("lin_rec709", "half"))
    rendered = engine.render(frame, settings)
    assert np.array_equal(rendered.frame.colour, engine(frame, replace(settings, stereo="off")).colour)
    assert "first of the two views alone" in rendered.report.notes[0]
    with pytest.raises(UsageError, match="expected a result of the size and the colour space of its plate"):
        engine(frame, replace(settings, stereo="views"))


def test_views_of_two_sizes_beside_a_matte_are_one_view(engine: Engine, eyes: Pair) -> None:
    frame, matte = in_parts(eyes), np.full(eyes.right.shape[:2], 0.5, np.float32)
    rendered = engine.render(frame, matte=matte)
    alone = engine(frame, FrameSettings(stereo="off"), matte=matte)
    assert np.array_equal(rendered.frame.colour, alone.colour)
    assert "views of one size beside a matte" in rendered.report.notes[0]


def test_a_disparity_of_either_sign_is_understood(eyes: Pair) -> None:
    height, width = eyes.left.shape[:2]
    for sign in (1, -1):
        frame = in_layers(eyes, np.asarray(sign * eyes.disparity, np.float32))
        found = stated_disparity(frame, (0, 0, width, height), eyes.left, eyes.right)
        assert found is not None
        assert np.array_equal(found[..., 0], eyes.disparity[..., 0])


def test_a_layer_that_was_chosen_and_other_arrangements_of_views_stay_as_they_were(eyes: Pair) -> None:
    frame = in_layers(eyes, eyes.disparity)
    assert layout_of(frame, "auto", "off")[0].stereo == "off"
    three = {"multiView": Attribute("string[3]", ("center", "left", "right"))}
    other = replace(frame, parts=(replace(frame.part, attributes=three),))
    assert views_of(other) is None
