"""The streams of a device: upload, compute and download beside each other, and the clock on them.

On the processor a lane is nothing and everything happens in its turn, so one text serves both.
Unmeasured on a GPU.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Lanes:
    """Three streams of one device, None off CUDA, shared by every engine of the process.

    Whoever puts work on `compute` holds `order` while doing so (not while waiting for it): results of a
    CUDA graph lie in one place and are read before the next frame writes there.
    """

    upload: torch.cuda.Stream | None = None
    compute: torch.cuda.Stream | None = None
    download: torch.cuda.Stream | None = None
    order: threading.Lock = field(default_factory=threading.Lock)


def lanes_of(device: str) -> Lanes:
    """The lanes of a device by its name: one set for each GPU and process, and none at all elsewhere."""
    return _cuda_lanes(device) if device.startswith("cuda") else Lanes()


@lru_cache(maxsize=64)
def _cuda_lanes(device: str) -> Lanes:
    return Lanes(torch.cuda.Stream(device), torch.cuda.Stream(device), torch.cuda.Stream(device))


def on(lane: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """What this thread does inside goes onto a lane, and new memory comes from its store."""
    return nullcontext() if lane is None else torch.cuda.stream(lane)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on a lane, or in this thread where there is none."""

    event: torch.cuda.Event | None
    at_s: float

    def wait(self) -> None:
        """Return when all that was on the lane by then is done."""
        if self.event is not None:
            self.event.synchronize()

    def seconds_to(self, later: Mark) -> float:
        """Time between two moments of one device that have both passed."""
        if self.event is not None and later.event is not None:
            return float(self.event.elapsed_time(later.event)) / 1000
        return later.at_s - self.at_s


def mark(lane: torch.cuda.Stream | None) -> Mark:
    """Now, on a lane."""
    if lane is None:
        return Mark(None, time.perf_counter())
    event = torch.cuda.Event(enable_timing=True)
    event.record(lane)
    return Mark(event, time.perf_counter())


def hand_over(tensors: Iterable[Tensor | None], when: Mark, taker: torch.cuda.Stream | None) -> None:
    """Let `taker` begin at a moment of another lane, and keep the memory until `taker` is done with it."""
    if when.event is None or taker is None:
        return
    taker.wait_event(when.event)
    for tensor in tensors:
        if tensor is not None:
            tensor.record_stream(taker)


def be_deterministic() -> None:
    """Make CUDA give the same pixels for the same frame, for the whole process; called where an engine takes a GPU.

    No algorithm is chosen by timing it, none that adds in an order of chance, no float32 in fewer bits
    (TF32) and no sum of halves in half. Settings of torch, not of an engine: who trains in the same
    process sets them again.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
