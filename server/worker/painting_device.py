"""What a worker paints with: the device, the painter of a style, and a frame on its way through them."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from impasto.server.protocol.messages import DeviceFacts, Done, RenderSettings, Submit
from impasto.server.protocol.worker_messages import Ready

if TYPE_CHECKING:
    from impasto.server.shots.painter import Painter


class DeviceLost(Exception):
    """The device failed, and nothing that it answers from now on can be trusted."""


@dataclass(frozen=True, slots=True)
class FrameTask:
    """A frame request and the memory that its samples pass through."""

    request: Submit
    style_path: str
    segment: mmap.mmap
    in_offset: int
    out_offset: int


class PaintingDevice(Protocol):
    """A device with its styles. All but `open` may be called by several threads at once.

    What cannot be done is raised as an ImpastoError; DeviceLost ends the process.
    """

    def open(self) -> Ready:
        """Start the device and prove that it paints as it should. Called once, first."""
        ...

    def facts(self, *, busy: bool) -> DeviceFacts:
        """How the device is; never fails, and never waits for what is being painted."""
        ...

    def paint(self, task: FrameTask, check: Callable[[], None]) -> Done:
        """Paint a frame from in-slot to out-slot. `check` is called wherever the work may be left, and raises."""
        ...

    def painter(self, look: RenderSettings, style_path: str) -> Painter:
        """What paints the frames of a shot job."""
        ...

    def adopt(self, segment: mmap.mmap) -> Callable[[], None]:
        """Make a segment known to the device; what is returned undoes it, and is called when no frame uses it."""
        ...

    def check_style(self, path: str) -> str:
        """Load a style file and put it in the place of the one that was at this path; the SHA-256 of its weights."""
        ...
