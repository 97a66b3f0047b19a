"""Smoothed shots: the same bits whole, in parts and one by one; cuts, ends and gaps; what makes a frame stale."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.errors import UsageError
from impasto.core.frame_settings import SMOOTHING_REACH
from impasto.core.media import open_reader
from impasto.server.protocol.messages import RenderSettings, ShotDone, ShotJob
from impasto.server.shots.render import render_shot
from tests.plates import soft_noise, write_sequence

STYLE = "wheatfield-draft"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(STYLE, device="cpu")


def moving(number: int) -> np.ndarray:
    """A scene that moves two pixels a frame to the right, with grain, in half float."""
    scene = soft_noise(64, 200, cell=6, seed=3)[:, 2 * number : 2 * number + 96]
    grain = np.random.default_rng(number).normal(0, 0.01, scene.shape)
    return np.clip(scene * 0.6 + grain, 0, 1).astype(np.float16)


@pytest.fixture
def shot(tmp_path: Path) -> str:
    (tmp_path / "in").mkdir()
    return write_sequence(tmp_path / "in", range(11, 21), size=(96, 64), pixels=lambda number: moving(number - 10))


def job_of(shot: str, output: Path, **changes: object) -> ShotJob:
    output.parent.mkdir(exist_ok=True)
    return replace(ShotJob(RenderSettings(STYLE), shot, str(output), smoothing=0.7), **changes)  # type: ignore[arg-type]


def pictures(path: object) -> dict[int, np.ndarray]:
    with open_reader(str(path)) as reader:
        return {frame.number: frame.colour for frame in reader}


def test_a_frame_is_the_same_whole_in_parts_and_alone_in_any_order(shot: str, tmp_path: Path, engine: Engine) -> None:
    whole = tmp_path / "whole" / "o.####.exr"
    render_shot(job_of(shot, whole), engine)
    parts = tmp_path / "parts" / "o.####.exr"
    for first, last in ((18, 20), (11, 11), (14, 17), (12, 13)):
        render_shot(job_of(shot, parts, first=first, last=last, resume=True), Engine(STYLE, device="cpu"))
    expected, found = pictures(whole), pictures(parts)
    assert list(found) == list(range(11, 21))
    for number, picture in expected.items():
        np.testing.assert_array_equal(found[number], picture)


def test_smoothing_calms_what_boils_and_nothing_else(shot: str, tmp_path: Path, engine: Engine) -> None:
    plain, calm = tmp_path / "plain" / "o.####.exr", tmp_path / "calm" / "o.####.exr"
    render_shot(job_of(shot, plain, smoothing=0.0), engine)
    render_shot(job_of(shot, calm), engine)

    def boil(found: dict[int, np.ndarray]) -> float:
        """Change along the known motion, two pixels a frame, away from the rims."""
        frames = [each.astype(np.float32) for each in found.values()]
        pairs = itertools.pairwise(frames)
        return float(np.mean([np.abs(b[8:-8, 8:-10] - a[8:-8, 10:-8]).mean() for a, b in pairs]))

    assert boil(pictures(calm)) < 0.7 * boil(pictures(plain))
    one, other = (cv2.Laplacian(pictures(path)[15].astype(np.float32), cv2.CV_32F) for path in (plain, calm))
    assert np.abs(other).mean() > 0.8 * np.abs(one).mean()


def test_identity_stays_bit_exact(shot: str, tmp_path: Path) -> None:
    output = tmp_path / "same" / "o.####.exr"
    render_shot(job_of(shot, output, look=RenderSettings("identity")), Engine("identity", device="cpu"))
    for number, picture in pictures(output).items():
        np.testing.assert_array_equal(picture, pictures(shot)[number])


def test_nothing_comes_across_a_cut(tmp_path: Path, engine: Engine) -> None:
    def cut(number: int) -> np.ndarray:
        return moving(number) if number < 5 else (1 - moving(number)[::-1]).astype(np.float16)

    (tmp_path / "in").mkdir()
    shot = write_sequence(tmp_path / "in", range(1, 9), size=(96, 64), pixels=cut)
    whole, before = tmp_path / "whole" / "o.####.exr", tmp_path / "before" / "o.####.exr"
    render_shot(job_of(shot, whole), engine)
    (tmp_path / "first").mkdir()
    first = write_sequence(tmp_path / "first", range(1, 5), size=(96, 64), pixels=cut)
    render_shot(job_of(first, before), engine)
    for number, picture in pictures(before).items():
        np.testing.assert_array_equal(pictures(whole)[number], picture)


@pytest.mark.parametrize("count", [1, 2])
def test_a_shot_of_one_or_two_frames_is_painted(tmp_path: Path, engine: Engine, count: int) -> None:
    (tmp_path / "in").mkdir()
    shot = write_sequence(tmp_path / "in", range(1, count + 1), size=(96, 64), pixels=moving)
    done = render_shot(job_of(shot, tmp_path / "out" / "o.####.exr"), engine)
    assert isinstance(done, ShotDone)
    assert done.rendered == count


def test_confetti_is_left_alone(tmp_path: Path, engine: Engine) -> None:
    def confetti(number: int) -> np.ndarray:
        return np.random.default_rng(number).random((64, 96, 3)).astype(np.float16)

    (tmp_path / "in").mkdir()
    shot = write_sequence(tmp_path / "in", range(1, 4), size=(96, 64), pixels=confetti)
    plain, calm = tmp_path / "plain" / "o.####.exr", tmp_path / "calm" / "o.####.exr"
    render_shot(job_of(shot, plain, smoothing=0.0), engine)
    render_shot(job_of(shot, calm), engine)
    for number, picture in pictures(plain).items():
        np.testing.assert_array_equal(pictures(calm)[number], picture)


def test_a_frame_is_stale_once_a_plate_that_it_looks_at_has_changed(shot: str, tmp_path: Path, engine: Engine) -> None:
    output = tmp_path / "out" / "o.####.exr"
    render_shot(job_of(shot, output), engine)
    again = render_shot(job_of(shot, output, resume=True), engine)
    assert isinstance(again, ShotDone)
    assert (again.rendered, again.skipped) == (0, 10)
    changed = Path(shot.replace("####", "0020"))
    changed.write_bytes(changed.read_bytes() + b"\0")
    again = render_shot(job_of(shot, output, resume=True), engine)
    assert isinstance(again, ShotDone)
    assert again.rendered == 1 + SMOOTHING_REACH


def test_a_camera_is_answered_with_a_sentence(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(UsageError, match="a shot with an end for --smoothing"):
        render_shot(job_of("udp://127.0.0.1:1", tmp_path / "o" / "o.mp4"), engine)
