"""Damage to clean plates: what a name draws, what it does, and that it is the same each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from impasto.core.colour import decode
from impasto.core.metrics import psnr, sharpness
from impasto.training.teachers.degradation import Damage, chance_of, degraded, drawn_damage, noised
from tests.training.pictures import smooth

CLEAN = smooth(98, 131, cell=7)
DAMAGES = {
    "blur": Damage(blur=1.0),
    "a smaller sensor": Damage(scale=0.6),
    "noise": Damage(shot=2e-3, read=1e-3),
    "jpeg": Damage(codec="jpeg", strength=20),
    "h264": Damage(codec="h264", strength=36, moves=(2, -1), shown=3),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damage_is_seen_stays_in_place_and_is_the_same_each_time(damage: Damage) -> None:
    one, two = (degraded(CLEAN, damage, chance_of("a")) for _ in range(2))
    if damage.codec == "h264":
        assert psnr(one, two) > 30  # the codec decides by the clock where it may: see `degraded`
    else:
        np.testing.assert_array_equal(one, two)
    assert (one.shape, one.dtype) == (CLEAN.shape, np.float32)
    assert 0 <= one.min() <= one.max() <= 1
    here = psnr(one, CLEAN)
    assert 18 < here < 50
    for rows, columns in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        assert here > psnr(np.roll(one, (rows, columns), (0, 1)), CLEAN)


def test_no_damage_changes_nothing() -> None:
    np.testing.assert_array_equal(degraded(CLEAN, Damage(), chance_of("a")), CLEAN)


def test_noise_has_the_variance_in_light_that_the_sensor_gives_it() -> None:
    grey = np.full((400, 400, 3), 0.6, np.float32)
    light = decode(grey)[0, 0, 0]
    noise = decode(noised(grey, Damage(shot=1e-3, read=2e-3), chance_of("a"))) - light
    assert float(noise.std()) == pytest.approx(np.sqrt(1e-3 * light + 4e-6), rel=0.02)
    assert abs(float(noise.mean())) < 1e-3


def test_a_stronger_codec_harms_more() -> None:
    for weak, strong in ((DAMAGES["jpeg"], 80), (DAMAGES["h264"], 20)):
        better = degraded(CLEAN, replace(weak, strength=strong), chance_of("a"))
        assert psnr(better, CLEAN) > psnr(degraded(CLEAN, weak, chance_of("a")), CLEAN) + 1


def test_a_blur_takes_sharpness_and_no_light() -> None:
    blurred = degraded(CLEAN, Damage(blur=1.5), chance_of("a"))
    assert sharpness(blurred) < 0.9 * sharpness(CLEAN)
    assert float(decode(blurred).mean()) == pytest.approx(float(decode(CLEAN).mean()), abs=2e-3)


def test_names_draw_all_kinds_of_damage_and_each_its_own_again() -> None:
    drawn = [drawn_damage(str(number)) for number in range(200)]
    assert drawn == [drawn_damage(str(number)) for number in range(200)]
    assert {damage.codec for damage in drawn} == {"none", "jpeg", "h264"}
    assert 5 < sum(damage == Damage() for damage in drawn) < 35
