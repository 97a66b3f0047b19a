"""A torch device: its styles, its facts, and the proof that it paints as it should."""

from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import torch

from impasto.core.device.choice import Precision, choose_device, choose_precision
from impasto.core.device.transfer import register
from impasto.core.engine import Engine
from impasto.core.errors import DeviceError, StyleError
from impasto.core.frame import Frame, Pixels
from impasto.core.style_file import Style, find_style, load_style
from impasto.server.frame_cache.keeping import Keeping
from impasto.server.frame_cache.painter import CachedPainter
from impasto.server.frame_cache.place import OFF, cache_choice
from impasto.server.frame_cache.program import machine_of
from impasto.server.frame_cache.store import FrameStore
from impasto.server.protocol.limits import NAME_BYTES
from impasto.server.protocol.messages import DeviceFacts, Done, RenderSettings
from impasto.server.protocol.text import cleaned
from impasto.server.protocol.worker_messages import Ready
from impasto.server.shots.job import tile_of
from impasto.server.worker.frames import paint_frame
from impasto.server.worker.memory_budget import MemoryBudget, Tile
from impasto.server.worker.painting_device import DeviceLost, FrameTask
from impasto.server.worker.style_cache import StyleCache
from impasto.server.worker.style_painter import StylePainter

CANARY_STYLES: Final = ("identity", "wheatfield-draft")
CANARY_TOLERANCE: Final = 8
"""In steps of 8 bits, between this device and the processor's float32."""


class TorchDevice:
    """Styles on one device. `cache_bytes` bounds their weights; by default a quarter of the device's memory.

    `frames` says what is done with painted frames, as `cache_choice` takes it.
    """

    def __init__(self, device: str, cache_bytes: int | None = None, frames: str = OFF) -> None:
        self._asked, self._cache_bytes, self._frames_asked = device, cache_bytes, frames
        self._memory = MemoryBudget()
        self._process = psutil.Process()

    def open(self) -> Ready:
        """Find the device and let it paint a test picture. DeviceError if it is not there, DeviceLost if it fails."""
        self._device = choose_device(self._asked)
        self._name, self._total = device_name(self._device), device_bytes(self._device)
        budget = self._cache_bytes or (self._total or psutil.virtual_memory().total) // 4
        choice = cache_choice(self._frames_asked, self._device)
        self._keeping = None if choice is None else Keeping(FrameStore(choice))
        self._styles = StyleCache(budget, load_style, self._engine, self._empty_cache)
        try:
            prove(self._device)
        except (DeviceError, RuntimeError) as error:
            raise DeviceLost(f"the device {self._device} does not paint as it should: {error}") from error
        return Ready(self.facts(busy=False), 2, others_than(self._device, self._asked, torch.cuda.device_count()))

    def facts(self, *, busy: bool) -> DeviceFacts:
        """Name, memory and cached styles."""
        used = 0
        if self._device.startswith("cuda"):
            used = int(torch.cuda.memory_reserved(self._device))
        precision = choose_precision("auto", self._device)
        of_eight_bits = choose_precision("auto", self._device, eight_bit=True)
        return DeviceFacts(
            self._device,
            self._name,
            "busy" if busy else "ready",
            os.getpid(),
            precision,  # type: ignore[arg-type]  # one of the three
            0,
            tuple(cleaned(name, NAME_BYTES) for name in self._styles.names()[-64:]),
            int(self._process.memory_info().rss),
            used,
            self._total,
            "" if of_eight_bits == precision else of_eight_bits,
        )

    def paint(self, task: FrameTask, check: Callable[[], None]) -> Done:
        """See `impasto.server.worker.frames.paint_frame`."""
        check()
        painter = self.painter(task.request.look, task.style_path)
        return paint_frame(task, painter, check)

    def painter(self, look: RenderSettings, style_path: str) -> StylePainter | CachedPainter:
        """The style of a look, loaded where it is not cached. StyleError where its digest is not the one asked for."""
        # The library has new files of its folders checked; of a file that a client named by its path it hears nothing.
        named_by_path = os.path.isabs(look.style)
        cached = self._styles.unwatched_style(style_path) if named_by_path else self._styles.style(style_path)
        digest = cached.style.card.weights_sha256
        if look.sha256 and look.sha256 != digest:
            raise StyleError(
                f"expected the style '{look.style}' with SHA-256 {look.sha256[:12]}…, got {digest[:12]}…; "
                "ask for the styles again"
            )
        precision: Precision = look.precision
        choose_precision(precision, self._device)
        painter = StylePainter(self._styles, cached, self._device, precision, tile_of(look.tile), self._memory)
        if self._keeping is None or not look.cache:
            return painter
        machine = machine_of(self._device, self._name)
        return CachedPainter(painter, self._keeping, machine, delivers=painter.delivers)

    def adopt(self, segment: mmap.mmap) -> Callable[[], None]:
        """Let the device copy frames straight out of the segment and into it, where it can."""
        return register(segment, device=self._device).close

    def check_style(self, path: str) -> str:
        """See `impasto.server.worker.style_cache.StyleCache.check`."""
        return self._styles.check(path)

    def _engine(self, style: Style, precision: Precision, tile: Tile) -> Engine:
        return Engine(style, device=self._device, precision=precision, tile=tile)

    def _empty_cache(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()


def others_than(device: str, asked: str, gpus: int) -> tuple[str, ...]:
    """The GPUs that are left when 'auto' became one of several; none where a device was asked for by name."""
    if asked != "auto" or not device.startswith("cuda"):
        return ()
    return tuple(name for name in (f"cuda:{index}" for index in range(gpus)) if name != device)


def prove(device: str) -> None:
    """Paint a test picture through the built-in styles; DeviceError where it does not come out as on the processor.

    An identity that gives its plate back proves the way to the device and back, a trained style the arithmetic.
    """
    plate = canary_picture()
    for name in CANARY_STYLES:
        style = load_style(find_style(name))
        painted = Engine(style, device=device)(Frame.from_pixels(plate)).part.pixels
        wanted = plate if name == "identity" else Engine(style, device="cpu")(Frame.from_pixels(plate)).part.pixels
        worst = int(np.abs(painted.astype(np.int16) - wanted.astype(np.int16)).max())
        if worst > CANARY_TOLERANCE:
            raise DeviceError(
                f"expected the test picture through '{name}' within {CANARY_TOLERANCE} of 255 on {device}, "
                f"it is off by {worst}; restart the machine, or use another device"
            )


def canary_picture() -> Pixels:
    """64 x 64 RGB, 8 bits: ramps across, down and round, every tone at least once."""
    x, y = np.meshgrid(np.linspace(0, 255, 64), np.linspace(0, 255, 64))
    around = 127.5 + 127.5 * np.sin(x / 16) * np.cos(y / 24)
    return np.stack((x, y, around), axis=2).round().astype(np.uint8)


def device_name(device: str) -> str:
    """What the device is called by its maker."""
    if device.startswith("cuda"):
        return cleaned(torch.cuda.get_device_name(device))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return cleaned(model or platform.processor() or platform.machine() or device)


def device_bytes(device: str) -> int:
    """Memory of the device, 0 where it is the processor's own."""
    if not device.startswith("cuda"):
        return 0
    return int(torch.cuda.get_device_properties(device).total_memory)
