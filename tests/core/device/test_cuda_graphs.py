"""Which shapes become graphs, with recordings of our own making: no CUDA here."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from impasto.core.device.cuda_graphs import GRAPHS_KEPT, CudaGraphs, _Recorded
from impasto.core.generators.packed import PackedNetwork


def net(picture: Tensor) -> Tensor:
    return torch.cat((picture * 2, picture + 1), dim=1)


class Recorder:
    """Recordings that replay by computing again, and that count."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.recorded: list[tuple[int, ...]] = []
        self.replays = 0

    def __call__(self, net: PackedNetwork, picture: Tensor) -> _Recorded:
        self.recorded.append(tuple(picture.shape))
        if self.error is not None:
            raise self.error
        static = torch.empty_like(picture)
        maps = net(static)

        class Graph:
            @staticmethod
            def replay() -> None:
                self.replays += 1
                maps.copy_(net(static))

        return _Recorded(cast(Any, Graph()), static, maps)


def picture(side: int, value: float = 0.5) -> Tensor:
    return torch.full((1, 3, side, side), value)


def test_a_shape_is_recorded_when_it_comes_again_and_replayed_from_then_on() -> None:
    recorder = Recorder()
    graphs = CudaGraphs(net, record=recorder)
    for count, value in enumerate((0.1, 0.2, 0.3), 1):
        assert torch.equal(graphs(picture(8, value)), net(picture(8, value)))
        assert (len(recorder.recorded), recorder.replays) == (min(count, 2) - 1, count - 1)


def test_another_type_is_another_shape() -> None:
    recorder = Recorder()
    graphs = CudaGraphs(net, record=recorder)
    for dtype in (torch.float32, torch.float16, torch.float32, torch.float16):
        assert graphs(picture(8).to(dtype))[0].dtype == dtype
    assert len(recorder.recorded) == 2


def test_the_graph_that_was_not_used_for_longest_gives_way() -> None:
    recorder = Recorder()
    graphs = CudaGraphs(net, record=recorder)
    for side in range(8, 8 + GRAPHS_KEPT + 1):
        graphs(picture(side))
        graphs(picture(side))
        graphs(picture(8))
    assert len(graphs._recorded) == GRAPHS_KEPT
    assert recorder.recorded.count((1, 3, 8, 8)) == 1


@pytest.mark.parametrize("error", [RuntimeError("cannot be captured"), torch.OutOfMemoryError("too large")])
def test_what_cannot_be_recorded_runs_plainly_and_is_tried_once(error: Exception) -> None:
    recorder = Recorder(error)
    graphs = CudaGraphs(net, record=recorder)
    for _ in range(4):
        assert torch.equal(graphs(picture(8))[0], net(picture(8))[0])
    assert len(recorder.recorded) == 1


def test_cleared_graphs_are_recorded_again() -> None:
    recorder = Recorder()
    graphs = CudaGraphs(net, record=recorder)
    for _ in range(2):
        graphs(picture(8))
    graphs.clear()
    assert not graphs._recorded
    graphs(picture(8))
    assert len(recorder.recorded) == 2
