"""Sound stays as far from the pictures as it was, whatever containers are between and whichever begins first."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from impasto.core.media import FrameRange, open_reader, open_writer

RATE, SOUND_RATE = 25, 48000
FLASH = 25
"""The frame, counted from 0, that is white."""


def write(path: Path, *, pictures: float, sound: float) -> None:
    """Two seconds of black with one white frame, and a beep with it; both begin at the given seconds."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=RATE, options={"crf": "10", "preset": "ultrafast"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        audio = output.add_stream("aac", rate=SOUND_RATE, layout="mono")
        beep = pictures + FLASH / RATE
        for index in range(2 * RATE):
            frame = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 255 if index == FLASH else 0, np.uint8), format="rgb24"
            )
            frame.time_base, frame.pts = Fraction(1, 1000), round((pictures + index / RATE) * 1000)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        for first in range(int(sound * SOUND_RATE), int((pictures + 2) * SOUND_RATE), 1024):
            times = (first + np.arange(1024)) / SOUND_RATE
            wave = np.where((times >= beep) & (times < beep + 0.1), np.sin(times * 6000), 0).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            heard.sample_rate, heard.pts, heard.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
            output.mux(audio.encode(heard))
        output.mux(audio.encode(None))


def beep_after_flash(path: Path) -> float:
    """Seconds from the white frame to the beep, as a player shows them."""
    with av.open(str(path)) as container:
        flash = next(
            float(frame.time) for frame in container.decode(video=0) if frame.to_ndarray(format="gray").mean() > 150
        )
    with av.open(str(path)) as container:
        return next(_loud(container)) - flash


def _loud(container: av.container.InputContainer) -> Iterator[float]:
    for frame in container.decode(audio=0):
        samples = np.abs(frame.to_ndarray().astype(np.float64)).reshape(-1)
        samples /= 32768 if frame.format.name.startswith("s16") else 1
        for place in np.flatnonzero(samples > 0.2)[:1]:
            yield float(frame.time) + place / frame.sample_rate


@pytest.mark.parametrize("result", ["b.mp4", "b.mov", "b.mkv", "b.avi", "b.webm"])
@pytest.mark.parametrize("source", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize(("pictures", "sound"), [(0.0, 0.0), (0.52, 0.0), (0.021, 0.0), (0.0, 0.5), (0.6, 0.6)])
@pytest.mark.parametrize("frames", [None, FrameRange(1, 40), FrameRange(11, 50)])
def test_sound_keeps_its_distance_from_the_pictures(
    tmp_path: Path, source: str, result: str, pictures: float, sound: float, frames: FrameRange | None
) -> None:
    write(tmp_path / source, pictures=pictures, sound=sound)
    with (
        open_reader(str(tmp_path / source), frames=frames) as reader,
        open_writer(str(tmp_path / result), reader.info) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    before, after = beep_after_flash(tmp_path / source), beep_after_flash(tmp_path / result)
    assert abs(after - before) < 1024 / SOUND_RATE + 0.001
    with open_reader(str(tmp_path / result)) as written:
        assert len(list(written)) == reader.info.frame_count
