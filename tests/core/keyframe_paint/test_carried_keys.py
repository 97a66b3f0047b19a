"""Paint of a hand's keys on rendered frames: it lies where its surface is, and what no key shows continues it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
import pytest
import torch

from impasto.core.card import card_from_json
from impasto.core.colour import decode
from impasto.core.engine import Engine
from impasto.core.frame import Frame, KeyMotion, Pixels, Samples
from impasto.core.frame_settings import KEYS_MAP, FrameSettings
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.keys_quality import KeysQuality
from impasto.core.params import Params
from impasto.core.style_file import Style
from tests.core.keyframe_paint.test_painted_frames import CARD, NET, apart, keys_of

HEIGHT, WIDTH = 160, 256
LARGE = 400


def texture(seed: int, sigma: float) -> Samples:
    """Seeded blots of colour, (LARGE, LARGE, 3) in [0, 1]."""
    noise = np.random.default_rng(seed).standard_normal((LARGE, LARGE, 3)).astype(np.float32)
    blots = cv2.GaussianBlur(noise, (0, 0), sigma)
    return np.clip(0.5 + 0.18 * blots / blots.std(), 0, 1)


def strokes(seed: int) -> Samples:
    """Paint that has nothing to do with any plate."""
    return np.clip(0.6 * texture(seed, 1.5) + 0.4 * texture(seed + 1, 12), 0, 1)


BARE = {
    "ground": 0.3 * texture(1, 2.5) + 0.7 * cv2.GaussianBlur(texture(101, 8), (0, 0), sigmaX=60, sigmaY=1),
    "disc": 0.4 * texture(2, 2.5) + 0.6 * texture(102, 14),
}
PAINT = {"ground": strokes(11), "disc": strokes(21)}


def scene(surfaces: dict[str, Samples], time: float) -> Pixels:
    """A disc that turns and walks over a ground that pans, in 8 bits."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    seen = cv2.remap(surfaces["ground"], x + 60 + 14 * time, y + 80 + 3 * time, cv2.INTER_CUBIC)
    u, v = x - 100 - 8 * time, y - 80
    angle = np.float32(0.2 * time)
    a, b = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    disc = cv2.remap(surfaces["disc"], a + 200, b + 200, cv2.INTER_CUBIC)
    inside = np.clip(46 - np.hypot(u, v), 0, 1)[..., None]
    return np.rint(255 * np.clip(seen + inside * (disc - seen), 0, 1)).astype(np.uint8)


CALM = copy.deepcopy(NET)
"""A network that lightens: what it paints has the plate's own texture."""
with torch.no_grad():
    CALM.head.kernel.zero_(), CALM.head.point.zero_()


def carried(keys: Keys, **facts: object) -> Keys:
    return replace(keys, facts=replace(keys.facts, carried=True, **facts))  # type: ignore[arg-type]  # fields of facts


def engine_of(keys: Keys | None, *, tile: int | Literal["auto"] = "auto") -> Engine:
    facts = None if keys is None else keys.facts
    return Engine(Style(replace(CARD, keys=facts), CALM, keys=keys), device="cpu", tile=tile)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of(carried(keys_of((scene(BARE, 0), scene(PAINT, 0)))))


def shown(engine: Engine, pixels: Pixels, quality: KeysQuality = "standard", params: Params | None = None) -> Pixels:
    return engine(Frame.from_pixels(pixels), FrameSettings(params, keys_quality=quality)).colour


@pytest.mark.parametrize("quality", ["draft", "standard", "best"])
def test_paint_is_carried_to_where_its_surfaces_are(engine: Engine, quality: KeysQuality) -> None:
    result, wanted = shown(engine, scene(BARE, 1), quality), scene(PAINT, 1)
    on_disc, on_ground = np.s_[50:110, 80:136], np.s_[20:140, 180:236]
    unmoved = scene(PAINT, 0)
    for area in (on_disc, on_ground):
        off = apart(result, wanted)[area].mean()
        assert off < 16
        assert off < 0.3 * apart(unmoved, wanted)[area].mean()


def test_light_that_changes_changes_the_paint(engine: Engine) -> None:
    """The network here follows light, and the carried paint follows the network."""
    dark = np.rint(scene(BARE, 1) * 0.75).astype(np.uint8)
    area = np.s_[50:110, 84:140]
    alone = [shown(engine, each, params=Params(keys=0)).astype(float)[area].mean() for each in (scene(BARE, 1), dark)]
    keyed = [shown(engine, each).astype(float)[area].mean() for each in (scene(BARE, 1), dark)]
    assert keyed[0] - keyed[1] == pytest.approx(alone[0] - alone[1], rel=0.35)
    assert alone[0] - alone[1] > 5, "or this shows nothing"


def test_the_frame_of_a_key_becomes_its_paint(engine: Engine) -> None:
    assert np.quantile(apart(shown(engine, scene(BARE, 0)), scene(PAINT, 0))[4:-4, 4:-4], 0.99) <= 2


def test_another_scene_is_the_networks_bit_for_bit(engine: Engine) -> None:
    other = np.rint(255 * texture(77, 6)[:HEIGHT, :WIDTH]).astype(np.uint8)
    for quality in ("standard", "best"):
        np.testing.assert_array_equal(shown(engine, other, quality), shown(engine_of(None), other))


def test_order_and_tiles_change_nothing(engine: Engine) -> None:
    keys = carried(keys_of((scene(BARE, 0), scene(PAINT, 0))))
    frames = [scene(BARE, time) for time in (0.4, 0.8)]
    fresh = engine_of(keys, tile=64)
    forward = [shown(engine, each, "best") for each in frames]
    backward = [shown(fresh, each, "best") for each in reversed(frames)]
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one, other)


def test_new_ground_at_best_bears_pieces_of_the_keys_paint_and_the_map_says_where(engine: Engine) -> None:
    frame = Frame.from_pixels(decode(scene(BARE, 1).astype(np.float32) / 255))  # scene-linear
    result = engine(frame, FrameSettings(keys_quality="best", keys_map=True))
    plain = engine(frame)
    new, old = np.s_[8:-8, WIDTH - 12 : WIDTH - 2], np.s_[20:140, 165:225]

    def busy(picture: Samples) -> float:
        return float(np.abs(np.diff(picture[new], axis=0)).mean())

    wanted = busy(decode(scene(PAINT, 1).astype(np.float32) / 255))
    assert 0.6 * wanted < busy(result.part.pixels[..., :3]) < 1.5 * wanted
    assert busy(plain.colour) < 0.5 * wanted, "or this shows nothing"
    share = result.part.pixels[..., result.part.channels.index(KEYS_MAP)]
    assert share[new].mean() > 0.8
    assert share[old].mean() < 0.1
    assert KEYS_MAP not in plain.part.channels


def test_a_renderers_motion_is_followed_as_it_is() -> None:
    flat = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    paint = scene(PAINT, 0)
    engine = engine_of(carried(keys_of((flat, paint))))
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = 7
    motion = KeyMotion(flow, *np.zeros((2, HEIGHT, WIDTH), np.float32))
    result = engine(replace(Frame.from_pixels(flat), motion=(motion,))).colour
    assert np.median(apart(result, np.roll(paint, -7, axis=1))[10:-10, 10:-20]) <= 1


def test_made_keys_show_what_keys_by_hand_do_not() -> None:
    """A key made on a later frame brings that frame's new ground; it counts as invented."""
    pairs = [(scene(BARE, time), scene(PAINT, time)) for time in (0, 3)]
    keys = keys_of(*pairs)
    nothing = torch.full((1, 1, HEIGHT, WIDTH), 255, dtype=torch.uint8)
    made = replace(keys, facts=replace(keys.facts, frames=(0,), made=(3,), carried=True), invented=nothing)
    new = np.s_[20:-20, WIDTH - 20 : WIDTH - 6]
    alone = engine_of(carried(keys_of(pairs[0])))
    wanted = scene(PAINT, 2.5)
    off = {name: apart(shown(each, scene(BARE, 2.5)), wanted)[new].mean()
           for name, each in (("made", engine_of(made)), ("alone", alone))}  # fmt: skip
    assert off["made"] < 0.5 * off["alone"]


def test_a_card_of_schema_3_keeps_its_keys_where_they_match() -> None:
    keys = '"keys":{"follow":true,"frames":[3],"height":9,"noise":1.0,"samples":"uint8","width":16}'
    text = CARD.to_json().replace('"keys":null', keys).replace('"schema":4', '"schema":3')
    card = card_from_json(text, "old.safetensors")
    assert card.keys is not None
    assert (card.keys.follow, card.keys.carried, card.keys.made) == (True, False, ())
