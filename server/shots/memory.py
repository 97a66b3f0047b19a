"""Sizes of a shot against what is allowed and what memory there is, before anything of that size is allocated."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from impasto.core.errors import DeviceError, MediaError, NoSpace, OutOfMemory, OutputError, UsageError
from impasto.core.frame_settings import FrameSettings
from impasto.server.free_memory import free_memory_bytes, own_memory_bytes

PAINTED_BYTES: Final = 64
"""A pixel of a frame while it is painted, without the network: see `impasto.server.worker.memory_budget`."""
RESIZED_BYTES: Final = 64
"""A pixel of a frame while it is resized: float32 colour and alpha, weighted, filtered, clipped and put back. Computed
from the arrays that `impasto.core.resize` holds at once for RGBA; it is a lower bound, so that no shot is refused that
fits."""
LITTLE_BYTES: Final = 64 << 20
"""What is left under a limit where a library failed for want of memory: 1 to 21 MB were seen."""


def require_size(settings: FrameSettings, width: int, height: int, most_pixels: int | None) -> None:
    """Raise UsageError where the plate, the resized plate or the result has more pixels than are allowed.

    None allows any number.
    """
    for what, (wide, high) in sizes_of(settings, width, height).items():
        if most_pixels is not None and wide * high > most_pixels:
            raise UsageError(
                f"expected at most {most_pixels / 1e6:.0f} megapixels as {what}, got {wide}x{high}; give a smaller "
                f"size, or render in parts"
            )


def require_memory(settings: FrameSettings, width: int, height: int, free: int | None = None) -> None:
    """Raise OutOfMemory where one frame of this size cannot fit into the memory that is free."""
    free = free_memory_bytes() if free is None else free
    need = frame_bytes(settings, width, height)
    if free is not None and need > free:
        raise OutOfMemory(
            f"expected about {need / 2**30:.1f} GiB of memory for a frame of {width}x{height} and its resizes, "
            f"{free / 2**30:.1f} GiB are free; give a smaller size, or close other programs"
        )


@contextmanager
def shortage_named(width: int, height: int) -> Iterator[None]:
    """Raise OutOfMemory, with the size that fits, for what fails in the block because memory ran out.

    Codecs and libraries of pictures seldom say that it did. Under a limit of this process (`ulimit -v`) it is seen by
    how little is left; an error that the system gives another reason for stays as it is.
    """
    room = own_memory_bytes()
    try:
        yield
        return
    except OutOfMemory:
        raise
    except (MemoryError, DeviceError, MediaError, OutputError) as error:
        if not _is_shortage(error):
            raise
        said = str(error).partition(";")[0]
    from impasto.core.device.shortage import advice

    # Outside the handler: a traceback holds the arrays of frames.
    said = f", got: {said}" if said else ""
    raise OutOfMemory(f"expected memory for a frame of {width}x{height}{said}; {advice(width, height, room)}")


def _is_shortage(error: BaseException) -> bool:
    """Whether an error of reading, painting or writing can be nothing but a want of memory."""
    if isinstance(error, MemoryError):
        return True
    left, reason = own_memory_bytes(), getattr(error.__cause__, "errno", None)
    stated = reason is not None and reason != errno.ENOMEM and reason in errno.errorcode
    return left is not None and left < LITTLE_BYTES and not stated and not isinstance(error, NoSpace)


def sizes_of(settings: FrameSettings, width: int, height: int) -> dict[str, tuple[int, int]]:
    """Width and height of a frame at each step, by what it is called there."""
    before, after = settings.before.resize, settings.after.resize
    sizes = {"the plate": (width, height)}
    size = (width, height)
    if before is not None:
        sizes["the resized plate"] = size = before.size_for(*size)
    if after is not None:
        sizes["the result"] = after.size_for(*size)
    return sizes


def frame_bytes(settings: FrameSettings, width: int, height: int) -> int:
    """About how much memory one frame takes, apart from the network."""
    sizes = sizes_of(settings, width, height)
    pixels = {what: wide * high for what, (wide, high) in sizes.items()}
    painted = PAINTED_BYTES * pixels.get("the resized plate", pixels["the plate"])
    return painted + resize_bytes(settings, width, height)


def resize_bytes(settings: FrameSettings, width: int, height: int) -> int:
    """About how much memory the resizes of a frame take beside its painting."""
    sizes = sizes_of(settings, width, height)
    return sum(RESIZED_BYTES * wide * high for what, (wide, high) in sizes.items() if what != "the plate")
