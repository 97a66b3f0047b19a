"""Sound as curves: a tone moves its band alone, clicks are onsets where they are, silence is silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from impasto.core.drive.sound import BANDS, FEATURES, listened
from impasto.core.errors import UnknownName, UnreadableMedia, UnsupportedMedia
from tests.core.drive.recordings import RATE, clicks, tone, write_sound

SECOND = np.arange(0, 4, 0.25)


def during(path: Path, feature: str, begins: np.ndarray = SECOND) -> np.ndarray:
    return listened(str(path)).curve(feature).during(begins, begins + 0.25)


@pytest.mark.parametrize(("hertz", "band"), [(100, "bass"), (800, "mid"), (5000, "treble")])
def test_a_tone_moves_its_band_and_no_other(tmp_path: Path, hertz: float, band: str) -> None:
    quiet_then_tone = np.concatenate((np.zeros(2 * RATE), tone(hertz, 2)))
    path = write_sound(tmp_path / "tone.wav", quiet_then_tone)
    assert during(path, band)[:7].max() < 0.01
    assert during(path, band)[9:15].min() > 0.95
    others = [name for name in BANDS if name not in (band, "level")]
    sound = listened(str(path))
    curves = [sound.curve(name).values for name in others]
    assert max(float(np.median(each[250:])) for each in curves) < 0.1
    assert during(path, "level")[9:15].min() > 0.95


def test_two_tones_at_once_are_told_apart(tmp_path: Path) -> None:
    late = np.concatenate((np.zeros(RATE), tone(5000, 1)))
    path = write_sound(tmp_path / "both.wav", 0.4 * (tone(100, 2) + late))
    assert during(path, "bass", np.array([0.25, 1.25])).min() > 0.95
    low, high = during(path, "treble", np.array([0.25, 1.25]))
    assert (low < 0.02, high > 0.95) == (True, True)


def test_clicks_are_onsets_where_they_are_and_fade(tmp_path: Path) -> None:
    at = (0.5, 1.25, 2.0, 3.1)
    curve = listened(str(write_sound(tmp_path / "clicks.wav", clicks(at, 4)))).curve("onset")
    begins = np.flatnonzero(np.diff(curve.values) > 0.5) + 1
    np.testing.assert_allclose(curve.times[begins], at, atol=0.03)
    frames = np.arange(0, 4, 1 / 24)
    values = curve.during(frames, frames + 1 / 24)
    assert {int(each) for each in np.flatnonzero(values > 0.7)} >= {round(24 * each) for each in at}
    assert values[round(24 * 0.5) + 8] == 0


def test_the_end_of_a_sound_is_no_onset(tmp_path: Path) -> None:
    curve = listened(str(write_sound(tmp_path / "tone.wav", tone(440, 2)))).curve("onset")
    assert curve.values[curve.times > 0.5].max() == 0


def test_loudness_is_that_of_r128(tmp_path: Path) -> None:
    # EBU Tech 3341: a sine of 1 kHz at -23 dBFS in both channels has -23 LUFS; in one channel 3 dB less.
    path = write_sound(tmp_path / "sine.wav", tone(1000, 4) * 10 ** (-23 / 20))
    lufs = -50 + 40 * listened(str(path)).curve("loudness").during(np.array([2.0]), np.array([2.5]))[0]
    assert lufs == pytest.approx(-26, abs=0.3)


@pytest.mark.parametrize(("rate", "layout"), [(44_100, "mono"), (48_000, "stereo"), (48_000, "5.1"), (8000, "mono")])
def test_sound_of_every_rate_and_layout_is_heard_alike(tmp_path: Path, rate: int, layout: str) -> None:
    path = write_sound(tmp_path / "sound.wav", clicks((1.0,), 2, rate=rate), rate=rate, layout=layout)
    curve = listened(str(path)).curve("onset")
    assert curve.times[np.argmax(curve.values)] == pytest.approx(1.0, abs=0.03)


def test_channels_out_of_phase_do_not_cancel(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "wide.wav", tone(100, 2), layout="stereo", second=-1.0)
    assert during(path, "bass", np.array([0.5])).min() > 0.95


def test_a_short_sound_in_a_long_file_counts_and_what_a_codec_leaves_does_not(tmp_path: Path) -> None:
    sound = clicks((5.0,), 20)
    path = write_sound(tmp_path / "long.wav", sound)
    assert during(path, "level", np.array([4.9])).max() > 0.2
    faint = tone(100, 2) * 0.5 + 1e-3 * np.random.default_rng(1).standard_normal(2 * RATE)
    assert during(write_sound(tmp_path / "noise.wav", faint), "treble")[:7].max() < 0.05


def test_a_loud_beginning_is_loud_at_once(tmp_path: Path) -> None:
    values = during(write_sound(tmp_path / "loud.wav", tone(1000, 2) * 0.5), "loudness", np.array([0.0, 1.0]))
    assert values[0] > 0.9 * values[1]


def test_silence_is_said_and_drives_nothing(tmp_path: Path) -> None:
    sound = listened(str(write_sound(tmp_path / "silence.wav", np.zeros(RATE))))
    assert sound.silent
    assert all(sound.curve(name).values.max() == 0 for name in FEATURES)


def test_what_is_no_sound_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'bass'"):
        listened(str(write_sound(tmp_path / "tone.wav", tone(100, 1)))).curve("base")
    text = tmp_path / "notes.wav"
    text.write_text("no sound")
    with pytest.raises((UnreadableMedia, UnsupportedMedia), match="expected"):
        listened(str(text))
