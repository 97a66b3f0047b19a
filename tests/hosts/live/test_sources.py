"""Sources: cameras that go away, files in real time, sizes and turns that change, and what a screen shows of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
import pytest

from impasto.core.errors import UnreadableMedia, UsageError
from impasto.core.frame import AlphaKind, Attribute, Frame, Pixels
from impasto.core.media.orientation import NAME as ORIENTATION
from impasto.core.media.shot import ShotInfo
from impasto.hosts.live.clock import live_clock
from impasto.hosts.live.display import LARGEST, letterboxed, parse_size, to_picture
from impasto.hosts.live.intake import Intake
from impasto.hosts.live.movie_sound import MovieSound
from impasto.hosts.live.pace import Pace
from impasto.hosts.live.pictures import SOUND_RATE, SoundChunk
from impasto.hosts.live.sources import SourceThread, parse_source
from tests.waiting import until


class FakeReader:
    """A camera that gives these pictures and then is gone."""

    def __init__(self, pixels: list[Pixels], rate: Fraction | None = Fraction(30)) -> None:
        self.info = ShotInfo("camera:0", "stream", 1, None, pixels[0].shape[1], pixels[0].shape[0], rate)
        self.closed = 0
        self._pixels = pixels

    def __iter__(self) -> Iterator[Frame]:
        for number, each in enumerate(self._pixels, 1):
            yield Frame.from_pixels(each, alpha_kind=AlphaKind.NONE, number=number)

    def close(self) -> None:
        self.closed += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def picture(width: int, height: int, value: int = 90) -> Pixels:
    return np.full((height, width, 3), value, np.uint8)


def test_a_camera_that_is_unplugged_is_waited_for_and_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.hosts.live.sources.RETRY_S", 0.02)
    plugged = threading.Event()
    readers = [FakeReader([picture(64, 36)] * 3), FakeReader([picture(48, 48)] * 3)]
    opened: list[FakeReader] = []

    def open_reader(address: object, rate: object) -> FakeReader:
        if opened and not plugged.is_set():
            raise UnreadableMedia("expected a camera at 'camera:0', found none that gives pictures; plug it in")
        opened.append(readers[min(len(opened), 1)])
        return opened[-1]

    intake = Intake("camera:0", live_clock)
    source = SourceThread(parse_source("camera:0"), intake, LARGEST, open_reader=open_reader)
    source.start()
    until(lambda: "plug it in" in intake.problem)
    assert intake.problem.startswith("waiting for camera:0: ")
    plugged.set()
    until(lambda: intake.latest is not None and intake.latest.size == (48, 48))
    source.close()
    assert readers[0].closed >= 1


def test_a_camera_that_is_not_there_at_first_is_an_error() -> None:
    def refuse(address: object, rate: object) -> FakeReader:
        raise UnreadableMedia("expected a camera at 'camera:7', found none")

    with pytest.raises(UnreadableMedia, match="camera:7"):
        SourceThread(parse_source("camera:7"), Intake("camera:7", live_clock), LARGEST, open_reader=refuse)


def test_a_stream_may_come_later() -> None:
    def refuse(address: object, rate: object) -> FakeReader:
        raise UnreadableMedia("nobody sends")

    intake = Intake("udp://127.0.0.1:1", live_clock)
    source = SourceThread(parse_source("udp://127.0.0.1:1"), intake, LARGEST, open_reader=refuse)
    assert intake.problem == "waiting for udp://127.0.0.1:1"
    source.close()


def test_a_movie_comes_in_real_time_with_its_rate(repository: Path) -> None:
    intake = Intake("harbour", live_clock)
    times: list[float] = []
    put = intake.put
    intake.put = lambda pixels, taken_s=None, frame=0: (times.append(taken_s), put(pixels, taken_s))[1]  # type: ignore[method-assign,func-returns-value]
    source = SourceThread(parse_source(str(repository / "tests/media/harbour.mp4")), intake, (160, 90))
    begun = live_clock()
    source.start()
    until(lambda: intake.ended)
    source.close()
    assert intake.claimed_fps == 24
    assert live_clock() - begun >= intake.came / 24 - 0.05
    steps = np.diff(times)
    assert np.median(steps) == pytest.approx(1 / 24, abs=1e-6)  # by the timeline, not by when a thread woke
    assert intake.latest is not None
    assert intake.latest.size == (160, 90)


def test_pictures_of_a_folder_repeat_until_they_are_stopped(tmp_path: Path) -> None:
    import cv2

    for number in range(1, 4):
        cv2.imwrite(str(tmp_path / f"plate.{number:04}.png"), picture(32, 18, 10 * number))
    intake = Intake("plates", live_clock)
    source = SourceThread(parse_source(str(tmp_path), loop=True), intake, LARGEST, rate=Fraction(200))
    source.start()
    until(lambda: intake.came > 7)
    source.close()
    assert intake.error is None


def test_a_movie_begins_again_without_a_gap(tmp_path: Path) -> None:
    heard: list[SoundChunk] = []
    intake = Intake("clicks", live_clock, heard.append)
    times: list[float] = []
    put = intake.put
    intake.put = lambda pixels, taken_s=None, frame=0: (times.append(taken_s), put(pixels, taken_s))[1]  # type: ignore[method-assign,func-returns-value]
    movie = str(sounding_movie(tmp_path / "clicks.mkv", 0.6))
    source = SourceThread(parse_source(movie, loop=True), intake, LARGEST)
    source.start()
    until(lambda: intake.came > 35)
    source.close()
    assert np.median(np.diff(times)) == pytest.approx(1 / 25, abs=1e-6)
    begins = [chunk.at_s for chunk in heard]
    assert begins == sorted(begins)
    assert begins[-1] - begins[0] > 0.6  # the sound of the second round too


def test_a_damaged_file_ends_the_source_with_its_error(tmp_path: Path, repository: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((repository / "tests/media/harbour.mp4").read_bytes()[:20000])
    with pytest.raises(UnreadableMedia):
        SourceThread(parse_source(str(broken)), Intake("broken", live_clock), LARGEST)


def test_the_timeline_does_not_drift_and_does_not_hurry_after_a_pause() -> None:
    pace = Pace(100.0)
    dues = [pace.due(frame / 25, 100.0 + frame / 25 + 0.01 * (frame % 3)) for frame in range(2500)]
    assert dues[-1] == pytest.approx(100.0 + 2499 / 25)
    assert pace.due(100.0, 700.0) == 700.0  # asleep for ten minutes
    assert pace.due(100.04, 700.0) == pytest.approx(700.04)


def test_a_network_that_delivers_in_bursts_has_the_rate_of_its_source() -> None:
    intake = Intake("udp://", live_clock)
    for frame in range(60):
        intake.put(picture(4, 4), frame // 5 / 5 + frame % 5 * 0.002)
    assert intake.fps == pytest.approx(25, rel=0.2)


def test_a_rate_that_changes_is_noticed() -> None:
    intake = Intake("camera:0", live_clock)
    for frame in range(60):
        intake.put(picture(4, 4), frame / 30)
    assert intake.fps == pytest.approx(30)
    for frame in range(60):
        intake.put(picture(4, 4), 2 + frame / 15)
    assert intake.fps == pytest.approx(15)


@pytest.mark.parametrize(("text", "loop"), [("camera:0", True), ("browser", True), ("udp://1.2.3.4:5", True)])
def test_nothing_but_files_can_be_looped(text: str, loop: bool) -> None:
    with pytest.raises(UsageError, match="--loop"):
        parse_source(text, loop=loop)


# What a screen shows


def test_the_video_of_a_phone_stands_upright() -> None:
    lying = picture(64, 36)
    lying[:, :8] = 255
    frame = Frame.from_pixels(lying, alpha_kind=AlphaKind.NONE)
    turned = frame.part.__class__(
        frame.part.pixels, frame.part.channels, frame.part.formats, frame.part.data_window, frame.part.display_window,
        attributes={ORIENTATION: Attribute("int", 6)},
    )  # fmt: skip
    shown = to_picture(Frame((turned,), frame.layer), LARGEST)
    assert shown.shape == (64, 36, 3)
    assert (shown[:8] == 255).all()


def test_ten_bits_come_out_as_the_nearest_of_eight() -> None:
    codes = (np.arange(1024, dtype=np.uint32) * 65535 // 1023).astype(np.uint16)
    deep = np.repeat(codes.reshape(16, 64, 1), 3, axis=2)
    frame = Frame.from_pixels(deep, colour_space="rec709", alpha_kind=AlphaKind.NONE)
    shown = to_picture(frame, LARGEST).astype(int)
    assert np.abs(shown - np.rint(deep / 257)).max() <= 1


@pytest.mark.parametrize("space", ["pq2020", "hlg2020"])
def test_hdr_keeps_its_white_bright_and_the_shapes_of_its_lights(space: str) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 256).astype(np.uint16).reshape(4, 64, 1), 3, axis=2)
    shown = to_picture(Frame.from_pixels(ramp, colour_space=space, alpha_kind=AlphaKind.NONE), LARGEST)
    grey = shown.reshape(-1, 3)[:, 1].astype(int)
    assert (np.diff(grey) >= 0).all()
    code_of_white = {"pq2020": 0.58, "hlg2020": 0.75}[space]  # 203 nits, ITU-R BT.2408 table 1
    assert 220 <= grey[round(code_of_white * 255)] <= 250
    assert grey[-1] >= 254
    assert len(set(grey[grey > 200])) > 25  # nothing above white is one flat patch


def test_light_of_a_rendered_picture_is_encoded_for_the_screen() -> None:
    linear = np.full((4, 4, 3), 0.18, np.float32)
    assert to_picture(Frame.from_pixels(linear, alpha_kind=AlphaKind.NONE), LARGEST)[0, 0, 0] == 118


@pytest.mark.parametrize(
    ("size", "largest", "expected"),
    [((1280, 720), (640, 360), (640, 360)), ((720, 1280), (640, 360), (360, 640)), ((320, 180), (640, 360), (320, 180)),
     ((641, 359), (640, 360), (640, 358)), ((1001, 3), (640, 360), (640, 2))],
)  # fmt: skip
def test_sources_are_made_to_fit_and_never_larger(
    size: tuple[int, int], largest: tuple[int, int], expected: tuple[int, int]
) -> None:
    shown = to_picture(Frame.from_pixels(picture(*size), alpha_kind=AlphaKind.NONE), largest)
    assert (shown.shape[1], shown.shape[0]) == expected


def test_a_letterbox_keeps_the_shape_of_a_picture() -> None:
    boxed = letterboxed(picture(30, 60), (30, 60), (64, 36))
    lit = np.argwhere(boxed[..., 0] > 0)
    assert boxed.shape == (36, 64, 3)
    assert tuple(np.ptp(lit, axis=0) + 1) == (36, 18)


def test_a_small_painting_fills_what_its_plate_fills() -> None:
    assert (letterboxed(picture(120, 68), (320, 180), (320, 180)) > 0).all()


@pytest.mark.parametrize("text", ["640", "0x0", "large", "640x"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


# Sound


def sounding_movie(path: Path, seconds: float = 1.0, delay_s: float = 0.0) -> Path:
    """A grey movie with a click (one sample of full level) at each half second of the pictures' time."""
    rate = 44100
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        audio = output.add_stream("pcm_s16le", rate=rate, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 36, "yuv420p"
        for number in range(round(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(picture(64, 36), format="rgb24")
            frame.pts = number
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        samples = np.zeros((1, round(rate * (seconds - delay_s))), np.int16)
        for click in np.arange(0.5, seconds, 0.5):
            samples[0, round((click - delay_s) * rate)] = 32000
        sound = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, round(delay_s * rate), Fraction(1, rate)
        output.mux(audio.encode(sound))
        output.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("delay_s", [0.0, 0.2])
def test_sound_keeps_its_distance_to_the_pictures(tmp_path: Path, delay_s: float) -> None:
    with MovieSound(str(sounding_movie(tmp_path / "clicks.mkv", 1.2, delay_s))) as sound:
        chunks = list(sound.until(10.0))
    clicks = [
        chunk.at_s + int(at) / SOUND_RATE for chunk in chunks for at in np.flatnonzero(np.abs(chunk.samples[0]) > 0.3)
    ]
    assert clicks
    assert all(min(abs(click - 0.5), abs(click - 1.0)) < 0.002 for click in clicks)


def test_sound_goes_along_with_the_pictures_of_its_time(tmp_path: Path) -> None:
    heard: list[tuple[float, SoundChunk]] = []
    intake = Intake("clicks", live_clock, lambda chunk: heard.append((live_clock(), chunk)))
    source = SourceThread(parse_source(str(sounding_movie(tmp_path / "clicks.mkv"))), intake, LARGEST)
    assert source.has_sound
    source.start()
    until(lambda: intake.ended)
    source.close()
    assert sum(chunk.samples.shape[1] for _, chunk in heard) == pytest.approx(SOUND_RATE, abs=2000)
    assert all(chunk.at_s - now < 0.1 for now, chunk in heard)
