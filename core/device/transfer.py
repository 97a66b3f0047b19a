"""Transfer of samples between the host's memory and a device, with as few copies as the memory allows.

The device itself copies registered memory, straight out of a host's buffer or into it, while the processor does
something else. `register` registers a mapping with CUDA, once, for as long as it is mapped. All other memory goes
through pinned blocks, which torch pools. Off CUDA both are plain copies.
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
"""Bytes of a sample -> a type that every operation supports, for moves in which the values do not matter."""

WASTE = 1.25
"""Rows with gaps are copied with their gaps, in one piece, up to this multiple of the samples' bytes."""

_PORTABLE = 1
"""cudaHostRegisterPortable: pinned for every device of the process."""


class Registered:
    """A mapping that CUDA may read and write directly while this is open; a context manager.

    `pinned` is False where CUDA refused or there is no CUDA: the mapping still works, with one more
    copy each way. Close it after the last frame that uses it and before the memory is unmapped.
    """

    def __init__(self, buffer: Any, *, device: str, runtime: Any) -> None:
        self.pinned = False
        self.refusal = ""
        """Why CUDA refused, for the log; empty where it did not."""
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
        """Unregister the mapping; a second call does nothing. Raises DeviceError where CUDA cannot."""
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
    """Keeps the mapping alive, which torch does not."""


_TABLE: list[_Block] = []
"""Every registered block of this process: a few segments, one for each session."""
_TABLE_LOCK = threading.Lock()


def register(buffer: Any, *, device: str) -> Registered:
    """Register a writable, page-aligned mapping (an mmap, a ring's segment) with CUDA, in its whole length.

    This holds for every CUDA device of the process; for another `device` nothing is done. It takes about as long as
    one copy of the mapping: do it once per mapping, never per frame. A lack of memory that may be pinned does not
    raise: read `pinned`.
    """
    if not device.startswith("cuda"):
        return Registered(buffer, device=device, runtime=None)
    with torch.cuda.device(device):
        return Registered(buffer, device=device, runtime=torch.cuda.cudart())


def registered_bytes(start: int, count: int) -> Tensor | None:
    """The bytes from an address on if one registered mapping holds them, uint8 without a copy; else None."""
    with _TABLE_LOCK:
        for block in _TABLE:
            first = start - block.start
            if first >= 0 and first + count <= block.samples.numel():
                return block.samples[first : first + count]
    return None


def upload(pixels: Pixels, device: str) -> Tensor:
    """Samples (H, W, …) on a device, in their own type, on the current stream; the argument is not kept or written to.

    From registered memory, whatever its row stride and row order, the device copies by itself and the call returns
    before the copy is done: `pixels` must not change until the stream is done.
    """
    upright, bottom_up = _upright(pixels)
    raw = _direct_upload(upright, device)
    if raw is None:
        pinned = _pinned(upright.shape, DTYPES[pixels.dtype.name], device)
        np.copyto(pinned.numpy(), upright)
        raw = pinned.to(device, non_blocking=True)
    return flipped(raw) if bottom_up else raw


def direct_target(into: Pixels | None) -> Tensor | None:
    """`into` as a tensor that a device can write to directly, rows in order of their addresses; else None."""
    if into is None:
        return None
    upright, _ = _upright(into)
    if not upright.flags.c_contiguous or not upright.flags.writeable:
        return None
    host = registered_bytes(byte_bounds(upright)[0], upright.nbytes)
    # A tensor can be viewed as another type only from a whole sample on. Slots begin at pages, other memory may not.
    if host is None or host.storage_offset() % into.itemsize:
        return None
    return host.view(DTYPES[into.dtype.name]).view(upright.shape)


def download(raw: Tensor, into: Pixels | None) -> Callable[[], Pixels]:
    """Begin to copy a device's samples to the host on the current stream; call the result when the stream is done.

    The call returns the samples as an array: `into` itself, or a new array without it. The device writes to `into`
    directly if it is registered; otherwise the call copies.
    """
    target = direct_target(into)
    if into is not None and target is not None:
        target.copy_(flipped(raw) if is_bottom_up(into) else raw, non_blocking=True)
        return lambda: into
    host = _pinned(tuple(raw.shape), raw.dtype, str(raw.device)).copy_(raw, non_blocking=True)

    def finish() -> Pixels:
        samples: Pixels = host.numpy()
        if into is None:
            return samples
        np.copyto(into, samples, casting="no")
        return into

    return finish


def is_bottom_up(pixels: Pixels) -> bool:
    """Whether the last row of an array comes first in memory."""
    return pixels.strides[0] < 0


def flipped(raw: Tensor) -> Tensor:
    """The rows in reverse order. torch has no negative strides, and flips few types."""
    return raw.view(BITS[raw.element_size()]).flip(0).view(raw.dtype)


def _pinned(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Tensor:
    """A pinned block of torch's pool, which reuses blocks, but never one that a copy still uses."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.startswith("cuda"))


def _upright(pixels: Pixels) -> tuple[Pixels, bool]:
    return (pixels[::-1], True) if is_bottom_up(pixels) else (pixels, False)


def _direct_upload(pixels: Pixels, device: str) -> Tensor | None:
    size = pixels.itemsize
    if any(stride < 0 or stride % size for stride in pixels.strides):
        return None
    low, high = byte_bounds(pixels)
    if high - low > WASTE * pixels.nbytes:
        return None
    host = registered_bytes(low, high - low)
    if host is None:
        return None
    samples = host.to(device, non_blocking=True, copy=True).view(DTYPES[pixels.dtype.name])
    return samples.as_strided(pixels.shape, [stride // size for stride in pixels.strides])


def _forget_error(device: str) -> None:
    """Clear a failed call's error, which CUDA would otherwise report again at the next kernel."""
    with contextlib.suppress(RuntimeError):
        torch.zeros(1, device=device).add_(1)
