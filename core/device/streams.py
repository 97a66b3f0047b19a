"""The CUDA streams of a device, for upload, compute and download side by side, and timed events on them.

On the processor a stream is None and all work happens in order, so one text serves both.
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
class Streams:
    """Three streams of one device, None off CUDA, shared by every engine of the process.

    A thread holds `order` while it puts work on `compute`, not while it waits for that work: the results of a
    CUDA graph lie in one place and are read before the next frame writes there.
    """

    upload: torch.cuda.Stream | None = None
    compute: torch.cuda.Stream | None = None
    download: torch.cuda.Stream | None = None
    order: threading.Lock = field(default_factory=threading.Lock)


def streams_of(device: str) -> Streams:
    """The streams of a device by its name: one set for each GPU and process, and none off CUDA."""
    return _cuda_streams(device) if device.startswith("cuda") else Streams()


@lru_cache(maxsize=64)
def _cuda_streams(device: str) -> Streams:
    return Streams(torch.cuda.Stream(device), torch.cuda.Stream(device), torch.cuda.Stream(device))


def on(stream: torch.cuda.Stream | None) -> AbstractContextManager[object]:
    """A context in which this thread's work goes onto a stream, and new memory comes from its pool."""
    return nullcontext() if stream is None else torch.cuda.stream(stream)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A moment on a stream, or in this thread where there is no stream."""

    event: torch.cuda.Event | None
    at_s: float

    def wait(self) -> None:
        """Return when all work that was on the stream by then is done."""
        if self.event is not None:
            self.event.synchronize()

    def seconds_to(self, later: StreamEvent) -> float:
        """Time between two moments of one device that have both passed."""
        if self.event is not None and later.event is not None:
            return float(self.event.elapsed_time(later.event)) / 1000
        return later.at_s - self.at_s


def record_event(stream: torch.cuda.Stream | None) -> StreamEvent:
    """Now, on a stream."""
    if stream is None:
        return StreamEvent(None, time.perf_counter())
    event = torch.cuda.Event(enable_timing=True)
    event.record(stream)
    return StreamEvent(event, time.perf_counter())


def hand_to_stream(tensors: Iterable[Tensor | None], ready: StreamEvent, stream: torch.cuda.Stream | None) -> None:
    """Let a stream begin when tensors of another stream are ready, and keep their memory until it is done with them."""
    if ready.event is None or stream is None:
        return
    stream.wait_event(ready.event)
    for tensor in tensors:
        if tensor is not None:
            tensor.record_stream(stream)
