"""A worker without a network or torch, scripted by the name of the style, with which a whole server can be tried fast.

    python -m tests.server.fake_worker --fd N --device cpu      (or COMMAND, from any folder)

It speaks to the front as the real one does, through `impasto.server.worker.loop`; only what paints is another. The
style's name says what it does with each frame request, and with each frame of a shot job:

    echo            gives the plate back: one memcpy
    invert          gives the plate inverted: 255 - x, 65535 - x, 1 - x, every channel
    delay-50ms      echo after 50 ms (any number), with a cancel point every 5 ms
    slow-50ms       echo after 50 ms (any number) without a cancel point
    tiles-512       echo, with tile 512 (any number) and a note that memory ran short
    notes           echo, with a note
    fail            fails with StyleError
    oom             fails with OutOfMemory
    bug             raises what is no ImpastoError
    crash           kills its process (SIGKILL)
    crash-once      kills its process unless it did so before
    crash-twice     kills its process unless it did so twice
    crash-at-7      kills its process at frame 7 (any number), once
    crash-always-at-7   kills its process at frame 7 (any number), every time
    crash-written-3, crash-synced-3, crash-linked-3, crash-unlinked-3
                    a shot job kills its process at the third (any number) commit of a frame, once: before the
                    fsync, after it, with the final name there, with the temporary name gone
    hang            never answers, shows no progress and does not stop
    hang-once       hangs unless it did so before
    sticky          an error of the device: the process leaves with status 86
    sticky-once     the same unless it happened before
    garbage         writes into the link what is no message

Anything else is echo. What happened before is kept in a file: `NAME:PATH` as the style's name says which
('crash-once:/tmp/x/marker'); otherwise it is the style's path with '.NAME' behind it, which needs the folder to be
writable. `write_style(folder, name)` makes a file that the library takes for a style of that name.

`CheckStyle` succeeds for every file that is there unless its name begins with 'broken', and answers `SHA256`.
The style 'not-ready' as `--device` makes the worker fail before `Ready`.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from impasto.core.errors import DeviceError, OutOfMemory, StyleError
from impasto.server.protocol.messages import DeviceFacts, Done, Picture, RenderSettings
from impasto.server.protocol.worker_messages import Ready
from impasto.server.worker.__main__ import die_with_parent
from impasto.server.worker.loop import work
from impasto.server.worker.painting_device import DeviceLost, FrameTask
from impasto.server.worker_pipe import worker_end

if TYPE_CHECKING:
    from impasto.core.card import Card
    from impasto.core.engine import Rendered
    from impasto.core.frame import Frame

COMMAND = (sys.executable, str(Path(__file__).resolve()))
SHA256 = "f" * 64
COMMITS = ("written", "synced", "linked", "unlinked")

Check = Callable[[], None]


def write_style(folder: Path, name: str, *, sha256: str = SHA256) -> Path:
    """A file that holds the card of a style and no weights: enough for a library, nothing for an engine."""
    path = folder / f"{name}.safetensors"
    header = json.dumps({"__metadata__": {"card": fake_card(name, sha256).to_json()}}).encode()
    partial = folder / f".{name}.part"
    partial.write_bytes(struct.pack("<Q", len(header)) + header)
    partial.replace(path)
    return path


def fake_card(name: str, sha256: str = SHA256) -> Card:
    from impasto.core.card import Card

    return Card(
        name=name, title=name.title(), description="A fake.", generator="unet", config={}, size="draft", halo=72,
        stride=8, licence="CC0-1.0", weights_sha256=sha256, canary=(0.0, 0.0),
    )  # fmt: skip


@dataclass(frozen=True)
class Script:
    """What a style's name tells the worker to do."""

    word: str
    number: int
    marker: Path

    @classmethod
    @cache
    def of(cls, style: str, style_path: str) -> Script:
        name, _, marker = style.partition(":")
        name = Path(name).stem if name.endswith(".safetensors") else name
        number = next(
            (int(each.removesuffix("ms")) for each in name.split("-") if each.removesuffix("ms").isdigit()), 0
        )
        word = "-".join(each for each in name.split("-") if not each.removesuffix("ms").isdigit())
        return cls(word, number, Path(marker or f"{style_path}.{name}"))

    def act(self, frame: int, check: Check) -> None:
        """Everything but the pixels. May not return."""
        match self.word:
            case "delay":
                until = time.monotonic() + self.number / 1000
                while (left := until - time.monotonic()) > 0:
                    check()
                    time.sleep(min(left, 0.005))
            case "slow":
                time.sleep(self.number / 1000)
            case "fail":
                raise StyleError("expected a style that paints, got 'fail'; choose another")
            case "oom":
                raise OutOfMemory("expected memory for the frame, there is too little even in tiles of 256; use draft")
            case "bug":
                raise KeyError("a bug of the worker")
            case "crash":
                kill()
            case "crash-once" if self.first(1):
                kill()
            case "crash-twice" if self.first(2):
                kill()
            case "crash-at" if frame == self.number and self.first(1):
                kill()
            case "crash-always-at" if frame == self.number:
                kill()
            case "hang":
                hang()
            case "hang-once" if self.first(1):
                hang()
            case "sticky":
                raise DeviceLost("an illegal memory access was encountered")
            case "sticky-once" if self.first(1):
                raise DeviceLost("an illegal memory access was encountered")
        check()

    def first(self, times: int) -> bool:
        """Whether it happened fewer than this many times, counting this one. Kept on disk, over processes."""
        before = len(self.marker.read_bytes()) if self.marker.exists() else 0
        if before < times:
            with self.marker.open("ab") as file:
                file.write(b"x")
        return before < times


class FakeDevice:
    """A device that needs no time."""

    def __init__(self, device: str, link_file: int) -> None:
        self._device = device
        self._link_file = link_file
        self._warm: set[str] = set()

    def open(self) -> Ready:
        if self._device == "not-ready":
            raise DeviceError("expected a device among cpu, got 'not-ready'; use --device auto")
        others = ("cpu:1",) if self._device == "auto" else ()
        return Ready(self.facts(busy=False), 2, others)

    def facts(self, *, busy: bool) -> DeviceFacts:
        device = "cpu" if self._device == "auto" else self._device
        state = "busy" if busy else "ready"
        warm = tuple(sorted(self._warm))[:64]
        return DeviceFacts(device, "fake", state, os.getpid(), "float32", 0, warm, 1 << 20, 0, 0)

    def paint(self, task: FrameTask, check: Check) -> Done:
        begun = time.perf_counter()
        request, picture = task.request, task.request.picture
        script = Script.of(request.look.style, task.style_path)
        self._warm.add(script.word)
        if script.word == "garbage":
            os.write(self._link_file, b"\xff\xff\xff\x7fgarbage")
        script.act(request.frame, check)
        size = bytes_of(picture)
        whole = np.frombuffer(task.segment, np.uint8)
        source = whole[task.in_offset : task.in_offset + size]
        result = whole[task.out_offset : task.out_offset + size]
        if script.word == "invert":
            inverted(source.view(picture.dtype), result.view(picture.dtype))
        else:
            np.copyto(result, source)
        seconds = {"upload": 0.0, "before": 0.0, "network": time.perf_counter() - begun, "after": 0.0, "download": 0.0}
        tile = script.number if script.word == "tiles" else 0
        notes = (f"memory ran short on {self._device}: painted in tiles of {tile} pixels",) if tile else ()
        notes += ("a note of the fake",) * (script.word == "notes")
        return Done(request.id, seconds, 0, tile, notes, {"style": script.word, "style_sha256": SHA256})

    def painter(self, look: RenderSettings, style_path: str) -> FakePainter:
        script = Script.of(look.style, style_path)
        self._warm.add(script.word)
        if script.word.removeprefix("crash-") in COMMITS:
            kill_at_commit(script)
        return FakePainter(script, self._link_file)

    def adopt(self, segment: mmap.mmap) -> Check:
        return lambda: None

    def check_style(self, path: str) -> str:
        if Path(path).name.startswith("broken") or not Path(path).exists():
            raise StyleError(f"expected a sound style in '{path}', got a broken one; fetch the file again")
        self._warm.add(Path(path).stem)
        return SHA256


class FakePainter:
    """The painter of a shot job: the plate as it is, or inverted."""

    def precision_for(self, *, eight_bit: bool) -> str:
        return "float32"

    def __init__(self, script: Script, link_file: int) -> None:
        self._script, self._link_file = script, link_file
        self.style = FakeStyle(fake_card(script.word))

    def render(self, frame: Frame, settings: Any = None, *, cancelled: Check = lambda: None, **asked: Any) -> Rendered:
        from dataclasses import replace
        from types import SimpleNamespace

        if self._script.word == "garbage":
            os.write(self._link_file, b"\xff\xff\xff\x7fgarbage")
        self._script.act(frame.number, cancelled)
        if self._script.word == "invert":
            result = np.empty_like(frame.colour)
            inverted(frame.colour, result)
            frame = frame.with_colour(result)
        frame = replace(frame, provenance={"style": "fake", "style_sha256": SHA256, "precision": "float32"})
        seconds = {"before": 0.0, "network": 0.001, "after": 0.0}
        report = SimpleNamespace(invalid_pixels=0, seconds=seconds, tile=None, notes=(), cached=False)
        return SimpleNamespace(frame=frame, report=report)  # type: ignore[return-value]  # Rendered would load torch


@dataclass(frozen=True)
class FakeStyle:
    card: Card


def inverted(source: np.ndarray[Any, Any], result: np.ndarray[Any, Any]) -> None:
    top = np.iinfo(source.dtype).max if source.dtype.kind == "u" else 1
    np.subtract(source.dtype.type(top), source, out=result)


def bytes_of(picture: Picture) -> int:
    """Bytes from the first sample to the last."""
    row = picture.width * picture.channels * np.dtype(picture.dtype).itemsize
    return (picture.height - 1) * picture.row_stride + row


def kill_at_commit(script: Script) -> None:
    """Let this process die at one point of the n-th commit that it makes, once; see the names above."""
    from impasto.core.media import commit

    point = script.word.removeprefix("crash-")
    seen = {"commits": 0}
    sync, link, replace = commit._sync, os.link, os.replace

    def at(here: str) -> None:
        if here == point and seen["commits"] == script.number and script.first(1):
            kill()

    def counted_sync(path: str) -> None:
        if not os.path.isdir(path):
            seen["commits"] += 1
            at("written")
            sync(path)
            at("synced")
        else:
            at("unlinked")
            sync(path)

    def killing_link(source: str, final: str, **more: Any) -> None:
        link(source, final, **more)
        at("linked")

    def killing_replace(source: str, final: str, **more: Any) -> None:
        replace(source, final, **more)
        at("linked")

    commit._sync = counted_sync  # type: ignore[assignment]
    os.link, os.replace = killing_link, killing_replace  # type: ignore[assignment]


def kill() -> None:
    """End this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)
    hang()


def hang() -> None:
    while True:
        time.sleep(60)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    die_with_parent(asked.fd)
    link = worker_end(asked.fd)
    os._exit(work(link, FakeDevice(asked.device, asked.fd)))


if __name__ == "__main__":
    main()
