"""Interlaced movies: deinterlaced alike in any range, or kept field by field, and always said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.frame import Frame
from impasto.core.media import FrameRange, open_reader, open_writer
from impasto.core.media.fields import FieldMarker, FieldOrder, deinterlaced
from tests.core.media.interlaced import COUNT, KINDS, bar, order_of, pictures, write_fields


def read(path: Path, frames: FrameRange | None = None, *, deinterlace: bool = True) -> list[Frame]:
    with open_reader(str(path), frames=frames, deinterlace=deinterlace) as reader:
        return list(reader)


def combing(frame: Frame) -> float:
    """How much neighbouring lines differ beside those two apart: 0 for a still picture, more where fields are woven."""
    lines = frame.colour.astype(float) / np.iinfo(frame.colour.dtype).max
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


@pytest.mark.parametrize("order", ["top", "bottom"])
@pytest.mark.parametrize("kind", KINDS)
def test_fields_are_not_woven_into_a_picture(tmp_path: Path, kind: str, order: FieldOrder) -> None:
    write_fields(tmp_path / kind, kind, order)
    painted, kept = read(tmp_path / kind), read(tmp_path / kind, deinterlace=False)
    assert [frame.number for frame in painted] == [frame.number for frame in kept] == list(range(1, COUNT + 1))
    assert combing(kept[5]) > 4 * combing(painted[5])
    # The earlier field stays: bwdif fills the lines of the later one.
    if not kind.startswith(("mpeg2", "prores")):
        expected = bar(2 * 5)
        middle = painted[5].colour[8:-8]
        assert np.abs(middle.astype(float) - expected[8:-8]).mean() < 6
    for frames, word in ((painted, "deinterlaced by bwdif"), (kept, "left as they are")):
        notes = [note for frame in frames for note in frame.notes]
        assert len(notes) == 1
        assert word in notes[0]
        assert f"{order} field first" in notes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_any_range_gives_the_same_frames(tmp_path: Path, kind: str) -> None:
    write_fields(tmp_path / kind, kind, "top")
    whole = {frame.number: frame.colour for frame in read(tmp_path / kind)}
    for first, last in [(1, 1), (2, 2), (5, 7), (6, 6), (11, 12), (12, 12)]:
        part = read(tmp_path / kind, FrameRange(first, last))
        assert [frame.number for frame in part] == list(range(first, last + 1))
        for frame in part:
            np.testing.assert_array_equal(frame.colour, whole[frame.number])


@pytest.mark.parametrize("first", [1, 4, 5, 6])
def test_a_movie_that_becomes_interlaced_is_noticed(tmp_path: Path, first: int) -> None:
    write_fields(tmp_path / "ffv1.mkv", "ffv1.mkv", "top", progressive=4)
    whole, kept = read(tmp_path / "ffv1.mkv"), read(tmp_path / "ffv1.mkv", deinterlace=False)
    np.testing.assert_array_equal(whole[2].colour, kept[2].colour)
    assert combing(kept[4]) > 4 * combing(whole[4])
    part = read(tmp_path / "ffv1.mkv", FrameRange(first, 9))
    for frame in part:
        np.testing.assert_array_equal(frame.colour, whole[frame.number - 1].colour)
    assert len([note for frame in part for note in frame.notes if "interlaced" in note]) == 1


def copied(source: Path, result: Path, *, deinterlace: bool) -> str:
    with (
        open_reader(str(source), deinterlace=deinterlace) as reader,
        open_writer(str(result), reader.info) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    return "\n".join(writer.notes)


@pytest.mark.parametrize("order", ["top", "bottom"])
@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("h264.mov", "b.mp4"),
        ("h264.ts", "b.mkv"),
        ("mpeg2.mxf", "b.mov"),
        ("prores.mov", "b.mov"),
        ("ffv1.mkv", "b.avi"),
    ],
)
def test_kept_fields_are_stated_by_the_result(tmp_path: Path, kind: str, result: str, order: FieldOrder) -> None:
    write_fields(tmp_path / kind, kind, order)
    assert "fields" not in copied(tmp_path / kind, tmp_path / result, deinterlace=False)
    assert order_of(tmp_path / result) == order
    copied(tmp_path / kind, tmp_path / f"progressive-{result}", deinterlace=True)
    assert order_of(tmp_path / f"progressive-{result}") == ""


def test_kept_fields_come_back_code_for_code(tmp_path: Path) -> None:
    write_fields(tmp_path / "ffv1.mkv", "ffv1.mkv", "top")
    copied(tmp_path / "ffv1.mkv", tmp_path / "b.mkv", deinterlace=False)
    with av.open(str(tmp_path / "ffv1.mkv")) as before, av.open(str(tmp_path / "b.mkv")) as after:
        for one, other in zip(before.decode(video=0), after.decode(video=0), strict=True):
            for plane, (old, new) in enumerate(zip(one.planes, other.planes, strict=True)):
                difference = np.frombuffer(memoryview(old), np.uint8).astype(int) - np.frombuffer(
                    memoryview(new), np.uint8
                )
                assert np.abs(difference).max() <= (1 if plane == 0 else 24)
                assert np.abs(difference).mean() < (0.02 if plane == 0 else 1.0)


@pytest.mark.parametrize("result", ["b.webm", "b.####.png", "b.####.exr"])
def test_fields_that_a_result_cannot_state_are_named(tmp_path: Path, result: str) -> None:
    write_fields(tmp_path / "ffv1.mkv", "ffv1.mkv", "bottom")
    assert "two fields, the bottom one first" in copied(tmp_path / "ffv1.mkv", tmp_path / result, deinterlace=False)
    assert "fields" not in copied(tmp_path / "ffv1.mkv", tmp_path / f"c{result[1:]}", deinterlace=True)


def numbered(count: int, fails: Callable[[], None]) -> Iterator[tuple[int, av.VideoFrame]]:
    mark = FieldMarker("top")
    for number, picture in zip(range(1, count + 1), pictures("top"), strict=False):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        yield number, mark(frame)
    fails()


def test_pictures_before_a_failure_come_out_first() -> None:
    def fail() -> None:
        raise av.error.InvalidDataError(1, "damaged")

    made = deinterlaced(numbered(3, fail))
    assert [next(made)[0] for _ in range(3)] == [1, 2, 3]
    with pytest.raises(av.FFmpegError):
        next(made)


@pytest.mark.parametrize("count", [1, 2])
def test_movies_of_one_or_two_pictures_come_out_whole(count: int) -> None:
    assert [number for number, _ in deinterlaced(numbered(count, lambda: None))] == list(range(1, count + 1))
