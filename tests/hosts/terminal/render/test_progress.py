"""The account of a render: each frame once, whoever rendered it and however often it was begun anew."""

from __future__ import annotations

from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFinished, RunStarted, RunWarning
from impasto.hosts.terminal.render.progress import Outcome, Stored, Told


def account(events: list[Event]) -> Told:
    return Told("plate.mp4", "identity", events.append)


def start(told: Told, frames: int, skipped: int) -> None:
    told.started("o.####.exr", 1, frames, skipped, 48, 32, 24.0)


def test_a_shot_that_is_begun_anew_goes_on_in_the_same_account() -> None:
    events: list[Event] = []
    told = account(events)
    start(told, 4, 2)
    told.stored(Stored(1, "o.0001.exr", 0))
    told.note("mind the gap")
    # The second frame was stored just before the loss, and never told.
    start(told, 2, 4)
    told.note("mind the gap")
    told.stored(Stored(3, "o.0003.exr", 0))
    told.stored(Stored(4, "o.0004.exr", 0))
    told.ended(Outcome("o.####.exr", 2, 4, 0, 1.0, {}, cancelled=False))
    assert [type(event) for event in events] == [RunStarted, FrameDone, RunWarning, FrameDone, FrameDone, RunFinished]
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert (last.frames, last.skipped) == (4, 2)


def test_the_time_of_an_attempt_that_was_lost_counts() -> None:
    now = 10.0
    events: list[Event] = []
    told = Told("plate.mp4", "identity", events.append, lambda: now)
    start(told, 2, 0)
    now = 15.0
    start(told, 1, 1)
    told.stored(Stored(2, "o.0002.exr", 0))
    now = 16.0
    told.ended(Outcome("o.####.exr", 1, 1, 0, 1.0, {}, cancelled=False))
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.seconds == 6.0


def test_a_movie_that_is_rendered_again_tells_no_frame_twice() -> None:
    events: list[Event] = []
    told = account(events)
    start(told, 3, 0)
    for number in (1, 2, 1, 2, 3):
        told.stored(Stored(number, "o.mp4", 0))
    done = [(event.number, event.done, event.remaining_s) for event in events if isinstance(event, FrameDone)]
    assert [(number, count) for number, count, _ in done] == [(1, 1), (2, 2), (3, 3)]
    assert done[-1][2] == 0
    told.ended(Outcome("o.mp4", 3, 0, 0, 1.0, {}, cancelled=False))
    assert events[-1] == RunFinished("o.mp4", 3, 0, 0, 1.0, told_fps(events), {})


def told_fps(events: list[Event]) -> float:
    last = events[-1]
    assert isinstance(last, RunFinished)
    return last.fps


def test_a_run_that_was_stopped_says_what_is_there() -> None:
    events: list[Event] = []
    told = account(events)
    start(told, 3, 0)
    told.stored(Stored(1, "o.0001.exr", 0))
    told.ended(Outcome("o.####.exr", 1, 0, 0, 1.0, {}, cancelled=True))
    assert events[-1] == RunCancelled("o.####.exr", 1, 1.0)


def test_frames_that_were_learned_of_together_are_no_pace() -> None:
    times = iter([9.0, 10.0, 11.0])
    events: list[Event] = []
    told = Told("plate.mp4", "identity", events.append, lambda: next(times))
    start(told, 8, 0)
    told.stored(*(Stored(number, "o.mp4", 0) for number in (1, 2, 3)))
    told.stored(*(Stored(number, "o.mp4", 0) for number in (4, 5)))
    assert [event.fps for event in events if isinstance(event, FrameDone)] == [0, 0, 0, 2, 2]
    assert [event.remaining_s for event in events if isinstance(event, FrameDone)][-1] == 1.5


def test_a_moment_is_no_pace() -> None:
    times = iter([9.0, 10.0, 10.1, 12.0])
    events: list[Event] = []
    told = Told("plate.mp4", "identity", events.append, lambda: next(times), least_s=0.5)
    start(told, 5, 0)
    for number in (1, 2, 3):
        told.stored(Stored(number, "o.mp4", 0))
    assert [event.fps for event in events if isinstance(event, FrameDone)] == [0, 0, 1]
