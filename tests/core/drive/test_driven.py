"""Drivers over a shot: what is typed, the frames' times, tables, markers, notes, and what cannot be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.core.drive.driven import driven
from impasto.core.drive.expression import Driver
from impasto.core.errors import UnknownName, UsageError
from tests.core.drive.recordings import RATE, clicks, tone, write_sound, write_sounding_movie
from tests.plates import write_movie, write_sequence


def value_of(text: str, shot: object, **options: object) -> dict[int, float]:
    (track,) = driven([Driver.parse(text)], str(shot), **options).animation.tracks  # type: ignore[arg-type]
    return dict(zip(track.frames, track.values, strict=True))


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("stroke=audio:bass*1.5+0.6", Driver("stroke", "audio", "bass", 1.5, 0.6)),
        ("strength=audio:onset", Driver("strength", "audio", "onset")),
        ("strength=song.wav:onset*-1+1", Driver("strength", "song.wav", "onset", -1, 1)),
        ("exposure=C:/a b/t.csv:beat.1*.5-.25", Driver("exposure", "C:/a b/t.csv", "beat.1", 0.5, -0.25)),
        ("stroke=cut.otio:all my markers", Driver("stroke", "cut.otio", "all my markers")),
    ],
)
def test_a_driver_is_read_as_it_is_typed(text: str, driver: Driver) -> None:
    assert Driver.parse(text) == driver


@pytest.mark.parametrize("text", ["stroke", "stroke=audio", "stroke=:bass", "=audio:bass", "stroke=audio:bass*", ""])
def test_what_is_no_driver_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected a driver such as stroke=audio:bass\*1.5\+0.6"):
        Driver.parse(text)


def test_a_parameter_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'stroke'"):
        Driver.parse("strokes=audio:bass")


def test_a_movie_follows_its_own_sound_also_where_that_begins_late(tmp_path: Path) -> None:
    for delay in (0.0, 0.5):
        movie = write_sounding_movie(tmp_path / f"{delay}.mov", clicks((0.5, 1.0), 2), 48, delay_s=delay)
        values = value_of("strength=audio:onset", movie)
        strong = [number for number, value in values.items() if value > 0.9]
        assert {13 + round(24 * delay), 25 + round(24 * delay)} <= set(strong)
        assert values[11 + round(24 * delay)] == 0


def test_a_sequence_follows_a_file_from_its_first_frame(tmp_path: Path) -> None:
    sequence = write_sequence(tmp_path, range(1001, 1013), size=(8, 4))
    music = write_sound(tmp_path / "music.wav", np.concatenate((np.zeros(RATE // 2), tone(100, 1))))
    values = value_of(f"strength={music}:bass", sequence, rate=Fraction(12))
    assert (values[1003] < 0.01, values[1010] > 0.95) == (True, True)
    assert value_of("strength=audio:bass", sequence, rate=Fraction(12), sound=str(music)) == values
    said = driven([Driver.parse(f"strength={music}:bass")], sequence).notes
    assert said == (f"'{sequence}' states no rate: driven at 24 frames a second",)


def test_values_beyond_the_range_are_held_and_said(tmp_path: Path) -> None:
    movie = write_sounding_movie(tmp_path / "m.mov", tone(100, 1), 24)
    found = driven([Driver.parse("stroke=audio:bass*10+1")], str(movie))
    assert max(found.animation.tracks[0].values) == 4
    assert "held within 0.25 and 4 on" in found.notes[0]


def test_a_table_drives_by_frame_or_by_second(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "m.mov", 12)
    table = tmp_path / "t.csv"
    table.write_text("frame,energy,mood\n1,0,\n11,1,0.5\n")
    assert value_of(f"strength={table}:energy", movie)[6] == 0.5
    assert value_of(f"strength={table}:mood", movie)[1] == 0.5
    table.write_text("seconds,energy\n0,0\n0.5,1\n")
    assert value_of(f"strength={table}:energy", movie)[7] == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("energy\n1\n", "a table with 'frame' or 'seconds'"),
        ("frame,energy\n1,high\n", "numbers in row 2"),
        ("frame,energy\n1,nan\n", "numbers in row 2"),
        ("frame,energy\n", "values of energy in"),
        ("", "a table with 'frame' or 'seconds'"),
        ("frame,power\n1,1\n", "'energy'"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    movie, table = write_movie(tmp_path / "m.mov", 3), tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(UsageError, match=said):
        value_of(f"strength={table}:energy", movie)


def test_markers_of_a_timeline_drive_from_where_they_are(tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio", reason="the extra 'timeline' is not installed")
    moment, span = otio.opentime.RationalTime, otio.opentime.TimeRange
    timeline = otio.schema.Timeline("cut")
    track = otio.schema.Track(kind="Video")
    gap = otio.schema.Gap(source_range=span(moment(0, 24), moment(6, 24)))
    clip = otio.schema.Clip("c", source_range=span(moment(100, 24), moment(20, 24)))
    mark = otio.schema.Marker("hit", marked_range=span(moment(104, 24), moment(2, 24)), color="RED")
    clip.markers.append(mark)
    track.extend([gap, clip])
    timeline.tracks.append(track)
    path = str(tmp_path / "cut.otio")
    otio.adapters.write_to_file(timeline, path)
    movie = write_movie(tmp_path / "m.mov", 12)
    for feature in ("markers", "hit", "red"):
        values = value_of(f"strength={path}:{feature}", movie)
        assert [values[number] for number in (10, 11, 12)] == [0, 1, 1]
    with pytest.raises(UnknownName, match="'hit'"):
        value_of(f"strength={path}:hits", movie)
    Path(path).write_text("{")
    with pytest.raises(UsageError, match="expected a timeline with markers"):
        value_of(f"strength={path}:markers", movie)


def test_notes_and_controllers_of_midi_drive(tmp_path: Path) -> None:
    mido = pytest.importorskip("mido", reason="the extra 'timeline' is not installed")
    song = mido.MidiFile(ticks_per_beat=480)
    track = mido.MidiTrack()  # 120 beats a minute: 960 ticks are a second
    track.append(mido.Message("note_on", note=60, velocity=127, time=240))
    track.append(mido.Message("control_change", control=1, value=127, time=40))
    track.append(mido.Message("note_off", note=60, time=40))
    song.tracks.append(track)
    path = str(tmp_path / "song.mid")
    song.save(path)
    movie = write_movie(tmp_path / "m.mov", 12)
    for feature in ("notes", "note60"):
        values = value_of(f"strength={path}:{feature}", movie)
        assert (values[6], values[8], 0 < values[11] < 1) == (0, 1, True)
    assert value_of(f"strength={path}:cc1", movie)[12] == 1
    with pytest.raises(UnknownName, match="note60"):
        value_of(f"strength={path}:note61", movie)


def test_what_cannot_be_driven_is_one_sentence(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "m.mov", 3)
    with pytest.raises(UsageError, match="it has none; name a file with --sound"):
        value_of("strength=audio:bass", movie)
    still = write_sequence(tmp_path, range(1, 2), size=(8, 4)).replace("####", "0001")
    with pytest.raises(UsageError, match="expected a movie or a sequence"):
        value_of("strength=audio:bass", still)
    two = [Driver.parse("strength=audio:bass"), Driver.parse("strength=audio:mid")]
    with pytest.raises(UsageError, match="one driver of strength, got two"):
        driven(two, movie)
