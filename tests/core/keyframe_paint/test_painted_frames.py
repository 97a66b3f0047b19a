"""Painted keys on rendered frames: where they show, where they do not, and what never depends on them."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from impasto.core.card import Card, KeyFacts
from impasto.core.colour import decode
from impasto.core.engine import Engine
from impasto.core.frame import Frame, KeyMotion, Pixels, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.generators.unet import UNetConfig
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.params import Params
from impasto.core.style_file import Style
from tests.core.generators.test_unet import lively

HEIGHT, WIDTH = 96, 160
NET = lively(UNetConfig(widths=(8, 16), blocks=(1, 1)))
with torch.no_grad():
    for each in (NET.head.kernel, NET.head.point):  # answers within [0, 1], as after training
        each.mul_(0.04)
    NET.head.bias[:48], NET.head.bias[48:] = 0.6, 0.2
CARD = Card(
    name="hero", title="Hero", description="", generator="unet", config={}, size="draft", halo=NET.config.halo,
    stride=8, licence="Apache-2.0", weights_sha256="0" * 64, canary=(0.0, 0.0),
)  # fmt: skip
ALONE = Params(keys=0)


def ground(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """Smooth hills of colour with some texture, 8 bits."""
    chance = np.random.default_rng(seed)
    hills = cv2.resize(chance.random((6, 10, 3), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.rint(255 * np.clip(0.8 * hills + 0.1 * chance.random((height, width, 1)), 0, 1)).astype(np.uint8)


def with_actor(picture: Pixels, left: int) -> Pixels:
    changed = picture.copy()
    changed[30:60, left : left + 24] = (240, 30, 10)
    return changed


PLATE = ground(1)
PAINT = 255 - ground(2)


def keys_of(
    *pairs: tuple[Pixels, Pixels], painted: Pixels | None = None, noise: float = 0.0, follow: bool = False
) -> Keys:
    plates, paints = (torch.stack([torch.from_numpy(each.transpose(2, 0, 1).copy()) for each in side])
                      for side in zip(*pairs, strict=True))  # fmt: skip
    count, _, height, width = plates.shape
    samples = "uint8" if plates.dtype == torch.uint8 else "float16"
    facts = KeyFacts(tuple(range(count)), height, width, samples, noise, follow)  # type: ignore[arg-type]  # one of two
    everywhere = np.full((height, width), 255, np.uint8) if painted is None else painted
    return Keys(facts, plates, paints, torch.from_numpy(everywhere)[None, None].expand(count, 1, -1, -1).contiguous())


def engine_with(keys: Keys | None, *, tile: int | str = "auto") -> Engine:
    facts = None if keys is None else keys.facts
    return Engine(Style(replace(CARD, keys=facts), NET, keys=keys), device="cpu", tile=tile)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_with(keys_of((PLATE, PAINT)))


def shown(engine: Engine, pixels: Pixels, params: Params | None = None) -> Pixels:
    return engine(Frame.from_pixels(pixels), FrameSettings(params)).colour


def apart(one: Pixels, other: Pixels) -> Samples:
    """Largest channel difference, (H, W)."""
    return np.abs(one.astype(np.float32) - other.astype(np.float32)).max(axis=2)


def test_the_frame_of_a_key_becomes_the_keys_paint(engine: Engine) -> None:
    assert apart(shown(engine, PLATE), PAINT).max() <= 1
    assert apart(shown(engine, PLATE, ALONE), PAINT).mean() > 20, "or this shows nothing"


def test_of_several_keys_each_is_met() -> None:
    other, paint = ground(3), ground(4)
    engine = engine_with(keys_of((PLATE, PAINT), (other, paint)))
    assert apart(shown(engine, PLATE), PAINT).max() <= 1
    assert apart(shown(engine, other), paint).max() <= 1


def test_what_no_key_shows_is_the_networks_bit_for_bit(engine: Engine) -> None:
    stranger = ground(5)
    np.testing.assert_array_equal(shown(engine, stranger), shown(engine_with(None), stranger))


def test_an_actor_is_the_networks_and_the_ground_around_stays_the_keys(engine: Engine) -> None:
    frame = with_actor(PLATE, 60)
    result = shown(engine, frame)
    inside = np.s_[34:56, 64:80]
    np.testing.assert_array_equal(result[inside], shown(engine, frame, ALONE)[inside])
    assert apart(result, PAINT)[:, 130:].max() <= 1


def test_there_is_no_seam_between_key_and_network(engine: Engine) -> None:
    frame = with_actor(PLATE, 60)
    alone = shown(engine, frame, ALONE).astype(np.float32)
    correction = shown(engine, frame).astype(np.float32) - alone
    lacking = PAINT.astype(np.float32) - shown(engine, PLATE, ALONE)
    share = (correction * lacking).sum(axis=2) / np.square(lacking).sum(axis=2)
    share = cv2.blur(share, (3, 3))
    assert share.max() > 0.9
    assert share.min() < 0.05
    for steps in (np.diff(share, axis=0), np.diff(share, axis=1)):
        assert np.abs(steps).max() < 0.35


def test_keys_may_be_turned_down_and_off(engine: Engine) -> None:
    alone = shown(engine, PLATE, ALONE)
    np.testing.assert_array_equal(alone, shown(engine_with(None), PLATE))
    half = shown(engine, PLATE, Params(keys=0.5)).astype(np.float32)
    inside = (alone > 0) & (alone < 255)
    assert np.abs(half - (alone.astype(np.float32) + PAINT) / 2)[inside].max() <= 2


def test_no_frame_depends_on_the_one_before(engine: Engine) -> None:
    first = shown(engine, with_actor(PLATE, 20))
    shown(engine, ground(5))
    shown(engine, with_actor(PLATE, 100))
    np.testing.assert_array_equal(shown(engine, with_actor(PLATE, 20)), first)
    np.testing.assert_array_equal(shown(engine_with(keys_of((PLATE, PAINT))), with_actor(PLATE, 20)), first)


@pytest.mark.parametrize("follow", [False, True])
def test_tiles_change_nothing(follow: bool) -> None:
    keys = keys_of((PLATE, PAINT), (ground(3), ground(4)), follow=follow)
    frame = with_actor(np.roll(PLATE, 3, axis=1), 60)
    np.testing.assert_array_equal(shown(engine_with(keys, tile=64), frame), shown(engine_with(keys, tile="off"), frame))


def test_a_noisy_plate_still_matches() -> None:
    chance = np.random.default_rng(8)
    noisy = np.clip(PLATE + chance.normal(0, 4, PLATE.shape), 0, 255).round().astype(np.uint8)
    engine = engine_with(keys_of((PLATE, PAINT), noise=4.0))
    difference = apart(shown(engine, noisy), PAINT)
    assert np.quantile(difference, 0.95) < 8
    assert difference.mean() < 0.2 * apart(shown(engine, noisy, ALONE), PAINT).mean()


def test_a_moving_camera_is_followed_where_the_card_says_so() -> None:
    wide, paint = (cv2.GaussianBlur(ground(seed, HEIGHT, WIDTH + 40), (0, 0), 1.5) for seed in (1, 2))
    before, after = (np.ascontiguousarray(wide[:, left : left + WIDTH]) for left in (8, 14))
    painted = np.ascontiguousarray(paint[:, 8 : 8 + WIDTH])
    wanted = paint[:, 14 : 14 + WIDTH]
    still, following = (engine_with(keys_of((before, painted), follow=follow)) for follow in (False, True))
    inner = np.s_[12:-12, 16:-24]
    off = {engine: np.median(apart(shown(engine, after), wanted)[inner]) for engine in (still, following)}
    assert off[following] < 0.1 * off[still]


def panned(by: int, *, lost: float = 0.0, silent: float = 0.0) -> KeyMotion:
    """A renderer's word that a frame lies this much further to the right in the key."""
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[..., 0] = by
    return KeyMotion(flow, np.full((HEIGHT, WIDTH), lost, np.float32), np.full((HEIGHT, WIDTH), silent, np.float32))


def led(engine: Engine, pixels: Pixels, *motion: KeyMotion | None) -> Pixels:
    return engine(replace(Frame.from_pixels(pixels), motion=motion)).colour


FLAT = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
MIDDLE = np.s_[20:-20, 24:-24]


def test_a_renderers_motion_leads_the_paint_where_nothing_can_be_seen_to_move() -> None:
    for follow in (False, True):
        engine = engine_with(keys_of((FLAT, PAINT), follow=follow))
        wanted = np.roll(PAINT, -7, axis=1)
        assert apart(led(engine, FLAT, panned(7)), wanted)[MIDDLE].max() <= 1
        assert np.median(apart(shown(engine, FLAT), wanted)[MIDDLE]) > 10, "or this shows nothing"


def test_what_the_renderer_lost_is_the_networks_and_what_it_does_not_know_is_matched_where_it_lies() -> None:
    engine = engine_with(keys_of((FLAT, PAINT)))
    np.testing.assert_array_equal(led(engine, FLAT, panned(7, lost=1)), shown(engine, FLAT, ALONE))
    assert apart(led(engine, FLAT, panned(7, lost=1, silent=1)), PAINT)[MIDDLE].max() <= 1


def test_what_looks_otherwise_than_the_key_is_the_networks_whatever_the_renderer_says(engine: Engine) -> None:
    stranger = ground(5)
    np.testing.assert_array_equal(led(engine, stranger, panned(0)), shown(engine, stranger, ALONE))


def test_each_key_has_its_own_motion_and_one_without_is_followed_as_the_card_says() -> None:
    other, paint = ground(3), ground(4)
    moved, wanted = np.roll(PLATE, -6, axis=1), np.roll(PAINT, -6, axis=1)
    shared = np.s_[20:-20, 24:-50]
    for follow in (False, True):
        engine = engine_with(keys_of((PLATE, PAINT), (other, paint), follow=follow))
        assert apart(led(engine, moved, panned(6), panned(40)), wanted)[shared].max() <= 1
        assert np.median(apart(led(engine, moved, panned(6), None), wanted)[shared]) <= 1
        np.testing.assert_array_equal(led(engine, moved, None, None), shown(engine, moved))


def test_the_result_carries_no_motion(engine: Engine) -> None:
    assert engine(replace(Frame.from_pixels(PLATE), motion=(panned(0),))).motion == ()


def test_unpainted_parts_of_a_key_are_left_to_the_network() -> None:
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[:, : WIDTH // 2] = 255
    engine = engine_with(keys_of((PLATE, PAINT), painted=painted))
    result, alone = shown(engine, PLATE), shown(engine, PLATE, ALONE)
    assert apart(result, PAINT)[:, : WIDTH // 2].max() <= 1
    np.testing.assert_array_equal(result[:, WIDTH // 2 + 1 :], alone[:, WIDTH // 2 + 1 :])


def test_a_proxy_gets_the_keys_at_its_size(engine: Engine) -> None:
    small, paint = (
        cv2.resize(each, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) for each in (PLATE, PAINT)
    )
    rendered = engine.render(Frame.from_pixels(small))
    assert not rendered.report.notes
    assert apart(rendered.frame.colour, paint).max() <= 2


def test_a_much_larger_frame_keeps_a_sharpness_that_the_keys_have_not() -> None:
    chance = np.random.default_rng(6)
    large = cv2.resize(PLATE, (3 * WIDTH, 3 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    large = np.clip(large + chance.normal(0, 8, large.shape), 0, 255).astype(np.uint8)
    result = shown(engine_with(keys_of((PLATE, PAINT), noise=8.0)), large)
    soft = cv2.resize(PAINT, (3 * WIDTH, 3 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    assert apart(result, soft).mean() < 10
    detail = [float(np.abs(np.diff(each.astype(np.float32), axis=1)).mean()) for each in (result, soft)]
    assert detail[0] > 1.5 * detail[1]


@pytest.mark.parametrize(
    ("size", "params", "said"),
    [((96, 96), Params(), "of another shape"), ((HEIGHT, WIDTH), Params(stroke=2), "strokes of their own size")],
)
def test_where_keys_cannot_be_used_the_network_paints_and_a_note_says_why(
    engine: Engine, size: tuple[int, int], params: Params, said: str
) -> None:
    plate = cv2.resize(PLATE, size[::-1], interpolation=cv2.INTER_AREA)
    rendered = engine.render(Frame.from_pixels(plate), FrameSettings(params))
    assert any(said in note for note in rendered.report.notes)
    np.testing.assert_array_equal(rendered.frame.colour, shown(engine, plate, replace(params, keys=0)))


def test_a_proxy_with_its_stroke_halved_keeps_its_keys(engine: Engine) -> None:
    small = cv2.resize(PLATE, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    assert not engine.render(Frame.from_pixels(small), FrameSettings(Params(stroke=0.5))).report.notes


def test_light_above_one_comes_back_around_the_paint() -> None:
    """Keys of float plates are half, and their paint is what the network should have answered."""
    encoded, paint = (each.astype(np.float16) / np.float16(255) for each in (PLATE, PAINT))
    engine = engine_with(keys_of((encoded, paint)))
    light = decode(encoded.astype(np.float32)) * 4
    gain = np.maximum(light.max(axis=2, keepdims=True), 1)
    seen = engine.style.keys
    assert seen is not None
    to_display = np.where(gain > 1, light / gain, light)
    keys = keys_of((encode16(to_display), paint))
    result = shown(engine_with(keys), light)
    np.testing.assert_allclose(result, decode(paint.astype(np.float32)) * gain, atol=0.02, rtol=0.02)


def encode16(light: Samples) -> Pixels:
    curve = 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, curve).astype(np.float16)


def test_the_result_says_how_much_of_the_keys_is_in_it(engine: Engine) -> None:
    record = engine.render(Frame.from_pixels(PLATE), FrameSettings(Params(keys=0.5))).frame.provenance
    assert json.loads(record["params"])["keys"] == 0.5


def test_the_network_answers_to_each_key_once_for_each_size() -> None:
    asked: list[int] = []
    engine = engine_with(keys_of((PLATE, PAINT), (ground(3), ground(4))))
    frame = Frame.from_pixels(ground(5))
    for _ in range(3):
        engine.render(frame, cancelled=lambda: asked.append(1))
    assert len(asked) == 3 + 2


def test_a_device_that_needs_no_numpy_gets_its_keys_all_the_same() -> None:
    engine, reference = (engine_with(keys_of((PLATE, PAINT))) for _ in range(2))
    engine._passes_on_device = True
    frame = with_actor(PLATE, 60)
    np.testing.assert_array_equal(shown(engine, frame), shown(reference, frame))
    assert apart(shown(engine, frame, ALONE), shown(reference, frame, ALONE)).max() <= 1
