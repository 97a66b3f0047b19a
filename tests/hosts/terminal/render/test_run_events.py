"""The events of a render: each frame once, however often the shot was begun anew."""

from __future__ import annotations

from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFinished, RunStarted, RunWarning
from impasto.hosts.terminal.render.run_events import RunEvents
from impasto.server.protocol.messages import Cancelled, ShotDone, ShotProgress, ShotStarted, StoredFrame

ID = b"i" * 16


def run_events_into(events: list[Event]) -> RunEvents:
    return RunEvents("plate.mp4", "identity", events.append)


def stored(path: str, *numbers: int) -> ShotProgress:
    return ShotProgress(ID, tuple(StoredFrame(number, path, 0, 0) for number in numbers))


def start(run_events: RunEvents, frames: int, skipped: int) -> None:
    run_events.on_event(ShotStarted(ID, "o.####.exr", 1, frames, skipped, 48, 32, 24.0))


def test_a_shot_that_is_begun_anew_is_one_run() -> None:
    events: list[Event] = []
    run_events = run_events_into(events)
    start(run_events, 4, 2)
    run_events.on_event(stored("o.0001.exr", 1))
    run_events.note("mind the gap")
    # The second frame was stored just before the loss, and never reported.
    start(run_events, 2, 4)
    run_events.note("mind the gap")
    run_events.on_event(stored("o.0003.exr", 3))
    run_events.on_event(stored("o.0004.exr", 4))
    run_events.ended(ShotDone(ID, "o.####.exr", 2, 4, 0, 1.0))
    assert [type(event) for event in events] == [RunStarted, FrameDone, RunWarning, FrameDone, FrameDone, RunFinished]
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert (last.frames, last.skipped) == (4, 2)


def test_the_time_of_an_attempt_that_was_lost_counts() -> None:
    now = 10.0
    events: list[Event] = []
    run_events = RunEvents("plate.mp4", "identity", events.append, lambda: now)
    start(run_events, 2, 0)
    now = 15.0
    start(run_events, 1, 1)
    run_events.on_event(stored("o.0002.exr", 2))
    now = 16.0
    run_events.ended(ShotDone(ID, "o.####.exr", 1, 1, 0, 1.0))
    last = events[-1]
    assert isinstance(last, RunFinished)
    assert last.seconds == 6.0


def test_a_movie_that_is_rendered_again_shows_no_frame_twice() -> None:
    events: list[Event] = []
    run_events = run_events_into(events)
    start(run_events, 3, 0)
    for number in (1, 2, 1, 2, 3):
        run_events.on_event(stored("o.mp4", number))
    done = [(event.number, event.done, event.remaining_s) for event in events if isinstance(event, FrameDone)]
    assert [(number, count) for number, count, _ in done] == [(1, 1), (2, 2), (3, 3)]
    assert done[-1][2] == 0
    run_events.ended(ShotDone(ID, "o.mp4", 3, 0, 0, 1.0, {}, "bfloat16"))
    assert events[-1] == RunFinished("o.mp4", 3, 0, 0, 1.0, fps_of(events), {}, precision="bfloat16")


def fps_of(events: list[Event]) -> float:
    last = events[-1]
    assert isinstance(last, RunFinished)
    return last.fps


def test_a_run_that_was_stopped_says_what_is_there() -> None:
    events: list[Event] = []
    run_events = run_events_into(events)
    start(run_events, 3, 0)
    run_events.on_event(stored("o.0001.exr", 1))
    run_events.ended(Cancelled(ID, "asked", "o.####.exr", 1, 1.0))
    assert events[-1] == RunCancelled("o.####.exr", 1, 1.0)


def test_frames_that_were_learned_of_together_are_no_pace() -> None:
    times = iter([9.0, 10.0, 11.0])
    events: list[Event] = []
    run_events = RunEvents("plate.mp4", "identity", events.append, lambda: next(times))
    start(run_events, 8, 0)
    run_events.on_event(stored("o.mp4", *(1, 2, 3)))
    run_events.on_event(stored("o.mp4", *(4, 5)))
    assert [event.fps for event in events if isinstance(event, FrameDone)] == [0, 0, 0, 2, 2]
    assert [event.remaining_s for event in events if isinstance(event, FrameDone)][-1] == 1.5


def test_a_moment_is_no_pace() -> None:
    times = iter([9.0, 10.0, 10.1, 12.0])
    events: list[Event] = []
    run_events = RunEvents("plate.mp4", "identity", events.append, lambda: next(times), least_s=0.5)
    start(run_events, 5, 0)
    for number in (1, 2, 3):
        run_events.on_event(stored("o.mp4", number))
    assert [event.fps for event in events if isinstance(event, FrameDone)] == [0, 0, 1]
