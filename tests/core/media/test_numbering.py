"""Names with numbers: patterns, folders, gaps."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import InconsistentShot, UnreadableMedia, UsageError
from impasto.core.media.numbering import NumberedPath, find_in_folder, gaps, number_in, parse_numbered, require_unbroken


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a/plate.%04d.exr", "a/plate.0012.exr"),
        ("a/plate.####.exr", "a/plate.0012.exr"),
        ("a/plate.@@@@.exr", "a/plate.0012.exr"),
        ("plate_%d.png", "plate_12.png"),
        ("#####.jpg", "00012.jpg"),
    ],
)
def test_every_placeholder_style_names_the_same_frame(pattern: str, path: str) -> None:
    numbered = parse_numbered(pattern)
    assert numbered is not None
    assert numbered.path_of(12) == path


def test_a_path_without_a_placeholder_is_no_sequence() -> None:
    assert parse_numbered("plate.0012.exr") is None


@pytest.mark.parametrize("pattern", ["plate.##.##.exr", "shot_####/plate.exr"])
def test_a_placeholder_too_many_or_in_the_folder_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="frame number"):
        parse_numbered(pattern)


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("a/plate.$F4.exr", "write 'a/plate.####.exr'"),
        ("plate.$F.exr", "write 'plate.####.exr'"),
        ("plate.${F5}.exr", "write 'plate.#####.exr'"),
        ("plate.*.exr", "write 'plate.####.exr'"),
        ("plate.[0001-0100].exr", "write 'plate.####.exr' and --frames 1-100"),
        ("plate.<F4>.exr", "write 'plate.####.exr'"),
    ],
)
def test_the_placeholder_of_another_program_gets_the_way_to_write_it(path: str, ours: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_numbered(path)
    assert str(refused.value).endswith(ours)


def test_a_file_whose_name_looks_like_a_placeholder_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "plate[1-2].exr").touch()
    assert parse_numbered(str(tmp_path / "plate[1-2].exr")) is None


@pytest.mark.parametrize("folder", ["shot#3", "50%d", "take_####"])
def test_a_new_folder_may_look_like_a_placeholder_beside_one(tmp_path: Path, folder: str) -> None:
    found = parse_numbered(str(tmp_path / folder / "plate.####.exr"))
    assert found == NumberedPath(str(tmp_path / folder), "plate.", 4, ".exr")


@given(number=st.integers(-99999, 9999999), padding=st.integers(1, 8))
def test_a_number_survives_the_way_into_a_name_and_back(number: int, padding: int) -> None:
    numbered = NumberedPath("", "plate.", padding, ".exr")
    assert numbered.number_of(numbered.path_of(number)) == number


def test_a_name_with_other_padding_belongs_to_another_sequence() -> None:
    assert NumberedPath("", "plate.", 4, ".exr").number_of("plate.00012.exr") is None


@pytest.mark.parametrize(
    ("name", "number"), [("plate.0010.exr", 10), ("v2_shot.exr", None), ("plate.-005.exr", -5), ("plate-0005.exr", 5)]
)
def test_the_number_of_a_still_is_the_last_one_in_its_name(name: str, number: int | None) -> None:
    assert number_in(name) == number


def test_a_folder_with_one_sequence_is_that_sequence(tmp_path: Path) -> None:
    for name in ("plate.0998.exr", "plate.0999.exr", "plate.1000.exr", "notes.txt", ".plate.0999.part.exr"):
        (tmp_path / name).touch()
    found = find_in_folder(str(tmp_path))
    assert isinstance(found, NumberedPath)
    assert found.numbers() == [998, 999, 1000]


def test_a_folder_with_two_sequences_asks_for_a_name(tmp_path: Path) -> None:
    for name in ("a.1.exr", "a.2.exr", "b.1.exr"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=r"a\.####\.exr, b\.####\.exr"):
        find_in_folder(str(tmp_path))


def test_a_folder_without_pictures_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMedia, match="found none"):
        find_in_folder(str(tmp_path))


def test_a_gap_is_named_frame_by_frame() -> None:
    with pytest.raises(InconsistentShot, match=r"missing 3, 6-8;"):
        require_unbroken([1, 2, 4, 5, 9], 1, 9, "plate.####.exr")


def test_numbers_far_apart_take_no_room() -> None:
    assert gaps([1, 2_000_000_000], 1, 2_000_000_000) == [(2, 1_999_999_999)]
    assert gaps([1, 20261130], -5, 20261131) == [(-5, 0), (2, 20261129), (20261131, 20261131)]
    with pytest.raises(InconsistentShot, match="missing 2-1999999999;"):
        require_unbroken([1, 2_000_000_000], 1, 2_000_000_000, "gap.##########.png")


def test_an_unbroken_range_passes() -> None:
    require_unbroken([1, 2, 3, 7], 1, 3, "plate.####.exr")
