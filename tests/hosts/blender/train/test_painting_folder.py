"""The folder in which an artist paints: what is paint, what is still a plate, what the trainer is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from impasto.core.errors import TrainingError
from impasto.hosts.blender.train.painting_folder import (
    Export,
    PaintedKey,
    collect,
    export_plates,
    painted_keys,
    pictures_in,
)
from impasto.server.protocol.messages import ShotJob
from impasto.training.data.shots import pictures_by_number

SIZE = (96, 64)


class Writer:
    """A client whose server writes what it is asked for."""

    def __init__(self) -> None:
        self.jobs: list[ShotJob] = []

    def render_shot(self, job: ShotJob) -> None:
        self.jobs.append(job)
        assert job.first is not None
        assert job.last is not None
        for number in range(job.first, job.last + 1):
            Path(job.output.replace("####", f"{number:04d}")).write_bytes(f"plate {number}".encode())


@pytest.fixture
def export(tmp_path: Path) -> Export:
    return Export("/plates/p.####.exr", (1, 2, 7), tmp_path / "paint", "hero", ".png", "srgb")


def exported(export: Export) -> Writer:
    writer = Writer()
    export_plates(writer, export)  # type: ignore[arg-type]
    return writer


def painted(folder: Path, size: tuple[int, int] = SIZE) -> tuple[PaintedKey, ...]:
    return painted_keys(folder, SIZE, lambda path: size)


def test_plates_are_written_unchanged_as_a_screen_shows_them(export: Export) -> None:
    jobs = exported(export).jobs
    assert [(each.first, each.last) for each in jobs] == [(1, 2), (7, 7)]
    assert {(each.look.style, each.input_space, each.output_space) for each in jobs} == {("identity", "srgb", "srgb")}
    assert [path.name for path in pictures_in(export.folder).values()] == [f"hero.000{n}.png" for n in (1, 2, 7)]


def test_the_trainer_finds_the_numbers_of_the_painted_frames_alone(export: Export) -> None:
    exported(export)
    (export.folder / "hero.0007.png").write_bytes(b"paint")
    found: Any = pictures_by_number(collect(export.folder, painted(export.folder)), "key")
    assert {number: path.read_bytes() for number, path in found.items()} == {7: b"paint"}


def test_exporting_again_keeps_paint_and_adds_what_is_new(export: Export, tmp_path: Path) -> None:
    exported(export)
    (export.folder / "hero.0001.png").write_bytes(b"paint")
    again = exported(Export(export.input, (1, 2, 9), export.folder, "hero", ".png", "srgb"))
    assert [each.first for each in again.jobs] == [9]
    assert [key.number for key in painted(export.folder)] == [1]


def test_a_picture_saved_in_another_format_is_the_paint(export: Export) -> None:
    exported(export)
    (export.folder / "hero.0002.exr").write_bytes(b"paint")
    assert [key.path.name for key in painted(export.folder)] == ["hero.0002.exr"]


@pytest.mark.parametrize(
    ("size", "sentence"),
    [((40, 20), "expected a key of the plate's size 96x64, got 40x20"), ((0, 0), "cannot be read")],
)
def test_a_picture_that_does_not_fit_is_refused_by_name(export: Export, size: Any, sentence: str) -> None:
    exported(export)
    (export.folder / "hero.0002.png").write_bytes(b"paint")
    with pytest.raises(TrainingError, match=f"{sentence}.*|.*'hero.0002.png'.*{sentence}"):
        collect(export.folder, painted(export.folder, size))


def test_without_paint_there_is_nothing_to_train_on(export: Export) -> None:
    exported(export)
    with pytest.raises(TrainingError, match="paint over one"):
        collect(export.folder, painted(export.folder))


def test_a_key_that_is_taken_away_is_no_longer_given_to_the_trainer(export: Export) -> None:
    exported(export)
    for number in (1, 2):
        (export.folder / f"hero.000{number}.png").write_bytes(b"paint")
    collect(export.folder, painted(export.folder))
    (export.folder / "hero.0001.png").unlink()
    keys = collect(export.folder, painted(export.folder))
    assert [path.name for path in keys.iterdir()] == ["hero.0002.png"]
