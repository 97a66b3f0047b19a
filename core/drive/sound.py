"""Sound as curves: loudness, level, three bands, and the onsets of notes and beats.

Everything is worked out over the whole file, so that a frame has the same value whichever frames are rendered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from impasto.core.drive.curve import Curve, Times, events
from impasto.core.errors import UnknownName, UnreadableMedia
from impasto.core.frame import Samples
from impasto.core.media.movie_audio import start_of
from impasto.core.media.movie_container import open_sound

RATE: Final = 24_000
"""Samples a second in which sound is looked at, each channel by itself: channels out of phase do not cancel."""
WINDOW, HOP = 1024, 240
"""Samples that are looked at together (43 ms), and from one look to the next (10 ms)."""
BANDS: Final = {"bass": (20.0, 250.0), "mid": (250.0, 2500.0), "treble": (2500.0, 11_000.0), "level": (20.0, 11_000.0)}
"""Band -> lowest and highest frequency in Hz."""
FEATURES: Final = ("loudness", *BANDS, "onset")

FULL, SHORT = 99.0, 0.25
"""Percentile of a band's amplitude that counts as 1, or this share of its highest where that is more: for a file with a
few short sounds."""
FAINT = 0.01
"""Amplitude over that of all bands together below which a band counts as empty: what codecs leave behind."""
UNKNOWN_LUFS = -100.0
"""FFmpeg states less while the first 400 ms are not full."""
SILENT = 1e-4
"""Amplitude of which a sound stays below that counts as silent: -80 dB."""
LOUDNESS = -50.0, -10.0
"""Momentary loudness in LUFS (EBU R128) that counts as 0 and as 1."""
MOMENT_S = 0.4
"""Seconds over which momentary loudness is taken, up to the time at which it is stated."""
RISE = 1.6
"""How many times the usual change of the spectrum, over a second around, an onset has."""
APART_S = 0.08
"""Seconds from one onset to the next, at least."""
GAP_S = 0.05
"""Seconds by which sound may jump before silence is put in between."""
BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Sound:
    """The curves of a file's first sound track, in seconds on the file's clock."""

    curves: dict[str, Curve] = field(repr=False)
    start: Fraction
    silent: bool

    def curve(self, feature: str) -> Curve:
        """One of `FEATURES`; UnknownName for another."""
        if feature not in self.curves:
            raise UnknownName("feature of sound", feature, FEATURES)
        return self.curves[feature]


def listened(path: str) -> Sound:
    """The curves of a sound file or of a movie's first sound track. UnreadableMedia, UnsupportedMedia for no sound."""
    amplitudes: list[Samples] = []
    changes: list[Samples] = []
    before = np.zeros(WINDOW // 2 + 1, np.float32)
    hann = np.hanning(WINDOW).astype(np.float32)
    with open_sound(path) as container:
        start = start_of(container.streams.audio[0])
        for block in _windows(_samples(container, path)):
            power = np.square(np.abs(np.fft.rfft(block * hann, axis=2))).sum(1)
            spectrum = np.sqrt(power).astype(np.float32)
            amplitudes.append(_of_bands(spectrum))
            logged = np.log1p(10 * spectrum)
            risen = np.diff(np.concatenate((before[None], logged)), axis=0)
            changes.append(np.maximum(risen, 0).sum(1))
            before = logged[-1]
    with open_sound(path) as container:
        stated_at, loudness = _momentary(container, path)
    if not amplitudes:
        raise UnreadableMedia(f"expected sound in '{path}', got a track without a sample; name another file")
    bands, change = np.concatenate(amplitudes), np.concatenate(changes)
    change[-WINDOW // HOP :] = 0  # the end of a file is no onset, although it breaks off
    times: Times = float(start) + np.arange(len(bands), dtype=np.float64) * (HOP / RATE)
    silent = bool(bands.max() < SILENT)
    least = FAINT * max(_full(bands[:, place]) for place in range(len(BANDS)))
    curves = {name: Curve(times, _relative(bands[:, place], least)) for place, name in enumerate(BANDS)}
    curves["loudness"] = Curve(float(start) + stated_at - MOMENT_S / 2, loudness)
    begins, strengths = (np.zeros(0), np.zeros(0)) if silent else _onsets(change.astype(np.float64), times)
    curves["onset"] = events(times, strengths, begins)
    return Sound(curves, start, silent)


def _samples(container: av.container.InputContainer, path: str) -> Iterator[Samples]:
    """The first track at `RATE`, (channels, n) float32 in [-1, 1], silence where it has gaps."""
    stream = container.streams.audio[0]
    resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=RATE)
    origin, heard = float(start_of(stream)), 0.0
    try:
        for frame in container.decode(stream):
            if frame.time is not None and (gap := frame.time - origin - heard) > GAP_S:
                yield np.zeros((stream.channels, round(gap * RATE)), np.float32)
                heard += gap
            heard += frame.samples / frame.sample_rate
            frame.pts = None  # times were seen to; the resampler would fill them too
            for part in resampler.resample(frame):
                yield np.asarray(part.to_ndarray(), np.float32)
        for part in resampler.resample(None):
            yield np.asarray(part.to_ndarray(), np.float32)
    except (av.FFmpegError, ValueError) as error:
        raise _undecodable(path, error) from error


def _windows(samples: Iterator[Samples]) -> Iterator[Samples]:
    """Windows (n, channels, WINDOW) around every `HOP`-th sample, in blocks; beyond the ends there is silence."""
    first = next(samples, None)
    if first is None:
        return
    edge = np.zeros((len(first), WINDOW // 2), np.float32)
    held, waiting, more = [edge, first], edge.shape[1] + first.shape[1], True
    while more:
        part = next(samples, None)
        more = part is not None
        held.append(edge if part is None else part)
        waiting += held[-1].shape[1]
        if waiting < (BLOCK if more else WINDOW):
            continue
        joined = np.concatenate(held, axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(joined, WINDOW, axis=1)[:, ::HOP].transpose(1, 0, 2)
        yield windows
        held = [joined[:, len(windows) * HOP :]]
        waiting = held[0].shape[1]


def _of_bands(spectrum: Samples) -> Samples:
    """The amplitude (root mean square) of each band (n, bands), of a sine of full scale about .7."""
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)
    power = spectrum**2 * np.float32(2 / (WINDOW * (np.hanning(WINDOW) ** 2).sum()))
    within = [(frequencies >= low) & (frequencies < high) for low, high in BANDS.values()]
    return np.stack([np.sqrt(power[:, each].sum(1)) for each in within], axis=1)


def _full(amplitude: Samples) -> float:
    """What counts as the loudest of a band, so that a few clicks of a long file do not rule it."""
    return max(float(np.percentile(amplitude, FULL)), SHORT * float(amplitude.max()))


def _relative(amplitude: Samples, least: float) -> Times:
    """Amplitude over what the band reaches at its loudest, in [0, 1]; 0 for a band that stays below `least`."""
    full = _full(amplitude)
    if full < max(least, SILENT):
        return np.zeros(len(amplitude))
    return np.asarray(np.clip(amplitude / full, 0, 1), np.float64)


def _onsets(change: Times, times: Times) -> tuple[Times, Times]:
    """Times and strengths of onsets: where the spectrum rises far more than usual around.

    (Spectral flux with a moving threshold and peak picking: Bello et al. 2005, doi:10.1109/TSA.2005.851998.)
    """
    second = round(RATE / HOP)
    usual = np.convolve(np.pad(change, second // 2, mode="edge"), np.ones(second) / second, mode="same")
    usual = usual[second // 2 : second // 2 + len(change)]
    near = round(APART_S * RATE / HOP)
    padded = np.pad(change, near, mode="constant")
    around: npt.NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(padded, 2 * near + 1).max(1)
    is_onset = (change >= around) & (change > RISE * usual) & (change > change.mean())
    places = np.flatnonzero(is_onset)
    if not len(places):
        return np.zeros(0), np.zeros(0)
    full = np.percentile(change[places], 90)
    # A window shows a rise most when that comes to its second half.
    return times[places] + WINDOW / RATE / 4, np.clip(change[places] / full, 0, 1)


def _momentary(container: av.container.InputContainer, path: str) -> tuple[Times, Times]:
    """Momentary loudness every tenth of a second, mapped to [0, 1]: seconds from the track's start, and values."""
    stream = container.streams.audio[0]
    graph = av.filter.Graph()
    times: list[float] = []
    found: list[float] = []
    origin = float(start_of(stream))

    def collect(sink: Any) -> None:
        while True:
            try:
                frame: Any = sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            stated = frame.metadata.get("lavfi.r128.M")
            if stated is not None and frame.time is not None:
                times.append(frame.time - origin + frame.samples / frame.sample_rate)
                found.append(float(stated))

    try:
        source = graph.add_abuffer(template=stream)
        meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        for frame in container.decode(stream):
            source.push(frame)
            collect(sink)
        source.push(None)
        collect(sink)
    except (av.FFmpegError, ValueError) as error:
        raise _undecodable(path, error) from error
    low, high = LOUDNESS
    loudness = np.nan_to_num(np.array(found), nan=low, neginf=low)
    known = np.flatnonzero(loudness > UNKNOWN_LUFS)
    if not len(known):
        return np.zeros(1), np.zeros(1)
    begins = known[0]  # before it, the first that is known holds
    return np.array(times)[begins:], np.clip((loudness[begins:] - low) / (high - low), 0, 1)


def _undecodable(path: str, error: Exception) -> UnreadableMedia:
    said = getattr(error, "strerror", None) or str(error)
    return UnreadableMedia(f"expected sound that decodes in '{path}', got '{said}'; check or copy it again")
