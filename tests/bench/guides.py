"""What guide layers are worth: the same keys and the same steps, with and without them.

Run as `python -m tests.bench.guides [STEPS] [PAINTER]`. A scene of our own, 384x216, spheres over a floor, comes with
its normals, depth and albedo, lit by a lamp that goes around, so that the plate alone does not say how surfaces lie.
PAINTER 'normals' hatches every surface along its slope and tints it by where it faces; 'strokes' is the stroke painter
of the other benches, which looks at the plate alone. Frames 6 and 18 of 24 are the keys; all frames four or more away
from a key are judged.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import OpenImageIO as oiio
import torch

from impasto.core.colour import decode, to_float
from impasto.core.engine import Engine
from impasto.core.frame import Samples
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import open_reader
from impasto.core.media.guide_files import find_guides
from impasto.core.metrics import psnr
from impasto.core.params import Params
from impasto.training.data.guides import GuideSpec
from impasto.training.data.keyframes import load_keyframes
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for
from impasto.training.recipe import recipe_from
from impasto.training.task import Schedule
from impasto.training.teachers.palette import fit_palette
from impasto.training.teachers.strokes import StrokeSettings, paint
from tests.bench.keyframes import ssim

HEIGHT, WIDTH = 216, 384
FRAMES = 24
KEYS = (6, 18)
NEAR = 4
WISHES: dict[str, tuple[str, ...]] = {
    "plate alone": (),
    "normal": ("normal",),
    "normal, depth": ("normal", "depth"),
    "normal, depth, albedo": ("normal", "depth", "albedo"),
}


def main() -> None:
    """Train on one scene by each set of guides, and print the figures."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    painter = sys.argv[2] if len(sys.argv) > 2 else "normals"
    scenes = {number: scene(number) for number in range(1, FRAMES + 1)}
    plates = {number: each["plate"] for number, each in scenes.items()}
    if painter == "normals":
        truths = {number: hatched(each) for number, each in scenes.items()}
    else:
        palette = fit_palette(list(plates.values())[::6], [next(iter(plates.values()))[..., ::-1].copy()])
        truths = {number: paint(each, palette, StrokeSettings()) for number, each in plates.items()}
    judged = [number for number in plates if min(abs(number - key) for key in KEYS) >= NEAR]
    print(f"painter {painter}, {steps} steps, {len(judged)} frames judged")
    print(f"the plate itself: {np.mean([psnr(plates[n], truths[n]) for n in judged]):.2f} dB")
    with TemporaryDirectory(prefix="impasto-bench-") as kept:
        folder = Path(kept)
        for number, each in scenes.items():
            store(folder / f"plates/p.{number:04}.exr", {"RGB": decode(each["plate"])}, "half")
            store(
                folder / f"aov/a.{number:04}.exr", {name: each[name] for name in ("normal", "depth", "albedo")}, "float"
            )
        for number in KEYS:
            store(folder / f"keys/k.{number:04}.exr", {"RGB": decode(truths[number])}, "half")
        for name, layers in WISHES.items():
            print(f"{name:24} {measured(folder, layers, steps, {n: truths[n] for n in judged})}", flush=True)


def measured(folder: Path, layers: tuple[str, ...], steps: int, truths: dict[int, Samples]) -> str:
    """Train on these layers, and say how near unseen frames come to their truth, without and with the keys."""
    wishes = [GuideSpec.parse(f"{folder}/aov/a.####.exr:{','.join(layers)}")] if layers else []
    recipe = recipe_from({"steps": steps, "minutes": 0.0}, RECIPE)
    split = hold_out(load_keyframes(str(folder / "plates/p.####.exr"), folder / "keys", guides=wishes), recipe.seed)
    output = folder / f"{'-'.join(layers) or 'alone'}.safetensors"
    begun = time.process_time()
    run(task_for(split, recipe, output, Label("bench")), recipe, Schedule(output.with_suffix(".run"), 1e9, 1e9))
    spent = time.process_time() - begun
    engine = Engine(output, device="cpu")
    files = find_guides(f"{folder}/aov/a.####.exr")
    figures = []
    for keys in (0.0, 1.0):
        errors, likeness = [], []
        for number, truth in truths.items():
            with open_reader(str(folder / f"plates/p.{number:04}.exr")) as reader:
                frame = dataclasses.replace(next(iter(reader)), guides=files.parts_of(number))
            result = encoded(to_float(engine(frame, FrameSettings(Params(keys=keys))).colour))
            errors.append(psnr(result, truth))
            likeness.append(ssim(result, truth))
        figures.append(f"{np.mean(errors):.2f} dB / {np.mean(likeness):.3f}")
    return f"network {figures[0]}, with its keys {figures[1]}, {spent:.0f} CPU s"


def encoded(light: Samples) -> Samples:
    """Scene-linear light as the working picture, clipped."""
    light = np.clip(light, 0, 1)
    return np.asarray(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055), np.float32)


def scene(number: int) -> dict[str, Samples]:
    """One frame: the plate (H, W, 3) in working space, normals (H, W, 3), depth (H, W, 1), albedo (H, W, 3) linear.

    Rays from a pinhole at the origin along +z, y down. A frame is a function of its number.
    """
    time_s = (number - 1) / FRAMES
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    rays = np.stack(((columns - WIDTH / 2) / WIDTH, (rows - HEIGHT / 2) / WIDTH, np.ones_like(rows)), axis=2)
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    depth = np.full((HEIGHT, WIDTH), np.inf, np.float32)
    normals = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    albedo = np.full((HEIGHT, WIDTH, 3), (0.35, 0.5, 0.75), np.float32)
    floor = np.where(rays[..., 1] > 1e-3, 1.0 / np.maximum(rays[..., 1], 1e-3), np.inf).astype(np.float32)
    near = floor < 24
    depth[near], normals[near] = floor[near], (0, -1, 0)
    place = rays * np.where(near, floor, 0)[..., None]
    checks = (np.floor(place[..., 0] * 0.8) + np.floor(place[..., 2] * 0.8)) % 2
    albedo[near] = np.where(checks[near][:, None] > 0, (0.42, 0.36, 0.30), (0.34, 0.30, 0.26))
    for index in range(7):
        turn = 2 * np.pi * (index / 7 + 0.35 * time_s)
        centre = np.array((3.2 * np.cos(turn), -0.5 + 0.9 * np.sin(3 * turn + 1), 6.5 + 2.4 * np.sin(turn)), np.float32)
        radius = 0.7 + 0.12 * index
        along = rays @ centre
        inside = radius**2 - (centre @ centre - along**2)
        distance = along - np.sqrt(np.maximum(inside, 0))
        hit = (inside > 0) & (distance > 0) & (distance < depth)
        depth[hit] = distance[hit]
        normals[hit] = (rays[hit] * distance[hit][:, None] - centre) / radius
        albedo[hit] = np.array(((0.6, 0.5, 0.45), (0.5, 0.55, 0.5), (0.55, 0.5, 0.6))[index % 3], np.float32)
    lamp = np.array((np.cos(2 * np.pi * time_s), -0.7, -np.sin(2 * np.pi * time_s) * 0.8 - 0.3), np.float32)
    lit = np.maximum(normals @ (lamp / np.linalg.norm(lamp)), 0)[..., None]
    sky = ~np.isfinite(depth)
    light = albedo * np.where(sky[..., None], 1, 0.12 + 0.85 * lit)
    grain = 0.01 * np.random.default_rng(number).standard_normal((HEIGHT, WIDTH, 1))
    plate = np.asarray(np.clip(encoded(np.asarray(light, np.float32)) + grain, 0, 1), np.float32)
    return {"plate": plate, "normal": normals, "depth": depth[..., None], "albedo": albedo}


def hatched(layers: dict[str, Samples]) -> Samples:
    """A painter who looks at how surfaces lie: a tint by direction, and hatching that turns with the slope."""
    normals, plate = layers["normal"], layers["plate"]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    angle = np.arctan2(normals[..., 1], normals[..., 0])
    steep = np.hypot(normals[..., 0], normals[..., 1])
    waves = np.sin(0.9 * (columns * np.cos(angle) + rows * np.sin(angle)))
    tint = 0.5 + 0.45 * normals @ np.array([[0.8, 0.3, -0.5], [-0.4, 0.7, 0.4], [0.3, -0.5, 0.7]], np.float32)
    painted = 0.3 * plate + 0.6 * tint + (0.12 * steep * waves)[..., None]
    return np.asarray(np.clip(cv2.GaussianBlur(painted, (0, 0), 0.7), 0, 1), np.float32)


def store(path: Path, layers: dict[str, Samples], stored: str) -> None:
    """Layers as one EXR: 'RGB' as colour, others by their names, X Y Z, Z or R G B."""
    leaves = {"RGB": "RGB", "normal": "XYZ", "depth": "Z", "albedo": "RGB"}
    names = [leaf if name == "RGB" else f"{name}.{leaf}" for name in layers for leaf in leaves[name]]
    spec = oiio.ImageSpec(WIDTH, HEIGHT, len(names), stored)
    spec.channelnames = tuple(names)
    path.parent.mkdir(parents=True, exist_ok=True)
    output = oiio.ImageOutput.create(str(path))
    output.open(str(path), spec)
    output.write_image(np.concatenate(list(layers.values()), axis=2).astype(np.float32))
    output.close()


if __name__ == "__main__":
    main()
