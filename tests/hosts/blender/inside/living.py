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

    from impasto.hosts.blender import connection, live

    connection.current().wait_ready(60)
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.impasto.style_name = style
    live.go_live(bpy.context, scene, strip)
    return scene, strip


def settle(timeout_s: float = 30.0) -> None:
    """As Blender's event loop would: until every live frame that was asked for is there."""
    from impasto.hosts.blender import live, mainthread

    until = time.monotonic() + timeout_s
    pause = threading.Event()
    while mainthread.drain() or not live.idle():
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
    from impasto.hosts.blender import live_render

    waiting, live_render._render = live_render._render, None
    try:
        render(scene, folder, name, frame)
    finally:
        live_render._render = waiting


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
    from impasto.hosts.blender import live, live_nodes

    out = Path(folder)
    scene, strip = live_scene(clip)
    socket = live_nodes.strength_of(live_nodes.group_of(strip))
    viewer, requests = live.viewer_of(scene, strip), live._state.requests
    settle()
    reach, requests._client_of = requests._client_of, unreachable  # whatever is asked for now does not come
    longest = 0.0
    for frame in (2, 5, 3, 4):
        begun = time.perf_counter()
        scene.frame_set(frame)
        longest = max(longest, time.perf_counter() - begun)
    scene.impasto.exposure = 1.0  # a look of which nothing is painted yet
    live.look_at(scene)
    on_screen(scene, out, "early_", 4)
    settle()
    scene.impasto.exposure = 0.0
    requests._client_of = reach
    requests.drop(viewer)
    live.look_at(scene)
    settle()
    on_screen(scene, out, "there_", 4)
    ahead = sorted(path.name for path in live._state.strips[viewer].frames.folder.iterdir())
    socket.default_value = 0.5
    on_screen(scene, out, "half_", 4)
    socket.default_value = 1.0
    scene.impasto.colour = 1.0
    live.look_at(scene)
    settle()
    on_screen(scene, out, "colour_", 4)
    scene.impasto.style_name = "identity"
    live.look_at(scene)
    settle()
    on_screen(scene, out, "identity_", 4)
    scene.impasto.style_name, scene.impasto.colour = "wheatfield-draft", 0.0
    live.look_at(scene)
    on_screen(scene, out, "back_", 4)  # without waiting: it was painted before
    scene.impasto.style_name = "no such style"
    live.look_at(scene)
    settle()
    return {"longest_s": longest, "problem": live.problem_of(scene, strip), "ahead": ahead,
            "prefetch": scene.sequence_editor.use_prefetch}  # fmt: skip


def animated_strength(clip: str, folder: str) -> None:
    """A strength that is keyed from 0 on frame 1 to 1 on frame 5, and parameters that change from frame to frame."""
    import bpy

    from impasto.hosts.blender import live_nodes

    scene, strip = live_scene(clip)
    group = live_nodes.group_of(strip)
    socket = live_nodes.strength_of(group)
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
    painted in a look that it keeps."""
    import bpy

    from impasto.hosts.blender import live
    from impasto.hosts.blender.live_strips import KEPT_LOOK, as_kept

    out = Path(folder)
    scene, below = live_scene(first)
    files = sorted(Path(second).iterdir())
    above = scene.sequence_editor.strips.new_image(name="above", filepath=str(files[0]), channel=2, frame_start=3)
    for file in files[1:]:
        above.elements.append(file.name)
    above.crop.max_x = 48
    contrast = above.modifiers.new("contrast", "BRIGHT_CONTRAST")
    contrast.mute = True
    live.go_live(bpy.context, scene, above)
    other = bpy.data.scenes.new("other")
    (again,) = strips_of_a_scene(other, first)
    other.impasto.style_name = "wheatfield-draft"
    again[KEPT_LOOK] = as_kept("identity", {"strength": 1.0})
    live.go_live(bpy.context, other, again)
    render(scene, out, "both_", 2, 5)
    render(other, out, "other_", 1, 3)
    return {"order": [each.name for each in above.modifiers], "below": below.name}


def saved_files(clip: str, folder: str) -> dict[str, Any]:
    """A file with a strip that is half painted, one that is cached; and what undo and loading do to a live strip."""
    import bpy

    from impasto.hosts.blender import live, live_nodes

    out = Path(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "live.blend"))
    scene, strip = live_scene(clip)
    bpy.ops.ed.undo_push(message="live")
    live_nodes.remove(strip)
    bpy.ops.ed.undo_push(message="plate")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    strip = scene.sequence_editor.strips_all[0]
    undone = live_nodes.modifier_of(strip) is not None
    live._state.requests.drop(live.viewer_of(scene, strip))
    for frame in (2, 3):
        render(scene, out, "warm_", frame)
    found = live._state.strips.get(live.viewer_of(scene, strip)) or live.read(scene, strip)
    settle()
    live._state.requests._client_of = unreachable
    for number in found.plate.numbers:
        if number not in (1002, 1003):  # what was painted ahead
            found.frames.path_of(number).unlink(missing_ok=True)
    painted = [number for number in found.plate.numbers if found.frames.has(number)]
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "live.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(out / "live.blend"))
    scene = bpy.context.scene
    strip = scene.sequence_editor.strips_all[0]
    scene.frame_set(3)
    on_screen(scene, out, "reopened_", 3)
    strip.select = True
    done = bpy.ops.impasto.live_cache()
    group = live_nodes.group_of(strip)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "cached.blend"))
    return {"undone": undone, "painted": painted, "done": list(done), "cached": live_nodes.is_cached(group),
            "image": live_nodes.image_of(group).filepath, "dirty": live_nodes.image_of(group).is_dirty}  # fmt: skip


def opened_without(folder: str, frames: int) -> dict[str, Any]:
    """Both files on a machine without the extension."""
    import bpy

    out = Path(folder)
    for name in ("live", "cached"):
        bpy.ops.wm.open_mainfile(filepath=str(out / f"{name}.blend"))
        assert not hasattr(bpy.types.Scene, "impasto")
        render(bpy.context.scene, out, f"{name}_without_", 1, frames)
    return number_of_handlers()


def no_server(clip: str, folder: str) -> dict[str, Any]:
    """Final renders where no server can be had: pictures, a movie, a single frame."""
    import bpy

    from impasto.hosts.blender import failure, live

    out = Path(folder)
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.impasto.style_name = "wheatfield-draft"
    scene.impasto_live.budget_s = 1.0
    live.go_live(bpy.context, scene, strip)
    found: dict[str, Any] = {"state": live.current().state}
    scene.frame_set(2)
    settle()
    found["problem"] = live.problem_of(scene, strip)
    on_screen(scene, out, "screen_", 2)
    for kind in ("pictures", "movie"):
        settings = scene.render.image_settings
        settings.media_type = "IMAGE" if kind == "pictures" else "VIDEO"
        settings.file_format = "OPEN_EXR" if kind == "pictures" else "FFMPEG"
        scene.render.filepath = str(out / f"{kind}_")
        scene.frame_start, scene.frame_end = 1, 4
        before = (scene.render.filepath, settings.file_format)
        try:
            bpy.ops.render.render(animation=True)
            found[kind] = ""
        except RuntimeError as error:
            found[kind] = str(error)
        found[f"{kind}_kept"] = (scene.render.filepath, settings.file_format) == before
    found["written"] = sorted(path.name for path in out.iterdir())
    found["sentence"] = failure.last_error()
    render(scene, out, "single_", 2)
    on_screen(scene, out, "after_", 2)
    return found


def server_dies(clip: str, folder: str) -> dict[str, Any]:
    """An animation during which the server is killed."""
    import os
    import signal

    import bpy

    from impasto.hosts.blender import connection

    scene, _ = live_scene(clip)
    killed = []

    def kill(scene: Any, *_: Any) -> None:
        if scene.frame_current == 8 and not killed:  # the last of the frames that were asked for at once
            killed.append(connection.current().client().status().pid)
            os.kill(killed[0], signal.SIGKILL)

    bpy.app.handlers.render_post.append(kill)
    try:
        render(scene, Path(folder), "killed_", 1, 12)
    finally:
        bpy.app.handlers.render_post.remove(kill)
    return {"killed": len(killed), "now": connection.current().client().status().pid != killed[0]}


def left_alone(clip: str) -> dict[str, Any]:
    """Everything of Live and of Before and After switched on, and then the extension switched off."""
    import addon_utils
    import bpy

    from impasto.hosts.blender import live, wipe

    addon_utils.disable("impasto.hosts.blender", default_set=True)
    before = number_of_handlers()
    addon_utils.enable("impasto.hosts.blender", default_set=True)
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.sequence_editor.active_strip = strip
    strip.select = True
    scene.impasto.style_name = "wheatfield-draft"
    refused = ""
    try:
        bpy.ops.impasto.live_add()
    except RuntimeError as error:
        refused = str(error)
    scene.impasto_wipe.show = True
    live.look_at(scene)
    hooked = wipe.hooked()
    timers = [bpy.app.timers.is_registered(timer) for timer in (live._tick,)]
    addon_utils.disable("impasto.hosts.blender", default_set=True)
    still = [bpy.app.timers.is_registered(timer) for timer in (live._tick,)]
    after = number_of_handlers()
    addon_utils.enable("impasto.hosts.blender", default_set=True)
    return {"before": before, "after": after, "hooked": hooked, "hooked_after": wipe.hooked(), "refused": refused,
            "timers": timers, "still": still}  # fmt: skip


def placings(clip: str, folder: str) -> list[dict[str, Any]]:
    """A strip turned, moved, scaled, cropped and flipped: the outline that a wipe draws on, and Blender's render."""
    import bpy

    from impasto.hosts.blender import wipe
    from impasto.hosts.blender.wipe_maths import outline_of

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
        corners = outline_of(wipe.placing_of(scene, strip))
        found.append({"name": name, "corners": [[each.x, each.y, each.u, each.v] for each in corners]})
    return found
