"""The painters: repeatable, local, keyed to the plate, in the painting's colours."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.errors import TrainingError
from impasto.core.frame import Samples
from impasto.training.teachers.pairs import TeacherLook, make_pairs
from impasto.training.teachers.palette import LUMA, fit_palette
from impasto.training.teachers.patches import PatchLook, put_paint
from impasto.training.teachers.strokes import StrokeLook, paint, smear, stroke_direction


def scene(height: int = 96, width: int = 128, seed: int = 1) -> Samples:
    coarse = np.random.default_rng(seed).random((height // 8, width // 8, 3), np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 1)


def test_the_palette_carries_mean_colour_to_the_paintings() -> None:
    plate = scene(seed=1) * np.float32([0.5, 0.8, 1.0])
    painting = scene(seed=2) * np.float32([1.0, 0.6, 0.2])
    palette = fit_palette([plate], painting, tone=1.0)
    np.testing.assert_allclose(palette.apply(plate).mean((0, 1)), painting.mean((0, 1)), atol=0.04)


def test_a_palette_of_no_strength_changes_nothing() -> None:
    plate = scene()
    np.testing.assert_allclose(fit_palette([plate], scene(seed=2), tone=0, hue=0).apply(plate), plate, atol=1e-6)


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
    plate = scene(160, 320)
    palette = fit_palette([plate], scene(seed=2))
    look = StrokeLook()
    whole = paint(plate, palette, look)
    np.testing.assert_array_equal(paint(plate, palette, look), whole)
    changed = plate.copy()
    changed[:, 280:] = 0.5
    np.testing.assert_allclose(paint(changed, palette, look)[:, :80], whole[:, :80], atol=1e-3)


def test_the_painter_paints_and_does_not_only_grade() -> None:
    plate = scene()
    palette = fit_palette([plate], scene(seed=2))
    painted, graded = paint(plate, palette, StrokeLook()), np.clip(palette.apply(plate), 0, 1)

    def fine(picture: Samples) -> float:
        luma = picture @ LUMA
        return float((luma - cv2.GaussianBlur(luma, (0, 0), 2)).std())

    assert fine(painted) > 1.4 * fine(graded)


def test_the_patch_pass_uses_the_paintings_colours_only() -> None:
    painting = torch.zeros(1, 3, 64, 64)
    painting[:, 0, :, :32], painting[:, 2, :, 32:] = 1.0, 1.0
    picture = torch.from_numpy(scene()).permute(2, 0, 1)[None]
    result = put_paint(picture, painting, PatchLook(patches=500, dimensions=16))
    assert result.shape == picture.shape
    assert result[:, 1].max() < 1e-4


def test_the_patch_pass_is_repeatable() -> None:
    picture = torch.from_numpy(scene()).permute(2, 0, 1)[None]
    painting = torch.from_numpy(scene(seed=4)).permute(2, 0, 1)[None]
    look = PatchLook(patches=400, dimensions=8)
    assert torch.equal(put_paint(picture, painting, look), put_paint(picture, painting, look))


def test_pairs_are_made_once_and_shared_among_processes(tmp_path: Path) -> None:
    plates = []
    for index in range(3):
        plates.append(tmp_path / f"plate{index}.png")
        cv2.imwrite(str(plates[-1]), (scene(seed=index) * 255).astype(np.uint8))
    look = TeacherLook(patches=PatchLook(patches=300, dimensions=8), plate_side=64, painting_side=64)
    for share in ((0, 2), (1, 2)):
        make_pairs(plates, plates[0], tmp_path / "pairs", look, share=share)
    made = sorted((tmp_path / "pairs" / "after").iterdir())
    assert [path.name for path in made] == ["plate0.png", "plate1.png", "plate2.png"]
    assert (
        cv2.imread(str(made[0])).shape
        == cv2.imread(str(tmp_path / "pairs" / "before" / "plate0.png")).shape
        == (48, 64, 3)
    )


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "odd.png"
    odd.write_bytes(b"odd")
    with pytest.raises(TrainingError, match=r"odd\.png"):
        make_pairs([odd], odd, tmp_path / "pairs", TeacherLook())
