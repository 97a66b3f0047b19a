"""Curves from files: columns of a table, markers of a timeline, notes and controllers of MIDI."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from impasto.core.drive.curve import FALL_S, Curve, Times, events
from impasto.core.errors import UnknownName, UsageError

BYTES: Final = 64 << 20
STEP_S: Final = 0.005
"""Seconds from one value to the next of a curve that is made of events."""
LONGEST_S: Final = 24 * 3600
CLOCKS: Final = ("frame", "seconds")
"""Names of the first column of a table."""


def table_curve(path: str, column: str) -> tuple[Curve, bool]:
    """A column of a CSV file, and whether its first column counts frames; else it counts seconds of the shot.

    Between two rows a value goes in a straight line. The values are taken as they are. Raises UsageError for a file
    that is no such table, UnknownName for a column that it does not have.
    """
    rows = list(csv.reader(_text(path).splitlines()))
    names = [name.strip() for name in rows[0]] if rows else []
    if len(names) < 2 or names[0].lower() not in CLOCKS:
        raise UsageError(
            f"expected a table with 'frame' or 'seconds' and then names of values in the first row of '{path}', got "
            f"{','.join(names)[:60]!r}; add that row"
        )
    if column not in names[1:]:
        raise UnknownName("column", column, names[1:])
    place = names.index(column)
    points = {}
    for number, row in enumerate(rows[1:], 2):
        if not row or (len(row) > place and not row[place].strip()):
            continue
        try:
            at, value = float(row[0]), float(row[place])
        except (ValueError, IndexError):
            at = value = math.nan
        if not math.isfinite(at) or not math.isfinite(value):
            raise UsageError(f"expected numbers in row {number} of '{path}', got {','.join(row)[:60]!r}; correct it")
        points[at] = value
    if not points:
        raise UsageError(f"expected values of {column} in '{path}', got none; fill the column")
    times = sorted(points)
    curve = Curve(np.array(times), np.array([points[time] for time in times]), "here")
    return curve, names[0].lower() == "frame"


def marker_curve(path: str, name: str) -> Curve:
    """Markers of an OpenTimelineIO timeline, in seconds from its beginning.

    'markers' are all of them; other names take those of that name or colour. Raises UsageError for a file that is no
    timeline, UnknownName where nothing is marked so.
    """
    import opentimelineio as otio

    _text(path)
    try:
        timeline = otio.adapters.read_from_file(path)
        marked = list(_markers(timeline))
    except Exception as error:  # the library raises plain Exceptions of many kinds for files that are none
        said = " ".join(str(error).split())
        raise UsageError(f"expected a timeline with markers at '{path}', got: {said}; export it again") from error
    wanted = [
        (span.start_time.to_seconds(), span.end_time_exclusive().to_seconds())
        for marker, span in marked
        if name == "markers" or name in (marker.name, str(marker.color).lower())
    ]
    if not wanted:
        names = sorted({each for marker, _ in marked for each in (marker.name, str(marker.color).lower()) if each})
        raise UnknownName("marker", name, ("markers", *names) if marked else ())
    begins, ends = (np.array(each) for each in zip(*wanted, strict=True))
    return events(_clock_until(float(ends.max())), np.ones(len(wanted)), begins, ends)


def note_curve(path: str, name: str) -> Curve:
    """MIDI in seconds from its beginning: 'notes' for all, 'note60' for one key, 'cc1' for a controller, from 0 to 1.

    UsageError for a file that is none, and where nothing of that name is played.
    """
    import mido

    played: list[tuple[float, float, float]] = []
    controls: list[tuple[float, float]] = []
    held: dict[tuple[int, int], tuple[float, float]] = {}
    known = {"notes"}
    now = 0.0
    try:
        for message in mido.MidiFile(path):
            now += message.time
            if message.type == "control_change":
                known.add(f"cc{message.control}")
                if name == f"cc{message.control}":
                    controls.append((now, message.value / 127))
            elif message.type in ("note_on", "note_off"):
                known.add(f"note{message.note}")
                key = (message.channel, message.note)
                if name in ("notes", f"note{message.note}") and key in held:
                    begin, strength = held.pop(key)
                    played.append((begin, now, strength))
                if message.type == "note_on" and message.velocity:
                    held[key] = now, message.velocity / 127
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise UsageError(f"expected a MIDI file at '{path}', got: {error}; export it again") from error
    if controls:
        return Curve(*_steps(controls), "here")
    if not played:
        raise UnknownName("note", name, sorted(known))
    begins, ends, strengths = (np.array(each) for each in zip(*played, strict=True))
    return events(_clock_until(float(ends.max())), strengths, begins, ends)


def _markers(timeline: Any) -> Iterator[tuple[Any, Any]]:
    """Every marker of a timeline with its range on the whole of it."""
    stack = timeline.tracks
    for item in (stack, *stack.find_children()):
        for marker in getattr(item, "markers", ()):
            yield marker, item.transformed_time_range(marker.marked_range, stack)


def _steps(points: list[tuple[float, float]]) -> tuple[Times, Times]:
    """A controller that keeps its value until the next message."""
    times, values = [points[0][0]], [points[0][1]]
    for (_, before), (time, value) in pairwise(points):
        times += [time, time]
        values += [before, value]
    return np.array(times), np.array(values)


def _clock_until(end: float) -> Times:
    if not 0 <= end <= LONGEST_S:
        raise UsageError(f"expected events within a day, got one at {end:g} seconds; cut the file")
    return np.arange(0, end + FALL_S + STEP_S, STEP_S)


def _text(path: str) -> str:
    try:
        if os.path.getsize(path) > BYTES:
            raise UsageError(f"expected at most {BYTES >> 20} MiB at '{path}', got more; cut it")
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "no text"
        raise UsageError(f"expected a file that drives a parameter at '{path}', got: {said}; check the path") from error
