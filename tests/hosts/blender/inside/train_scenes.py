"""Train from here, inside Blender: marks, export, paint, a short training, and the strip in its style."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.hosts.blender.inside.live_scenes import on_screen, settle, strips_of_a_scene


def marked_and_exported(clip: str, folder: str) -> dict[str, Any]:
    """Marks through the operators, saved and loaded again; the marked frames exported in both formats."""
    import bpy

    from impasto.hosts.blender.train import keyframes

    out = Path(folder)
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.sequence_editor.active_strip = strip
    strip.frame_start = 11
    for frame in (12, 14, 13, 13, 15):
        scene.frame_set(frame)
        bpy.ops.impasto.key_mark()
    scene.frame_set(99)
    refused = sentence(bpy.ops.impasto.key_mark)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "marked.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(out / "marked.blend"))
    scene = bpy.context.scene
    strip = scene.sequence_editor.active_strip
    strip.name = "renamed"
    marks = keyframes.marks_of(strip)
    unpainted = sentence(bpy.ops.impasto.train_start)
    bpy.ops.impasto.keys_export()
    where = keyframes.folder_of(strip)
    written = sorted(path.name for path in where.iterdir())
    nothing = [key.number for key in keyframes.keys_of(scene, strip)]
    scribble(where / f"hero.{marks[0]:04d}.png")
    paint = (where / f"hero.{marks[0]:04d}.png").read_bytes()
    bpy.ops.impasto.keys_export()
    kept = (where / f"hero.{marks[0]:04d}.png").read_bytes() == paint
    one = [(key.number, key.problem) for key in keyframes.keys_of(scene, strip)]
    scribble(where / f"hero.{marks[1]:04d}.png", size=(40, 20))
    wrong = [key.problem for key in keyframes.keys_of(scene, strip) if key.problem]
    return {"marks": list(marks), "refused": refused, "unpainted": unpainted, "written": written, "nothing": nothing,
            "one": one, "kept": kept, "wrong": wrong, "folder": str(where),
            "order": wrong and sentence(bpy.ops.impasto.train_start)}  # fmt: skip


def sentence(operator: Any) -> str:
    """What an operator reports when it refuses."""
    try:
        operator()
    except RuntimeError as error:
        return str(error)
    return ""


def scribble(path: Path, size: tuple[int, int] | None = None) -> None:
    """Paint over a picture, in colours that it does not have."""
    import bpy

    image = bpy.data.images.load(str(path), check_existing=False)
    if size is not None:
        image.scale(*size)
    width, height = image.size
    samples = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(samples)
    samples = samples.reshape(-1, 4)
    samples[:, :3] = 1 - samples[:, :3]
    image.pixels.foreach_set(samples.ravel())
    image.save()
    bpy.data.images.remove(image)


def begun(clip: str, folder: str, minutes: float) -> tuple[Any, Any]:
    """A strip with one painted frame, on which a training has begun."""
    import bpy

    from impasto.hosts.blender.live import operators as live
    from impasto.hosts.blender.train import keyframes

    bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "train.blend"))
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.sequence_editor.active_strip = strip
    scene.impasto.style_name = "identity"
    if bpy.app.version >= (5, 0, 0):
        live.go_live(bpy.context, scene, strip)
    scene.frame_set(1)
    bpy.ops.impasto.key_mark()
    bpy.ops.impasto.keys_export()
    scribble(next(keyframes.folder_of(strip).glob("*.png")))
    scene.impasto_training.minutes = minutes
    bpy.ops.impasto.train_start()
    return scene, strip


def trained(clip: str, folder: str) -> dict[str, Any]:
    """A training to its end, and the live strip as it is shown then."""
    import bpy

    from impasto.hosts.blender.live import playback
    from impasto.hosts.blender.look.strip_look import PINNED
    from impasto.hosts.blender.train import keyframes, runs

    scene, strip = begun(clip, folder, 0.1)
    again = sentence(bpy.ops.impasto.train_start)
    wait_for(lambda: not runs.follow())
    runs.follow()
    playback.update_scene(scene)
    settle()
    on_screen(scene, Path(folder), "trained_", 1)
    learned = strip.get(PINNED, "")
    strip.select = True
    bpy.ops.impasto.stylize()
    result = next(each for each in scene.sequence_editor.strips_all if "impasto" in each)
    painted = str(Path(bpy.path.abspath(result.directory)) / result.elements[0].filename)
    bpy.ops.impasto.live_keep()
    runs.follow()
    unpinned = PINNED not in strip
    bpy.ops.impasto.train_show()
    progress = runs.run_of(scene, strip).progress
    return {"again": again, "state": progress.state, "step": progress.step, "wanted": progress.wanted,
            "sentence": progress.sentence, "style": str(keyframes.style_of(strip)),
            "pinned": learned, "unpinned": unpinned, "shown_again": strip.get(PINNED, "") == learned,
            "result": result.name, "painted": painted}  # fmt: skip


def left_behind(clip: str, folder: str) -> str:
    """A training that Blender leaves behind; the style that it writes."""
    from impasto.hosts.blender.train import keyframes

    _, strip = begun(clip, folder, 5.0)
    return str(keyframes.style_of(strip))


def wait_for(condition: Any, timeout_s: float = 50.0) -> None:
    """As the timer of the panel would: look again and again."""
    until = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        pause.wait(0.1)
