"""Bakes of strips that have a result already, inside Blender: another look, a cut, a step back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests.hosts.blender.inside import bakes
from tests.hosts.blender.inside.bakes import Desk, encoded, stamps
from tests.hosts.blender.inside.bakes_under_strain import STYLE


def again(folder: Path, media: Path) -> Any:
    """Stylize again: as it was, with another parameter, back, trimmed longer, and with a curve."""
    desk = Desk(folder, media)
    strip = desk.movie()
    strip.frame_offset_end = 12
    desk.stylize()
    first = desk.facts(desk.result())
    before = stamps(first["files"])
    desk.select(desk.result())  # the result stands for its original
    desk.stylize()
    same = stamps(first["files"]) == before
    desk.scene.impasto.exposure = 1.0
    desk.stylize()
    other = desk.facts(desk.result())
    desk.scene.impasto.exposure = 0.0
    desk.stylize()
    back = desk.facts(desk.result())
    strip.frame_offset_end = 6
    desk.stylize()
    longer = desk.facts(desk.result())
    kept = stamps(first["files"]) == before
    images = [each.name for each in desk.editor.strips_all if each.type == "IMAGE"]
    return {"same": same, "first": first, "other": other, "back": back, "longer": longer, "kept": kept,
            "images": images}  # fmt: skip


def curve(folder: Path, media: Path) -> Any:
    """A curve on the strength; changed in its second half, the first half is not painted again."""
    desk = Desk(folder, media)
    desk.scene.impasto.style_name = STYLE
    desk.movie(start=101)
    settings = desk.scene.impasto
    for frame, value in ((101, 0.0), (111, 1.0), (124, 1.0)):
        settings.strength = value
        settings.keyframe_insert("strength", frame=frame)
    said = desk.stylize()
    first = desk.facts(desk.result())
    inodes = [os.stat(file).st_ino for file in first["files"]]
    settings.strength = 0.5
    settings.keyframe_insert("strength", frame=124)
    desk.stylize()
    second = desk.facts(desk.result())
    shared = [os.stat(file).st_ino in inodes for file in second["files"]]
    return {"said": said, "first": first, "second": second, "shared": shared}


def painted(folder: Path, media: Path) -> Any:
    """The draft style in both modes, at 320x180: the files are compared with the engine's."""
    found = {}
    for mode in ("source", "rendered"):
        desk = Desk(folder / mode, media)
        desk.scene.render.resolution_x, desk.scene.render.resolution_y = 320, 180
        desk.scene.impasto.style_name, desk.scene.impasto.strength = STYLE, 0.8
        desk.movie("wide.mp4").frame_offset_end = 9
        said = desk.stylize(rendered=mode == "rendered")
        plates = sorted(str(each) for each in (folder / mode).rglob("plates/*.exr"))
        found[mode] = {"said": said, "result": desk.facts(desk.result()), "plates": plates}
        result = desk.facts(desk.result())["files"]
        found[mode]["shown"] = float(
            np.abs(encoded(desk.shot(2)) - encoded(bakes.pixels_of(result[1]))).max() if mode == "rendered" else 0.0
        )
    return found


def kept(folder: Path, media: Path) -> Any:
    """One strip keeps a style file of its own, its neighbour follows the panel; then the file is another, and gone."""
    from impasto.hosts.blender.look.pinned import KeptLook, keep, release

    desk = Desk(folder, media)
    own = folder / "own.safetensors"
    shutil.copy(media / "painter.safetensors", own)
    left, right = desk.movie("wide.mp4"), desk.movie("lossless_24.mkv", start=40)
    left.frame_offset_end, right.frame_offset_end = 10, 22
    keep(left, KeptLook(str(own), {"strength": 0.8}))
    left.select = True
    said = desk.stylize()
    results = {each["impasto"]["strip"]: desk.facts(each) for each in desk.strips if "impasto" in each}
    desk.select(left)
    os.utime(own, (1, 1))
    desk.stylize()
    retouched = desk.facts(desk.result())
    own.unlink()
    gone = desk.stylize()
    release(left)
    return {"said": said, "results": results, "names": [left.name, right.name], "retouched": retouched, "gone": gone,
            "panel": desk.stylize()}  # fmt: skip


def cut(folder: Path, media: Path) -> Any:
    """A strip and its result cut in two: each half is painted again in its own result, also moved and renamed."""
    desk = Desk(folder, media)
    left = desk.movie()
    desk.stylize()
    desk.result().split(frame=9, split_method="SOFT")
    right = left.split(frame=9, split_method="SOFT")
    steps = {}
    for name, strip, change in (
        ("right", right, lambda: None), ("left", left, lambda: None),
        ("moved", right, lambda: setattr(right, "frame_start", right.frame_start + 50)),
        ("renamed", left, lambda: setattr(left, "name", "hero")),
    ):  # fmt: skip
        change()
        desk.scene.impasto.exposure += 0.25
        desk.select(strip)
        said = desk.stylize()
        results = sorted((each for each in desk.strips if "impasto" in each), key=lambda each: each.frame_final_start)
        steps[name] = [said, [[each.channel, each.frame_final_start, each.frame_final_end] for each in results],
                       [each.directory for each in results]]  # fmt: skip
    copy = desk.movie(channel=6)
    copy["impasto_origin"] = left["impasto_origin"]  # as duplicating it does
    copy.frame_final_end = 9
    desk.stylize()
    steps["copied"] = sorted([each["impasto"]["strip"], each.channel] for each in desk.strips if "impasto" in each)
    return steps


def undone(folder: Path, media: Path) -> Any:
    """One step back takes the result away; another brings the result of the bake before."""
    import bpy

    desk = Desk(folder, media)
    desk.movie()
    bpy.ops.ed.undo_push(message="clip added")
    desk.stylize()
    first = desk.facts(desk.result())["directory"]
    desk.scene.impasto.exposure = 0.5
    bpy.ops.ed.undo_push(message="exposure")
    desk.stylize()
    second = desk.facts(desk.result())["directory"]
    steps = []
    for _ in range(3):
        bpy.ops.ed.undo()
        desk.adopt()
        results = [each for each in desk.strips if "impasto" in each]
        steps.append([each.directory for each in results] + [desk.strips["clip"].mute])
    bpy.ops.ed.redo()
    desk.adopt()
    return {"first": first, "second": second, "steps": steps, "redone": desk.facts(desk.result())["directory"]}
