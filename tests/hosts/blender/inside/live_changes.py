"""What befalls live strips inside Blender: cut, moved, saved, undone, without a server, switched off."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.hosts.blender.inside.live_scenes import (
    live_scene,
    number_of_handlers,
    on_screen,
    render,
    settle,
    strips_of_a_scene,
    unreachable,
)


def cut_and_moved(clip: str, folder: str) -> dict[str, Any]:
    """A live strip cut in two, the second half moved; both cached and moved again; saved, loaded, and taken off."""
    import bpy

    from impasto.hosts.blender.live import nodes, playback

    out = Path(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "cut.blend"))
    scene, left = live_scene(clip)
    right = left.split(frame=4, split_method="SOFT")
    right.frame_start += 20
    playback.update_scene(scene)
    render(scene, out, "live_", 2)
    render(scene, out, "live_", 24)
    left.select = right.select = True
    bpy.ops.impasto.live_cache()
    left.frame_start += 100
    right.frame_start += 5
    playback.update_scene(scene)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(out / "cut.blend"))
    scene = bpy.context.scene
    on_screen(scene, out, "cached_", 102)
    on_screen(scene, out, "cached_", 29)
    groups = [nodes.group_of(strip).name for strip in scene.sequence_editor.strips_all]
    bpy.ops.impasto.live_remove()
    return {"groups": groups, "left": [each.name for each in bpy.data.node_groups],
            "images": [each.name for each in bpy.data.images if each.type != "RENDER_RESULT"]}  # fmt: skip


def baked_with_its_meta(clip: str, folder: str) -> dict[str, Any]:
    """A meta strip is baked that holds a live strip: for which frames the bake's renders waited."""
    import bpy

    from impasto.hosts.blender import connection
    from impasto.hosts.blender.bake.job_state import JOBS
    from impasto.hosts.blender.live import nodes, operators, render

    connection.current().wait_ready(60)
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "meta.blend"))
    scene = bpy.context.scene
    meta = scene.sequence_editor_create().strips.new_meta("meta", 1, 1)
    inner = meta.strips.new_movie("inner", clip, 1, 1)
    meta.frame_final_end = 3
    scene.impasto.style_name = "identity"
    operators.go_live(bpy.context, scene, inner)
    settle()
    waited: list[int] = []
    render._render.waiting.frame = lambda *arguments: waited.append(arguments[1])
    for strip in scene.sequence_editor.strips_all:
        strip.select = strip == meta
    bpy.ops.impasto.stylize()
    return {"waited": waited, "phases": [job.phase for job in JOBS.all()], "scenes": len(bpy.data.scenes),
            "live": nodes.modifier_of(inner) is not None}  # fmt: skip


def other_file_while_caching(clip: str, folder: str) -> dict[str, Any]:
    """Another file is opened while a strip is being cached, in which a live strip has the same name."""
    import bpy

    from impasto.hosts.blender.bake import runner
    from impasto.hosts.blender.bake.job_state import JOBS
    from impasto.hosts.blender.live import cache, nodes, playback
    from impasto.server.client import Client

    blend = str(Path(folder) / "other.blend")
    scene, strip = live_scene(clip)
    settle()
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    scene.impasto.exposure = 2.0  # nothing of it is painted
    answers, render_shot = threading.Event(), Client.render_shot

    def render_later(*arguments: Any, **words: Any) -> Any:
        answers.wait(30)
        return render_shot(*arguments, **words)

    Client.render_shot = render_later
    job = cache.CacheJob(scene, strip)
    runner.start(job)
    bpy.ops.wm.open_mainfile(filepath=blend)
    answers.set()
    job.run.join(30)
    Client.render_shot = render_shot
    runner.run_to_end([job])
    playback.update_scene(bpy.context.scene)
    strip = bpy.context.scene.sequence_editor.strips_all[0]
    (state,) = JOBS.all()
    return {"cached": nodes.is_cached(nodes.group_of(strip)), "phase": state.phase, "said": state.sentence}


def saved_files(clip: str, folder: str) -> dict[str, Any]:
    """A file with a strip that is half painted, one that is cached; and what undo and loading do to a live strip."""
    import bpy

    from impasto.hosts.blender.live import nodes, playback
    from impasto.hosts.blender.live.strips import read, viewer_of

    out = Path(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "live.blend"))
    scene, strip = live_scene(clip)
    bpy.ops.ed.undo_push(message="live")
    nodes.remove(strip)
    bpy.ops.ed.undo_push(message="plate")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    strip = scene.sequence_editor.strips_all[0]
    undone = nodes.modifier_of(strip) is not None
    playback._playback.requests.cancel(viewer_of(scene, strip))
    for frame in (2, 3):
        render(scene, out, "warm_", frame)
    found = playback._playback.strips.get(viewer_of(scene, strip)) or read(scene, strip)
    settle()
    playback._playback.requests._client_of = unreachable
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
    group = nodes.group_of(strip)
    bpy.ops.wm.save_as_mainfile(filepath=str(out / "cached.blend"))
    return {"undone": undone, "painted": painted, "done": list(done), "cached": nodes.is_cached(group),
            "image": nodes.image_of(group).filepath, "dirty": nodes.image_of(group).is_dirty}  # fmt: skip


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

    from impasto.hosts.blender import connection, failure
    from impasto.hosts.blender.live import operators, playback

    out = Path(folder)
    scene = bpy.context.scene
    (strip,) = strips_of_a_scene(scene, clip)
    scene.impasto.style_name = "wheatfield-draft"
    scene.impasto_live.budget_s = 1.0
    operators.go_live(bpy.context, scene, strip)
    found: dict[str, Any] = {"state": connection.current().state}
    scene.frame_set(2)
    settle()
    found["problem"] = playback.problem_of(scene, strip)
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

    from impasto.hosts.blender.live import playback
    from impasto.hosts.blender.wipe import overlay

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
    playback.update_scene(scene)
    hooked = overlay.hooked()
    timers = [bpy.app.timers.is_registered(timer) for timer in (playback._tick,)]
    addon_utils.disable("impasto.hosts.blender", default_set=True)
    still = [bpy.app.timers.is_registered(timer) for timer in (playback._tick,)]
    after = number_of_handlers()
    addon_utils.enable("impasto.hosts.blender", default_set=True)
    return {"before": before, "after": after, "hooked": hooked, "hooked_after": overlay.hooked(), "refused": refused,
            "timers": timers, "still": still}  # fmt: skip
