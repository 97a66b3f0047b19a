"""The painters: repeatable, local, keyed to the plate, in the painting's colours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.errors import TrainingError, UnknownName, UsageError
from impasto.core.frame import Samples
from impasto.training.teachers.flat_colour import flattened, stepped
from impasto.training.teachers.manners import MANNERS
from impasto.training.teachers.painted_pairs import TeacherSettings, make_pairs
from impasto.training.teachers.palette import LUMA, fit_palette
from impasto.training.teachers.patches import PatchSettings, put_paint
from impasto.training.teachers.strokes import StrokeSettings, paint, smear, stroke_direction
from tests.training.pictures import save, smooth


def pictures(folder: Path, count: int) -> list[Path]:
    return [save(folder / f"plate{index}.png", smooth(seed=index)) for index in range(count)]


def test_the_palette_carries_mean_colour_to_the_paintings() -> None:
    plate = smooth(seed=1) * np.float32([0.5, 0.8, 1.0])
    painting = smooth(seed=2) * np.float32([1.0, 0.6, 0.2])
    palette = fit_palette([plate], [painting], tone=1.0)
    np.testing.assert_allclose(palette.apply(plate).mean((0, 1)), painting.mean((0, 1)), atol=0.04)


def test_a_palette_of_no_strength_changes_nothing() -> None:
    plate = smooth()
    np.testing.assert_allclose(fit_palette([plate], [smooth(seed=2)], tone=0, hue=0).apply(plate), plate, atol=1e-6)


def test_strokes_run_along_edges() -> None:
    luma = np.zeros((64, 64), np.float32)
    luma[:, 32:] = 1
    along_x, along_y = stroke_direction(luma, 4.0)
    assert abs(along_y[32, 30]) > 0.99
    assert abs(along_x[32, 30]) < 0.1


def test_a_smear_averages_along_the_lines_and_not_across() -> None:
    rows = np.zeros((40, 40), np.float32)
    rows[20] = 1
    along = np.ones_like(rows), np.zeros_like(rows)
    np.testing.assert_allclose(smear(rows, *along, 12.0)[20, 10:30], 1, atol=1e-5)
    across = np.zeros_like(rows), np.ones_like(rows)
    assert smear(rows, *across, 12.0)[20, 20] < 0.2


def test_the_painter_is_repeatable_and_local() -> None:
    plate = smooth(160, 320)
    palette = fit_palette([plate], [smooth(seed=2)])
    look = StrokeSettings()
    whole = paint(plate, palette, look)
    np.testing.assert_array_equal(paint(plate, palette, look), whole)
    changed = plate.copy()
    changed[:, 280:] = 0.5
    np.testing.assert_allclose(paint(changed, palette, look)[:, :80], whole[:, :80], atol=1e-3)


def test_the_painter_paints_and_does_not_only_grade() -> None:
    plate = smooth()
    palette = fit_palette([plate], [smooth(seed=2)])
    painted, graded = paint(plate, palette, StrokeSettings()), np.clip(palette.apply(plate), 0, 1)

    def fine(picture: Samples) -> float:
        luma = picture @ LUMA
        return float((luma - cv2.GaussianBlur(luma, (0, 0), 2)).std())

    assert fine(painted) > 1.4 * fine(graded)


def test_the_patch_pass_uses_the_paintings_colours_only() -> None:
    painting = torch.zeros(1, 3, 64, 64)
    painting[:, 0, :, :32], painting[:, 2, :, 32:] = 1.0, 1.0
    picture = torch.from_numpy(smooth()).permute(2, 0, 1)[None]
    result = put_paint(picture, [painting], PatchSettings(patches=500, dimensions=16))
    assert result.shape == picture.shape
    assert result[:, 1].max() < 1e-4


def test_the_patch_pass_is_repeatable() -> None:
    picture = torch.from_numpy(smooth()).permute(2, 0, 1)[None]
    painting = torch.from_numpy(smooth(seed=4)).permute(2, 0, 1)[None]
    look = PatchSettings(patches=400, dimensions=8)
    assert torch.equal(put_paint(picture, [painting], look), put_paint(picture, [painting], look))


def test_pairs_are_made_once_and_shared_among_processes(tmp_path: Path) -> None:
    plates = pictures(tmp_path, 3)
    look = TeacherSettings(patches=PatchSettings(patches=300, dimensions=8), plate_sides=(64, 32))
    painting = save(tmp_path / "painting.png", smooth(144, 160, seed=9))
    for share in ((0, 2), (1, 2)):
        make_pairs(plates, [painting], tmp_path / "pairs", look, share=share)
    before, after = tmp_path / "pairs" / "before", tmp_path / "pairs" / "after"
    names = [f"plate{index}{side}.png" for index in range(3) for side in ("", ".32")]
    assert sorted(path.name for path in after.iterdir()) == sorted(names)
    assert cv2.imread(str(before / "plate0.png")).shape == cv2.imread(str(after / "plate0.png")).shape == (48, 64, 3)
    assert cv2.imread(str(after / "plate0.32.png")).shape == (24, 32, 3)


def test_a_plate_smaller_than_a_side_is_painted_once(tmp_path: Path) -> None:
    make_pairs(pictures(tmp_path, 1), [], tmp_path / "pairs", TeacherSettings("cel"))
    assert [path.name for path in (tmp_path / "pairs" / "after").iterdir()] == ["plate0.png"]


def test_another_teacher_does_not_paint_among_the_pictures_of_the_first(tmp_path: Path) -> None:
    plates = pictures(tmp_path, 1)
    make_pairs(plates, [], tmp_path / "pairs", TeacherSettings("cel"))
    make_pairs(plates, [], tmp_path / "pairs", TeacherSettings("cel"))
    with pytest.raises(TrainingError, match="same teacher"):
        make_pairs(plates, [], tmp_path / "pairs", TeacherSettings("ink"))


def test_half_of_the_plates_are_seen_at_another_exposure_and_always_the_same_one(tmp_path: Path) -> None:
    plates = pictures(tmp_path, 8)
    for folder in ("one", "two"):
        make_pairs(plates, [], tmp_path / folder, TeacherSettings("cel"))
    changed = 0
    for path in plates:
        one, two = (cv2.imread(str(tmp_path / folder / "before" / path.name)) for folder in ("one", "two"))
        np.testing.assert_array_equal(one, two)
        changed += bool((one != cv2.imread(str(path))).any())
    assert 0 < changed < len(plates)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_manner_is_local_and_repeatable_and_does_not_move_with_the_frame(manner: str) -> None:
    plate = smooth(176, 400)
    palette = fit_palette([plate], [smooth(seed=2)])
    paint_in = MANNERS[manner].paint
    whole = paint_in(plate, palette)
    assert whole.shape == plate.shape
    assert whole.dtype == np.float32
    assert 0 <= whole.min() <= whole.max() <= 1
    np.testing.assert_array_equal(paint_in(plate, palette), whole)
    changed = plate.copy()
    changed[:, 300:] = 0.5
    np.testing.assert_allclose(paint_in(changed, palette)[:, :100], whole[:, :100], atol=4e-3)
    np.testing.assert_allclose(paint_in(plate[:, 3:], palette)[:, 200:], whole[:, 203:], atol=1e-2)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_manner_answers_a_little_noise_with_a_little_change(manner: str) -> None:
    plate = cv2.GaussianBlur(smooth(128, 160), (0, 0), 3)
    palette = fit_palette([plate], [smooth(seed=2)])
    noise = np.random.default_rng(3).normal(0, 1 / 255, plate.shape).astype(np.float32)
    change = MANNERS[manner].paint(np.clip(plate + noise, 0, 1), palette) - MANNERS[manner].paint(plate, palette)
    assert np.abs(change).mean() < 0.06


def test_tones_end_sharply_at_an_edge_and_pass_into_each_other_on_a_ramp() -> None:
    ramp = np.tile(np.linspace(0.2, 0.8, 400, dtype=np.float32), (9, 1))
    assert np.abs(np.diff(stepped(ramp, 4)[4])).max() < 0.01
    edge = np.full((9, 40), 0.2, np.float32)
    edge[:, 20:] = 0.8
    assert stepped(edge, 4)[4, 21] - stepped(edge, 4)[4, 18] > 0.45


def test_flat_areas_keep_an_edge() -> None:
    edge = np.zeros((40, 40, 3), np.float32)
    edge[:, 20:] = 1
    noisy = edge + np.random.default_rng(1).normal(0, 0.05, edge.shape).astype(np.float32)
    flat = flattened(noisy, 3.0)
    assert np.abs(flat - edge).mean() < 0.4 * np.abs(noisy - edge).mean()
    assert flat[20, 21, 0] - flat[20, 18, 0] > 0.9


@pytest.mark.parametrize(
    ("look", "painted", "told"),
    [
        (TeacherSettings("oil"), False, "a painting for the manner 'oil'"),
        (TeacherSettings("cel"), True, "no painting for the manner 'cel'"),
        (TeacherSettings("cel", paint_share=0.5), False, "a painting for a paint share of 0.5"),
    ],
)
def test_a_manner_and_its_painting_must_agree(tmp_path: Path, look: TeacherSettings, painted: bool, told: str) -> None:
    plates = pictures(tmp_path, 1)
    with pytest.raises(UsageError, match=told):
        make_pairs(plates, plates[:painted], tmp_path / "pairs", look)


def test_an_unknown_manner_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'pencil'"):
        TeacherSettings("pensil")


def test_a_painting_of_twenty_pixels_is_refused(tmp_path: Path) -> None:
    small = save(tmp_path / "small.png", smooth(24, 24)[:20, :20])
    with pytest.raises(TrainingError, match=r"at least 128 pixels.*20x20"):
        make_pairs(pictures(tmp_path, 1), [small], tmp_path / "pairs", TeacherSettings())


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "odd.png"
    odd.write_bytes(b"odd")
    with pytest.raises(TrainingError, match=r"odd\.png"):
        make_pairs([odd], [odd], tmp_path / "pairs", TeacherSettings())
