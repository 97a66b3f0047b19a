"""`impasto watch`: what is complete is painted once, what is not is waited for, and nothing foreign is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.errors import ImpastoError, NoSpace, ServerUnreachable, UnreadableMedia, UsageError, WorkerLost
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.hosts.events import Event, RunCancelled, RunFinished, RunStarted, RunWarning, ShotPainted, ShotSkipped
from impasto.hosts.terminal.exit_codes import INTERRUPTED, USAGE
from impasto.hosts.terminal.render.job import job_from
from impasto.hosts.terminal.watch.arrivals import Arrivals, ArrivedShot, listing_of, shots_in
from impasto.hosts.terminal.watch.command import RETRY_S, FolderWatcher, Show, settings_digest
from impasto.hosts.terminal.watch.record import LOCK, NAME, held, read_record
from impasto.server.protocol.messages import ShotJob
from tests.hosts.terminal.conftest import (
    HEIGHT,
    WIDTH,
    Impasto,
    names,
    next_event,
    outcome_with,
    picture,
    runtime_with_server,
    started,
)
from tests.waiting import until

SECOND = 1_000_000_000


def frames(*numbers: int, size: int = 100, pattern: str = "cut.{:04}.exr") -> dict[str, tuple[int, int]]:
    return {pattern.format(number): (size, number * SECOND) for number in numbers}


class Clock:
    """Time that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[Callable[[], None]] = []
        """What happens while somebody waits, one after the other."""

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        if self.waited:
            self.waited.pop(0)()


# What is complete


def test_a_movie_is_complete_when_it_has_rested() -> None:
    arrivals = Arrivals(5.0)
    assert arrivals.update({"a.mov": (10, 1)}, 0.0).growing == 1
    assert arrivals.update({"a.mov": (20, 2)}, 4.0).complete == ()
    assert arrivals.update({"a.mov": (20, 2)}, 8.9).complete == ()
    (shot,) = arrivals.update({"a.mov": (20, 2)}, 100.0).complete
    assert (shot.name, shot.frames) == ("a.mov", 1)


def test_a_complete_shot_is_told_once_and_again_when_it_changes() -> None:
    arrivals = Arrivals(5.0)
    arrivals.update({"a.mov": (20, 2)}, 0.0)
    assert len(arrivals.update({"a.mov": (20, 2)}, 5.0).complete) == 1
    assert arrivals.update({"a.mov": (20, 2)}, 50.0).complete == ()
    assert arrivals.update({"a.mov": (30, 3)}, 60.0).growing == 1
    assert len(arrivals.update({"a.mov": (30, 3)}, 65.0).complete) == 1


def test_a_slow_writer_is_given_three_times_its_longest_pause() -> None:
    arrivals = Arrivals(5.0)
    for now in range(9):
        arrivals.update(frames(*range(1, 2 + now // 4)), now)
    assert arrivals.update(frames(1, 2, 3), 16.9).complete == ()
    assert len(arrivals.update(frames(1, 2, 3), 17.0).complete) == 1


def test_time_in_which_nobody_looked_is_no_pause_of_the_writer() -> None:
    arrivals = Arrivals(5.0)
    arrivals.update(frames(1), 0.0)
    arrivals.update(frames(1, 2), 600.0)
    assert len(arrivals.update(frames(1, 2), 605.0).complete) == 1


def test_numbers_far_apart_name_the_first_that_are_missing() -> None:
    (shot,) = shots_in(frames(1, 2_000_000_000)).values()
    assert shot.missing == (2, 3, 4, 5, 6, 7, 8)


def test_a_sequence_with_a_gap_waits_for_its_frame() -> None:
    arrivals = Arrivals(5.0)
    arrivals.update(frames(1, 2, 4), 0.0)
    look = arrivals.update(frames(1, 2, 4), 5.0)
    assert look.complete == ()
    assert [shot.missing for shot in look.broken_off] == [(3,)]
    assert arrivals.update(frames(1, 2, 4), 50.0).broken_off == ()
    arrivals.update(frames(1, 2, 3, 4), 60.0)
    (shot,) = arrivals.update(frames(1, 2, 3, 4), 65.0).complete
    assert (shot.name, shot.frames) == ("cut.####.exr", 4)


def test_an_empty_file_is_not_written_yet() -> None:
    arrivals = Arrivals(5.0)
    seen = {**frames(1), **frames(2, size=0)}
    arrivals.update(seen, 0.0)
    look = arrivals.update(seen, 5.0)
    assert (look.complete, look.growing, look.broken_off[0].empty) == ((), 0, ("cut.0002.exr",))
    assert arrivals.update(seen, 500.0).broken_off == ()
    arrivals.update(frames(1, 2), 500.0)
    assert len(arrivals.update(frames(1, 2), 5000.0).complete) == 1


def test_a_render_farm_that_fills_a_gap_now_and_then_is_not_told_of_every_time() -> None:
    arrivals = Arrivals(5.0)
    told = 0
    for now in range(200):
        there = [1, *range(3, 4 + now // 10)]
        told += len(arrivals.update(frames(*there), float(now)).broken_off)
    assert told == 1


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.0001.exr", "a.0002.exr", "b.0001.exr"], {"a.####.exr", "b.####.exr"}),
        (["s/a.0001.exr", "t/a.0001.exr"], {"s/a.####.exr", "t/a.####.exr"}),
        (["cut_00086400.exr", "cut_00086401.exr"], {"cut_########.exr"}),
        (["a.9.exr", "a.10.exr"], {"a.#.exr"}),
        (["shot_01.mov", "shot_02.mov"], {"shot_01.mov", "shot_02.mov"}),
        (["logo.png"], {"logo.png"}),
    ],
)
def test_files_are_grouped_into_shots(files: list[str], names: set[str]) -> None:
    assert set(shots_in(dict.fromkeys(files, (1, 1)))) == names


def test_a_look_passes_over_what_is_no_media_and_the_results(tmp_path: Path) -> None:
    for name in ("a.mov", "sub/b.0001.exr", ".hidden.mov", ".cache/c.mov", "painted/a.mov", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    os.symlink(tmp_path, tmp_path / "sub" / "round")
    assert set(listing_of(str(tmp_path), {os.path.realpath(tmp_path / "painted")})) == {"a.mov", "sub/b.0001.exr"}


# What is done about it


@dataclass
class Room:
    """A watched folder with a painter that does as it is told, and a clock of the test's own."""

    folder: Path
    job: ShotJob
    clock: Clock = field(default_factory=Clock)
    shown: list[Event] = field(default_factory=list)
    painted: list[ShotJob] = field(default_factory=list)
    errors: list[ImpastoError | None] = field(default_factory=list)
    """What becomes of the next shots; afterwards all is well."""
    stop: bool = False
    stops_in: int | None = None
    """The number of the shot in which somebody asks to stop."""
    takes_s: float = 1.0
    """How long a shot is painted."""

    def render(self, job: ShotJob, show: Show, cancelled: Callable[[], bool]) -> bool:
        self.stop = self.stop or len(self.painted) == self.stops_in
        self.painted.append(job)
        self.clock.now += self.takes_s
        show(RunStarted(job.input, job.output, "s", 1, 2, 0, 8, 8, None))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        if cancelled():
            show(RunCancelled(job.output, 1, 1.0))
            return False
        show(RunFinished(job.output, 2, seconds=1.0, fps=2.0))
        return True

    def run(self, *, once: bool = True) -> bool:
        record = read_record(str(self.folder / "painted"), str(self.folder))
        watcher = FolderWatcher(
            str(self.folder), str(self.folder / "painted"), self.job, record, self.shown.append, lambda: self.stop,
            5.0, self.render, self.clock, self.clock.pause,
        )  # fmt: skip
        return watcher.run(once=once)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.shown if isinstance(event, kind)]


def job(style: str = "identity", **controls: float) -> ShotJob:
    return job_from(style=style, controls=controls)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    folder = tmp_path / "renders"
    folder.mkdir()
    return Room(folder, job())


def test_a_shot_is_painted_under_its_own_name(room: Room) -> None:
    (room.folder / "reel").mkdir()
    for number in (1, 2):
        (room.folder / "reel" / f"cut.{number:04}.exr").write_bytes(b"x")
    (room.folder / "tape.mxf").write_bytes(b"x")
    room.run()
    outputs = [os.path.relpath(each.output, room.folder) for each in room.painted]
    assert outputs == ["painted/reel/cut.####.exr", "painted/tape.mov"]
    assert [event.frames for event in room.of(ShotPainted)] == [2, 2]


def test_a_rate_is_for_pictures_and_not_for_movies(room: Room) -> None:
    room.job = job_from(style="identity", rate="25", fields="keep", controls={})
    (room.folder / "cut.0001.exr").write_bytes(b"x")
    (room.folder / "tape.mov").write_bytes(b"x")
    room.run()
    assert {Path(each.input).name: (each.rate, each.fields) for each in room.painted} == {
        "cut.####.exr": ("25", "keep"), "tape.mov": ("", "keep"),
    }  # fmt: skip


def test_it_looks_again_at_once_after_a_shot_that_took_long(room: Room) -> None:
    (room.folder / "a.mov").write_bytes(b"x")
    room.takes_s = 3600.0
    room.run()
    assert room.clock.now < 3600.0 + 10.0


def test_after_a_restart_only_what_is_new_or_changed_is_painted(room: Room) -> None:
    for name in ("a.mov", "b.mov"):
        (room.folder / name).write_bytes(b"x")
    room.run()
    (room.folder / "b.mov").write_bytes(b"another")
    (room.folder / "c.mov").write_bytes(b"x")
    room.painted.clear()
    room.run()
    assert [Path(each.input).name for each in room.painted] == ["b.mov", "c.mov"]
    assert [each.overwrite for each in room.painted] == [True, False]
    assert {each.within for each in room.painted} == {(str(room.folder), str(room.folder / "painted"))}


def test_other_settings_are_another_picture(room: Room) -> None:
    (room.folder / "a.mov").write_bytes(b"x")
    room.run()
    room.job = job(strength=0.5)
    room.run()
    assert len(room.painted) == 2
    assert settings_digest(job(strength=0.5)) != settings_digest(job())


@pytest.mark.parametrize(("name", "again"), [("a.mov", (True, False)), ("b.####.exr", (False, True))])
def test_a_sequence_that_was_cut_off_goes_on_and_a_movie_begins_again(
    name: str, again: tuple[bool, bool], room: Room
) -> None:
    (room.folder / name.replace("####", "0001")).write_bytes(b"x")
    room.stops_in = 0
    assert room.run() is True
    assert read_record(str(room.folder / "painted"), str(room.folder)).entries[name].state == "begun"
    room.stop = False
    room.run()
    assert [(each.overwrite, each.resume) for each in room.painted] == [(False, False), again]


@pytest.mark.parametrize("error", [ServerUnreachable("no server"), NoSpace("full; free some")])
def test_what_may_pass_is_tried_again(error: ImpastoError, room: Room) -> None:
    (room.folder / "a.mov").write_bytes(b"x")
    room.errors = [error, error, None]
    room.run()
    assert len(room.painted) == 3
    assert room.clock.now >= 2 * RETRY_S
    assert (len(room.of(RunWarning)), len(room.of(ShotPainted)), room.of(ShotSkipped)) == (1, 1, [])


@pytest.mark.parametrize("error", [UnreadableMedia("broken; render it again"), WorkerLost("it died twice")])
def test_a_broken_shot_is_reported_and_the_next_is_painted(error: ImpastoError, room: Room) -> None:
    for name in ("a.mov", "b.mov"):
        (room.folder / name).write_bytes(b"x")
    room.errors = [error]
    room.run()
    assert [event.message for event in room.of(ShotSkipped)] == [str(error)]
    assert [Path(event.input).name for event in room.of(ShotPainted)] == ["b.mov"]
    assert (room.folder / "a.mov").read_bytes() == b"x"


def test_a_broken_shot_is_tried_again_when_it_changes(room: Room) -> None:
    (room.folder / "a.mov").write_bytes(b"x")
    room.errors = [UnreadableMedia("broken")]
    rest = [lambda: None] * 80
    room.clock.waited = [*rest, lambda: void((room.folder / "a.mov").write_bytes(b"whole")), *rest, stop(room)]
    room.run(once=False)
    assert (len(room.of(ShotSkipped)), len(room.of(ShotPainted))) == (1, 1)


def test_a_folder_that_goes_away_is_waited_for(room: Room) -> None:
    away = room.folder.with_name("away")
    room.folder.rename(away)
    rest = [lambda: None] * 20
    room.clock.waited = [
        *rest,
        lambda: void(away.rename(room.folder)),
        lambda: void((room.folder / "a.mov").write_bytes(b"x")),
    ]
    room.clock.waited += [lambda: None] * 600 + [stop(room)]
    room.run(once=False)
    assert [len(room.of(RunWarning)), len(room.of(ShotPainted))] == [1, 1]


def test_a_record_that_is_none_is_refused(room: Room) -> None:
    (room.folder / "painted").mkdir()
    (room.folder / "painted" / NAME).write_text("[]")
    with pytest.raises(UsageError, match="remove it"):
        room.run()


def test_the_results_of_another_folder_are_left_alone(room: Room, tmp_path: Path) -> None:
    (room.folder / "a.mov").write_bytes(b"x")
    room.run()
    with pytest.raises(UsageError, match="--into"):
        read_record(str(room.folder / "painted"), str(tmp_path / "elsewhere"))
    moved = room.folder.rename(tmp_path / "moved")
    assert read_record(str(moved / "painted"), str(moved)).entries["a.mov"].state == "finished"


def test_only_one_paints_into_a_folder_and_nobody_paints_what_another_made(tmp_path: Path) -> None:
    into = tmp_path / "renders" / "drawn"
    with held(str(into)):
        (into / "a.mov").write_bytes(b"x")
        with pytest.raises(UsageError, match="another `impasto watch`"), held(str(into)):
            pass
    with held(str(into)):
        assert listing_of(str(tmp_path / "renders"), ()) == {}


def test_an_empty_file_does_not_keep_once_waiting(room: Room) -> None:
    (room.folder / "a.mov").write_bytes(b"")
    room.run()
    (left,) = room.of(ShotSkipped)
    assert "'a.mov' is empty" in left.message


def test_a_gap_is_said_with_the_frames_that_are_missing(room: Room) -> None:
    for number in (1, 4):
        (room.folder / f"cut.{number:04}.exr").write_bytes(b"x")
    room.run()
    (left,) = room.of(ShotSkipped)
    assert "missing 2, 3" in left.message
    assert room.painted == []


def void(_: object) -> None:
    """Whatever a call gives is of no interest."""


def stop(room: Room) -> Callable[[], None]:
    def ask() -> None:
        room.stop = True

    return ask


# The whole way


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    """A runtime folder with a server, which the tests of this file share."""
    with runtime_with_server() as folder:
        yield folder


ONCE = ("--once", "--settle", "0.2", "--json")


@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
class TestServed:
    def test_movies_and_sequences_come_out_as_the_engine_paints_them(
        self, sequence: str, movie: str, served: Impasto
    ) -> None:
        folder = Path(sequence).parent
        done = served("watch", folder, "--style", "wheatfield-draft", "--strength", "0.7", *ONCE)
        assert done.code == 0, done.out
        told = [event for event in done.events if event["event"] == "painted"]
        assert [(Path(each["input"]).name, each["frames"]) for each in told] == [
            ("plate.####.exr", 6),
            ("plate.mp4", 6),
        ]
        engine = Engine("wheatfield-draft", device="cpu")
        with open_reader(sequence) as plates, open_reader(str(folder / "painted" / "plate.####.exr")) as results:
            for plate, result in zip(plates, results, strict=True):
                wanted = engine.render(plate, FrameSettings(replace(engine.style.card.defaults, strength=0.7))).frame
                assert np.array_equal(result.colour, wanted.colour)

    def test_nothing_is_done_twice_and_nothing_foreign_is_touched(self, movie: str, served: Impasto) -> None:
        folder = Path(movie).parent
        (folder / "painted").mkdir()
        shutil.copy(movie, folder / "other.mp4")
        (folder / "painted" / "other.mp4").write_text("mine")
        first = served("watch", folder, "--style", "identity", *ONCE)
        kinds = {Path(event["input"]).name: event["event"] for event in first.events if "input" in event}
        assert kinds == {"other.mp4": "left", "plate.mp4": "painted"}
        assert (folder / "painted" / "other.mp4").read_text() == "mine"
        painted = (folder / "painted" / "plate.mp4").stat()
        again = served("watch", folder, "--style", "identity", *ONCE)
        assert "painted" not in [event["event"] for event in again.events]
        assert (folder / "painted" / "plate.mp4").stat() == painted

    def test_a_broken_movie_is_left_beside_a_good_one(self, movie: str, served: Impasto) -> None:
        folder = Path(movie).parent
        (folder / "broken.mp4").write_bytes(Path(movie).read_bytes()[:600])
        done = served("watch", folder, "--style", "identity", *ONCE)
        (left,) = [event for event in done.events if event["event"] == "left"]
        assert (Path(left["input"]).name, left["code"], done.code) == ("broken.mp4", "unreadable_media", 0)
        assert names(folder / "painted") == [NAME, LOCK, "plate.mp4"]

    def test_ctrl_c_leaves_nothing_half_written_and_the_next_start_goes_on(
        self, tmp_path: Path, served: Impasto
    ) -> None:
        folder = tmp_path / "renders"
        pattern, movie = str(folder / "long.####.exr"), str(folder / "a.mp4")
        with open_writer(pattern, ShotInfo("", "sequence", 1, 60, WIDTH, HEIGHT)) as writer:
            for number in range(1, 61):
                writer.write(picture(number))
        watching = started("watch", folder, "--style", "identity", "--settle", "0.2")
        outcome = outcome_with(watching, 1, lambda: watching.send_signal(signal.SIGINT))
        assert (outcome.code, outcome.events[-1]["event"]) == (INTERRUPTED, "cancelled")
        kept = [name for name in names(folder / "painted") if name not in (NAME, LOCK)]
        assert 0 < len(kept) < 60
        for name in kept:
            with open_reader(str(folder / "painted" / name)) as reader:
                assert sum(1 for _ in reader) == 1
        with open_writer(movie, ShotInfo("", "movie", 1, 2, WIDTH, HEIGHT, rate=Fraction(24))) as writer:
            for number in (1, 2):
                writer.write(picture(number, np.uint8))
        done = served("watch", folder, "--style", "identity", *ONCE)
        painted = {Path(e["input"]).name: (e["frames"], e["skipped"]) for e in done.events if e["event"] == "painted"}
        assert painted == {"a.mp4": (2, 0), "long.####.exr": (60 - len(kept), len(kept))}

    def test_ctrl_c_at_rest_is_a_clean_end(self, tmp_path: Path) -> None:
        watching = started("watch", tmp_path, "--style", "identity")
        assert next_event(watching)["event"] == "watching"
        watching.send_signal(signal.SIGTERM)
        out, _ = watching.communicate(timeout=60)
        assert (watching.returncode, json.loads(out)["event"]) == (0, "finished")

    def test_what_is_written_while_it_watches_is_painted(self, tmp_path: Path, sequence: str) -> None:
        folder = tmp_path / "renders"
        folder.mkdir()
        watching = started("watch", folder, "--style", "identity", "--settle", "0.5")
        assert next_event(watching)["event"] == "watching"
        for number in range(1001, 1007):
            shutil.copy(sequence.replace("####", str(number)), folder)
        events = []
        while not events or events[-1]["event"] != "painted":
            events.append(next_event(watching))
        assert (events[-1]["frames"], len(names(folder / "painted"))) == (6, 8)
        watching.send_signal(signal.SIGINT)
        until(lambda: watching.poll() is not None)
        watching.communicate()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "make it"),
        ((".", "--into", "."), "--into"),
        ((".", "--settle", "0"), "--settle"),
        ((".", "--strength", "7"), "strength"),
    ],
)
def test_what_cannot_work_is_one_sentence(arguments: tuple[str, ...], said: str, served: Impasto) -> None:
    done = served("watch", *arguments, "--style", "identity", "--once")
    assert (done.code, len(done.err.splitlines())) == (USAGE, 1)
    assert said in done.err


def test_a_shot_knows_what_it_is() -> None:
    assert shots_in(frames(7, 8))["cut.####.exr"] == ArrivedShot(
        "cut.####.exr", shots_in(frames(8, 7))["cut.####.exr"].digest, 2, (), ()
    )
