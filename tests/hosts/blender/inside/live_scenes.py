"""Live strips inside Blender 5.0: what is set up, rendered and measured there."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np


def strips_of_a_scene(scene: Any, *clips: str) -> list[Any]:
    """Movies and sequences, one above the other from frame 1 on, on a canvas of their size that shows what they are."""
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    editor = scene.sequence_editor or scene.sequence_editor_create()
    found = []
    for channel, clip in enumerate(clips, start=1):
        if "." in Path(clip).name:
            found.append(editor.strips.new_movie(name=Path(clip).stem, filepath=clip, channel=channel, frame_start=1))
            continue
        files = sorted(Path(clip).iterdir())
        strip = editor.strips.new_image(name=Path(clip).name, filepath=str(files[0]), channel=channel, frame_start=1)
        for file in files[1:]:
            strip.elements.append(file.name)
        found.append(strip)
    element = found[0].elements[0]
    scene.render.resolution_x, scene.render.resolution_y = element.orig_width, element.orig_height
    return found


def live_scene(clip: str, style: str = "wheatfield-draft") -> tuple[Any, Any]:
    """A scene with one live strip."""
    import bpy

    from impasto.hosts.blender import connection
    from impasto.hosts.blender.live import operators

    connection.current().wait_ready(60)
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.impasto.style_name = style
    operators.go_live(bpy.context, scene, strip)
    return scene, strip


def settle(timeout_s: float = 30.0) -> None:
    """As Blender's event loop would: until every live frame that was asked for is there."""
    from impasto.hosts.blender import main_thread
    from impasto.hosts.blender.live import playback

    until = time.monotonic() + timeout_s
    pause = threading.Event()
    while main_thread.drain() or not playback.idle():
        assert time.monotonic() < until, "live frames did not come"
        pause.wait(0.01)


def render(scene: Any, folder: Path, name: str, frame: int | None = None, last: int | None = None) -> None:
    """One frame, or an animation up to `last`, as float EXR files 'name0001.exr'."""
    import bpy

    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    scene.render.use_sequencer = True
    if last is None:
        scene.frame_set(frame)
        scene.render.filepath = str(folder / f"{name}{frame:04d}.exr")
        bpy.ops.render.render(write_still=True, scene=scene.name)
        return
    scene.frame_start, scene.frame_end = frame, last
    scene.render.filepath = str(folder / name)
    bpy.ops.render.render(animation=True, scene=scene.name)


def pixels(path: Path) -> Any:
    """(H, W, 4) float32 of a file, top row first."""
    import bpy

    image = bpy.data.images.load(str(path), check_existing=False)
    width, height = image.size
    samples = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(samples)
    channels = image.channels
    bpy.data.images.remove(image)
    return samples.reshape(height, width, channels)[::-1]


def on_screen(scene: Any, folder: Path, name: str, frame: int) -> None:
    """A frame as the preview shows it: without waiting for what is not painted yet."""
    from impasto.hosts.blender.live import render as final_render

    waiting, final_render._render = final_render._render, None
    try:
        render(scene, folder, name, frame)
    finally:
        final_render._render = waiting


def unreachable() -> Any:
    """A client that is not to be had."""
    from impasto.core.errors import ServerUnreachable

    raise ServerUnreachable("expected a server, the test took it away")


def number_of_handlers() -> dict[str, int]:
    """How many functions Blender calls at each of its events."""
    import bpy

    lists = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    return {name: len(found) for name, found in lists.items() if isinstance(found, list)}


def every_order(clips: dict[str, str], folder: str, frames: int) -> dict[str, Any]:
    """Final renders of each clip: forwards as an animation, then single frames backwards and in any order."""
    import bpy

    found: dict[str, Any] = {}
    for name, clip in clips.items():
        out = Path(folder) / name
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
        scene, strip = live_scene(clip)
        render(scene, out, "forward_", 1, frames)
        for order, numbers in (("backward_", range(frames, 0, -1)), ("random_", (3, 1, 4, 2))):
            for frame in numbers:
                render(scene, out, order, frame)
        found[name] = {"space": strip.colorspace_settings.name}
    return found


def looks(clip: str, folder: str) -> dict[str, Any]:
    """What the preview shows while frames are on their way, after a change of the style, of a slider, and back."""
    from impasto.hosts.blender.live import nodes, playback
    from impasto.hosts.blender.live.strips import viewer_of

    out = Path(folder)
    scene, strip = live_scene(clip)
    socket = nodes.strength_of(nodes.group_of(strip))
    viewer, requests = viewer_of(scene, strip), playback._playback.requests
    settle()
    answers, waited = threading.Event(), []

    def client_later() -> Any:
        waited.append(answers.wait(30))
        return unreachable()

    reach, requests._client_of = requests._client_of, client_later  # whatever is asked for now does not come
    scene.impasto.exposure = 0.5
    for frame in (2, 5, 3, 4):
        scene.frame_set(frame)
    scrubbed = [playback.idle(), list(waited)]
    answers.set()
    scene.impasto.exposure = 1.0  # a look of which nothing is painted yet
    playback.update_scene(scene)
    on_screen(scene, out, "early_", 4)
    settle()
    scene.impasto.exposure = 0.0
    requests._client_of = reach
    requests.cancel(viewer)
    playback.update_scene(scene)
    settle()
    on_screen(scene, out, "there_", 4)
    ahead = sorted(path.name for path in playback._playback.strips[viewer].frames.folder.iterdir())
    socket.default_value = 0.5
    on_screen(scene, out, "half_", 4)
    socket.default_value = 1.0
    scene.impasto.colour = 1.0
    playback.update_scene(scene)
    settle()
    on_screen(scene, out, "colour_", 4)
    scene.impasto.style_name = "identity"
    playback.update_scene(scene)
    settle()
    on_screen(scene, out, "identity_", 4)
    scene.impasto.style_name, scene.impasto.colour = "wheatfield-draft", 0.0
    playback.update_scene(scene)
    on_screen(scene, out, "back_", 4)  # without waiting: it was painted before
    scene.impasto.style_name = "no such style"
    playback.update_scene(scene)
    settle()
    return {"scrubbed": scrubbed, "problem": playback.problem_of(scene, strip), "ahead": ahead,
            "prefetch": scene.sequence_editor.use_prefetch}  # fmt: skip


def animated_strength(clip: str, folder: str) -> None:
    """A strength that is keyed from 0 on frame 1 to 1 on frame 5, and parameters that change from frame to frame."""
    import bpy

    from impasto.hosts.blender.live import nodes

    scene, strip = live_scene(clip)
    group = nodes.group_of(strip)
    socket = nodes.strength_of(group)
    for frame, value in ((1, 0.0), (5, 1.0)):
        socket.default_value = value
        socket.keyframe_insert("default_value", frame=frame)
    _straighten(group)
    render(scene, Path(folder), "keyed_", 1, 5)
    group.animation_data_clear()
    socket.default_value = 1.0
    for frame, value in ((1, 0.0), (5, 1.0)):
        scene.impasto.colour = value
        scene.keyframe_insert("impasto.colour", frame=frame)
    _straighten(scene)
    render(scene, Path(folder), "slider_", 1, 5)
    bpy.context.scene.frame_set(1)


def _straighten(owner: Any) -> None:
    from impasto.hosts.blender.versions import animation_curves

    for curve in animation_curves(owner.animation_data):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"


def several(first: str, second: str, folder: str) -> dict[str, Any]:
    """Two live strips in one scene, the upper of them moved and cropped; and the first again in a scene of its own,
    painted in a look that is pinned to it."""
    import bpy

    from impasto.hosts.blender.live import operators
    from impasto.hosts.blender.look.look import Look
    from impasto.hosts.blender.look.strip_look import pin

    out = Path(folder)
    scene, below = live_scene(first)
    files = sorted(Path(second).iterdir())
    above = scene.sequence_editor.strips.new_image(name="above", filepath=str(files[0]), channel=2, frame_start=3)
    for file in files[1:]:
        above.elements.append(file.name)
    above.crop.max_x = 48
    contrast = above.modifiers.new("contrast", "BRIGHT_CONTRAST")
    contrast.mute = True
    operators.go_live(bpy.context, scene, above)
    other = bpy.data.scenes.new("other")
    (again,) = strips_of_a_scene(other, first)
    other.impasto.style_name = "wheatfield-draft"
    pin(again, Look("identity", {"strength": 1.0}))
    operators.go_live(bpy.context, other, again)
    render(scene, out, "both_", 2, 5)
    render(other, out, "other_", 1, 3)
    return {"order": [each.name for each in above.modifiers], "below": below.name}


def placings(clip: str, folder: str) -> list[dict[str, Any]]:
    """A strip turned, moved, scaled, cropped and flipped: the outline that a wipe draws on, and Blender's render."""
    import bpy

    from impasto.hosts.blender.wipe import overlay
    from impasto.hosts.blender.wipe.maths import outline_of

    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.render.resolution_x, scene.render.resolution_y = 160, 120
    found = []
    for name, changes in (
        ("plain", {}),
        ("moved", {"offset_x": 20, "offset_y": -10}),
        ("scaled", {"scale_x": 1.5, "scale_y": 0.5}),
        ("turned", {"rotation": 0.5, "offset_x": 5}),
        ("cropped", {"scale_x": 1.2, "scale_y": 1.2, "crop": (16, 8, 4, 12)}),
        ("flipped", {"scale_x": 1.1, "scale_y": 1.1, "flip": True}),
    ):
        transform, crop = strip.transform, strip.crop
        transform.scale_x = transform.scale_y = 1.0
        transform.offset_x = transform.offset_y = transform.rotation = 0.0
        crop.min_x = crop.max_x = crop.min_y = crop.max_y = 0
        for key, value in changes.items():
            if key == "crop":
                crop.min_x, crop.max_x, crop.min_y, crop.max_y = value
            elif key == "flip":
                strip.use_flip_x = value
            else:
                setattr(transform, key, value)
        render(scene, Path(folder), name, 1)
        corners = outline_of(overlay.placing_of(scene, strip))
        found.append({"name": name, "corners": [[each.x, each.y, each.u, each.v] for each in corners]})
    return found
