"""What a renderer's motion vectors are worth to painted keys: the same style, its keys followed by flow and by vectors.

Run as `python -m tests.bench.motion [STEPS]`. Flat cards, 640x360, turn and slide over a ground that pans; their paint
sticks to them, so that the truth is known everywhere, and shows nothing of the plates' own texture, which is next to
none in one run and plain to see in another. Frames 6 and 18 of 24 are the keys, painted; all other frames are judged,
against the paint that they should bear.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from impasto.core.colour import to_float
from impasto.core.engine import Engine
from impasto.core.frame import Frame, Samples
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.core.metrics import psnr
from impasto.core.params import Params
from impasto.core.style_file import Style, load_style
from impasto.server.protocol.messages import RenderSettings, ShotJob
from impasto.server.shots.render import render_shot
from impasto.training.data.keyframes import load_keyframes
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for
from impasto.training.recipe import recipe_from
from impasto.training.task import Schedule
from tests.bench.keyframes import ssim
from tests.core.media.builders import write_layers

HEIGHT, WIDTH = 360, 640
FRAMES = 24
TEXTURES = {"flat": 0.0, "textured": 0.5}
"""Name of a scene -> how much texture its plates have, as a share of that of the paint."""
KEYS = (6, 18)
CARDS = ((0.62, 0.40, 0.30), (0.30, 0.52, 0.42), (0.34, 0.40, 0.62), (0.60, 0.56, 0.34))
"""The colours of the cards, from the farthest to the nearest."""


def main() -> None:
    """Measure every scene."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    for name, seen in TEXTURES.items():
        print(f"{name} plates, {steps} steps")
        measure(steps, seen)


def measure(steps: int, seen: float) -> None:
    """Train on the keys of one scene, paint it in each way, and print the figures."""
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        truths = store(folder, seen)
        recipe = recipe_from({"steps": steps, "minutes": 0.0}, RECIPE)
        split = hold_out(load_keyframes(str(folder / "plate.####.png"), folder / "keys"), recipe.seed)
        path = folder / "hero.safetensors"
        run(task_for(split, recipe, path, Label("bench")), recipe, Schedule(folder / "run", 1e9, 1e9))
        style = load_style(path)
        assert style.card.keys is not None
        print(f"follow {style.card.keys.follow}, noise {style.card.keys.noise:.1f}")
        vectors = str(folder / "vector.####.exr")
        figures(folder, style, "the network alone", Params(keys=0), None, truths)
        figures(folder, style, "keys by optical flow", Params(), "", truths)
        figures(folder, style, "keys by motion vectors", Params(), vectors, truths)


def figures(folder: Path, style: Style, name: str, params: Params, motion: str, truths: dict[int, Samples]) -> None:
    """Paint the shot, and say how near its frames come to their truth, all and those far from a key."""
    job = ShotJob(
        RenderSettings(style.card.name, params=params.as_dict()),
        str(folder / "plate.####.png"),
        str(folder / "out.####.png"),
        motion=motion,
        overwrite=True,
    )
    begun = time.process_time()
    render_shot(job, Engine(style, device="cpu"))
    spent = time.process_time() - begun
    found: dict[int, tuple[float, float]] = {}
    with open_reader(job.output) as reader:
        for frame in reader:
            result = to_float(frame.colour)
            found[frame.number] = psnr(result, truths[frame.number]), ssim(result, truths[frame.number])
    told = []
    for nearest, farthest in ((1, 2), (3, 99)):
        judged = [found[n] for n in found if nearest <= min(abs(n - key) for key in KEYS) <= farthest]
        told.append("{:.2f} dB / {:.3f}".format(*np.mean(judged, axis=0)))
    print(f"{name:24} 1-2 frames from a key {told[0]}, farther {told[1]}, {spent:.0f} CPU s", flush=True)


def store(folder: Path, seen: float) -> dict[int, Samples]:
    """Plates, vectors and painted keys as files; every frame's paint. `seen` is how much texture the plates have."""
    truths = {}
    for number in range(1, FRAMES + 1):
        plate, paint = picture(number, seen)
        truths[number] = paint
        for path, each in ((folder / "plate.####.png", plate), (folder / "keys" / "key.####.png", paint)):
            if each is plate or number in KEYS:
                with open_writer(str(path), ShotInfo("", "sequence", number, 1, WIDTH, HEIGHT)) as writer:
                    writer.write(Frame.from_pixels(np.rint(each * 255).astype(np.uint8), number=number))
        layers = {}
        for name, other in (("forward", number + 1), ("backward", number - 1)):
            x, y = motion(number, other)
            layers |= {f"{name}.u": x, f"{name}.v": -y}
        write_layers(folder / f"vector.{number:04}.exr", layers)
    return truths


def placed(card: int, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Where a card's own coordinates are in a frame: a matrix (2, 3). Card -1 is the ground."""
    time_s = (number - 1) / FRAMES
    if card < 0:
        return np.array([[1, 0, 96 * time_s], [0, 1, 14 * np.sin(5 * time_s)]])
    phase = 2 * np.pi * (card / len(CARDS) + (0.7 + 0.12 * card) * time_s * (-1) ** card)
    angle = 1.1 * np.sin(phase) + card
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([[WIDTH / 2 + 190 * np.cos(phase)], [HEIGHT / 2 + 80 * np.sin(2 * phase + 1)]])
    return np.concatenate((turn, centre), axis=1)


def own(card: int, number: int) -> tuple[Samples, Samples]:
    """The card's coordinates of every pixel of a frame."""
    matrix = placed(card, number)
    y, x = np.mgrid[:HEIGHT, :WIDTH] - matrix[:, 2][::-1, None, None]
    u, v = (matrix[:, :2].T @ np.stack((x, y)).reshape(2, -1)).reshape(2, HEIGHT, WIDTH)
    return u.astype(np.float32), v.astype(np.float32)


def which(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The card that each pixel of a frame shows."""
    seen = np.full((HEIGHT, WIDTH), -1)
    for card in range(len(CARDS)):
        u, v = own(card, number)
        seen[(np.abs(u) < 100) & (np.abs(v) < 62)] = card
    return seen


def picture(number: int, textured: float) -> tuple[Samples, Samples]:
    """The plate of a frame and its paint, (H, W, 3) in [0, 1]."""
    seen = which(number)
    plate, paint = (np.zeros((HEIGHT, WIDTH, 3), np.float32) for _ in range(2))
    for card in range(-1, len(CARDS)):
        u, v = own(card, number)
        base = np.array((0.46, 0.44, 0.42) if card < 0 else CARDS[card], np.float32)
        shade = 1 + 0.06 * np.sin(u / 90 + card)[..., None] + 0.04 * np.sin(v / 60)[..., None]
        size = 1024
        there = np.stack(((u + 0.5 * size) % size, (v + 0.5 * size) % size))
        strokes = cv2.remap(texture(card, size), *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        where = seen == card
        surface = cv2.remap(texture(card + 50, size), *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        plate[where] = (base * shade + textured * surface)[where]
        paint[where] = np.clip(base[::-1] * shade + strokes, 0, 1)[where]
    grain = 0.004 * np.random.default_rng(number).standard_normal((HEIGHT, WIDTH, 1))
    return np.asarray(np.clip(plate + grain, 0, 1), np.float32), paint


def texture(card: int, size: int) -> Samples:
    """Brush strokes of a card, of chance and of their own direction: (size, size, 3) around 0."""
    noise = np.random.default_rng(10 + card).standard_normal((size, size, 3)).astype(np.float32)
    stroke = np.pad(np.ones((3, 25), np.float32), ((13, 13), (2, 2)))
    kernel = cv2.warpAffine(stroke, cv2.getRotationMatrix2D((14, 14), 37 * card, 1), (29, 29))
    strokes = cv2.filter2D(noise, -1, kernel / kernel.sum(), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(0.14 * strokes / strokes.std(), np.float32)


def motion(number: int, other: int) -> tuple[Samples, Samples]:
    """Where each pixel of a frame lies in another: offsets x, y, downwards."""
    seen = which(number)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    moved_x, moved_y = np.zeros_like(x), np.zeros_like(y)
    for card in range(-1, len(CARDS)):
        u, v = own(card, number)
        matrix = placed(card, other)
        where = seen == card
        moved_x[where] = (matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2] - x)[where]
        moved_y[where] = (matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2] - y)[where]
    return moved_x, moved_y


if __name__ == "__main__":
    main()
