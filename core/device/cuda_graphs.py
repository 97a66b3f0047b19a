"""A network as CUDA graphs: for each shape of picture that comes again, one call launches all kernels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.core.generators.packed import PackedNetwork

GRAPHS_KEPT = 3
"""Graphs kept at once. Each holds its activations; whole frames of one shot and the tiles of another fit in."""

SHAPES_KEPT = 64
"""Shapes that are remembered as seen, or as impossible to capture."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    picture: Tensor
    maps: Tensor


class CudaGraphs:
    """A network with the same results, which replays a graph from the second picture of a shape on.

    The first picture of a shape runs without a graph, so that an odd frame pays nothing. The maps of a replay lie in
    the graph's own memory: they are valid until the next picture of that shape, on the same stream. One thread at a
    time may call it (`Streams.order`). Only for CUDA; `record` is for tests. Unmeasured on a GPU.
    """

    def __init__(
        self,
        net: PackedNetwork,
        *,
        record: Callable[[PackedNetwork, Tensor], _Recorded] | None = None,
    ) -> None:
        self._net = net
        self._record = record or _record
        self._recorded: OrderedDict[tuple[object, ...], _Recorded] = OrderedDict()
        self._seen: OrderedDict[tuple[object, ...], bool] = OrderedDict()
        """Shape -> whether its graph may be captured."""

    def __call__(self, picture: Tensor) -> Tensor:
        """The maps of a picture in cells (1, C, h, w); see the class for how long they are valid."""
        key = (tuple(picture.shape), picture.dtype)
        recorded = self._recorded.get(key) or self._new(key, picture)
        if recorded is None:
            return self._net(picture)
        self._recorded.move_to_end(key)
        recorded.picture.copy_(picture)
        recorded.graph.replay()
        return recorded.maps

    def clear(self) -> None:
        """Free the memory of every graph; for when the device runs short of it."""
        self._recorded.clear()

    def _new(self, key: tuple[object, ...], picture: Tensor) -> _Recorded | None:
        may_capture = self._seen.get(key)
        self._seen[key] = True if may_capture is None else may_capture
        self._seen.move_to_end(key)
        if len(self._seen) > SHAPES_KEPT:
            self._seen.popitem(last=False)
        if not may_capture:
            return None
        # Drop one before the capture, not after: at no time do more than `GRAPHS_KEPT` hold memory.
        while len(self._recorded) >= GRAPHS_KEPT:
            self._recorded.popitem(last=False)
        try:
            recorded = self._record(self._net, picture)
        except torch.OutOfMemoryError:
            # The frame does not fit beside its graph; without a graph it may still fit.
            self._seen[key] = False
            self.clear()
        except RuntimeError:
            # The driver or a foreign network cannot be captured: that is slower, and no reason to lose a frame.
            self._seen[key] = False
        else:
            self._recorded[key] = recorded
            return recorded
        torch.cuda.empty_cache()
        return None


def _record(net: PackedNetwork, picture: Tensor) -> _Recorded:
    """The graph of one shape, captured on the current stream while other threads go on using theirs."""
    stream = torch.cuda.current_stream(picture.device)
    static = picture.clone(memory_format=torch.preserve_format)
    for _ in range(2):  # cuDNN and cuBLAS make their handles and workspaces before anything is captured
        net(static)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
        maps = net(static)
    return _Recorded(graph, static, maps)
