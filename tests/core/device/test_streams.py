"""The order of work on the streams of a device, with fake streams; and how an engine on CUDA sets torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.core.device.determinism import be_deterministic
from impasto.core.device.streams import Streams, record_event, streams_of
from impasto.core.engine import Engine
from tests.core.device.test_working_picture import engine_on_device
from tests.plates import plate


@dataclass(eq=False)
class Stream:
    """A stream that records the calls on it."""

    name: str
    calls: list[str]
    kept: list[Tensor] = field(default_factory=list)

    def wait_event(self, event: Event) -> None:
        self.calls.append(f"{self.name} waits for {event.where}")


class Event:
    where = ""
    ticks = 0

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        Event.ticks += 1
        self.tick = Event.ticks

    def record(self, stream: Stream) -> None:
        self.where, self.calls = stream.name, stream.calls
        stream.calls.append(f"event on {stream.name}")

    def synchronize(self) -> None:
        self.calls.append(f"the host waits for {self.where}")

    def elapsed_time(self, later: Event) -> float:
        return 1000.0 * (later.tick - self.tick)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []

    @contextmanager
    def stream(stream: Stream) -> Iterator[None]:
        calls.append(f"on {stream.name}")
        yield

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: stream.kept.append(tensor))
    return calls


@pytest.fixture
def engine(calls: list[str]) -> Engine:
    engine = engine_on_device("identity")
    streams = Streams(*cast(Any, [Stream(name, calls) for name in ("upload", "compute", "download")]))
    engine._context = replace(engine._context, streams=streams)
    return engine


def test_upload_network_and_download_have_a_stream_each(engine: Engine, calls: list[str]) -> None:
    frame = plate(channels=4)
    result = engine.render(frame)
    np.testing.assert_array_equal(result.frame.part.pixels, frame.part.pixels)
    assert calls == [
        "on upload",
        "event on upload",
        "the host waits for upload",
        "on compute",
        "compute waits for upload",
        *["event on compute"] * 3,
        "on download",
        "download waits for compute",
        "event on download",
        "the host waits for download",
    ]
    assert result.report.seconds["network"] == 1
    assert result.report.seconds["after"] == 2


def test_memory_is_kept_until_the_stream_that_reads_it_is_done(engine: Engine) -> None:
    engine.render(plate(channels=4))
    compute, download = cast(Any, engine._context.streams.compute), cast(Any, engine._context.streams.download)
    assert len(compute.kept) == 9
    assert [tuple(tensor.shape) for tensor in download.kept] == [(40, 56, 4)]


def test_the_host_waits_for_what_reads_its_memory_even_when_the_upload_fails(
    engine: Engine, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr("impasto.core.device.frame_job.to_working", broken)
    with pytest.raises(ValueError, match="broken"):
        engine.render(plate())
    assert calls[-1] == "the host waits for upload"


def test_no_thread_holds_the_order_while_it_waits(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    order = engine._context.streams.order
    monkeypatch.setattr(Event, "synchronize", lambda event: None if not order.locked() else pytest.fail("held"))
    engine.render(plate())
    assert not order.locked()


def test_off_cuda_every_engine_has_an_order_of_its_own_and_events_are_clock_times() -> None:
    assert streams_of("cpu").order is not streams_of("cpu").order
    first = record_event(None)
    second = record_event(None)
    second.wait()
    assert 0 <= first.seconds_to(second) < 60


def test_an_engine_on_cuda_makes_torch_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    monkeypatch.setattr(cudnn, "benchmark", True)
    monkeypatch.setattr(cudnn, "deterministic", False)
    be_deterministic()
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32) == (False, True, False, False)
    assert not matmul.allow_fp16_reduced_precision_reduction
