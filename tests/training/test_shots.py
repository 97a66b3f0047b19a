"""What a run reads besides folders: movies and sequences by their numbers, in float, in a space that is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
import torch

from impasto.core.errors import TrainingError
from impasto.core.frame import Pixels
from impasto.core.media import open_reader
from impasto.core.working_picture import to_working
from impasto.training.data.domains import load_domains
from impasto.training.data.pairs import draw_crops, load_pairs
from impasto.training.data.shots import pictures_of
from impasto.training.data.teacher_plates import frames_of, load_picture
from impasto.training.teachers.distillation import plates_alone
from tests.training.pictures import write_frames


def flat(value: float, height: int = 48, width: int = 64) -> Pixels:
    return np.full((height, width, 3), value, np.float16)


def grey(value: int) -> Pixels:
    return np.full((48, 64, 3), value, np.uint8)


def test_a_movie_and_a_sequence_are_paired_by_the_numbers_of_their_frames(tmp_path: Path) -> None:
    movie = write_frames(tmp_path / "plate.mov", [grey(20 * n) for n in range(1, 7)])
    painted = write_frames(tmp_path / "paint.####.png", [grey(20 * n + 5) for n in range(1, 7)])
    pairs = load_pairs(movie, painted, frames=3)
    assert [pair.name for pair in pairs] == ["00001", "00003", "00006"]
    for pair, number in zip(pairs, (1, 3, 6), strict=True):
        assert (
            abs(float(pair.before.float().mean()) * (1 if pair.before.dtype == torch.uint8 else 255) - 20 * number) < 3
        )
        assert pair.after.unique().tolist() == [20 * number + 5]


def test_a_folder_may_hold_some_painted_frames_of_a_movie(tmp_path: Path) -> None:
    movie = write_frames(tmp_path / "plate.mov", [grey(20 * n) for n in range(1, 7)])
    write_frames(tmp_path / "keys" / "hero.####.png", [grey(7)], first=4)
    (pair,) = load_pairs(movie, tmp_path / "keys")
    assert (pair.name, pair.after.unique().tolist()) == ("00004", [7])


@pytest.mark.parametrize(
    ("count", "first", "said"),
    [(3, 1, r"4 frames \(1-4\) in .*3 frames \(1-3\) in .*cut one"), (4, 1001, r"1001-1004.*renumber one")],
)
def test_shots_of_other_lengths_or_numbers_are_told_apart(tmp_path: Path, count: int, first: int, said: str) -> None:
    ours = write_frames(tmp_path / "a.####.png", [grey(9)] * 4)
    theirs = write_frames(tmp_path / "b.####.png", [grey(9)] * count, first=first)
    with pytest.raises(TrainingError, match=said):
        load_pairs(ours, theirs)


def test_shots_of_other_sizes_are_refused_with_both(tmp_path: Path) -> None:
    ours = write_frames(tmp_path / "a.####.png", [grey(9)])
    theirs = write_frames(tmp_path / "b.####.png", [grey(9)[:, :60]])
    with pytest.raises(TrainingError, match="64x48 and 60x48"):
        load_pairs(ours, theirs)


def test_float_plates_are_read_in_the_space_that_is_said(tmp_path: Path) -> None:
    shot = write_frames(tmp_path / "log.####.exr", [flat(0.4)] * 2)
    linear, log = (pictures_of(shot, input_space=space)["00001"] for space in (None, "ACEScct"))
    with open_reader(shot) as reader:
        frame = next(iter(reader))
    for picture, space in ((linear, None), (log, "ACEScct")):
        seen = to_working(frame, input_space=space).picture.astype(np.float16)
        np.testing.assert_array_equal(picture.permute(1, 2, 0).numpy(), seen)
    assert (linear.dtype, abs(float(linear.mean() - log.mean())) > 0.05) == (torch.float16, True)


def test_a_float_target_above_one_is_kept_as_the_network_must_answer_it(tmp_path: Path) -> None:
    ours, theirs = write_frames(tmp_path / "a.exr", [flat(4.0)]), write_frames(tmp_path / "b.exr", [flat(2.0)])
    (pair,) = load_pairs_of_stills(Path(ours), Path(theirs), tmp_path)
    assert float(pair.before.float().mean()) == pytest.approx(1.0, abs=1e-3)
    # Half of the plate's light: the inverse of IEC 61966-2-1 at 0.5.
    assert float(pair.after.float().mean()) == pytest.approx(0.7354, abs=1e-3)


def load_pairs_of_stills(ours: Path, theirs: Path, folder: Path) -> list:  # type: ignore[type-arg]
    for name, path in (("before", ours), ("after", theirs)):
        (folder / name).mkdir()
        path.rename(folder / name / "one.exr")
    return load_pairs(folder / "before", folder / "after")


def test_nothing_is_learned_near_what_is_not_a_number(tmp_path: Path) -> None:
    holed = flat(0.5)
    holed[10, 10] = np.nan
    ours, theirs = write_frames(tmp_path / "a.exr", [holed]), write_frames(tmp_path / "b.exr", [flat(0.2)])
    (pair,) = load_pairs_of_stills(Path(ours), Path(theirs), tmp_path)
    assert pair.loss_mask is not None
    assert (bool(pair.loss_mask[0, 12, 12]), bool(pair.loss_mask[0, 20, 20])) == (False, True)


def test_a_mask_says_where_crops_are_judged(tmp_path: Path) -> None:
    mask = grey(0)
    mask[:, 40:] = 255
    shots = [
        write_frames(tmp_path / name, [picture] * 2)
        for name, picture in (("a.####.png", grey(9)), ("b.####.png", grey(8)), ("m.####.png", mask))
    ]
    pairs = load_pairs(*shots)
    assert all(pair.loss_mask is not None and int(pair.loss_mask.sum()) == 48 * 24 for pair in pairs)
    crops = draw_crops(pairs, 4, 48, 4, torch.Generator().manual_seed(1))
    assert crops.loss_mask.sum() > 0
    for loss_mask in crops.loss_mask[:, 0]:
        assert loss_mask.any(dim=0).sum() <= 24
    with pytest.raises(TrainingError, match="a mask for frame 2"):
        load_pairs(*shots[:2], write_frames(tmp_path / "short.####.png", [mask]))


def test_masks_of_folders_bear_the_names_of_the_pictures(tmp_path: Path) -> None:
    for folder, value in (("b", 9), ("a", 8), ("m", 0)):
        for name in ("one", "two"):
            write_frames(tmp_path / folder / f"{name}.png", [grey(value)])
    (tmp_path / "m" / "two.png").unlink()
    with pytest.raises(TrainingError, match="'one', its mask leaves nothing"):
        load_pairs(tmp_path / "b", tmp_path / "a", tmp_path / "m")
    (tmp_path / "m" / "one.png").rename(tmp_path / "m" / "three.png")
    with pytest.raises(TrainingError, match="'three' is like none"):
        load_pairs(tmp_path / "b", tmp_path / "a", tmp_path / "m")


def test_two_unpaired_shots_are_two_domains_and_a_shot_is_distilled_from(tmp_path: Path) -> None:
    movie = write_frames(tmp_path / "plate.mov", [grey(20 * n) for n in range(1, 7)])
    shot = write_frames(tmp_path / "look.####.exr", [flat(0.1 * n) for n in range(1, 5)])
    both = load_domains(movie, shot, frames=3)
    assert (len(both.plates), len(both.wanted)) == (3, 3)
    assert [pair.name for pair in plates_alone(shot, frames=2)] == ["00001", "00004"]


def test_an_8_bit_picture_reads_as_opencv_reads_it_whichever_way_it_was_held(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (90, 130, 3), np.uint8)
    for orientation in range(1, 9):
        path = tmp_path / f"{orientation}.jpg"
        output, spec = oiio.ImageOutput.create(str(path)), oiio.ImageSpec(130, 90, 3, oiio.UINT8)
        spec.attribute("Orientation", orientation)
        output.open(str(path), spec)
        output.write_image(picture)
        output.close()
        stored = cv2.imread(str(path))
        assert stored is not None
        scale = 64 / max(stored.shape[:2])
        expected = cv2.resize(stored, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1]
        np.testing.assert_array_equal(load_picture(path, 64), expected.astype(np.float32) / np.float32(255))


def test_a_plate_for_a_teacher_is_what_the_engine_shows_the_network(tmp_path: Path) -> None:
    path = Path(write_frames(tmp_path / "a.exr", [flat(0.18)]))
    # IEC 61966-2-1: 18 % grey is 0.4614 of full code value.
    assert float(load_picture(path, 640).mean()) == pytest.approx(0.4614, abs=1e-3)


def test_frames_are_spread_over_a_shot_and_keep_its_depth(tmp_path: Path) -> None:
    movie = write_frames(tmp_path / "plate.mov", [grey(20 * n) for n in range(1, 9)])
    shot = write_frames(tmp_path / "look.####.exr", [flat(0.1 * n) for n in range(1, 9)], first=1001)
    names = [path.name for path in frames_of(movie, 3, tmp_path / "kept")]
    assert names == ["plate_00000.png", "plate_00002.png", "plate_00005.png"]
    (deep, _) = frames_of(shot, 2, tmp_path / "kept")
    assert deep.name == "look_01001.png"
    stored = cv2.imread(str(deep), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert stored.dtype == np.uint16
    assert [path.name for path in frames_of(movie, 99, tmp_path / "more")] == [f"plate_{n:05}.png" for n in range(6)]
