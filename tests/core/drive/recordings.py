"""Sounds made for tests, and the files that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from impasto.core.drive.curve import Times

RATE = 48_000


def tone(hertz: float, seconds: float) -> Times:
    """A sine of full scale."""
    return np.sin(2 * np.pi * hertz * np.arange(round(RATE * seconds)) / RATE)


def clicks(at: Sequence[float], seconds: float, *, rate: int = RATE) -> Times:
    """Short bursts of noise at these times."""
    sound = np.zeros(round(rate * seconds))
    rng = np.random.default_rng(1)
    length = rate // 20
    for each in at:
        begin = round(each * rate)
        burst = 0.4 * rng.standard_normal(length) * np.exp(-np.arange(length) * (100 / rate))
        sound[begin : begin + length] += burst[: len(sound) - begin]
    return sound


def write_sound(path: Path, sound: Times, *, rate: int = RATE, layout: str = "mono", second: float = 0.0) -> Path:
    """A WAV of 16 bits; the sound is in the first channel, `second` times it in the second."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=rate, layout=layout)
        for packet in (*stream.encode(_frame(sound, rate, layout, second)), *stream.encode(None)):
            output.mux(packet)
    return path


def write_sounding_movie(path: Path, sound: Times, frames: int, *, delay_s: float = 0.0) -> Path:
    """A grey movie at 24 frames a second whose sound begins `delay_s` after its pictures."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 64, 32, "yuv420p"
        audio = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((32, 64, 3), 10 + index, np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 24)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
        frame = _frame(sound, RATE, "mono")
        frame.pts, frame.time_base = round(delay_s * RATE), Fraction(1, RATE)
        output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return path


def _frame(sound: Times, rate: int, layout: str, second: float = 0.0) -> av.AudioFrame:
    channels = av.AudioLayout(layout).nb_channels
    samples = np.zeros((len(sound), channels), np.int16)
    samples[:, 0] = np.clip(sound, -1, 1) * 32767
    if channels > 1:
        samples[:, 1] = np.clip(second * sound, -1, 1) * 32767
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = rate
    return frame
