"""The pump between a source and a painter that the test holds in its hands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from impasto.core.animation import animation_of
from impasto.core.errors import DeadlineExpired, ImpastoError, ServerUnreachable, StyleError
from impasto.hosts.live.figures import SessionFigures
from impasto.hosts.live.intake import Intake
from impasto.hosts.live.look import LookSetting, offered_styles
from impasto.hosts.live.pictures import Picture
from impasto.hosts.live.pump import Pump, PumpOptions
from impasto.server.client.futures import FrameResult
from impasto.server.protocol.messages import Done
from tests.hosts.live.kept_pictures import KeptPictures
from tests.waiting import until

STYLES = offered_styles(
    [("oil", "Oil", "", {}, False), ("oil-draft", "Oil", "", {}, False), ("ink", "Ink", "", {}, False)]
)


@dataclass(eq=False)
class Asked:
    """A frame that the pump asked for."""

    pixels: Picture
    style: str
    params: dict[str, float] | None
    before: dict[str, float] | None
    viewer: str
    deadline_s: float
    future: Future[Any] = field(default_factory=Future)

    def answer(self, value: int = 200) -> None:
        pixels = np.full_like(self.pixels, value)
        self.future.set_result(FrameResult(pixels, Done(bytes(16), {"server": 0.01})))


class FakePainter:
    """Keeps what it is asked for; the test answers."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.error: ImpastoError | None = None
        self.most = 0

    def submit(
        self,
        pixels: Picture,
        *,
        style: str,
        params: Any,
        before: Any,
        viewer: str,
        deadline_s: Any,
        timeout_s: float,
        cache: bool,
    ) -> Any:
        assert not cache  # they would push out what others keep
        if self.error is not None:
            raise self.error
        self.asked.append(Asked(pixels.copy(), style, params, before, viewer, deadline_s))
        self.most = max(self.most, len(self.open))
        return self.asked[-1].future

    @property
    def open(self) -> list[Asked]:
        return [each for each in self.asked if not each.future.done()]

    def next(self) -> Asked:
        return until(lambda: self.open, what="for a frame to be asked for")[0]


@dataclass
class Bench:
    """A pump with everything around it."""

    intake: Intake
    painter: FakePainter
    setting: LookSetting
    kept: KeptPictures
    pump: Pump
    late_s: list[float]

    def plate(self, value: int = 100, size: tuple[int, int] = (64, 36), taken_s: float | None = None) -> None:
        self.intake.put(np.full((size[1], size[0], 3), value, np.uint8), taken_s)

    def figures(self) -> SessionFigures:
        return self.pump.figures()


@contextmanager
def pumping(options: PumpOptions | None = None, style: str = "oil", *, still: bool = False) -> Iterator[Bench]:
    """A pump on a clock that the test may put forward; `still` means that nothing else does."""
    late_s = [1000.0 if still else 0.0]

    def clock() -> float:
        return late_s[0] if still else time.monotonic() + late_s[0]

    intake, painter, kept = Intake("camera:0", clock), FakePainter(), KeptPictures()
    setting = LookSetting(STYLES, style)
    pump = Pump(intake, painter, setting, (kept,), options, clock)
    try:
        yield Bench(intake, painter, setting, kept, pump, late_s)
    finally:
        pump.close()


def test_the_newest_plate_is_painted_and_those_between_are_dropped() -> None:
    with pumping() as bench:
        bench.plate(1)
        first = bench.painter.next()
        for value in range(2, 9):
            bench.plate(value)
        first.answer()
        second = bench.painter.next()
        second.answer()
        until(lambda: len(bench.kept.shown) == 2)
        assert (first.pixels[0, 0, 0], second.pixels[0, 0, 0]) == (1, 8)
        assert bench.figures().came == 8
        assert bench.figures().dropped == 6


def test_at_most_two_are_under_way_and_the_source_never_waits() -> None:
    with pumping(PumpOptions(latency_s=5.0)) as bench:
        stop = threading.Event()

        def painter() -> None:
            while not stop.is_set():
                for each in bench.painter.open[:1]:
                    time.sleep(0.01)
                    each.answer()
                time.sleep(0)

        thread = threading.Thread(target=painter)
        thread.start()
        begun = time.monotonic()
        for _ in range(400):
            bench.plate()
            time.sleep(0.001)
        took = time.monotonic() - begun
        stop.set()
        thread.join()
        for each in bench.painter.open:
            each.answer()
        assert bench.painter.most <= 2
        assert bench.figures().painted >= 5
        assert took < 30  # four hundred pictures of a source that nobody held up


def test_every_request_names_its_viewer_and_a_deadline() -> None:
    with pumping() as bench:
        bench.plate()
        first = bench.painter.next()
        first.answer()
        until(lambda: bench.kept.shown)
        bench.plate()
        second = bench.painter.next()
        assert first.viewer == second.viewer == "live"
        assert first.deadline_s > second.deadline_s >= 2.0  # the first loads the style


def test_the_grade_before_the_style_goes_along_with_every_plate() -> None:
    with pumping(PumpOptions(before={"exposure": 3.0})) as bench:
        bench.plate()
        assert bench.painter.next().before == {"exposure": 3.0}


def test_a_change_of_look_counts_from_the_next_frame_on() -> None:
    with pumping() as bench:
        bench.plate()
        bench.painter.next().answer()
        until(lambda: bench.kept.shown)
        bench.setting.set_params({"strength": 0.25})
        bench.setting.choose_style("ink")
        bench.plate()
        asked = bench.painter.next()
        assert (asked.style, asked.params) == ("ink", {"strength": 0.25})


def test_a_movie_is_painted_with_what_drives_its_frames_also_in_another_round() -> None:
    animation = animation_of({"stroke": {7: 1.5, 8: 2.0}})
    with pumping(PumpOptions(animation=animation)) as bench:
        bench.setting.set_params({"strength": 0.5, "stroke": 3.0})
        asked = []
        for frame in (7, 8, 7, 0):  # 0 is a camera's
            bench.intake.put(np.zeros((36, 64, 3), np.uint8), None, frame)
            asked.append(bench.painter.next())
            asked[-1].answer()
        assert [each.params["stroke"] for each in asked if each.params] == [1.5, 2.0, 1.5, 3.0]
        assert all(each.params["strength"] == 0.5 for each in asked if each.params)


def test_a_draft_by_name_is_its_style_held_to_the_draft() -> None:
    with pumping(style="oil-draft") as bench:
        bench.plate()
        assert bench.painter.next().style == "oil-draft"
        assert bench.setting.look.style == "oil"


def slow_frames(bench: Bench, count: int, seconds: float) -> None:
    """Frames of a 30 fps source that take so long each, on a clock that stands still otherwise."""
    for _ in range(count):
        bench.plate()
        asked = bench.painter.next()
        bench.late_s[0] += seconds
        shown = len(bench.kept.shown)
        asked.answer(bench.painter.asked.index(asked) % 2 * 250)
        until(lambda shown=shown: len(bench.kept.shown) > shown)


def test_a_slow_painter_leads_to_the_draft_and_then_to_smaller_plates() -> None:
    with pumping(PumpOptions(fps=30.0), still=True) as bench:
        slow_frames(bench, 12, 0.2)
        assert bench.painter.asked[-1].style == "oil-draft"
        slow_frames(bench, 12, 0.2)
        assert bench.painter.asked[-1].pixels.shape[:2] == (27, 48)
        assert bench.figures().rung == "draft at 3/4"


def test_the_picture_before_is_seen_through_the_first_of_another_rung() -> None:
    with pumping(PumpOptions(fps=30.0), still=True) as bench:
        slow_frames(bench, 12, 0.2)
        values = [int(each.pixels[0, 0, 0]) for each in bench.kept.shown]
        between = [value for value in values if value not in (0, 250)]
        assert between  # a fade of a quarter of a second, and a frame each fifth


def test_a_silent_server_leads_to_marked_plates_and_goes_on_by_itself() -> None:
    with pumping() as bench:
        bench.plate(100)
        bench.painter.next()
        until(lambda: any(bench.kept.marks), what="for a mark")
        marked = bench.kept.shown[-1]
        assert marked.plate.pixels[20, 20, 0] == marked.pixels[20, 20, 0] == 100
        assert (marked.pixels[0] != 100).any()  # the bar
        assert bench.figures().problem
        bench.painter.next().answer(7)
        shown = until(lambda: [each for each in bench.kept.shown if not each.mark])
        assert shown[-1].pixels[20, 20, 0] == 7
        assert not bench.figures().problem


def test_a_server_that_is_gone_is_asked_again_and_said() -> None:
    with pumping() as bench:
        bench.painter.error = ServerUnreachable("the server ended")
        bench.plate()
        until(lambda: "render server is gone" in bench.figures().problem)
        bench.painter.error = None
        until(lambda: bench.plate() or bench.painter.open, pause_s=0.05)
        bench.painter.next().answer()
        until(lambda: bench.figures().painted == 1)


def test_a_style_that_fails_is_said_in_its_own_words() -> None:
    with pumping() as bench:
        bench.plate()
        bench.painter.next().future.set_exception(StyleError("expected finite weights, got NaN"))
        until(lambda: "expected finite weights" in bench.figures().problem)
        assert bench.figures().painted == 0


def test_a_frame_that_expires_makes_room_for_the_next() -> None:
    with pumping() as bench:
        bench.plate(1)
        bench.painter.next().future.set_exception(DeadlineExpired("too late"))
        bench.plate(2)
        bench.painter.next().answer()
        until(lambda: bench.figures().painted == 1)
        assert bench.figures().dropped == 1


def test_while_the_source_is_away_the_last_painting_stays_and_says_so() -> None:
    with pumping() as bench:
        bench.plate()
        bench.painter.next().answer(9)
        until(lambda: bench.kept.shown)
        bench.intake.problem = "waiting for camera:0: it gave no more pictures"
        until(lambda: any("waiting for camera:0" in mark for mark in bench.kept.marks))
        assert bench.kept.shown[-1].pixels[20, 20, 0] == 9
        bench.plate()
        bench.painter.next().answer()
        until(lambda: bench.kept.marks[-1] == "")


def test_a_plate_from_before_the_machine_slept_is_dropped() -> None:
    with pumping() as bench:
        bench.plate(1, taken_s=time.monotonic() - 3600)
        bench.plate(2, taken_s=time.monotonic() - 3600)
        time.sleep(0.2)
        bench.plate(3)
        assert bench.painter.next().pixels[0, 0, 0] == 3


def test_another_size_in_the_middle_is_painted_as_it_comes() -> None:
    with pumping() as bench:
        for size in ((64, 36), (37, 91), (64, 36)):
            bench.plate(size=size)
            asked = bench.painter.next()
            assert asked.pixels.shape[:2] == (size[1], size[0])
            asked.answer()
            until(lambda size=size: bench.kept.shown and bench.kept.shown[-1].plate.size == size)


def test_at_most_as_many_are_painted_as_were_asked_for() -> None:
    with pumping(PumpOptions(fps=10.0), still=True) as bench:
        for _ in range(60):
            bench.plate()
            until(lambda: bench.intake.plates.is_empty)
            time.sleep(0.002)
            for each in bench.painter.open:
                each.answer()
            bench.late_s[0] += 1 / 30
        assert 18 <= len(bench.painter.asked) <= 22  # of two seconds


def test_nobody_looks_and_nothing_is_painted() -> None:
    with pumping() as bench:
        bench.kept.wanted = False
        for _ in range(5):
            bench.plate()
            time.sleep(0.02)
        assert bench.painter.asked == []
        assert bench.figures().dropped <= 1
        bench.kept.wanted = True
        bench.plate(5)
        assert bench.painter.next().pixels[0, 0, 0] == 5


def test_a_result_that_was_overtaken_is_not_shown() -> None:
    with pumping(PumpOptions(latency_s=5.0)) as bench:
        bench.plate(1)
        bench.painter.next().answer()
        until(lambda: bench.kept.shown)
        bench.plate(2)
        older = bench.painter.next()
        time.sleep(0.1)
        bench.plate(3)
        newer = until(lambda: len(bench.painter.open) == 2 and bench.painter.open[1])
        newer.answer(3)
        until(lambda: bench.kept.shown[-1].plate.number == 3)
        older.answer(2)
        time.sleep(0.1)
        assert [each.plate.number for each in bench.kept.shown] == [1, 3]


def test_a_source_is_at_its_end_when_its_last_plate_is_shown() -> None:
    with pumping() as bench:
        bench.plate(1)
        first = bench.painter.next()
        bench.plate(2)
        bench.intake.end()
        assert not bench.pump.idle
        first.answer()
        second = bench.painter.next()
        assert not bench.pump.idle
        second.answer()
        until(lambda: bench.pump.idle)
        bench.pump.close()
        assert [each.plate.number for each in bench.kept.shown] == [1, 2]
