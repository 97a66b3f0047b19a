"""Recognises that memory ran out, in the words of each library, and raises one error that names the size that fits."""

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

BYTES_A_PIXEL = 100
"""Memory that a frame takes for each pixel when it is painted in small tiles: what
`impasto.server.worker.memory_budget` counts and a third more, with which the advised size was painted under limits of
280 to 350 MB."""
SMALLEST_TILE_BYTES = 64 << 20
"""Memory of the libraries, and of the network for one of the smallest tiles."""
SPARE = 0.6
"""The part of the free memory that the advised frame takes. The rest is a margin: free memory is in fragments."""
CLEARLY_LESS = 0.75
"""The advised size is at most this part of the size that did not fit, even where the sum says more would fit."""

# Of torch's allocator, of oneDNN, of C++ and of Metal. oneDNN uses the same words, followed by ' descriptor', for
# operations that it does not support.
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


def raises_out_of_memory(render: Callable[Concatenate[S, Frame, P], R]) -> Callable[Concatenate[S, Frame, P], R]:
    """Wrap a method that renders a frame: where a library says that memory ran out, it raises our OutOfMemory."""

    @functools.wraps(render)
    def rendering(self: S, frame: Frame, /, *args: P.args, **options: P.kwargs) -> R:
        room = own_room_bytes()
        try:
            return render(self, frame, *args, **options)
        except OutOfMemory as error:
            where = str(error)
        except (MemoryError, RuntimeError, cv2.error) as error:
            if not is_shortage(error):
                raise
            where = f"expected memory for a frame of {frame.width}x{frame.height} on {self.device}, there is too little"
        # Outside the handlers: a traceback holds the frame's arrays, which would count as taken.
        raise OutOfMemory(f"{where}; {advice(frame.width, frame.height, room)}")

    return rendering


def advice(width: int, height: int, own_room: int | None) -> str:
    """What would fit in the place of a frame that did not, and what else to do.

    `own_room` is what the process had left by its own limit before that frame: afterwards allocators keep what they
    took. None for no limit.
    """
    room = min(machine_room_bytes(), sys.maxsize if own_room is None else own_room)
    fits = min(CLEARLY_LESS * width * height, max(0, SPARE * (room - SMALLEST_TILE_BYTES)) / BYTES_A_PIXEL)
    size = f"about {fits / 1e6:.1f} megapixels would fit" if fits >= 5e4 else "no frame is sure to fit"
    return f"{size}, or close other programs, or use a smaller style"


def machine_room_bytes() -> int:
    """Bytes that the machine leaves; very many where that is not known."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            words = stream.read().split()
        return int(words[words.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        return sys.maxsize


def own_room_bytes() -> int:
    """Bytes that this process may still take by its own limit (`ulimit -v`); very many where there is none."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return max(0, limit - int(stream.read().split()[0]) * resource.getpagesize())
    except (OSError, ValueError, IndexError):
        return sys.maxsize
