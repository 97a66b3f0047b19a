"""Samples between the host's memory and a device, with as few copies as the memory allows.

Memory that CUDA knows is copied by the device itself, straight out of a host's buffer or into it,
while the processor does something else. `register` makes a mapping known, once, for as long as it is mapped; all
other memory goes through pinned blocks, which torch keeps and hands out again. Off CUDA both are plain copies.
Unmeasured on a GPU.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.lib.array_utils import byte_bounds
from torch import Tensor

from impasto.core.errors import DeviceError
from impasto.core.frame import Pixels

DTYPES = {"uint8": torch.uint8, "uint16": torch.uint16, "float16": torch.float16, "float32": torch.float32}
"""numpy's names of the samples that a device takes as they are."""

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
"""Bytes of a sample -> a type that every operation knows, for moving samples whose values do not matter."""

WASTE = 1.25
"""Rows with gaps are copied with their gaps, in one piece, up to this many times the samples."""

_PORTABLE = 1
"""cudaHostRegisterPortable: pinned for every device of the process."""


class Registered:
    """A mapping that CUDA may read and write by itself while this is open; a context manager.

    `pinned` is False where CUDA refused or there is none: the mapping then works as before, with one
    copy more each way. Close it before the memory is unmapped, and after the last frame that uses it.
    """

    def __init__(self, buffer: Any, *, device: str, runtime: Any) -> None:
        self.pinned = False
        self.refusal = ""
        """Why it is not pinned, for the log; empty where it is, or where there is no CUDA."""
        self._device, self._runtime = device, runtime
        self._block: _Block | None = None
        view = memoryview(buffer)
        if runtime is None or view.nbytes == 0:
            return
        if view.readonly:
            self.refusal = "the mapping cannot be written to"
            return
        samples = torch.frombuffer(buffer, dtype=torch.uint8)
        code = int(runtime.cudaHostRegister(samples.data_ptr(), samples.numel(), _PORTABLE))
        if code:
            self.refusal = f"cudaHostRegister of {samples.numel()} bytes answered {code}"
            _forget_error(self._device)
            return
        self.pinned = True
        self._block = _Block(samples.data_ptr(), samples, view)
        with _TABLE_LOCK:
            _TABLE.append(self._block)

    def close(self) -> None:
        """Let CUDA forget the mapping; harmless when done twice. Raises DeviceError where CUDA cannot."""
        block, self._block = self._block, None
        if block is None:
            return
        with _TABLE_LOCK:
            _TABLE.remove(block)
        self.pinned = False
        code = int(self._runtime.cudaHostUnregister(block.start))
        block.view.release()
        if code:
            _forget_error(self._device)
            raise DeviceError(f"expected CUDA to let a mapping go, cudaHostUnregister answered {code}; start a worker")

    def __enter__(self) -> Registered:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    start: int
    samples: Tensor
    """Bytes of the whole mapping."""
    view: memoryview
    """Keeps the mapping from being unmapped, which torch does not."""


_TABLE: list[_Block] = []
"""What is registered in this process: a few segments, one for each session."""
_TABLE_LOCK = threading.Lock()


def register(buffer: Any, *, device: str) -> Registered:
    """Make a writable, page-aligned mapping (an mmap, a ring's segment) known to CUDA, in its whole length.

    Holds for every CUDA device of the process; where `device` is none of them, nothing is done. Slow, about as
    slow as one copy of the mapping: once per mapping, never per frame. Never raises for want of memory
    that may be pinned: ask `pinned`.
    """
    if not device.startswith("cuda"):
        return Registered(buffer, device=device, runtime=None)
    with torch.cuda.device(device):
        return Registered(buffer, device=device, runtime=torch.cuda.cudart())


def known_bytes(start: int, count: int) -> Tensor | None:
    """The bytes from an address on where they lie in one registered mapping, uint8 without a copy; else None."""
    with _TABLE_LOCK:
        for block in _TABLE:
            first = start - block.start
            if first >= 0 and first + count <= block.samples.numel():
                return block.samples[first : first + count]
    return None


def upload(pixels: Pixels, device: str) -> Tensor:
    """Samples (H, W, …) on a device, in their own type, on the current stream; the argument is not kept or written to.

    Out of registered memory, whatever its row stride and row order, no byte is touched by the
    processor, and the call returns before the copy is done: `pixels` must stay as they are until the stream is.
    """
    upright, bottom_up = _upright(pixels)
    raw = _straight_upload(upright, device)
    if raw is None:
        pinned = _pinned(upright.shape, DTYPES[pixels.dtype.name], device)
        np.copyto(pinned.numpy(), upright)
        raw = pinned.to(device, non_blocking=True)
    return turned(raw) if bottom_up else raw


def straight_target(into: Pixels | None) -> Tensor | None:
    """`into` as a tensor that a device writes to by itself, rows in order of their addresses; None where it cannot."""
    if into is None:
        return None
    upright, _ = _upright(into)
    if not upright.flags.c_contiguous or not upright.flags.writeable:
        return None
    host = known_bytes(byte_bounds(upright)[0], upright.nbytes)
    # A tensor is viewed as another type only from a whole sample on; slots begin at pages, but who knows.
    if host is None or host.storage_offset() % into.itemsize:
        return None
    return host.view(DTYPES[into.dtype.name]).view(upright.shape)


def download(raw: Tensor, into: Pixels | None) -> Callable[[], Pixels]:
    """Begin to copy a device's samples to the host on the current stream; call what is returned when that is done.

    That gives the samples as an array: `into` itself, which registered memory has got from the device
    directly and other memory gets now, or without it an array of its own.
    """
    target = straight_target(into)
    if into is not None and target is not None:
        target.copy_(turned(raw) if is_bottom_up(into) else raw, non_blocking=True)
        return lambda: into
    host = _pinned(tuple(raw.shape), raw.dtype, str(raw.device)).copy_(raw, non_blocking=True)

    def arrived() -> Pixels:
        samples: Pixels = host.numpy()
        if into is None:
            return samples
        np.copyto(into, samples, casting="no")
        return into

    return arrived


def is_bottom_up(pixels: Pixels) -> bool:
    """Whether the last row of an array comes first in memory."""
    return pixels.strides[0] < 0


def turned(raw: Tensor) -> Tensor:
    """Rows in the other order; torch has no negative strides, and flips of few types."""
    return raw.view(BITS[raw.element_size()]).flip(0).view(raw.dtype)


def _pinned(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Tensor:
    """A pinned block of torch's own store, which gives the same ones out again, never one that a copy still uses."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.startswith("cuda"))


def _upright(pixels: Pixels) -> tuple[Pixels, bool]:
    return (pixels[::-1], True) if is_bottom_up(pixels) else (pixels, False)


def _straight_upload(pixels: Pixels, device: str) -> Tensor | None:
    size = pixels.itemsize
    if any(stride < 0 or stride % size for stride in pixels.strides):
        return None
    low, high = byte_bounds(pixels)
    if high - low > WASTE * pixels.nbytes:
        return None
    host = known_bytes(low, high - low)
    if host is None:
        return None
    samples = host.to(device, non_blocking=True, copy=True).view(DTYPES[pixels.dtype.name])
    return samples.as_strided(pixels.shape, [stride // size for stride in pixels.strides])


def _forget_error(device: str) -> None:
    """Take a failed call's error out of the runtime: CUDA tells it again at the next kernel, to whoever asks first."""
    with contextlib.suppress(RuntimeError):
        torch.zeros(1, device=device).add_(1)
