"""`impasto sheet`: plate above, result below."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import UsageError
from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.hosts.terminal.exit_codes import INPUT, USAGE
from impasto.hosts.terminal.render.sheet import GAP, WIDTH, laid_out, numbers_to_show, picture_at
from tests.core.media.test_orientation import SEEN, corners, write_turned
from tests.hosts.terminal.conftest import Impasto


def shot(first: int, count: int | None) -> ShotInfo:
    return ShotInfo("shot", "sequence", first, count, 16, 8)


def test_frames_are_spread_from_the_first_to_the_last() -> None:
    assert numbers_to_show(shot(1, 9), shot(1, 9), 5) == [(1, 1), (3, 3), (5, 5), (7, 7), (9, 9)]
    assert numbers_to_show(shot(1, 9), shot(1, 9), 1) == [(5, 5)]
    assert numbers_to_show(shot(1, 2), shot(1, 2), 5) == [(1, 1), (2, 2)]


def test_shots_of_one_length_go_in_step() -> None:
    assert numbers_to_show(shot(1001, 3), shot(1, 3), 5) == [(1001, 1), (1002, 2), (1003, 3)]


def test_frames_of_the_same_number_belong_together() -> None:
    assert numbers_to_show(shot(1, 100), shot(20, 3), 5) == [(20, 20), (21, 21), (22, 22)]
    with pytest.raises(UsageError, match="same numbers"):
        numbers_to_show(shot(1, 10), shot(50, 3), 5)
    with pytest.raises(UsageError, match="known length"):
        numbers_to_show(shot(1, None), shot(1, 3), 5)


def test_the_plate_stands_above_the_result() -> None:
    white, grey = np.ones((8, 16, 3), np.float32), np.full((8, 16, 3), 0.5, np.float32)
    page = laid_out([(white, grey), (white, grey)], 16)
    assert page.shape == (2 * 8 + 3 * GAP, 2 * 16 + 3 * GAP, 3)
    assert (page[GAP : GAP + 8, GAP : GAP + 16] == 1).all()
    assert (page[2 * GAP + 8 : 2 * GAP + 16, GAP : GAP + 16] == 0.5).all()


def test_linear_and_encoded_pictures_look_the_same(impasto: Impasto) -> None:
    with open_writer("a.####.exr", ShotInfo("", "sequence", 1, 2, 32, 16)) as writer:
        for number in (1, 2):
            writer.write(Frame.from_pixels(np.full((16, 32, 3), 0.2140, np.float16), number=number))
    with open_writer("b.mkv", ShotInfo("", "movie", 1, 2, 32, 16, rate=Fraction(24))) as writer:
        for number in (1, 2):
            writer.write(Frame.from_pixels(np.full((16, 32, 3), 128, np.uint8), number=number))
    done = impasto("sheet", "a.####.exr", "b.mkv", "sheet.png")
    assert (done.code, done.out) == (0, "sheet.png: 2 frames, plate above, result below\n")
    with open_reader("sheet.png") as reader:
        sheet = next(iter(reader)).colour
    assert abs(sheet.shape[1] - WIDTH) <= GAP
    above, below = sheet[sheet.shape[0] // 4, 100].astype(int), sheet[3 * sheet.shape[0] // 4, 100].astype(int)
    assert np.abs(above - 128).max() <= 2
    assert np.abs(below - 128).max() <= 3


def test_a_sheet_replaces_nothing_unless_asked(movie: str, impasto: Impasto) -> None:
    assert impasto("sheet", movie, movie, "sheet.png").code == 0
    assert impasto("sheet", movie, movie, "sheet.png").code == USAGE
    assert impasto("sheet", movie, movie, "sheet.png", "--overwrite").code == 0


def test_what_cannot_be_read_is_said(movie: str, impasto: Impasto) -> None:
    done = impasto("sheet", movie, "nowhere.mp4", "sheet.png")
    assert done.code == INPUT
    assert not Path("sheet.png").exists()


@pytest.mark.parametrize("orientation", SEEN)
def test_a_turned_or_mirrored_movie_stands_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.mov"
    write_turned(path, orientation)
    with open_reader(str(path)) as reader:
        shown = picture_at(str(path), reader.info, 1, 48)
    assert corners(shown) == SEEN[orientation]
    assert shown.shape[:2] == ((80, 48) if orientation > 4 else (29, 48))
