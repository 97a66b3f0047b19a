"""Shot jobs on small files, with a painter that needs no network."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.core.card import Card
from impasto.core.engine import Rendered, Report
from impasto.core.errors import (
    ImpastoError,
    InconsistentShot,
    NoSpace,
    OutputExists,
    UnknownName,
    UnreadableMedia,
    UsageError,
)
from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings, Output
from impasto.core.guide_planes import planes_of
from impasto.core.guides import Guide
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.media.movie_reader import MovieReader
from impasto.core.resize import resize_frame
from impasto.server.protocol.field_types import EncoderSpeed, Fields
from impasto.server.protocol.messages import (
    Cancelled,
    RenderSettings,
    ShotDone,
    ShotEvent,
    ShotJob,
    ShotProgress,
    ShotStarted,
    StoredFrame,
)
from impasto.server.shots.render import render_shot
from tests.core.media.builders import write_layers
from tests.core.media.interlaced import order_of, write_fields
from tests.plates import write_movie, write_sequence

WIDTH, HEIGHT = 32, 16
STYLE = RenderSettings("fake")
CARD = Card(
    name="fake", title="Fake", description="", generator="unet", config={}, size="draft", halo=72, stride=8,
    licence="CC0-1.0", weights_sha256="f" * 64, canary=(0.0, 0.0),
)  # fmt: skip


@dataclass(frozen=True)
class FakeStyle:
    card: Card


class FakePainter:
    """Answers every frame with itself, and remembers what it was asked."""

    def __init__(
        self,
        sha256: str = CARD.weights_sha256,
        before_frame: Callable[[int], None] = lambda number: None,
        precision: str = "float32",
        guides: tuple[Guide, ...] = (),
    ):
        self.style = FakeStyle(replace(CARD, weights_sha256=sha256, guides=guides))
        self.planes: dict[int, Samples | None] = {}
        self.precision = precision
        self._asked: dict[int, tuple[Samples | None, Output | None]] = {}
        self._before_frame = before_frame

    def precision_for(self, *, eight_bit: bool) -> str:
        return self.precision

    @property
    def numbers(self) -> list[int]:
        """The frames that were rendered, sorted: two are in flight at once."""
        return sorted(self._asked)

    @property
    def mattes(self) -> list[Samples | None]:
        return [self._asked[number][0] for number in self.numbers]

    @property
    def outputs(self) -> list[Output | None]:
        return [self._asked[number][1] for number in self.numbers]

    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = lambda: None,
    ) -> Rendered:
        self._before_frame(frame.number)
        cancelled()
        assert settings is not None
        self._asked[frame.number] = (matte, settings.output)
        self.planes[frame.number] = planes_of(frame, self.style.card.guides)
        if settings.before.resize is not None:
            frame = resize_frame(frame, settings.before.resize)
        record = {"style": "fake", "style_sha256": self.style.card.weights_sha256, "precision": self.precision}
        return Rendered(
            replace(frame, provenance=record), Report(2, {"before": 0.1, "network": 0.8, "after": 0.1}, None)
        )


def with_params(**params: float) -> RenderSettings:
    return replace(STYLE, params=params)


def stored_in(events: list[ShotEvent]) -> list[StoredFrame]:
    return [frame for event in events if isinstance(event, ShotProgress) for frame in event.stored]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = set(threading.enumerate()) - before
    assert [thread.name for thread in left if thread.name.startswith("impasto-")] == []


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_sequence_comes_out_frame_for_frame(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1001, 1011))
    events: list[ShotEvent] = []
    result = render_shot(
        ShotJob(STYLE, plate, str(tmp_path / "out" / "painted.####.exr")), FakePainter(), on_event=events.append
    )
    assert names(tmp_path / "out") == [f"painted.{number}.exr" for number in range(1001, 1011)]
    assert isinstance(result, ShotDone)
    assert (result.rendered, result.skipped, result.invalid_pixels) == (10, 0, 20)
    assert result.stages["network"] == pytest.approx(8.0)
    started = events[0]
    assert isinstance(started, ShotStarted)
    assert started.frames == 10
    assert [each.number for each in stored_in(events)] == list(range(1001, 1011))
    assert [each.done for each in stored_in(events)] == list(range(1, 11))


def test_a_range_is_rendered_alone(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 11))
    painter = FakePainter()
    render_shot(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), first=4, last=6), painter)
    assert painter.numbers == [4, 5, 6]


def test_a_frame_bears_how_it_was_made(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 3))
    render_shot(ShotJob(with_params(strength=0.5), plate, str(tmp_path / "o.####.exr")), FakePainter())
    with open_reader(str(tmp_path / "o.0002.exr")) as reader:
        record = next(iter(reader)).provenance
    assert record["style"] == "fake"
    assert record["source"] == str(tmp_path / "plate.0002.exr")
    assert json.loads(record["settings"])["params"]["strength"] == 0.5


def test_a_cancelled_sequence_keeps_its_finished_frames(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 21))
    painter = FakePainter()
    result = render_shot(
        ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.exr")),
        painter,
        cancelled=lambda: len(painter.numbers) >= 3,
    )
    assert isinstance(result, Cancelled)
    assert 2 <= result.rendered <= 4, "what is in flight is finished or dropped, nothing more is begun"
    assert names(tmp_path / "out") == [f"o.{number:04d}.exr" for number in range(1, result.rendered + 1)]


@pytest.mark.parametrize(
    ("size", "speed", "preset"),
    [("draft", "auto", "superfast"), ("standard", "auto", "fast"), ("draft", "medium", "medium")],
)
def test_a_draft_is_encoded_soon_unless_asked_otherwise(
    size: str, speed: EncoderSpeed, preset: str, tmp_path: Path
) -> None:
    painter = FakePainter()
    painter.style = FakeStyle(replace(painter.style.card, size=size))
    output = tmp_path / "o.mp4"
    job = ShotJob(STYLE, write_movie(tmp_path / "p.mp4", 2), str(output), encoder_speed=speed)
    assert isinstance(render_shot(job, painter), ShotDone)
    # x264 notes its settings in the stream; these differ from preset to preset.
    refinement = {"superfast": b"subme=1 ", "fast": b"subme=6 ", "medium": b"subme=7 "}
    assert [name for name, noted in refinement.items() if noted in output.read_bytes()] == [preset]


@pytest.mark.parametrize(("fields", "order"), [("auto", ""), ("deinterlace", ""), ("keep", "top")])
def test_a_painting_style_sees_no_woven_fields_unless_asked(fields: Fields, order: str, tmp_path: Path) -> None:
    write_fields(tmp_path / "p.mkv", "ffv1.mkv", "top")
    job = ShotJob(STYLE, str(tmp_path / "p.mkv"), str(tmp_path / "o.mkv"), fields=fields)
    notes: list[str] = []
    done = render_shot(
        job, FakePainter(), on_event=lambda event: notes.extend(event.notes if isinstance(event, ShotProgress) else ())
    )
    assert isinstance(done, ShotDone)
    assert order_of(tmp_path / "o.mkv") == order
    assert len([note for note in notes if "interlaced" in note]) == 1


def test_a_cancelled_movie_bears_another_name(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 21))
    painter = FakePainter()
    result = render_shot(
        ShotJob(STYLE, plate, str(tmp_path / "out" / "o.mp4")), painter, cancelled=lambda: len(painter.numbers) >= 3
    )
    assert names(tmp_path / "out") == ["o.partial.mp4"]
    assert result.path == str(tmp_path / "out" / "o.partial.mp4")
    with open_reader(result.path) as reader:
        assert len(list(reader)) == result.rendered >= 2


def test_a_cancelled_movie_leaves_an_earlier_part_and_the_input_alone(tmp_path: Path) -> None:
    plate = write_movie(tmp_path / "o.partial.mp4", 12)
    kept = (tmp_path / "o.partial.mp4").read_bytes()
    painter = FakePainter()
    result = render_shot(
        ShotJob(STYLE, plate, str(tmp_path / "o.mp4")), painter, cancelled=lambda: len(painter.numbers) >= 3
    )
    assert names(tmp_path) == ["o.partial-2.mp4", "o.partial.mp4"]
    assert result.path == str(tmp_path / "o.partial-2.mp4")
    assert (tmp_path / "o.partial.mp4").read_bytes() == kept


def test_a_stopped_recording_is_a_whole_movie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FakeCamera:
        info = ShotInfo("camera:0", "stream", 1, None, WIDTH, HEIGHT, rate=Fraction(24))

        def __iter__(self) -> Iterator[Frame]:
            for number in itertools.count(1):
                yield Frame.from_pixels(np.zeros((HEIGHT, WIDTH, 3), np.uint8), number=number)

        def close(self) -> None:
            pass

        def __enter__(self) -> FakeCamera:
            return self

        def __exit__(self, *raised: object) -> None:
            self.close()

    monkeypatch.setattr("impasto.server.shots.render.open_reader", lambda path, **asked: FakeCamera())
    painter = FakePainter()
    job = ShotJob(STYLE, "camera:0", str(tmp_path / "o.mp4"))
    result = render_shot(job, painter, cancelled=lambda: len(painter.numbers) >= 3)
    assert isinstance(result, Cancelled)
    assert result.path == job.output
    assert result.rendered >= 2
    assert names(tmp_path) == ["o.mp4"]


def test_cancelling_reaches_into_a_frame(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 4))
    asked = False

    def ask(number: int) -> None:
        nonlocal asked
        asked = asked or number == 2

    painter = FakePainter(before_frame=ask)
    result = render_shot(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr")), painter, cancelled=lambda: asked)
    assert 2 not in painter.numbers
    assert isinstance(result, Cancelled)
    assert result.rendered == 1


def test_a_damaged_plate_stops_the_shot_after_the_frames_before_it(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 7))
    (tmp_path / "plate.0004.exr").write_bytes(b"\x76\x2f\x31\x01 and then nothing")
    with pytest.raises(UnreadableMedia, match=r"plate\.0004\.exr"):
        render_shot(ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.exr")), FakePainter())
    assert names(tmp_path / "out") == ["o.0001.exr", "o.0002.exr", "o.0003.exr"]
    with pytest.raises(UnreadableMedia):
        render_shot(ShotJob(STYLE, plate, str(tmp_path / "movie" / "o.mov")), FakePainter())
    assert names(tmp_path / "movie") == ["o.partial.mov"]


def test_two_frames_are_in_flight_and_come_out_in_order(tmp_path: Path) -> None:
    third_begun = threading.Event()

    def wait_for_the_next(number: int) -> None:
        if number == 3:
            third_begun.set()
        if number == 2:
            assert third_begun.wait(10), "frame 3 must begin before frame 2 has ended"

    plate = write_sequence(tmp_path, range(1, 7))
    events: list[ShotEvent] = []
    job = ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.exr"))
    render_shot(job, FakePainter(before_frame=wait_for_the_next), on_event=events.append)
    assert [each.number for each in stored_in(events)] == list(range(1, 7))


def test_a_painter_that_fails_is_heard(tmp_path: Path) -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise NoSpace("made up")

    plate = write_sequence(tmp_path, range(1, 7))
    with pytest.raises(NoSpace, match="made up"):
        render_shot(ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.exr")), FakePainter(before_frame=fail))
    assert names(tmp_path / "out") == ["o.0001.exr", "o.0002.exr"]


def test_a_result_that_cannot_be_written_is_heard(tmp_path: Path) -> None:
    def take_the_name(number: int) -> None:
        if number == 1:
            (tmp_path / "o.0002.exr").write_text("somebody else's")

    plate = write_sequence(tmp_path, range(1, 30))
    with pytest.raises(OutputExists, match=r"o\.0002\.exr"):
        render_shot(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr")), FakePainter(before_frame=take_the_name))
    assert (tmp_path / "o.0002.exr").read_text() == "somebody else's"


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    plate = write_sequence(tmp_path, range(1, 3))
    with pytest.raises(OutputExists, match="never overwritten"):
        render_shot(ShotJob(STYLE, plate, plate, overwrite=True), FakePainter())


class TestResume:
    def job(self, tmp_path: Path) -> ShotJob:
        plate = str(tmp_path / "plate.####.exr")
        return ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), resume=True)

    def again(self, job: ShotJob, sha256: str = CARD.weights_sha256) -> list[int]:
        """The frames that a resumed run renders."""
        painter = FakePainter(sha256)
        render_shot(job, painter)
        return painter.numbers

    @pytest.fixture(autouse=True)
    def first_run(self, tmp_path: Path) -> None:
        write_sequence(tmp_path, range(1, 7))
        assert self.again(self.job(tmp_path)) == [1, 2, 3, 4, 5, 6]

    def test_finished_frames_are_neither_read_nor_rendered(self, tmp_path: Path) -> None:
        assert self.again(self.job(tmp_path)) == []

    def test_missing_and_damaged_frames_alone_are_rendered(self, tmp_path: Path) -> None:
        (tmp_path / "o.0002.exr").unlink()
        (tmp_path / "o.0005.exr").write_bytes(b"")
        assert self.again(self.job(tmp_path)) == [2, 5]

    def test_a_plate_that_changed_is_rendered_again(self, tmp_path: Path) -> None:
        pixels = np.ones((HEIGHT, WIDTH, 3), np.float32)
        with open_writer(
            str(tmp_path / "plate.####.exr"), ShotInfo("", "sequence", 3, 1, WIDTH, HEIGHT), overwrite=True
        ) as writer:
            writer.write(Frame.from_pixels(pixels, number=3))
        assert self.again(self.job(tmp_path)) == [3]

    def test_other_settings_render_all(self, tmp_path: Path) -> None:
        assert len(self.again(replace(self.job(tmp_path), look=with_params(stroke=2.0)))) == 6

    def test_another_style_renders_all(self, tmp_path: Path) -> None:
        assert len(self.again(self.job(tmp_path), sha256="e" * 64)) == 6

    def test_another_plate_of_the_same_folder_renders_all(self, tmp_path: Path) -> None:
        other = write_sequence(tmp_path, range(1, 7), name="other")
        assert len(self.again(replace(self.job(tmp_path), input=other))) == 6

    def test_a_draft_in_another_precision_is_rendered_again(self, tmp_path: Path) -> None:
        draft = FakePainter(precision="bfloat16")
        render_shot(self.job(tmp_path), draft)
        assert len(draft.numbers) == 6
        assert len(self.again(self.job(tmp_path))) == 6

    def test_the_same_plate_by_another_spelling_is_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert self.again(replace(self.job(tmp_path), input="plate.%04d.exr")) == []

    def test_a_format_without_notes_says_so_and_renders_all(self, tmp_path: Path) -> None:
        job = replace(self.job(tmp_path), output=str(tmp_path / "o.####.dpx"))
        self.again(job)
        events: list[ShotEvent] = []
        painter = FakePainter()
        render_shot(job, painter, on_event=events.append)
        assert len(painter.numbers) == 6
        assert any(event.notes for event in events if isinstance(event, ShotProgress))


def test_a_resumed_sequence_out_of_a_movie_renders_what_is_missing(tmp_path: Path) -> None:
    job = ShotJob(STYLE, write_movie(tmp_path / "plate.mp4", 6), str(tmp_path / "o.####.png"), resume=True)
    render_shot(job, FakePainter())
    (tmp_path / "o.0002.png").unlink()
    (tmp_path / "o.0004.png").unlink()
    painter = FakePainter()
    result = render_shot(job, painter)
    assert painter.numbers == [2, 4]
    assert isinstance(result, ShotDone)
    assert (result.rendered, result.skipped) == (2, 4)


class TestColours:
    def asked(self, job: ShotJob) -> Output | None:
        painter = FakePainter()
        render_shot(job, painter)
        return painter.outputs[0]

    def test_a_movie_becomes_linear_in_exr(self, tmp_path: Path) -> None:
        movie = write_movie(tmp_path / "plate.mp4", 2)
        assert self.asked(ShotJob(STYLE, movie, str(tmp_path / "o.####.exr"))) == Output("scene_linear", "half")

    def test_linear_pictures_become_display_encoded_in_a_movie(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 3))
        asked = self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.mp4")))
        assert asked is not None
        assert asked.space == "srgb"

    def test_where_plate_and_result_agree_the_plate_keeps_its_own(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 3))
        assert self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"))) is None
        movie = write_movie(tmp_path / "plate.mp4", 2)
        assert self.asked(ShotJob(STYLE, movie, str(tmp_path / "o.####.png"))) is None

    def test_a_named_space_goes_first(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 3))
        assert self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), output_space="ACEScg")) == Output(
            "ACEScg", "half"
        )

    def test_pixels_in_log_do_not_go_into_display_encoded_files(self, tmp_path: Path) -> None:
        plate = write_tagged(tmp_path / "plate.0001.dpx", "cineon_log")
        for name in ("o.mp4", "o.####.png", "o.####.tif"):
            asked = self.asked(ShotJob(STYLE, plate, str(tmp_path / name)))
            assert asked is not None
            assert asked.space == "srgb"

    def test_pixels_in_log_stay_where_the_file_says_so(self, tmp_path: Path) -> None:
        plate = write_tagged(tmp_path / "plate.0001.dpx", "cineon_log")
        assert self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.####.dpx"))) is None

    def test_pixels_in_log_by_the_users_word_stay_in_files_of_the_same_kind(self, tmp_path: Path) -> None:
        plate = write_tagged(tmp_path / "plate.0001.png", None)
        log = "ARRI LogC3 (EI800)"
        assert self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.####.png"), input_space=log)) is None
        asked = self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.mp4"), input_space=log))
        assert asked is not None
        assert asked.space == "srgb"

    @pytest.mark.parametrize("space", ["pq2020", "hlg2020"])
    def test_a_wide_movie_stays_so_in_a_movie_alone(self, tmp_path: Path, space: str) -> None:
        plate = write_tagged(tmp_path / "plate.mp4", space)
        assert self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.mp4"))) is None
        asked = self.asked(ShotJob(STYLE, plate, str(tmp_path / "o.####.png")))
        assert asked is not None
        assert asked.space == "srgb"

    @pytest.mark.parametrize("option", ["input_space", "output_space"])
    def test_a_space_that_is_not_there_is_named_before_the_start(self, tmp_path: Path, option: str) -> None:
        plate = write_sequence(tmp_path, range(1, 3))
        events: list[ShotEvent] = []
        job = ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), **{option: "ACEScgg"})  # type: ignore[arg-type]
        with pytest.raises(UnknownName, match=f"mean 'ACEScg'.*--{option.replace('_', '-')}"):
            render_shot(job, FakePainter(), on_event=events.append)
        assert events == []


def write_tagged(path: Path, space: str | None) -> str:
    """One frame of 8 bits that states a colour space."""
    with open_writer(str(path), ShotInfo("", "still", 1, 1, WIDTH, HEIGHT)) as writer:
        pixels = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
        writer.write(Frame.from_pixels(pixels, number=1, colour_space=space))
    return str(path)


class TestMattes:
    def mattes(self, job: ShotJob) -> list[Samples]:
        painter = FakePainter()
        render_shot(job, painter)
        return [matte for matte in painter.mattes if matte is not None]

    def write_still(self, path: Path, value: int, width: int = WIDTH) -> str:
        pixels = np.full((HEIGHT, width, 1), value, np.uint8)
        with open_writer(str(path), ShotInfo("", "still", 1, 1, width, HEIGHT)) as writer:
            return writer.write(Frame.from_pixels(pixels))

    def test_a_still_serves_every_frame(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 4))
        matte = self.write_still(tmp_path / "matte.png", 255)
        mattes = self.mattes(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), matte=matte))
        assert len(mattes) == 3
        assert all(each.shape == (HEIGHT, WIDTH) and each.dtype == np.float32 and (each == 1).all() for each in mattes)

    def test_a_sequence_serves_by_number(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 6))
        matte = write_sequence(tmp_path, range(1, 10), "matte")
        mattes = self.mattes(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), matte=matte, first=3, last=4))
        assert [round(float(each[0, 0]), 2) for each in mattes] == [0.03, 0.04]

    def test_a_missing_matte_is_named(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 6))
        matte = write_sequence(tmp_path, range(1, 4), "matte")
        with pytest.raises(InconsistentShot, match="missing 4-5"):
            self.mattes(ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.exr"), matte=matte))
        assert names(tmp_path / "out") == []

    @pytest.mark.parametrize("matte", ["nope.png", "nope.####.exr", "damaged.png", "wide.png"])
    def test_a_matte_that_cannot_work_is_named_before_the_start(self, tmp_path: Path, matte: str) -> None:
        plate = write_sequence(tmp_path, range(1, 4))
        self.write_still(tmp_path / "wide.png", 255, width=WIDTH * 2)
        whole = Path(self.write_still(tmp_path / "damaged.png", 255)).read_bytes()
        (tmp_path / "damaged.png").write_bytes(whole[: len(whole) // 2])
        events: list[ShotEvent] = []
        job = ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), matte=str(tmp_path / matte))
        with pytest.raises(ImpastoError, match=matte.partition(".")[0]):
            render_shot(job, FakePainter(), on_event=events.append)
        assert events == []

    @pytest.mark.parametrize(
        ("matte", "output"),
        [
            ("matte.0001.exr", "matte.0001.exr"),
            ("matte.####.exr", "matte.####.exr"),
            (".", "matte.%04d.exr"),
            ("matte.0002.exr", "matte.####.exr"),
        ],
    )
    def test_the_matte_is_never_the_output(self, tmp_path: Path, matte: str, output: str) -> None:
        (tmp_path / "mattes").mkdir()
        write_sequence(tmp_path / "mattes", range(1, 3), "matte")
        plate = write_sequence(tmp_path, range(1, 3))
        folder = tmp_path / "mattes"
        number = 1 if "#" not in output and "%" not in output else None
        job = ShotJob(
            STYLE, plate, str(folder / output), matte=str(folder / matte), overwrite=True, first=number, last=number
        )
        kept = (folder / "matte.0001.exr").read_bytes()
        with pytest.raises(OutputExists, match="a matte is never overwritten"):
            render_shot(job, FakePainter())
        assert (folder / "matte.0001.exr").read_bytes() == kept

    def test_another_size_is_refused(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 3))
        matte = self.write_still(tmp_path / "matte.png", 128, width=WIDTH * 2)
        with pytest.raises(UsageError, match="expected a matte of 32x16"):
            self.mattes(ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), matte=matte))

    def test_a_matte_follows_the_plate_into_its_new_size(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 3))
        matte = self.write_still(tmp_path / "matte.png", 255)
        job = ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), matte=matte, before_resize="50%")
        assert [each.shape for each in self.mattes(job)] == [(HEIGHT // 2, WIDTH // 2)] * 2

    def test_a_matte_that_changed_is_noticed_on_resuming(self, tmp_path: Path) -> None:
        plate = write_sequence(tmp_path, range(1, 4))
        matte = write_sequence(tmp_path, range(1, 4), "matte")
        job = ShotJob(STYLE, plate, str(tmp_path / "o.####.exr"), matte=matte, resume=True)
        self.mattes(job)
        write_sequence(tmp_path, range(2, 3), "matte", dtype="float32")
        assert len(self.mattes(job)) == 1


class TestGuides:
    GUIDES = (Guide("normal.X", "mask"), Guide("depth.Z", "mask"))

    def shot(self, folder: Path) -> ShotJob:
        """A plate of frames 1 to 4, and two sequences beside it whose samples tell their frame."""
        plate = write_sequence(folder, range(1, 5))
        for number in range(1, 6):
            for name, value in (("normal.X", number / 10), ("depth.Z", number / 100)):
                path = folder / name.partition(".")[0] / f"a.{number:04}.exr"
                write_layers(path, {name: np.full((HEIGHT, WIDTH), value, np.float32)})
        guides = (str(folder / "normal" / "a.####.exr"), str(folder / "depth" / "a.%04d.exr"))
        return ShotJob(STYLE, plate, str(folder / "out" / "o.####.exr"), guides=guides)

    def painted(self, job: ShotJob) -> dict[int, tuple[float, ...]]:
        painter = FakePainter(guides=self.GUIDES)
        render_shot(job, painter)
        return {
            number: tuple(round(float(value), 3) for value in planes[0, 0])
            for number, planes in painter.planes.items()
            if planes is not None
        }

    def test_each_frame_gets_the_layers_of_its_own_number(self, tmp_path: Path) -> None:
        found = self.painted(self.shot(tmp_path))
        assert found == {number: (number / 10, number / 100) for number in range(1, 5)}
        part = replace(self.shot(tmp_path), first=3, last=4, output=str(tmp_path / "part" / "o.####.exr"))
        assert self.painted(part) == {3: (0.3, 0.03), 4: (0.4, 0.04)}

    def test_no_layer_of_another_file_lands_in_the_result(self, tmp_path: Path) -> None:
        self.painted(self.shot(tmp_path))
        with open_reader(str(tmp_path / "out" / "o.####.exr")) as reader:
            assert {frame.part.channels for frame in reader} == {("R", "G", "B")}

    def test_a_frame_without_its_layers_is_named_before_the_start(self, tmp_path: Path) -> None:
        job = self.shot(tmp_path)
        (tmp_path / "depth" / "a.0003.exr").unlink()
        events: list[ShotEvent] = []
        with pytest.raises(InconsistentShot, match=r"depth/a\.####\.exr', missing 3"):
            render_shot(job, FakePainter(guides=self.GUIDES), on_event=events.append)
        assert events == []

    def test_a_channel_that_is_nowhere_is_named_with_its_frame(self, tmp_path: Path) -> None:
        job = self.shot(tmp_path)
        with pytest.raises(UsageError, match=r"'depth\.Z' .* frame 1 \(.*plate\.0001\.exr'\) has none"):
            self.painted(replace(job, guides=job.guides[:1]))
        assert names(tmp_path / "out") == []

    def test_a_style_of_colour_alone_refuses_guides(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="'fake' was not; leave out --guides"):
            render_shot(self.shot(tmp_path), FakePainter())

    def test_guide_layers_are_never_the_output(self, tmp_path: Path) -> None:
        job = replace(self.shot(tmp_path), output=str(tmp_path / "normal" / "a.####.exr"), overwrite=True)
        kept = (tmp_path / "normal" / "a.0001.exr").read_bytes()
        with pytest.raises(OutputExists, match="a guide layer is never overwritten"):
            render_shot(job, FakePainter(guides=self.GUIDES))
        assert (tmp_path / "normal" / "a.0001.exr").read_bytes() == kept

    def test_layers_that_were_rendered_anew_are_noticed_on_resuming(self, tmp_path: Path) -> None:
        job = replace(self.shot(tmp_path), resume=True)
        assert len(self.painted(job)) == 4
        assert self.painted(job) == {}
        other = np.full((HEIGHT, WIDTH), 0.75, np.float32)
        other[0, 1] = 0.5
        write_layers(tmp_path / "normal" / "a.0002.exr", {"normal.X": other})
        assert self.painted(job) == {2: (0.75, 0.02)}
        assert len(self.painted(replace(job, guides=job.guides[::-1]))) == 4, "other pictures are other settings"


@pytest.mark.parametrize("output", ["out/o.mp4", "out/o.####.png"])
def test_fewer_frames_than_promised_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    plate = write_movie(tmp_path / "p.mov", 6)
    whole = MovieReader.__iter__
    monkeypatch.setattr(MovieReader, "__iter__", lambda reader: itertools.islice(whole(reader), 4))
    kept: list[str] = []
    with pytest.raises(UnreadableMedia, match="expected 6 frames"):
        render_shot(ShotJob(STYLE, plate, str(tmp_path / output)), FakePainter(), on_cut=kept.append)
    assert kept == [str(tmp_path / output.replace("o.mp4", "o.partial.mp4"))]


def test_what_is_not_in_the_result_is_told_once(tmp_path: Path) -> None:
    plate = str(tmp_path / "p.####.png")
    with open_writer(plate, ShotInfo("", "sequence", 1, 2, WIDTH, HEIGHT)) as writer:
        for number in (1, 2):
            writer.write(Frame.from_pixels(np.full((HEIGHT, WIDTH, 4), 200, np.uint8), number=number))
    events: list[ShotEvent] = []
    render_shot(ShotJob(STYLE, plate, str(tmp_path / "o.mp4")), FakePainter(), on_event=events.append)
    assert [text for event in events if isinstance(event, ShotProgress) for text in event.notes] == [
        f"'{plate}' states no frame rate: the movie plays at 24 frames per second",
        f"not in the result are, of '{plate}': alpha",
    ]


@pytest.mark.parametrize(
    ("text", "rate"), [("25", Fraction(25)), ("23.976", Fraction(24000, 1001)), ("24000/1001", Fraction(24000, 1001))]
)
@pytest.mark.parametrize("output", ["out.mov", "out.####.png", "out.####.exr"])
def test_pictures_play_at_the_rate_that_was_asked_for(tmp_path: Path, text: str, rate: Fraction, output: str) -> None:
    with open_writer(str(tmp_path / "a.####.png"), ShotInfo("", "sequence", 1, 3, WIDTH, HEIGHT)) as writer:
        for number in range(1, 4):
            writer.write(Frame.from_pixels(np.zeros((HEIGHT, WIDTH, 3), np.uint8), number=number))
    events: list[ShotEvent] = []
    job = ShotJob(STYLE, str(tmp_path / "a.####.png"), str(tmp_path / output), rate=text)
    render_shot(job, FakePainter(), on_event=events.append)
    assert open_reader(str(tmp_path / output)).info.rate == rate
    assert [event.rate for event in events if isinstance(event, ShotStarted)] == [float(rate)]
    notes = [note for event in events if isinstance(event, ShotProgress) for note in event.notes]
    assert not any("frame rate" in note for note in notes)


def test_frames_of_another_rate_are_rendered_again(tmp_path: Path) -> None:
    with open_writer(str(tmp_path / "a.####.png"), ShotInfo("", "sequence", 1, 3, WIDTH, HEIGHT)) as writer:
        for number in range(1, 4):
            writer.write(Frame.from_pixels(np.zeros((HEIGHT, WIDTH, 3), np.uint8), number=number))
    job = ShotJob(STYLE, str(tmp_path / "a.####.png"), str(tmp_path / "b.####.png"), rate="25", resume=True)
    render_shot(job, FakePainter())
    (tmp_path / "b.0002.png").unlink()
    again, other = FakePainter(), FakePainter()
    render_shot(job, again)
    assert again.numbers == [2]
    assert open_reader(str(tmp_path / "b.0002.png")).info.rate == 25
    render_shot(replace(job, rate="30"), other)
    assert other.numbers == [1, 2, 3]


def test_a_rate_beside_a_movie_is_refused(tmp_path: Path) -> None:
    with open_writer(str(tmp_path / "a.mov"), ShotInfo("", "movie", 1, 1, WIDTH, HEIGHT, Fraction(25))) as writer:
        writer.write(Frame.from_pixels(np.zeros((HEIGHT, WIDTH, 3), np.uint8), number=1))
    job = ShotJob(STYLE, str(tmp_path / "a.mov"), str(tmp_path / "b.mov"), rate="24")
    with pytest.raises(UsageError, match=r"expected no frame rate for '.*a\.mov', which has its own; leave out --rate"):
        render_shot(job, FakePainter())
