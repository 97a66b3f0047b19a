"""What a hand's key is worth on a moving shot, beside the same key merely carried along chained optical flow.

Run as `python -m tests.bench.carried_keys PICTURE PICTURE PICTURE [SECONDS]`. The pictures become surfaces: a ball that
turns under a fixed light before a ground, the same with a camera in a hand, and two shapes that pass each other. A
painter whose strokes no filter makes paints each surface, so that the right painting of every frame is known. Frame 0
of 25 is the one key. SECONDS (180) are processor seconds of one thread. Figures are PSNR / SSIM / sharpness over the
truth's, and warp errors beside those of the truth itself.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import cv2
import numpy as np
import torch

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.flicker import warp_error
from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.keys_quality import KeysQuality
from impasto.core.media import open_reader
from impasto.core.metrics import psnr, sharpness_ratio
from impasto.core.optical_flow import optical_flow, warped
from impasto.core.params import Params
from impasto.training.data.keyframes import load_keyframes
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.objectives.keyframes import RECIPE, complete, hold_out, task_for
from impasto.training.recipe import recipe_from
from impasto.training.task import Schedule
from tests.bench.keyframes import ssim, store
from tests.bench.moving_scenes import SCENES, Surface, frame_of, in_key, surface_of

FRAMES = 25
JUDGED = (1, 2, 4, 8, 12, 16, 20, 24)
TEXTURE = (900, 600)


def main() -> None:
    """Measure every scene."""
    torch.set_num_threads(1)
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 180.0
    surfaces = [surface_of(texture(path), seed) for seed, path in enumerate(sys.argv[1:4])]
    for name in SCENES:
        measure(name, surfaces, seconds)


def texture(path: str) -> Samples:
    """The middle of a picture, scaled to fill `TEXTURE`."""
    with open_reader(path) as reader:
        picture = to_float(next(iter(reader)).colour)
    scale = max(TEXTURE[0] / picture.shape[1], TEXTURE[1] / picture.shape[0])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
    top, left = (large.shape[0] - TEXTURE[1]) // 2, (large.shape[1] - TEXTURE[0]) // 2
    return np.clip(large[top : top + TEXTURE[1], left : left + TEXTURE[0]], 0, 1).astype(np.float32)


def measure(name: str, surfaces: list[Surface], seconds: float) -> None:
    """Train on the key of one scene, paint it in each way, and print the figures."""
    scene, count = SCENES[name]
    times = [number / (FRAMES - 1) for number in range(FRAMES)]
    plates, truths = zip(*(frame_of(surfaces[:count], scene, at) for at in times), strict=True)
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        store(folder / "plates", dict(enumerate(plates)))
        store(folder / "keys", {0: truths[0]})
        recipe = recipe_from({"minutes": seconds / 60}, RECIPE)
        split = hold_out(load_keyframes(str(folder / "plates" / "f.####.png"), folder / "keys"), recipe.seed)
        path, label = folder / "style.safetensors", Label("bench")
        schedule = Schedule(folder / "run", preview_s=1e9, checkpoint_s=1e9)
        trained = run(task_for(split, recipe, path, label), recipe, schedule, clock=time.process_time)
        begun = time.process_time()
        notes = complete(trained, split, recipe, path, label, schedule.folder)
        print(f"{name}: {trained.steps} steps, keys made in {time.process_time() - begun:.0f} CPU s; {notes}")
        ways = {"carried along chained flow": along_flow(plates, truths[0])}
        ways["the network alone"] = painted_by(Engine(path, device="cpu"), plates, FrameSettings(Params(keys=0)))
        for quality in get_args(KeysQuality):
            engine = Engine(path, device="cpu")
            painted_by(engine, plates, FrameSettings(keys_quality=quality))  # prepares the keys
            begun = time.process_time()
            ways[quality] = painted_by(engine, plates, FrameSettings(keys_quality=quality))
            print(f"  {quality}: {(time.process_time() - begun) / FRAMES:.2f} CPU s a frame")
    hidden = [1 - float(in_key(scene, 0, times[number]).mean()) for number in JUDGED]
    print("  frame; share that the key does not show: ", *(f"{n} {s:.2f}" for n, s in zip(JUDGED, hidden, strict=True)))
    for way, frames in ways.items():
        pairs = [(frames[number], truths[number]) for number in JUDGED]
        told = [f"{psnr(*pair):.1f}/{ssim(*pair):.3f}/{sharpness_ratio(*pair):.2f}" for pair in pairs]
        print(f"  {way:26}", *told, f"warp error {warp_error(plates, frames):.2f}", flush=True)
    print(f"  warp error of the plates {warp_error(plates, plates):.2f}, of the truth {warp_error(plates, truths):.2f}")


def along_flow(plates: tuple[Samples, ...], key: Samples) -> list[Samples]:
    """The key carried along optical flow, chained from frame to frame, and nothing else."""
    flow, found = np.zeros((*key.shape[:2], 2), np.float32), [key]
    for before, frame in pairwise(plates):
        step = optical_flow(frame, before)
        flow = step + warped(flow, step)
        found.append(warped(key, flow))
    return found


def painted_by(engine: Engine, plates: tuple[Samples, ...], settings: FrameSettings) -> list[Samples]:
    """Plates in 8 bits through the engine, and back in [0, 1]."""
    frames = (Frame.from_pixels(np.rint(plate * 255).astype(np.uint8)) for plate in plates)
    return [to_float(engine(frame, settings).colour) for frame in frames]


if __name__ == "__main__":
    main()
