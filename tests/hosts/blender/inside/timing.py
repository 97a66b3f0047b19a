"""How long strips take inside Blender, in seconds for each frame: for the benchmark, which runs it on 1080p."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


def seconds_per_frame(folder: str, clip: str, style: str, size: list[int]) -> dict[str, float]:
    """A sequence rendered plain, baked from its own files, baked by way of Blender's render, and live where that is.

    The plain render is what Blender needs to read the plates and write them as half EXR.
    """
    import bpy

    from impasto.hosts.blender import connection, versions

    connection.current().wait_ready(60)
    found = {}
    for name, work in (("plain", _plain), ("bake", _bake), ("bake_rendered", _bake_rendered), ("live", _live)):
        if name == "live" and not versions.has_live_modifier():
            continue
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        home = Path(folder) / name
        home.mkdir()
        bpy.ops.wm.save_as_mainfile(filepath=str(home / "shot.blend"))
        scene, strip = _scene(clip, size)
        scene.impasto.style_name = style
        begun = time.perf_counter()
        work(scene, strip, home)
        found[name] = (time.perf_counter() - begun) / int(strip.frame_final_duration)
    return found


def _scene(clip: str, size: list[int]) -> tuple[Any, Any]:
    import bpy

    from impasto.hosts.blender import versions

    scene = bpy.context.scene
    versions.set_sequencer_scene(bpy.context, scene)
    scene.render.resolution_x, scene.render.resolution_y = size
    scene.view_settings.view_transform = "Standard"
    editor = versions.editor_of(scene)
    files = sorted(Path(clip).iterdir())
    strip = versions.strips_of(editor).new_image(name="plates", filepath=str(files[0]), channel=1, frame_start=1)
    for file in files[1:]:
        strip.elements.append(file.name)
    strip.select = True
    scene.frame_end = len(files)
    return scene, strip


def _plain(scene: Any, strip: Any, home: Path) -> None:
    import bpy

    from impasto.hosts.blender import versions

    versions.still_images(scene.render.image_settings)
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "16"
    scene.render.filepath = str(home / "out_")
    bpy.ops.render.render(animation=True)
    assert len(list(home.glob("out_*.exr"))) == scene.frame_end


def _bake(scene: Any, strip: Any, home: Path, *, rendered: bool = False) -> None:
    import bpy

    from impasto.hosts.blender.bake.job_state import JOBS

    bpy.ops.impasto.stylize(rendered=rendered)
    (job,) = JOBS.all()
    assert job.phase == "finished", job
    JOBS.clear()


def _bake_rendered(scene: Any, strip: Any, home: Path) -> None:
    _bake(scene, strip, home, rendered=True)


def _live(scene: Any, strip: Any, home: Path) -> None:
    import bpy

    from impasto.hosts.blender.live import operators

    operators.go_live(bpy.context, scene, strip)
    _plain(scene, strip, home)
