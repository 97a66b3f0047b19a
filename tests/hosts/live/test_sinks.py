"""Sinks against what reads them: files, streams over loopback to another process, a device that is a stand-in."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from impasto.core.errors import ImpastoError, OutputError, OutputExists, UsageError
from impasto.hosts.live.clock import live_clock
from impasto.hosts.live.pictures import SOUND_RATE, Picture, ShownPicture, SoundChunk, SourcePlate
from impasto.hosts.live.sinks import v4l2
from impasto.hosts.live.sinks.encoder import LiveEncoding
from impasto.hosts.live.sinks.movie_file import MovieFile
from impasto.hosts.live.sinks.network import srt_problem
from impasto.hosts.live.sinks.open import SinkOptions, open_sink
from impasto.hosts.live.sinks.sink import SinkThread
from tests.waiting import until

SILENT = LiveEncoding(Fraction(25), False, "ultrafast", 18, zero_latency=False)
SOUNDING = LiveEncoding(Fraction(25), True, "ultrafast", 18, zero_latency=False)
OPTIONS = SinkOptions(Fraction(25), False)


def shown(number: int, taken_s: float, *, size: tuple[int, int] = (64, 36), scale: float = 1.0, value: int = 128,
          mark: str = "") -> ShownPicture:  # fmt: skip
    plate = SourcePlate(number, np.zeros((size[1], size[0], 3), np.uint8), taken_s)
    painted = np.full((round(size[1] * scale), round(size[0] * scale), 3), value, np.uint8)
    return ShownPicture(plate, painted, mark)


def frames_of(path: Path) -> list[Picture]:
    with av.open(str(path)) as movie:
        return [frame.to_ndarray(format="rgb24") for frame in movie.decode(video=0)]


# A movie


def test_a_recording_has_its_name_once_it_is_finished_and_one_rate(tmp_path: Path) -> None:
    path = tmp_path / "take.mp4"
    movie = MovieFile(str(path), SILENT)
    for number in range(25):
        if number not in (7, 8, 9):  # the painter was busy
            movie.send(shown(number, 10 + number / 25 + 0.008 * (number % 3 - 1), value=8 * number))
    assert not path.exists()
    movie.close()
    frames = frames_of(path)
    values = [round(float(frame.mean())) for frame in frames]
    assert len(frames) == 25
    assert values == [pytest.approx(8 * (6 if number in (7, 8, 9) else number), abs=2) for number in range(25)]
    assert os.listdir(tmp_path) == ["take.mp4"]
    with av.open(str(path)) as opened:
        assert opened.streams.video[0].average_rate == 25


def test_other_sizes_come_into_the_size_of_the_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "take.mkv"
    movie = MovieFile(str(path), SILENT)
    movie.send(shown(1, 0.0, size=(65, 37)))
    movie.send(shown(2, 0.04, size=(65, 37), scale=0.5))
    movie.send(shown(3, 0.08, size=(40, 80), value=250))
    movie.close()
    frames = frames_of(path)
    assert {frame.shape for frame in frames} == {(36, 64, 3)}
    assert np.abs(frames[1].astype(int) - 128).max() <= 4
    assert frames[2][18, 32, 0] > 240
    assert frames[2][18, 2, 0] < 16  # beside a portrait it is black


def test_a_pause_of_hours_is_cut_out(tmp_path: Path) -> None:
    path = tmp_path / "take.mp4"
    movie = MovieFile(str(path), SILENT)
    movie.send(shown(1, 0.0))
    movie.send(shown(2, 7200.0))
    movie.send(shown(3, 7200.04))
    movie.close()
    assert len(frames_of(path)) == 3


def test_while_nothing_comes_the_last_picture_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "take.mp4"
    movie = MovieFile(str(path), SILENT)
    movie.send(shown(1, 100.0))
    for now in np.arange(100.25, 104.0, 0.25):
        movie.wait(float(now))
    movie.send(shown(2, 104.0, value=255))
    movie.close()
    frames = frames_of(path)
    assert len(frames) == 101
    assert [float(frames[at].mean()) for at in (99, 100)] == [pytest.approx(128, abs=3), pytest.approx(255, abs=3)]


def test_sound_is_where_its_pictures_are_however_late_they_are_painted(tmp_path: Path) -> None:
    path = tmp_path / "take.mkv"
    movie = MovieFile(str(path), SOUNDING)
    samples = np.zeros((2, SOUND_RATE // 25), np.float32)
    click = samples.copy()
    click[:, :48] = 0.9
    for number in range(60):
        at = 5 + number / 25
        movie.hear(SoundChunk(click if number == 30 else samples, at))
        if number >= 8 and number % 3 == 0:  # eight pictures old, and every third
            movie.send(shown(number - 8, at - 8 / 25, value=255 if number - 8 >= 30 else 0))
    movie.close()
    lit = next(at for at, frame in enumerate(frames_of(path)) if frame.mean() > 128)
    with av.open(str(path)) as opened:
        level = np.concatenate([frame.to_ndarray()[0] for frame in opened.decode(audio=0)])
    heard = int(np.argmax(np.abs(level) > 0.2)) / SOUND_RATE
    assert heard == pytest.approx(29 / 25, abs=0.03)  # the first picture that was painted is number 1
    assert lit == 30  # and the first lit one 31


def test_a_movie_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "take.mp4"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists):
        open_sink(str(path), OPTIONS)
    movie = open_sink(str(path), SinkOptions(Fraction(25), False, overwrite=True))
    movie.close()
    assert path.read_bytes() == b"mine"  # nothing came, nothing was replaced
    assert os.listdir(tmp_path) == ["take.mp4"]


@pytest.mark.parametrize(
    "address",
    [
        "painting.exr",
        "udp://127.0.0.1",
        "udp://:9",
        "http://127.0.0.1:9",
        "v4l2:/etc/passwd",
        "v4l2:video0",
        "take.webm",
    ],
)
def test_what_is_no_sink_is_refused(address: str) -> None:
    with pytest.raises(UsageError):
        open_sink(address, OPTIONS)


# Threads


class StubSink:
    """A sink that is slow, or fails."""

    name = "stub"

    def __init__(self, error: ImpastoError | None = None) -> None:
        self.got: list[int] = []
        self.closed_with: list[BaseException | None] = []
        self.error, self.go = error, threading.Event()

    def send(self, picture: ShownPicture) -> None:
        if self.error is not None:
            raise self.error
        self.go.wait(10)
        self.got.append(picture.plate.number)

    def hear(self, chunk: SoundChunk) -> None: ...

    def wait(self, now: float) -> None: ...

    def close(self, error: BaseException | None = None) -> None:
        self.closed_with.append(error)


def test_a_slow_sink_gets_the_newest_and_holds_up_nobody() -> None:
    sink = StubSink()
    thread = SinkThread(sink)
    begun = time.monotonic()
    thread.offer(shown(1, 0.0))
    time.sleep(0.05)
    for number in range(2, 50):
        thread.offer(shown(number, 0.0))
    assert time.monotonic() - begun < 5
    sink.go.set()
    until(lambda: len(sink.got) == 2)
    thread.close()
    assert sink.got == [1, 49]
    assert sink.closed_with == [None]


def test_a_sink_that_fails_is_closed_and_says_why() -> None:
    error = OutputError("expected somebody who takes it")
    sink = StubSink(error)
    thread = SinkThread(sink)
    thread.offer(shown(1, 0.0))
    until(lambda: not thread.wanted)
    thread.close()
    assert (thread.error, sink.closed_with) == (error, [error])


# Streams

RECEIVER = """
import json, sys
from impasto.core.errors import MediaError
from impasto.hosts.live.sources import open_source, parse_source
while True:
    try:
        reader = open_source(parse_source(sys.argv[1]))
        break
    except MediaError:
        pass
frames = iter(reader)
sizes = {(frame.width, frame.height) for _, frame in zip(range(40), frames)}
rate = float(reader.info.rate or 0)
print(json.dumps({"sizes": sorted(sizes), "sound": reader.info.movie.has_audio, "rate": rate}), flush=True)
"""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that reads a udp stream, and the address to send to."""
    address = f"udp://127.0.0.1:{free_port()}"
    process = subprocess.Popen([sys.executable, "-c", RECEIVER, address], stdout=subprocess.PIPE, text=True)
    yield address, process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_another_process_joins_a_stream_in_the_middle(receiver: tuple[str, subprocess.Popen[str]]) -> None:
    address, process = receiver
    sink = SinkThread(open_sink(address, SinkOptions(Fraction(25), True)))
    said: list[str] = []
    assert process.stdout is not None
    out = process.stdout
    listener = threading.Thread(target=lambda: said.extend(out))
    listener.start()
    silence = np.zeros((2, SOUND_RATE // 25), np.float32)
    picture = np.random.default_rng(1).integers(0, 255, (180, 320, 3), np.uint8)
    begun, number = live_clock(), 0
    while not said and live_clock() - begun < 40:
        number += 1
        due = begun + number / 25
        time.sleep(max(0.0, due - live_clock()))
        size = (320, 180) if number % 2 else (180, 320)  # a source that turns
        plate = SourcePlate(number, np.zeros((size[1], size[0], 3), np.uint8), due)
        sink.hear(SoundChunk(silence, due))
        sink.offer(ShownPicture(plate, picture if number % 2 else np.ascontiguousarray(picture.swapaxes(0, 1))))
    sink.close()
    listener.join(5)
    assert json.loads(said[0]) == {"sizes": [[320, 180]], "sound": True, "rate": 25.0}


def test_rtmp_that_nobody_takes_is_refused_with_a_sentence() -> None:
    sink = open_sink("rtmp://127.0.0.1:9/live/stream", OPTIONS)
    with pytest.raises(OutputError, match="start the receiver first"):
        sink.send(shown(1, 0.0))
    sink.close()


@pytest.mark.skipif(not srt_problem(), reason="an ffmpeg program with srt is here")
def test_srt_without_a_program_is_refused_with_what_to_do() -> None:
    with pytest.raises(OutputError, match="ffmpeg"):
        open_sink("srt://127.0.0.1:9", OPTIONS)


def test_srt_goes_through_a_program_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for ffmpeg that keeps what it is given."""
    program, kept = tmp_path / "ffmpeg", tmp_path / "kept.ts"
    protocols = "printf 'Input:\\n  file\\nOutput:\\n  file\\n  srt\\n'"
    program.write_text(f'#!/bin/sh\ncase "$*" in *-protocols*) {protocols};; *) cat > {kept};; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sink = open_sink("srt://127.0.0.1:9", OPTIONS)
    for number in range(30):
        sink.send(shown(number, number / 25))
    sink.close()
    assert len(frames_of(kept)) == 30


# A virtual camera


class FakeLoopback:
    """Answers the two calls as v4l2loopback does, and keeps what is written; raises for any other."""

    def __init__(self, *, size: tuple[int, int] | None = None, padding: int = 0, output: bool = True) -> None:
        self.size, self.padding, self.output = size, padding, output
        self.reader, self.writer = os.pipe()
        self.formats: list[tuple[int, ...]] = []

    def open_file(self, path: str, flags: int) -> int:
        assert path == "/dev/video9"
        assert flags == os.O_RDWR
        return self.writer

    def ioctl(self, file: int, request: int, argument: bytearray) -> None:
        assert file == self.writer
        if request == v4l2.VIDIOC_QUERYCAP:
            assert len(argument) == 104
            caps = 0x85200000 | (2 if self.output else 1)
            argument[:] = struct.pack(
                "=16s32s32s3I12x", b"v4l2 loopback", b"Dummy", b"platform", 6, caps | 1 << 31, caps
            )
        elif request == v4l2.VIDIOC_S_FMT:
            assert len(argument) == 208
            kind, width, height, pixels, field, _, _, *_ = struct.unpack("=I4x12I152x", argument)
            self.formats.append((kind, width, height, pixels, field))
            width, height = self.size or (width, height)
            row = 2 * width + self.padding
            struct.pack_into("=12I", argument, 8, width, height, pixels, field, row, row * height, 8, 0, 0, 0, 0, 0)
        else:
            raise AssertionError(f"an ioctl that a virtual camera does not need: {request:#x}")


def test_a_virtual_camera_gets_yuyv_of_the_size_that_the_driver_wants() -> None:
    device = FakeLoopback(size=(32, 16), padding=64)
    camera = v4l2.VirtualCamera("v4l2:/dev/video9", open_file=device.open_file, ioctl=device.ioctl)
    camera.send(shown(1, 0.0, size=(65, 33), value=200))
    written = os.read(device.reader, 1 << 20)
    camera.close()
    assert device.formats == [(2, 64, 33, int.from_bytes(b"YUYV", "little"), 1)]
    assert len(written) == (64 + 64) * 16
    rows = np.frombuffer(written, np.uint8).reshape(16, 128)[:, :64].reshape(16, 32, 2)
    back = cv2.cvtColor(np.ascontiguousarray(rows), cv2.COLOR_YUV2RGB_YUYV)
    assert np.abs(back[:, 2:-2].astype(int) - 200).max() <= 3


def test_a_device_that_takes_no_pictures_is_refused() -> None:
    device = FakeLoopback(output=False)
    with pytest.raises(OutputError, match="v4l2loopback"):
        v4l2.VirtualCamera("v4l2:/dev/video9", open_file=device.open_file, ioctl=device.ioctl)


def test_a_device_that_is_not_there_says_what_to_load() -> None:
    with pytest.raises(OutputError, match="modprobe v4l2loopback"):
        open_sink("v4l2:/dev/video99", OPTIONS)
