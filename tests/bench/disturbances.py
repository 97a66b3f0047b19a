"""How far a result moves when the plate is a little noisy, compressed or wrongly exposed.

    python -m tests.bench.disturbances --media DIR STYLE...

For each style, the PSNR of its result on a disturbed plate against its result on the clean plate, and in brackets that
of the disturbed plate itself: means over photographs that no built-in style was trained on, 640 pixels across, in 8
bits. An exposure error moves a result as far as its tone follows the plate's, which styles after paintings should.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from impasto.core.colour import decode, encode, to_float
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Samples
from impasto.core.metrics import psnr
from impasto.training.data.augmentation import through_jpeg
from impasto.training.data.teacher_plates import load_picture

Disturbance = Callable[[Samples, int], Samples]
"""A plate (H, W, 3), working space, and a seed, as the disturbed plate."""


def noised(plate: Samples, strength: float, seed: int) -> Samples:
    """White noise of this standard deviation in 1/255."""
    noise = np.random.default_rng(seed).normal(0, strength / 255, plate.shape)
    return np.asarray(np.clip(plate + noise, 0, 1), np.float32)


def as_jpeg(plate: Samples, quality: int) -> Samples:
    """Written as JPEG of this quality and read again."""
    stored = np.asarray(np.rint(np.clip(plate, 0, 1) * 255), np.uint8)
    return np.asarray(through_jpeg(stored, quality) / np.float32(255), np.float32)


def exposed(plate: Samples, stops: float) -> Samples:
    """Brighter by some stops of light, held at white."""
    return np.clip(encode(decode(plate) * np.float32(2**stops)), 0, 1)


DISTURBANCES: dict[str, Disturbance] = {
    "noise of 1/255": lambda plate, seed: noised(plate, 1, seed),
    "noise of 4/255": lambda plate, seed: noised(plate, 4, seed),
    "jpeg of quality 50": lambda plate, _: as_jpeg(plate, 50),
    "a third of a stop up": lambda plate, _: exposed(plate, 1 / 3),
    "a third of a stop down": lambda plate, _: exposed(plate, -1 / 3),
}
PICTURES = ("kodim04", "kodim07", "kodim14", "kodim21", "kodim23")
SIDE = 640


def main() -> None:
    """Print the figures of some styles."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("styles", nargs="+")
    arguments.add_argument("--media", type=Path, required=True)
    given = arguments.parse_args()
    plates = [load_picture(given.media / "photos" / f"{name}.png", SIDE) for name in PICTURES]
    for style in given.styles:
        print(style)
        for name, (result, plate) in steadiness(Engine(style, device="cpu"), plates).items():
            print(f"  {name:22} {result:.2f} dB ({plate:.2f})", flush=True)


def steadiness(engine: Engine, plates: Sequence[Samples]) -> dict[str, tuple[float, float]]:
    """Under each disturbance the mean PSNR of results to those on clean plates, and of the plates themselves."""
    clean = [painted_by(engine, plate) for plate in plates]
    figures = {}
    for name, disturb in DISTURBANCES.items():
        disturbed = [disturb(plate, seed) for seed, plate in enumerate(plates)]
        results = [psnr(painted_by(engine, plate), wanted) for plate, wanted in zip(disturbed, clean, strict=True)]
        inputs = [psnr(plate, wanted) for plate, wanted in zip(disturbed, plates, strict=True)]
        figures[name] = float(np.mean(results)), float(np.mean(inputs))
    return figures


def painted_by(engine: Engine, plate: Samples) -> Samples:
    """A plate in 8 bits through the engine, and back in [0, 1]."""
    stored = np.asarray(np.rint(np.clip(plate, 0, 1) * 255), np.uint8)
    return to_float(engine(Frame.from_pixels(stored, colour_space="sRGB")).colour)


if __name__ == "__main__":
    main()
