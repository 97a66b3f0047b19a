"""Bakes of strips that have a result already, inside Blender: another look, a cut, a step back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tests.hosts.blender.inside import bake_scenes
from tests.hosts.blender.inside.bake_changes import STYLE
from tests.hosts.blender.inside.bake_scenes import Edit, encoded, stamps


def again(folder: Path, media: Path) -> Any:
    """Stylize again: as it was, with another parameter, back, trimmed longer, and with a curve."""
    edit = Edit(folder, media)
    strip = edit.movie()
    strip.frame_offset_end = 12
    edit.stylize()
    first = edit.facts(edit.result())
    before = stamps(first["files"])
    edit.select(edit.result())  # the result stands for its original
    edit.stylize()
    same = stamps(first["files"]) == before
    edit.scene.impasto.exposure = 1.0
    edit.stylize()
    other = edit.facts(edit.result())
    edit.scene.impasto.exposure = 0.0
    edit.stylize()
    back = edit.facts(edit.result())
    strip.frame_offset_end = 6
    edit.stylize()
    longer = edit.facts(edit.result())
    kept = stamps(first["files"]) == before
    images = [each.name for each in edit.editor.strips_all if each.type == "IMAGE"]
    return {"same": same, "first": first, "other": other, "back": back, "longer": longer, "kept": kept,
            "images": images}  # fmt: skip


def curve(folder: Path, media: Path) -> Any:
    """A curve on the strength; changed in its second half, the first half is not painted again."""
    edit = Edit(folder, media)
    edit.scene.impasto.style_name = STYLE
    edit.movie(start=101)
    settings = edit.scene.impasto
    for frame, value in ((101, 0.0), (111, 1.0), (124, 1.0)):
        settings.strength = value
        settings.keyframe_insert("strength", frame=frame)
    said = edit.stylize()
    first = edit.facts(edit.result())
    inodes = [os.stat(file).st_ino for file in first["files"]]
    settings.strength = 0.5
    settings.keyframe_insert("strength", frame=124)
    edit.stylize()
    second = edit.facts(edit.result())
    shared = [os.stat(file).st_ino in inodes for file in second["files"]]
    return {"said": said, "first": first, "second": second, "shared": shared}


def painted(folder: Path, media: Path) -> Any:
    """The draft style in both modes, at 320x180: the files are compared with the engine's."""
    found = {}
    for mode in ("source", "rendered"):
        edit = Edit(folder / mode, media)
        edit.scene.render.resolution_x, edit.scene.render.resolution_y = 320, 180
        edit.scene.impasto.style_name, edit.scene.impasto.strength = STYLE, 0.8
        edit.movie("wide.mp4").frame_offset_end = 9
        said = edit.stylize(rendered=mode == "rendered")
        plates = sorted(str(each) for each in (folder / mode).rglob("plates/*.exr"))
        found[mode] = {"said": said, "result": edit.facts(edit.result()), "plates": plates}
        result = edit.facts(edit.result())["files"]
        unlike = (
            np.abs(encoded(edit.shot(2)) - encoded(bake_scenes.pixels_of(result[1]))) if mode == "rendered" else 0.0
        )
        found[mode]["shown"] = float(np.max(unlike))
    return found


def pinned(folder: Path, media: Path) -> Any:
    """A style file is pinned to one strip, its neighbour follows the panel; then the file is another, and gone."""
    from impasto.hosts.blender.look.look import Look
    from impasto.hosts.blender.look.strip_look import pin, unpin

    edit = Edit(folder, media)
    own = folder / "own.safetensors"
    shutil.copy(media / "painter.safetensors", own)
    left, right = edit.movie("wide.mp4"), edit.movie("lossless_24.mkv", start=40)
    left.frame_offset_end, right.frame_offset_end = 10, 22
    pin(left, Look(str(own), {"strength": 0.8}))
    left.select = True
    said = edit.stylize()
    results = {each["impasto"]["strip"]: edit.facts(each) for each in edit.strips if "impasto" in each}
    edit.select(left)
    os.utime(own, (1, 1))
    edit.stylize()
    retouched = edit.facts(edit.result())
    own.unlink()
    gone = edit.stylize()
    unpin(left)
    return {"said": said, "results": results, "names": [left.name, right.name], "retouched": retouched, "gone": gone,
            "panel": edit.stylize()}  # fmt: skip


def cut(folder: Path, media: Path) -> Any:
    """A strip and its result cut in two: each half is painted again in its own result, also moved and renamed."""
    edit = Edit(folder, media)
    left = edit.movie()
    edit.stylize()
    edit.result().split(frame=9, split_method="SOFT")
    right = left.split(frame=9, split_method="SOFT")
    steps = {}
    for name, strip, change in (
        ("right", right, lambda: None), ("left", left, lambda: None),
        ("moved", right, lambda: setattr(right, "frame_start", right.frame_start + 50)),
        ("renamed", left, lambda: setattr(left, "name", "hero")),
    ):  # fmt: skip
        change()
        edit.scene.impasto.exposure += 0.25
        edit.select(strip)
        said = edit.stylize()
        results = sorted((each for each in edit.strips if "impasto" in each), key=lambda each: each.frame_final_start)
        steps[name] = [said, [[each.channel, each.frame_final_start, each.frame_final_end] for each in results],
                       [each.directory for each in results]]  # fmt: skip
    copy = edit.movie(channel=6)
    copy["impasto_origin"] = left["impasto_origin"]  # as duplicating it does
    copy.frame_final_end = 9
    edit.stylize()
    steps["copied"] = sorted([each["impasto"]["strip"], each.channel] for each in edit.strips if "impasto" in each)
    return steps


def undone(folder: Path, media: Path) -> Any:
    """One step back takes the result away; another brings the result of the bake before."""
    import bpy

    edit = Edit(folder, media)
    edit.movie()
    bpy.ops.ed.undo_push(message="clip added")
    edit.stylize()
    first = edit.facts(edit.result())["directory"]
    edit.scene.impasto.exposure = 0.5
    bpy.ops.ed.undo_push(message="exposure")
    edit.stylize()
    second = edit.facts(edit.result())["directory"]
    steps = []
    for _ in range(3):
        bpy.ops.ed.undo()
        edit.adopt()
        results = [each for each in edit.strips if "impasto" in each]
        steps.append([each.directory for each in results] + [edit.strips["clip"].mute])
    bpy.ops.ed.redo()
    edit.adopt()
    return {"first": first, "second": second, "steps": steps, "redone": edit.facts(edit.result())["directory"]}
