"""Three seconds of the harbour's sound: surf, a little wind, and a bell across the water."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 48000
PEAK = 10 ** (-9 / 20)
"""Loudest sample of the result: -9 dBFS, a quiet bed that leaves room."""

Sound = NDArray[np.float32]


def harbour_sound(seconds: float, seed: int = 1) -> Sound:
    """Stereo (2, samples) float32 at 48 kHz, peak at -9 dBFS, faded in and out over 120 ms."""
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE)
    time = np.arange(count) / RATE
    wash = [_noise(rng, count, 260, 2600, 1.1) for _ in range(3)]
    hiss = [_noise(rng, count, 2500, 9000, 0.9) for _ in range(3)]
    wind = [_noise(rng, count, 60, 420, 1.6) for _ in range(2)]
    channels = []
    for side in (0, 1):
        swell = 0.45 + 0.55 * np.sin(2 * np.pi * (time / 2.6 + 0.10 * side) - 1.2) ** 2
        lap = np.clip(np.sin(2 * np.pi * (time / 1.3 - 0.17 * side)), 0, 1) ** 3
        surf = (0.75 * wash[2] + 0.5 * wash[side]) * swell + (0.6 * hiss[2] + 0.5 * hiss[side]) * 0.28 * swell * (
            0.35 + lap
        )
        gust = wind[side] * (0.55 + 0.45 * np.sin(2 * np.pi * time / 3.7 + side))
        channels.append(0.20 * surf + 0.16 * gust + _bell(time - 0.75, 0.09 + 0.012 * side) + _bell(time - 2.05, 0.06))
    mixed = np.stack(channels)
    ramp = np.clip(np.minimum(time, seconds - time) / 0.12, 0, 1)
    mixed *= ramp * ramp * (3 - 2 * ramp)
    return np.asarray(mixed * (PEAK / np.abs(mixed).max()), np.float32)


def _noise(rng: np.random.Generator, count: int, low: float, high: float, tilt: float) -> NDArray[np.float64]:
    """Noise of unit RMS between two frequencies (Hz) with gentle edges, falling as frequency to the -`tilt`."""
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    shape = np.maximum(hertz, 20) ** -tilt / (1 + (low / np.maximum(hertz, 1)) ** 4) / (1 + (hertz / high) ** 4)
    sound = np.fft.irfft(np.fft.rfft(rng.normal(size=count)) * shape, count)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)))


def _bell(time: NDArray[np.float64], loud: float) -> NDArray[np.float64]:
    """One stroke of a church bell at time zero: hum, prime, tierce, quint, nominal, softened by distance."""
    since = np.maximum(time, 0)
    partials = (
        (0.5, 0.5, 2.6),
        (1.0, 0.8, 1.9),
        (1.19, 0.55, 1.4),
        (1.5, 0.3, 1.0),
        (2.0, 0.55, 0.9),
        (2.67, 0.15, 0.5),
    )
    tone = sum(a * np.exp(-since / fade) * np.sin(2 * np.pi * 392 * ratio * since) for ratio, a, fade in partials)
    return np.asarray(loud * tone * (1 - np.exp(-since / 0.012)) * (time > 0))
