"""A network as CUDA graphs: its kernels launched with one call, for each shape of picture that comes again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.core.tiling import Maps

KEPT = 3
"""Graphs kept at once: each holds its activations. Whole frames of one shot and the tiles of another fit in."""

REMEMBERED = 64
"""Shapes of which it is known that they came, or that they cannot be captured."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    picture: Tensor
    maps: Maps


class Graphs:
    """A network that answers as it does, and from the second picture of a shape on by replaying a graph.

    The first of a shape runs plainly, so that an odd frame pays nothing. The maps of a replay lie in the
    graph's own memory: they hold until the next picture of that shape, on the same stream. Called from one
    thread at a time (`Lanes.order`). Only for CUDA; `record` is there for tests. Unmeasured on a GPU.
    """

    def __init__(
        self,
        net: Callable[[Tensor], Maps],
        *,
        record: Callable[[Callable[[Tensor], Maps], Tensor], _Recorded] | None = None,
    ) -> None:
        self._net = net
        self._record = record or _record
        self._recorded: OrderedDict[tuple[object, ...], _Recorded] = OrderedDict()
        self._seen: OrderedDict[tuple[object, ...], bool] = OrderedDict()
        """Shape -> whether a graph of it may be tried."""

    def __call__(self, picture: Tensor) -> Maps:
        """Gain and bias of a picture (1, C, H, W); see the class for how long they hold."""
        key = (tuple(picture.shape), picture.dtype)
        recorded = self._recorded.get(key) or self._new(key, picture)
        if recorded is None:
            return self._net(picture)
        self._recorded.move_to_end(key)
        recorded.picture.copy_(picture)
        recorded.graph.replay()
        return recorded.maps

    def forget(self) -> None:
        """Give the memory of every graph back: when the device runs short of it."""
        self._recorded.clear()

    def _new(self, key: tuple[object, ...], picture: Tensor) -> _Recorded | None:
        may_be_tried = self._seen.get(key)
        self._seen[key] = True if may_be_tried is None else may_be_tried
        self._seen.move_to_end(key)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        if not may_be_tried:
            return None
        # Before, not after: at no time do more than `KEPT` hold memory.
        while len(self._recorded) >= KEPT:
            self._recorded.popitem(last=False)
        try:
            recorded = self._record(self._net, picture)
        except torch.OutOfMemoryError:
            # Not the frame is too large but the frame beside its graph: the plain way may still fit.
            self._seen[key] = False
            self.forget()
        except RuntimeError:
            # A driver or a foreign network that cannot be captured: slower, and no reason to lose a frame.
            self._seen[key] = False
        else:
            self._recorded[key] = recorded
            return recorded
        torch.cuda.empty_cache()
        return None


def _record(net: Callable[[Tensor], Maps], picture: Tensor) -> _Recorded:
    """The graph of one shape, captured on the current stream while other threads go on using theirs."""
    lane = torch.cuda.current_stream(picture.device)
    static = picture.clone(memory_format=torch.preserve_format)
    for _ in range(2):  # cuDNN and cuBLAS make their handles and workspaces before anything is captured
        net(static)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=lane, capture_error_mode="thread_local"):
        maps = net(static)
    return _Recorded(graph, static, maps)
