"""One frame through a device: upload, paint, download, while other frames are at other stages.

Two threads keep a GPU busy: while one's frame is in the network, the other's is uploaded or downloaded.
Unmeasured on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.core.device.streams import Streams, hand_to_stream, on, record_event
from impasto.core.device.transfer import download, upload
from impasto.core.device.working_picture import DeviceTransform, apply_maps, network_input, to_plate, to_working
from impasto.core.frame import Pixels, Samples
from impasto.core.params import Params

RunNetwork = Callable[[Tensor], tuple[Tensor, int | None]]
"""The picture (H, W, C) float32 -> its maps (H, W, 6) float32, and the tile that was used."""


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What painting any frame needs of a device: its name and streams, and the stride of the network."""

    device: str
    stride: int
    streams: Streams


@dataclass(frozen=True, slots=True)
class FrameJob:
    """One frame's samples and settings. `pixels` is the colour layer's part, `guides` are (H, W, n) float32."""

    pixels: Pixels
    transform: DeviceTransform
    params: Params
    guides: Samples | None = None
    matte: Samples | None = None
    into: Pixels | None = None


@dataclass(frozen=True, slots=True)
class DeviceResult:
    """The part's samples, painted (`FrameJob.into` itself where that is given), and what painting took."""

    pixels: Pixels
    invalid_pixels: int
    tile: int | None
    seconds: Mapping[str, float]


def paint(
    context: DeviceContext, job: FrameJob, run_network: RunNetwork, cancelled: Callable[[], None]
) -> DeviceResult:
    """Paint one frame, as `Engine.render` does in numpy; return when the result is in the host's memory.

    `cancelled` is called once more before anything is written to `FrameJob.into`. Whatever is raised, the device
    no longer uses the host's memory by then. Raises what torch, `run_network` and `cancelled` raise.
    """
    streams, params = context.streams, job.params
    started = time.perf_counter()
    with torch.inference_mode():
        with on(streams.upload):
            try:
                raw = upload(job.pixels, context.device)
                guides = None if job.guides is None else upload(job.guides, context.device).permute(2, 0, 1)
                matte = None if job.matte is None else upload(job.matte, context.device)[None]
                working = to_working(raw, job.transform, params.exposure)
            finally:
                uploaded = record_event(streams.upload)
                uploaded.wait()
        ready = time.perf_counter()
        with streams.order, on(streams.compute):
            hand_to_stream((*working.tensors(), guides, matte), uploaded, streams.compute)
            inputs, size = network_input(working, guides, params.stroke, context.stride)
            network_begun = record_event(streams.compute)
            maps, tile = run_network(inputs)
            network_done = record_event(streams.compute)
            result = to_plate(working, apply_maps(working, maps, size, params), params.strength, matte)
            computed = record_event(streams.compute)
        cancelled()
        with on(streams.download):
            hand_to_stream((result,), computed, streams.download)
            samples = download(result, job.into)
            downloaded = record_event(streams.download)
            downloaded.wait()
        pixels = samples()
    seconds = {
        "before": ready - started,
        "network": network_begun.seconds_to(network_done),
        "after": network_done.seconds_to(downloaded),
    }
    return DeviceResult(pixels, working.invalid_pixels, tile, seconds)
