"""One frame through a device: up, painted and down again, beside the frames before and behind it.

Two threads keep a GPU busy: while one's frame is in the network, the other's goes up or comes down.
Unmeasured on a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.core.device.streams import Lanes, hand_over, mark, on
from impasto.core.device.transfer import download, upload
from impasto.core.device.working_picture import Way, answer, asked, painted, see
from impasto.core.frame import Pixels, Samples
from impasto.core.params import Params
from impasto.core.tiling import Maps

Network = Callable[[Tensor], tuple[Maps, int | None]]
"""The network's input (1, C, H, W), of the device's type and channels last -> its maps, and the tile that was used."""


@dataclass(frozen=True, slots=True)
class Easel:
    """What a device needs to know to paint any frame: its name and lanes, the network's type and stride."""

    device: str
    dtype: torch.dtype
    stride: int
    lanes: Lanes


@dataclass(frozen=True, slots=True)
class Sitting:
    """One frame's samples and settings. `pixels` is the colour layer's part, `guides` are (H, W, n) float32."""

    pixels: Pixels
    way: Way
    params: Params
    guides: Samples | None = None
    matte: Samples | None = None
    into: Pixels | None = None


@dataclass(frozen=True, slots=True)
class Painted:
    """The part's samples, painted (`Sitting.into` itself where that is given), and what it took."""

    pixels: Pixels
    invalid_pixels: int
    tile: int | None
    seconds: Mapping[str, float]


def paint(easel: Easel, sitting: Sitting, network: Network, cancelled: Callable[[], None]) -> Painted:
    """Paint one frame, as `Engine.render` does by numpy; returns when the result is in the host's memory.

    `cancelled` is called once more before anything is written to `Sitting.into`. Whatever is raised, the
    host's memory is no longer used by then. Raises what torch, `network` and `cancelled` raise.
    """
    lanes, params = easel.lanes, sitting.params
    started = time.perf_counter()
    with torch.inference_mode():
        with on(lanes.upload):
            try:
                raw = upload(sitting.pixels, easel.device)
                guides = None if sitting.guides is None else upload(sitting.guides, easel.device).permute(2, 0, 1)
                matte = None if sitting.matte is None else upload(sitting.matte, easel.device)[None]
                seen = see(raw, sitting.way, params.exposure)
            finally:
                arrived = mark(lanes.upload)
                arrived.wait()
        ready = time.perf_counter()
        with lanes.order, on(lanes.compute):
            hand_over((*seen.tensors(), guides, matte), arrived, lanes.compute)
            inputs, size = asked(seen, guides, params.stroke, easel.stride)
            begun = mark(lanes.compute)
            maps, tile = network(inputs.to(easel.dtype, memory_format=torch.channels_last))
            done = mark(lanes.compute)
            result = answer(seen, painted(seen, maps, size, params), params.strength, matte)
            finished = mark(lanes.compute)
        cancelled()
        with on(lanes.download):
            hand_over((result,), finished, lanes.download)
            samples = download(result, sitting.into)
            delivered = mark(lanes.download)
            delivered.wait()
        pixels = samples()
    network_s = begun.seconds_to(done)
    after_s = done.seconds_to(delivered)
    return Painted(
        pixels, seen.invalid_pixels, tile, {"before": ready - started, "network": network_s, "after": after_s}
    )
