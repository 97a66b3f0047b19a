"""What waits for what, on streams of our own making; and what an engine on CUDA asks of torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.core.device.streams import Lanes, be_deterministic, lanes_of, mark
from impasto.core.engine import Engine
from tests.core.device.test_working_picture import engine_on_device
from tests.core.test_engine import plate


@dataclass(eq=False)
class Stream:
    """A stream that notes what is asked of it."""

    name: str
    diary: list[str]
    kept: list[Tensor] = field(default_factory=list)

    def wait_event(self, event: Event) -> None:
        self.diary.append(f"{self.name} waits for {event.where}")


class Event:
    where = ""
    ticks = 0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        Event.ticks += 1
        self.tick = Event.ticks

    def record(self, stream: Stream) -> None:
        self.where, self.diary = stream.name, stream.diary
        stream.diary.append(f"mark on {stream.name}")

    def synchronize(self) -> None:
        self.diary.append(f"the host waits for {self.where}")

    def elapsed_time(self, later: Event) -> float:
        return 1000.0 * (later.tick - self.tick)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    entries: list[str] = []

    @contextmanager
    def stream(lane: Stream) -> Iterator[None]:
        entries.append(f"on {lane.name}")
        yield

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, lane: lane.kept.append(tensor))
    return entries


@pytest.fixture
def engine(diary: list[str]) -> Engine:
    engine = engine_on_device("identity")
    lanes = Lanes(*cast(Any, [Stream(name, diary) for name in ("upload", "compute", "download")]))
    engine._easel = replace(engine._easel, lanes=lanes)
    return engine


def test_a_frame_goes_up_is_painted_and_comes_down_each_on_a_lane_of_its_own(engine: Engine, diary: list[str]) -> None:
    frame = plate(channels=4)
    result = engine.render(frame)
    np.testing.assert_array_equal(result.frame.part.pixels, frame.part.pixels)
    assert diary == [
        "on upload",
        "mark on upload",
        "the host waits for upload",
        "on compute",
        "compute waits for upload",
        *["mark on compute"] * 3,
        "on download",
        "download waits for compute",
        "mark on download",
        "the host waits for download",
    ]
    assert result.report.seconds["network"] == 1
    assert result.report.seconds["after"] == 2


def test_memory_is_kept_until_the_lane_that_reads_it_is_done(engine: Engine) -> None:
    engine.render(plate(channels=4))
    compute, download = cast(Any, engine._easel.lanes.compute), cast(Any, engine._easel.lanes.download)
    assert len(compute.kept) == 9
    assert [tuple(tensor.shape) for tensor in download.kept] == [(40, 56, 4)]


def test_the_host_waits_for_what_reads_its_memory_even_when_the_upload_fails(
    engine: Engine, diary: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr("impasto.core.device.frames.see", broken)
    with pytest.raises(ValueError, match="broken"):
        engine.render(plate())
    assert diary[-1] == "the host waits for upload"


def test_nobody_holds_the_order_of_the_lanes_while_waiting(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    order = engine._easel.lanes.order
    monkeypatch.setattr(Event, "synchronize", lambda event: None if not order.locked() else pytest.fail("held"))
    engine.render(plate())
    assert not order.locked()


def test_off_cuda_every_engine_has_an_order_of_its_own_and_marks_are_clock_times() -> None:
    assert lanes_of("cpu").order is not lanes_of("cpu").order
    first = mark(None)
    second = mark(None)
    second.wait()
    assert 0 <= first.seconds_to(second) < 60


def test_an_engine_on_cuda_makes_torch_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    monkeypatch.setattr(cudnn, "benchmark", True)
    monkeypatch.setattr(cudnn, "deterministic", False)
    be_deterministic()
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32) == (False, True, False, False)
    assert not matmul.allow_fp16_reduced_precision_reduction
