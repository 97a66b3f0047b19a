"""The way of a frame on a real GPU: same pixels, quick enough, memory flat. `pytest -m gpu -s` prints what it measures.

Nobody has run these yet: the figures in them are the project's targets, not measurements.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from impasto.core.device.cuda_graphs import CudaGraphs
from impasto.core.device.streams import on, streams_of
from impasto.core.device.transfer import direct_target, register
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Pixels
from impasto.core.frame_settings import FrameSettings
from impasto.core.generators.blocks import edge_padded
from impasto.core.generators.unet import SIZES, UNetConfig
from impasto.core.params import Params
from impasto.core.style_file import Style
from tests.core.device.test_working_picture import engine_on_device, matted
from tests.core.generators.test_unet import lively
from tests.core.test_engine import CARD, extremes
from tests.plates import plate

DEVICE = "cuda:0"
FRAMES = 200
TARGET_FPS = 60.0
FLAT_BYTES = 64 << 20

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True, scope="module")
def a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")


@pytest.fixture(scope="module")
def standard() -> Style:
    net = lively(SIZES["standard"])
    return Style(replace(CARD, halo=net.config.halo), net)


class Ring:
    """Two slots of 4K half RGBA, in and out, in one registered mapping."""

    shape = (2160, 3840, 4)

    def __init__(self) -> None:
        size = int(np.prod(self.shape)) * 2
        self.memory = mmap.mmap(-1, 4 * size)
        self.registered = register(self.memory, device=DEVICE)
        self.slots: list[Pixels] = [
            np.frombuffer(self.memory, np.float16, size // 2, index * size).reshape(self.shape) for index in range(4)
        ]
        for slot in self.slots[:2]:
            slot[...] = np.random.default_rng(1).random((1, *self.shape[1:]), np.float32)
            slot[..., 3] = 1


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    ring = Ring()
    yield ring
    ring.registered.close()


def test_float32_on_the_gpu_is_near_the_cpu() -> None:
    net = lively(UNetConfig(widths=(8, 16), blocks=(1, 1)))
    style = Style(replace(CARD, halo=net.config.halo), net)
    on_cpu, on_gpu = Engine(style, device="cpu"), Engine(style, device=DEVICE, precision="float32")
    for dtype in ("uint8", "uint16", "float16", "float32"):
        for params in (Params(), Params(strength=0.7, colour=0.4, detail=0.6, exposure=1), Params(stroke=2.0)):
            frame = replace(plate(64, 81, dtype=dtype), colour_space="sRGB")
            expected = on_cpu(frame, FrameSettings(params)).colour.astype(np.float64)
            ours = on_gpu(frame, FrameSettings(params)).colour.astype(np.float64)
            greatest = np.iinfo(dtype).max if dtype.startswith("uint") else 1
            np.testing.assert_allclose(ours / greatest, expected / greatest, rtol=2e-3, atol=5e-3)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_identity_returns_the_plate_bit_for_bit(dtype: str) -> None:
    identity = Engine("identity", device=DEVICE)
    for frame in (extremes(dtype), matted(dtype=dtype), plate(channels=4, dtype=dtype)):
        for _ in range(3):
            np.testing.assert_array_equal(identity(frame).part.pixels, frame.part.pixels)


def test_integers_pass_too() -> None:
    identity = Engine("identity", device=DEVICE)
    for dtype in ("uint8", "uint16"):
        frame = replace(plate(dtype=dtype, channels=4), colour_space="ACEScg")
        np.testing.assert_array_equal(identity(frame).part.pixels, frame.part.pixels)


def test_a_graph_gives_the_pixels_of_the_plain_network(standard: Style) -> None:
    engine = Engine(standard, device=DEVICE)
    frame = plate(270, 480, dtype="float16")
    first = engine(frame).part.pixels.copy()
    assert isinstance(engine._graphs, CudaGraphs)
    assert not engine._graphs._recorded
    second, third = engine(frame).part.pixels.copy(), engine(frame).part.pixels.copy()
    assert len(engine._graphs._recorded) == 1, "the shape could not be captured"
    np.testing.assert_array_equal(second, first)
    np.testing.assert_array_equal(third, first)


def test_edges_are_repeated_as_torch_repeats_them() -> None:
    for height, width in ((1, 1), (2, 3), (9, 17)):
        x = torch.rand(2, 8, height, width, device=DEVICE, dtype=torch.float16)
        expected = torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
        assert torch.equal(edge_padded(x), expected)


def test_registered_memory_is_pinned_and_used_both_ways(ring: Ring, standard: Style) -> None:
    assert ring.registered.pinned, ring.registered.refusal
    into = ring.slots[2]
    target = direct_target(into)
    assert target is not None
    assert target.is_pinned()
    engine = Engine(standard, device=DEVICE)
    read_only = ring.slots[0].view()
    read_only.flags.writeable = False
    through_ring = engine.render(Frame.from_pixels(read_only), into=into).frame.part.pixels
    assert through_ring is into
    plain = engine(Frame.from_pixels(ring.slots[0].copy())).part.pixels
    np.testing.assert_array_equal(into, plain)


def test_two_threads_get_the_pixels_of_one(standard: Style) -> None:
    engine = Engine(standard, device=DEVICE)
    frames = [plate(270, 480, dtype="float16", seed=seed) for seed in range(8)]
    alone = [engine(frame).part.pixels.copy() for frame in frames]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            together = list(threads.map(lambda frame: engine(frame).part.pixels.copy(), frames))
            for ours, expected in zip(together, alone, strict=True):
                np.testing.assert_array_equal(ours, expected)


def test_4k_half_frames_reach_the_target_and_memory_stays_flat(ring: Ring, standard: Style) -> None:
    engine = Engine(standard, device=DEVICE)

    def paint(index: int) -> dict[str, float]:
        slot = index % 2
        report = engine.render(Frame.from_pixels(ring.slots[slot]), into=ring.slots[2 + slot]).report
        return dict(report.seconds)

    def run(count: int) -> list[dict[str, float]]:
        # Two threads, and each slot is only ever used by one frame at a time.
        with ThreadPoolExecutor(2) as threads:
            halves = [threads.submit(lambda s=s: [paint(i) for i in range(s, count, 2)]) for s in range(2)]
            return [stage for half in halves for stage in half.result()]

    run(8)
    held, used = torch.cuda.memory_reserved(DEVICE), torch.cuda.memory_allocated(DEVICE)
    begun = time.perf_counter()
    stages = run(FRAMES)
    fps = FRAMES / (time.perf_counter() - begun)
    medians = {name: 1000 * float(np.median([stage[name] for stage in stages])) for name in stages[0]}
    name = torch.cuda.get_device_name(DEVICE)
    print(f"\n3840x2160 half RGBA, standard, float16, {name}: {fps:.1f} frames/s, medians in ms {medians}")
    assert torch.cuda.memory_reserved(DEVICE) - held <= FLAT_BYTES
    assert torch.cuda.memory_allocated(DEVICE) - used <= FLAT_BYTES
    if torch.cuda.get_device_properties(DEVICE).total_memory > 40 << 30:
        assert fps >= TARGET_FPS


def test_a_frame_too_large_for_the_device_is_painted_all_the_same(standard: Style) -> None:
    frame = plate(1080, 1920, dtype="float16")
    engine = Engine(standard, device=DEVICE)
    expected = engine(frame).part.pixels.copy()
    engine._graphs = None
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(DEVICE).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated(DEVICE) + (300 << 20)) / total, DEVICE)
    try:
        report = engine.render(frame)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, DEVICE)
    assert report.report.notes
    difference = np.abs(report.frame.part.pixels.astype(np.float32) - expected.astype(np.float32))
    assert np.nanmedian(difference) < 1e-3


def test_engines_share_the_three_streams_of_a_device() -> None:
    streams = streams_of(DEVICE)
    assert streams is streams_of(DEVICE)
    assert len({streams.upload, streams.compute, streams.download}) == 3
    with on(streams.compute):
        assert torch.cuda.current_stream() == streams.compute
    assert engine_on_device("identity")._context.streams.compute is None
