"""Pairs and crops: registered, judged where they may be, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from impasto.core.errors import TrainingError, UnknownName
from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_writer
from impasto.training.data.domains import load_domains
from impasto.training.data.pairs import Pair, digest, draw_crops, load_pairs
from impasto.training.data.pictures import as_float, read_picture, readable_pictures
from impasto.training.recipe import Recipe, recipe_from


def save(path: Path, height: int = 40, width: int = 48, seed: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def coordinates(height: int, width: int) -> Pair:
    """A pair whose samples say where they are, so that a crop tells where it was taken."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack((rows, columns, torch.zeros_like(rows))).to(torch.uint8)
    return Pair("map", picture, picture.clone())


def test_pictures_are_paired_by_name_and_read_as_rgb(tmp_path: Path) -> None:
    save(tmp_path / "b" / "one.png")
    save(tmp_path / "a" / "one.jpg", seed=2)
    cv2.imwrite(str(tmp_path / "b" / "one.png"), np.full((40, 48, 3), (255, 0, 10), np.uint8))
    (pair,) = load_pairs(tmp_path / "b", tmp_path / "a")
    assert pair.name == "one"
    assert pair.before[:, 0, 0].tolist() == [10, 0, 255]


def test_a_picture_without_its_counterpart_is_named(tmp_path: Path) -> None:
    save(tmp_path / "b" / "one.png")
    save(tmp_path / "b" / "two.png")
    save(tmp_path / "a" / "one.png")
    with pytest.raises(TrainingError, match=r"'two' is missing in .*a"):
        load_pairs(tmp_path / "b", tmp_path / "a")


def test_a_pair_of_differing_sizes_is_refused_with_both(tmp_path: Path) -> None:
    save(tmp_path / "b" / "one.png")
    save(tmp_path / "a" / "one.png", width=50)
    with pytest.raises(TrainingError, match="48x40 and 50x40 for 'one'"):
        load_pairs(tmp_path / "b", tmp_path / "a")


def test_an_empty_folder_a_missing_one_and_a_damaged_picture_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    with pytest.raises(TrainingError, match="found none"):
        load_pairs(tmp_path / "b", tmp_path / "a")
    with pytest.raises(TrainingError, match=r"'.*nowhere' is none"):
        load_pairs(tmp_path / "nowhere", tmp_path / "a")
    for folder in "ab":
        (tmp_path / folder / "one.png").write_bytes(b"not a picture")
    with pytest.raises(TrainingError, match="could not read a training picture"):
        load_pairs(tmp_path / "b", tmp_path / "a")


def folders(tmp_path: Path, damaged: int, of: int) -> tuple[Path, Path]:
    for number in range(of):
        for folder in "ba":
            save(tmp_path / folder / f"{number:02}.png")
    for number in range(damaged):
        path = tmp_path / "ab"[number % 2] / f"{number:02}.png"
        path.write_bytes(path.read_bytes()[:90] if number % 3 else b"not a picture")
    return tmp_path / "b", tmp_path / "a"


def test_a_few_damaged_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    notes: list[str] = []
    pairs = load_pairs(*folders(tmp_path, 2, 40), on_note=notes.append)
    assert len(pairs) == 38
    assert notes == ["2 of 40 pictures cannot be read and are left out: '00', '01'"]


def test_more_damaged_pictures_are_an_error_that_names_them_all(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="could not read 3 of 40 training pictures: '00', '01', '02'; mend"):
        load_pairs(*folders(tmp_path, 3, 40))


def test_damaged_plates_are_left_out_of_domains_and_of_what_is_to_be_painted(tmp_path: Path) -> None:
    before, after = folders(tmp_path, 2, 40)
    notes: list[str] = []
    both = load_domains(before, after, on_note=notes.append)
    assert (len(both.plates), len(both.wanted)) == (39, 39)
    assert "'01.png'" in notes[0]
    assert "'00.png'" in notes[1]
    paths = sorted(after.iterdir())
    assert readable_pictures(paths, notes.append) == paths[1:]
    with pytest.raises(TrainingError, match="could not read a plate"):
        readable_pictures(paths[:3], notes.append)


def test_scene_linear_exr_is_read_as_the_engine_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "grey.exr"
    pixels = np.full((16, 16, 3), 0.18, np.float16)
    with open_writer(str(path), ShotInfo(str(path), "still", 1, 1, 16, 16)) as writer:
        writer.write(Frame.from_pixels(pixels, number=1))
    # IEC 61966-2-1: 18 % grey is 0.4614 of full code value.
    assert read_picture(path).float().mean().item() == pytest.approx(0.4614, abs=1e-3)


def test_crops_of_before_and_after_are_registered() -> None:
    crops = draw_crops([coordinates(200, 240)], 8, 64, 16, torch.Generator().manual_seed(3))
    assert torch.equal(crops.before, crops.after)
    assert crops.before.shape == (8, 3, 64, 64)


def test_the_rim_is_judged_only_at_the_true_edge_of_the_picture() -> None:
    pair = coordinates(100, 100)
    crops = draw_crops([pair], 64, 64, 16, torch.Generator().manual_seed(3))
    seen_edges = 0
    for picture, loss_mask in zip((crops.before * 255).round().int(), crops.loss_mask[:, 0], strict=True):
        top, left = int(picture[0, 0, 0]), int(picture[1, 0, 0])
        assert loss_mask[20, 20] == 1
        assert bool(loss_mask[0, 32]) == (top == 0)
        assert bool(loss_mask[-1, 32]) == (top + 64 == 100)
        assert bool(loss_mask[32, 0]) == (left == 0)
        assert bool(loss_mask[32, -1]) == (left + 64 == 100)
        seen_edges += top == 0
    assert 0 < seen_edges < 64


def test_the_digest_changes_with_any_sample() -> None:
    one, other = coordinates(20, 20), coordinates(20, 20)
    other.after[0, 3, 3] += 1
    assert digest([one]) == digest([coordinates(20, 20)]) != digest([other])


def test_eight_bits_become_fractions() -> None:
    assert as_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]


def test_an_unknown_recipe_setting_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'learning_rate'"):
        recipe_from({"learning_rat": 1e-3})


def test_a_setting_is_known_by_its_earlier_name() -> None:
    assert recipe_from({"contest": "lsgan"}) == Recipe(adversarial_form="lsgan")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": 100}, "multiple of 8"),
        ({"crop": 32}, "larger than twice"),
        ({"batch": 0}, "at least 1"),
        ({"steps": "x"}, "to be int"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        recipe_from(settings)


def test_the_learning_rate_warms_up_holds_and_falls_to_a_twentieth() -> None:
    recipe = Recipe(learning_rate=1.0, warm_up=10, decay_from=0.5)
    rates = [
        recipe.rate_at(0, 0),
        recipe.rate_at(9, 0),
        recipe.rate_at(99, 0.5),
        recipe.rate_at(99, 0.75),
        recipe.rate_at(99, 1),
    ]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.05])
