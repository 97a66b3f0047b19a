"""Too little memory, in whatever words a library says it, as one error that names the size that fits."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import cv2
import torch

from impasto.core.errors import OutOfMemory
from impasto.core.frame import Frame

BYTES_A_PIXEL = 76
"""What a frame takes from samples to samples in small tiles: measured for `impasto.server.worker.memory_budget`."""
SMALLEST_TILE_BYTES = 64 << 20
"""What the network takes for one of the smallest tiles, and the libraries besides."""
SPARE = 0.6
"""The part of the rest that a frame is advised to take: where memory ran out once, what is free lies in pieces."""
CLEARLY_LESS = 0.75
"""Of a size that did not fit, where the sum says that it should have: memory lies in pieces."""

# Of torch's allocator, and of oneDNN, which says the same of what it cannot do; that goes on with ' descriptor'.
_TEXTS = re.compile(
    r"DefaultCPUAllocator|could not (create|execute) a primitive(?! descriptor)|std::bad_alloc|MPS .* out of memory"
)

P = ParamSpec("P")
R = TypeVar("R")


class OnDevice(Protocol):
    """What runs on a device."""

    device: str


S = TypeVar("S", bound=OnDevice)


def is_shortage(error: BaseException) -> bool:
    """Whether an error of a library says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, cv2.error):
        return bool(error.code == cv2.Error.STS_NO_MEM)
    return isinstance(error, RuntimeError) and _TEXTS.search(str(error)) is not None


def says_shortage(render: Callable[Concatenate[S, Frame, P], R]) -> Callable[Concatenate[S, Frame, P], R]:
    """Make a method that renders a frame raise OutOfMemory, with the size that fits, in whatever words it is said."""

    @functools.wraps(render)
    def rendering(self: S, frame: Frame, /, *args: P.args, **options: P.kwargs) -> R:
        try:
            return render(self, frame, *args, **options)
        except OutOfMemory as error:
            where = str(error)
        except (MemoryError, RuntimeError, cv2.error) as error:
            if not is_shortage(error):
                raise
            where = f"expected memory for a frame of {frame.width}x{frame.height} on {self.device}, there is too little"
        # Outside the handlers: a traceback holds the frame's arrays, which would count as taken.
        raise OutOfMemory(f"{where}; {advice(frame.width, frame.height)}")

    return rendering


def advice(width: int, height: int) -> str:
    """What would fit in the place of a frame that did not, and what else to do."""
    pixels = width * height
    fits = min(CLEARLY_LESS * pixels, max(0, SPARE * (room_bytes() - SMALLEST_TILE_BYTES)) / BYTES_A_PIXEL)
    return f"about {fits / 1e6:.1f} megapixels would fit, or close other programs, or use a smaller style"


def room_bytes() -> int:
    """Bytes that this process may still take, by the machine and by its own limit; very many where both are unknown."""
    rooms = [sys.maxsize]
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            words = stream.read().split()
        rooms.append(int(words[words.index("MemAvailable:") + 1]) * 1024)
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform == "win32":
        return min(rooms)
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        try:
            with open("/proc/self/statm", encoding="ascii") as stream:
                rooms.append(max(0, limit - int(stream.read().split()[0]) * resource.getpagesize()))
        except (OSError, ValueError, IndexError):
            pass
    return min(rooms)
