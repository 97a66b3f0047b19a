"""Bakes that are changed, cancelled, hindered and undone, inside Blender."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.hosts.blender.inside import bake_scenes
from tests.hosts.blender.inside.bake_scenes import Edit, encoded, stamps

STYLE = "wheatfield-draft"


def run_all(folder: str, media: str, names: list[str]) -> dict[str, Any]:
    """As `bake_scenes.run_all`, with the scenarios of this file and of `bake_again`."""
    from tests.hosts.blender.inside import bake_again

    ours = {**vars(bake_again), **globals()}
    bake_scenes.__dict__.update({name: ours[name] for name in names})
    return bake_scenes.run_all(folder, media, names)


def untouched(folder: Path, media: Path) -> Any:
    """The user's scene, before and after a bake that renders, also one whose render fails."""
    import bpy

    from impasto.hosts.blender.bake import strip_render

    edit = Edit(folder, media)
    other = edit.movie(channel=5)
    strip = edit.movie()
    strip.modifiers.new("bright", "BRIGHT_CONTRAST")
    edit.scene.frame_set(7)
    other.select = True
    edit.editor.active_strip = other
    edit.scene.render.image_settings.color_mode = "RGB"
    edit.scene.view_settings.view_transform = "Raw"

    def state() -> list[Any]:
        render, settings = edit.scene.render, edit.scene.render.image_settings
        return [edit.scene.frame_current, edit.scene.frame_start, edit.scene.frame_end, render.filepath,
                settings.file_format, settings.color_mode, settings.color_depth, render.resolution_percentage,
                render.use_compositing, edit.scene.view_settings.view_transform, render.use_stamp_date,
                [each.name for each in bpy.data.scenes], edit.editor.active_strip.name,
                [[each.name, each.select] for each in edit.editor.strips_all if "impasto" not in each],
                len(bpy.data.actions), strip.frame_final_end,
                [each.name for each in bpy.data.images if each.type != "RENDER_RESULT"]]  # fmt: skip

    edit.select(strip)
    edit.editor.active_strip = other
    before = state()
    good = edit.stylize()
    after = state()

    def no_room(self: Any, frame: int, path: Path) -> None:
        raise RuntimeError("the render fails")

    edit.select(strip)
    edit.editor.active_strip = other
    render, strip_render.RenderScene.render = strip_render.RenderScene.render, no_room
    strip.modifiers[0].bright = 0.1
    bad = edit.stylize()
    strip_render.RenderScene.render = render
    return {"before": before, "after": after, "failed": state(), "good": good, "bad": bad}


def two_at_once(folder: Path, media: Path) -> Any:
    edit = Edit(folder, media)
    left = edit.movie(channel=1)
    right = edit.movie("lossless_25.mkv", start=40, channel=1)
    right.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
    left.select = right.select = True
    frames = [3, 20, 41, 60]
    before = edit.shots(frames)
    said = edit.stylize()
    results = [each for each in edit.strips if "impasto" in each]
    return {"unlike": edit.unlike(before, frames), "said": said, "channels": [each.channel for each in results]}


def cancelled(folder: Path, media: Path) -> Any:
    """Cancel after some frames; again, it goes on behind them. By the timer's own function, as in a window."""
    from impasto.hosts.blender.bake import operators, runner
    from impasto.hosts.blender.bake.job_state import JOBS
    from impasto.server.client import Client

    edit = Edit(folder, media)
    edit.scene.impasto.style_name = STYLE
    edit.movie("wide_long.mp4")
    answers, waited, render_shot = threading.Event(), [], Client.render_shot

    def render_later(*arguments: Any, **words: Any) -> Any:
        waited.append(answers.wait(30))
        return render_shot(*arguments, **words)

    Client.render_shot = render_later
    begun, _ = operators.stylize(edit.scene)
    for _ in range(20):
        runner._tick()
    turned = [begun[0].state.phase, list(waited)]
    answers.set()
    Client.render_shot = render_shot
    while begun[0].state.running:
        runner._tick()
        if begun[0].state.done >= 2:
            JOBS.ask_cancel()
        time.sleep(0.005)
    job = begun[0].state
    files = [str(each) for each in folder.rglob("*.exr")]
    strips = len(edit.strips)
    before = stamps(files)
    said = edit.stylize()
    return {"phase": job.phase, "kept": len(files), "strips": strips, "same": stamps(files) == before, "said": said,
            "all": len(edit.facts(edit.result())["files"]), "turned": turned}  # fmt: skip


def server_killed(folder: Path, media: Path) -> Any:
    """The server dies in the middle of a bake: it is started again, and the bake goes on."""
    from impasto.hosts.blender import connection
    from impasto.hosts.blender.bake import operators, runner

    edit = Edit(folder, media)
    edit.scene.impasto.style_name = STYLE
    edit.movie("wide_long.mp4").frame_offset_end = 18
    pid = connection.current().client().welcome.pid
    begun, _ = operators.stylize(edit.scene)
    killed = False
    until = time.monotonic() + 150
    while begun[0].state.running and time.monotonic() < until:
        runner._tick()
        if not killed and begun[0].state.done >= 2:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.005)
    return {"killed": killed, "phase": begun[0].state.phase, "said": begun[0].state.sentence,
            "files": len(list(folder.rglob("*.exr"))),
            "other": connection.current().client().welcome.pid != pid}  # fmt: skip


def changed_meanwhile(folder: Path, media: Path) -> Any:
    """The strip is moved, trimmed, deleted, given other media, or its scene undone, while it is painted."""
    from impasto.hosts.blender.bake import operators, runner
    from impasto.hosts.blender.bake.job_state import JOBS

    found = {}
    for name in ("moved", "trimmed", "longer", "deleted", "other media", "copy undone"):
        edit = Edit(folder / name, media)
        JOBS.clear()
        strip = edit.movie(start=10)
        strip.frame_offset_end = 6
        if name == "copy undone":
            strip.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
        frames = [12, 15]
        before = edit.shots(frames)
        begun, _ = operators.stylize(edit.scene)
        begun[0].step()
        if name == "moved":
            strip.frame_start += 30
            strip.channel = 4
            frames = [each + 30 for each in frames]
        elif name == "trimmed":
            strip.frame_offset_start = 2
        elif name == "longer":
            strip.frame_offset_end = 0
        elif name == "deleted":
            edit.strips.remove(strip)
        elif name == "other media":
            strip.filepath = str(media / "lossless_25.mkv")
        elif name == "copy undone":
            import bpy

            bpy.data.scenes.remove(bpy.data.scenes[begun[0].render_scene_name])
        runner.run_to_end(begun)
        job = begun[0].state
        found[name] = {"phase": job.phase, "said": job.sentence, "scenes": len(bake_scenes.bpy_data().scenes)}
        if job.phase == "finished":
            found[name] |= {"unlike": edit.unlike(before, frames), "shown": edit.facts(edit.result())["shown"],
                            "channel": edit.result().channel}  # fmt: skip
    return found


def file_saved_and_opened(folder: Path, media: Path) -> Any:
    """The file is saved while a strip is rendered, and another one is opened while the next one is."""
    import bpy

    from impasto.hosts.blender.bake import operators, runner

    edit = Edit(folder, media)
    edit.movie().modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
    begun, _ = operators.stylize(edit.scene)
    begun[0].step()
    during = len(bpy.data.scenes)
    bpy.ops.wm.save_mainfile()
    copy = shutil.copy(bpy.data.filepath, folder / "copy.blend")
    with bpy.data.libraries.load(str(copy)) as (stored, _):
        scenes = list(stored.scenes)
    runner.run_to_end(begun)
    phase = begun[0].state.phase
    edit.strips["clip"].modifiers[0].bright = 0.2
    edit.select(edit.strips["clip"])
    late, _ = operators.stylize(edit.scene)
    late[0].step()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    return {"during": during, "stored": scenes, "phase": phase, "late": late[0].state.phase,
            "said": late[0].state.sentence, "scenes": len(bpy.data.scenes),
            "running": len(runner._running)}  # fmt: skip


def hindered(folder: Path, media: Path) -> Any:
    """What cannot work is one sentence, and what can is done around it."""
    import bpy

    from impasto.hosts.blender import preferences

    found = {}
    edit = Edit(folder / "missing", media)
    shutil.copy(media / "lossless_24.mkv", folder / "gone.mkv")
    edit.select(edit.strips.new_movie("clip", str(folder / "gone.mkv"), 1, 1))
    (folder / "gone.mkv").unlink()
    found["missing"] = [edit.stylize(), len(edit.strips)]

    edit = Edit(folder / "gap", media)
    own = folder / "gap" / "plates"
    shutil.copytree(media / "light", own)
    edit.media = folder / "gap"
    edit.pictures("plates/*.exr")
    before = edit.shots([2, 7])
    files = sorted(own.iterdir())
    files[4].unlink()
    whole = files[2].read_bytes()
    files[2].write_bytes(whole[: len(whole) // 2])
    found["gap"] = [edit.stylize(), edit.unlike(before, [2, 7]), edit.facts(edit.result())["elements"]]

    edit = Edit(folder / "wrong kind", media)
    sound = edit.strips.new_effect(
        name="black", type="COLOR", channel=1, frame_start=1, **bake_scenes.effect_length(1, 20)
    )
    edit.select(sound)
    found["wrong kind"] = edit.stylize()

    edit = Edit(folder / "no style", media)
    edit.movie()
    edit.scene.impasto.style_name = "wheatfeild"
    found["no style"] = edit.stylize()

    edit = Edit(folder / "range", media)
    edit.movie()
    edit.scene.impasto.range, edit.scene.impasto.first, edit.scene.impasto.last = "CUSTOM", 100, 120
    found["range outside"] = edit.stylize()
    edit.scene.impasto.first, edit.scene.impasto.last = 5, 9
    found["range inside"] = [edit.stylize(), edit.facts(edit.result())["shown"], edit.strips["clip"].mute]

    edit = Edit(folder / "unsaved", media, saved=False)
    edit.movie()
    found["unsaved"] = [edit.stylize(), edit.facts(edit.result())["directory"]]
    shutil.rmtree(edit.facts(edit.result())["directory"])

    edit = Edit(folder / "scratch", media)
    edit.movie()
    (folder / "scratch" / "file").write_text("no folder")
    own_preferences = preferences.of_addon()
    own_preferences.scratch = str(folder / "scratch" / "file" / "below")
    found["scratch"] = edit.stylize()
    own_preferences.scratch = str(folder / "scratch" / "frames")
    found["own scratch"] = [edit.stylize(), edit.facts(edit.result())["directory"]]
    own_preferences.scratch = ""

    edit = Edit(folder / "full", media)
    strip = edit.movie()
    strip.modifiers.new("bright", "BRIGHT_CONTRAST")
    usage, shutil.disk_usage = shutil.disk_usage, lambda path: shutil._ntuple_diskusage(1, 1, 0)
    from impasto.hosts.blender.bake import strip_render

    class Full:
        class render:  # noqa: N801  # as Blender's own module is called
            @staticmethod
            def render(**words: Any) -> None:
                raise RuntimeError("Error: Render error (No space left on device) cannot save: 'x'")

    own_bpy = strip_render.bpy
    strip_render.bpy = type("Bpy", (), {"ops": Full, "data": bpy.data, "app": bpy.app, "context": bpy.context})
    found["full"] = edit.stylize()
    strip_render.bpy, shutil.disk_usage = own_bpy, usage
    return found


def mattes(folder: Path, media: Path) -> Any:
    """The style where a matte is white, the plate where it is black: of another strip, and of files."""
    found = {}
    for kind in ("STRIP", "FILES"):
        edit = Edit(folder / kind, media)
        settings = edit.scene.impasto
        settings.style_name = STYLE
        matte = edit.pictures("matte/half.png", channel=8)
        matte.frame_final_end, matte.mute = 30, True
        strip = edit.movie()
        strip.frame_offset_end = 20
        before = edit.shots([2])
        settings.matte = kind
        settings.matte_strip, settings.matte_files = matte.name, str(media / "matte" / "half.png")
        said = edit.stylize()
        after = edit.shots([2])
        difference = np.abs(encoded(before[0]) - encoded(after[0]))[:, :3].max(axis=1).reshape(bake_scenes.SIZE[::-1])
        found[kind] = {"said": said, "black": float(difference[:, :30].max()), "white": float(difference[:, 34:].max())}
    return found


def no_server(folder: Path, media: Path) -> Any:
    """No server, and a command that does not start one: one sentence. The last scenario of its Blender."""
    from impasto.hosts.blender import connection

    connection.unregister()
    os.environ["IMPASTO_RUNTIME"] = str(folder / "r")
    os.environ["IMPASTO_COMMAND"] = "/nowhere/impasto"
    edit = Edit(folder, media)
    edit.movie()
    return {"said": edit.stylize(), "strips": len(edit.strips)}


def saved(folder: Path, media: Path) -> Any:
    """A file with a result, for a machine without the extension; what it shows there is compared with this."""
    import bpy

    edit = Edit(folder, media)
    strip = edit.movie()
    strip.crop.min_x = 5
    edit.stylize()
    frames = [2, 20]
    np.save(folder / "shots.npy", np.stack(edit.shots(frames)))
    directory = edit.result().directory
    bpy.ops.wm.save_mainfile()
    return {"blend": bpy.data.filepath, "directory": directory}


def reopened(blend: str, shots: str) -> Any:
    """Run without the extension, after the file's folder has moved."""
    import bpy

    bpy.ops.wm.open_mainfile(filepath=blend)
    edit = Edit.__new__(Edit)
    edit.folder = Path(blend).parent
    edit.scene = bpy.context.scene
    before = np.load(shots)
    after = np.stack([_shot(edit.scene, frame, edit.folder) for frame in (2, 20)])
    return {"unlike": float(np.abs(before - after).max()), "extension": hasattr(bpy.types.Scene, "impasto"),
            "lit": float(after.max())}  # fmt: skip


def rated(movies: list[str], folder: str) -> Any:
    """Files with movies that keep their own rate: strips that only the operator of a window makes. On 4.5."""
    import bpy

    made = []
    for movie in movies:
        for fps, base in ((25, 1.0), (30, 1.001)):
            bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
            scene = bpy.context.scene
            scene.render.fps, scene.render.fps_base = fps, base
            scene.render.resolution_x, scene.render.resolution_y = bake_scenes.SIZE
            scene.sequence_editor_create()
            window = bpy.context.window_manager.windows[0]
            area = window.screen.areas[0]
            area.type = "SEQUENCE_EDITOR"
            region = next(each for each in area.regions if each.type == "WINDOW")
            with bpy.context.temp_override(window=window, area=area, region=region):
                bpy.ops.sequencer.movie_strip_add(
                    filepath=movie, directory=os.path.dirname(movie), files=[{"name": os.path.basename(movie)}],
                    frame_start=1, channel=1, sound=False, adjust_playback_rate=True, use_framerate=False,
                )  # fmt: skip
            path = f"{folder}/rated_{Path(movie).stem}_in_{fps}_{base:g}.blend"
            bpy.ops.wm.save_as_mainfile(filepath=path)
            made.append(path)
    return made


def _shot(scene: Any, frame: int, folder: Path) -> np.ndarray:
    import bpy

    scene.render.filepath = str(folder / f"reopened_{frame}.exr")
    scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)
    return bake_scenes.pixels_of(scene.render.filepath)
