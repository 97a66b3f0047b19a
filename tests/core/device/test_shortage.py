"""Too little memory is said as such, smaller tiles are tried, and the size that is named fits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.core.device.shortage import is_shortage
from impasto.core.engine import Engine
from impasto.core.errors import DeviceError, OutOfMemory
from impasto.core.frame import Frame

ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "199065600 bytes. Error code 12 (Cannot allocate memory)"
)
TEXTS = (ALLOCATOR, "could not create a primitive", "could not execute a primitive", "std::bad_alloc")


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), *map(RuntimeError, TEXTS)], ids=str
)
def test_every_way_to_say_it_is_known(error: Exception) -> None:
    assert is_shortage(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("could not create a primitive descriptor for a convolution forward propagation primitive"),
        RuntimeError("expected 4 channels"),
        ValueError("could not create a primitive"),
        cv2.error("some other error"),
    ],
    ids=str,
)
def test_other_errors_are_none(error: Exception) -> None:
    assert not is_shortage(error)


def frame(height: int, width: int) -> Frame:
    return Frame.from_pixels(np.random.default_rng(3).random((height, width, 3)).astype(np.float32))


def failing_above(engine: Engine, pixels: int, text: str) -> Callable[[Tensor], Any]:
    """The engine's network, which fails for pictures of more pixels."""
    net, cell = engine._net, engine.style.generator.config.shuffle**2

    def run(cells: Tensor) -> Any:
        if cell * cells.shape[2] * cells.shape[3] > pixels:
            raise RuntimeError(text)
        return net(cells)

    return run


@pytest.mark.parametrize("text", TEXTS[:2])
def test_smaller_tiles_are_tried_and_give_the_same_picture(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    plate = frame(600, 700)
    engine = Engine("wheatfield-draft", device="cpu", precision="float32")
    whole = engine.render(plate)
    monkeypatch.setattr(engine, "_net", failing_above(engine, 418 * 418, text))
    tiled = engine.render(plate)
    assert tiled.report.tile == 256
    assert "memory ran short" in tiled.report.notes[0]
    assert np.array_equal(tiled.frame.colour, whole.frame.colour)


@pytest.mark.parametrize("text", TEXTS[:2])
def test_where_no_tile_fits_the_size_that_would_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    engine = Engine("wheatfield-draft", device="cpu", precision="float32")
    monkeypatch.setattr(engine, "_net", failing_above(engine, 0, text))
    with pytest.raises(OutOfMemory, match=r"about \d\.\d megapixels would fit"):
        engine.render(frame(600, 700))


def test_another_error_of_the_network_is_the_device_s(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine("wheatfield-draft", device="cpu", precision="float32")
    monkeypatch.setattr(engine, "_net", failing_above(engine, 0, "could not create a primitive descriptor"))
    with pytest.raises(DeviceError, match="try --device cpu") as raised:
        engine.render(frame(64, 64))
    assert not isinstance(raised.value, OutOfMemory)


LIMITED = """
import json, re, resource, sys
import numpy as np
from impasto.core.engine import Engine
from impasto.core.errors import OutOfMemory
from impasto.core.frame import Frame

engine = Engine("wheatfield-draft", device="cpu", precision="float32")
def render(width, height):
    try:
        engine.render(Frame.from_pixels(np.full((height, width, 3), 0.5, np.float16)))
    except OutOfMemory as error:
        return str(error)
    return "painted"
render(64, 64)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 300_000_000,) * 2)
first = render(3840, 2160)
fits = float(re.search(r"about ([\\d.]+) megapixels", first)[1]) if "about" in first else 0
side = int((fits * 1e6) ** 0.5)
print(json.dumps([first, fits, render(side, side) if fits else ""]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on the address space is Linux's")
def test_under_a_limit_the_size_that_is_named_is_painted() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    first, fits, second = json.loads(done.stdout)
    assert re.search("3840x2160 on cpu, there is too little", first)
    assert 0.3 < fits < 8
    assert second == "painted"
