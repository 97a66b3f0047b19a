"""The painter of keys: its strokes are pieces of a painting, keep the drawing, and move with what they paint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.core.colour import LUMA
from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.core.metrics import psnr
from impasto.training.data.shots import numbered_frames
from impasto.training.painter.direction import angles_and_coherence
from impasto.training.painter.key_choice import frames_to_paint
from impasto.training.painter.key_painter import KeyPainter, fit_painter, load_painting, painting_notes
from impasto.training.painter.settings import PainterSettings
from impasto.training.painter.shot import PaintingManner, painted_keys, pooled_plates
from tests.training.pictures import save, smooth, write_frames

SIZE = (144, 256)
FEW = PainterSettings(pieces=400, stroke=1.5)


def stripes(angle: float = 0.0, side: int = 600) -> Samples:
    """A painting of broken strokes that run at an angle, of blue and ochre, (side, side, 3)."""
    rng = np.random.default_rng(5)
    noise = cv2.GaussianBlur(rng.standard_normal((2 * side, 2 * side)).astype(np.float32), (0, 0), 16, sigmaY=2.5)
    noise /= noise.std()
    turn = cv2.getRotationMatrix2D((side, side), -np.degrees(angle), 1)
    turned = cv2.warpAffine(noise, turn, (2 * side, 2 * side))[side // 2 : -side // 2, side // 2 : -side // 2]
    share = np.clip(0.5 + 0.25 * turned, 0, 1)[..., None]
    return np.asarray(share * np.float32([0.85, 0.7, 0.3]) + (1 - share) * np.float32([0.2, 0.3, 0.6]), np.float32)


def scene(shift: int = 0) -> Samples:
    """A soft ground with a dark disc and a small bright cross on it, moved to the right, (H, W, 3)."""
    picture = 0.35 + 0.3 * smooth(*SIZE, cell=16)
    picture = np.roll(picture, shift, axis=1)
    cv2.circle(picture, (80 + shift, 72), 30, (0.1, 0.15, 0.25), -1, cv2.LINE_AA)
    cv2.line(picture, (180 + shift, 60), (180 + shift, 84), (0.95, 0.9, 0.8), 3, cv2.LINE_AA)
    cv2.line(picture, (168 + shift, 72), (192 + shift, 72), (0.95, 0.9, 0.8), 3, cv2.LINE_AA)
    return np.asarray(np.clip(picture, 0, 1), np.float32)


def painter_for(plate: Samples, painting: Samples, settings: PainterSettings = FEW) -> KeyPainter:
    return fit_painter(painting, [plate], (plate.shape[0], plate.shape[1]), settings)


def painted(plate: Samples, painting: Samples, settings: PainterSettings = FEW) -> Samples:
    painter = painter_for(plate, painting, settings)
    return painter.paint(painter.target(plate)).picture


def test_the_same_input_gives_the_same_picture_and_another_seed_another() -> None:
    once, again, other = (painted(scene(), stripes(), replace(FEW, seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).mean() > 0.01


def test_a_flat_carries_strokes() -> None:
    rng = np.random.default_rng(1)
    flat = np.asarray(0.6 + 0.01 * rng.standard_normal((*SIZE, 3)), np.float32)
    assert (painted(flat, stripes()) @ LUMA).std() > 2.5 * (flat @ LUMA).std()


def test_drawing_survives_under_the_paint() -> None:
    plate = scene()
    painter = painter_for(plate, stripes())
    target = painter.target(plate)
    result = painter.paint(target).picture
    # The cross is three pixels wide: what is left of its contrast after painting.
    across = (slice(60, 84), slice(168, 192))
    kept = np.corrcoef(result[across].mean(2).ravel(), target[across].mean(2).ravel())[0, 1]
    assert kept > 0.9
    calm = [cv2.GaussianBlur(picture, (0, 0), 4) for picture in (result, target)]
    assert np.abs(calm[0] - calm[1]).mean() < 0.05


@pytest.mark.parametrize("angle", [0.0, 0.9])
def test_strokes_follow_the_forms_however_the_painting_runs(angle: float) -> None:
    ramp = np.arange(SIZE[0])[:, None] - np.arange(SIZE[1])
    diagonal = np.repeat((0.5 + 0.2 * np.sin(ramp / 9.0))[..., None], 3, axis=2).astype(np.float32)
    result = painted(diagonal, stripes(angle))
    paint = result - cv2.GaussianBlur(result, (0, 0), 4)
    angles, coherence = angles_and_coherence(paint, 6.0)
    along = np.cos(2 * (angles - np.pi / 4))
    assert np.average(along, weights=coherence) > 0.4


def test_a_piece_that_shows_something_else_than_brushwork_is_left_out() -> None:
    signed = stripes()
    signed[280:320, 200:400:6] = 1.0
    signed[280:320, 203:400:6] = 0.0
    pieces = painter_for(scene(), signed).pieces[1]
    scale = pieces.paint.shape[0] / 600
    inside = (np.abs(pieces.y / scale - 300) < 15) & (np.abs(pieces.x / scale - 300) < 90)
    assert not inside.any()


def keys_of(folder: Path, plates: list[Samples], numbers: list[int]) -> list[tuple[Samples, float | None]]:
    codes = [np.rint(plate * 255).astype(np.uint8) for plate in plates]
    shot = numbered_frames(write_frames(folder / "p.####.png", codes), "plate")
    keys = painted_keys(shot, numbers, PaintingManner(stripes(), pooled_plates([shot]), FEW))
    return [(key.frame.part.pixels.astype(np.float32) / 255, key.carried) for key in keys]


def test_a_further_key_has_the_strokes_of_the_one_before_where_they_moved_to(tmp_path: Path) -> None:
    (first, none), (second, carried) = keys_of(tmp_path, [scene(3 * step) for step in range(4)], [1, 4])
    assert none is None
    assert carried is not None
    assert carried > 0.4
    inside = (slice(8, -8), slice(30, -30))
    followed = psnr(np.roll(first, 9, axis=1)[inside], second[inside])
    afresh = keys_of(tmp_path / "alone", [scene(3 * step) for step in range(4)], [4])[0][0]
    assert followed > psnr(np.roll(first, 9, axis=1)[inside], afresh[inside]) + 2


def test_no_stroke_passes_a_cut(tmp_path: Path) -> None:
    other = np.ascontiguousarray(1 - smooth(*SIZE, seed=9, cell=12))
    (_, before), (_, after) = keys_of(tmp_path, [scene(), scene(2), other, other], [1, 4])
    assert before is None
    assert after is None


def test_the_frames_worth_painting_show_what_the_others_do_not() -> None:
    thumbs = {number: scene()[::4, ::4] for number in range(1, 9)}
    thumbs[3] = np.ascontiguousarray(1 - smooth(36, 64, seed=9))
    assert frames_to_paint(thumbs, 2) == [3, 5]
    assert frames_to_paint({1: scene()}, 3) == [1]


def test_a_painting_without_colour_paints_without_and_says_so() -> None:
    grey = np.repeat(stripes().mean(2, keepdims=True), 3, axis=2)
    settings = replace(FEW, colour=1.0)
    assert np.ptp(painted(scene(), grey, settings), axis=2).mean() < 0.03
    assert any("no colour" in note for note in painting_notes(grey, SIZE, settings))
    assert not painting_notes(stripes(), SIZE, settings)


def test_a_painting_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at least 128 pixels on each side"):
        load_painting(save(tmp_path / "stamp.png", stripes(side=100)))
