"""Bakes that are changed, broken off, hindered and undone, inside Blender."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.hosts.blender.inside import bakes
from tests.hosts.blender.inside.bakes import Desk, encoded, stamps

STYLE = "wheatfield-draft"


def run_all(folder: str, media: str, names: list[str]) -> dict[str, Any]:
    """As `bakes.run_all`, with the scenarios of this file and of `bakes_again`."""
    from tests.hosts.blender.inside import bakes_again

    ours = {**vars(bakes_again), **globals()}
    bakes.__dict__.update({name: ours[name] for name in names})
    return bakes.run_all(folder, media, names)


def untouched(folder: Path, media: Path) -> Any:
    """The user's scene, before and after a bake that renders, also one whose render fails."""
    import bpy

    from impasto.hosts.blender.bake import strip_render

    desk = Desk(folder, media)
    other = desk.movie(channel=5)
    strip = desk.movie()
    strip.modifiers.new("bright", "BRIGHT_CONTRAST")
    desk.scene.frame_set(7)
    other.select = True
    desk.editor.active_strip = other
    desk.scene.render.image_settings.color_mode = "RGB"
    desk.scene.view_settings.view_transform = "Raw"

    def state() -> list[Any]:
        render, settings = desk.scene.render, desk.scene.render.image_settings
        return [desk.scene.frame_current, desk.scene.frame_start, desk.scene.frame_end, render.filepath,
                settings.file_format, settings.color_mode, settings.color_depth, render.resolution_percentage,
                render.use_compositing, desk.scene.view_settings.view_transform, render.use_stamp_date,
                [each.name for each in bpy.data.scenes], desk.editor.active_strip.name,
                [[each.name, each.select] for each in desk.editor.strips_all if "impasto" not in each],
                len(bpy.data.actions), strip.frame_final_end,
                [each.name for each in bpy.data.images if each.type != "RENDER_RESULT"]]  # fmt: skip

    desk.select(strip)
    desk.editor.active_strip = other
    before = state()
    good = desk.stylize()
    after = state()

    def no_room(self: Any, frame: int, path: Path) -> None:
        raise RuntimeError("the render fails")

    desk.select(strip)
    desk.editor.active_strip = other
    render, strip_render.Stage.render = strip_render.Stage.render, no_room
    strip.modifiers[0].bright = 0.1
    bad = desk.stylize()
    strip_render.Stage.render = render
    return {"before": before, "after": after, "failed": state(), "good": good, "bad": bad}


def two_at_once(folder: Path, media: Path) -> Any:
    desk = Desk(folder, media)
    left = desk.movie(channel=1)
    right = desk.movie("lossless_25.mkv", start=40, channel=1)
    right.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
    left.select = right.select = True
    frames = [3, 20, 41, 60]
    before = desk.shots(frames)
    said = desk.stylize()
    results = [each for each in desk.strips if "impasto" in each]
    return {"unlike": desk.unlike(before, frames), "said": said, "channels": [each.channel for each in results]}


def cancelled(folder: Path, media: Path) -> Any:
    """Cancel after some frames; again, it goes on behind them. By the timer's own function, as in a window."""
    from impasto.hosts.blender.bake import operators
    from impasto.hosts.blender.bake.job_state import JOBS
    from impasto.server.client import Client

    desk = Desk(folder, media)
    desk.scene.impasto.style_name = STYLE
    desk.movie("wide_long.mp4")
    answers, waited, render_shot = threading.Event(), [], Client.render_shot

    def render_later(*arguments: Any, **words: Any) -> Any:
        waited.append(answers.wait(30))
        return render_shot(*arguments, **words)

    Client.render_shot = render_later
    begun, _ = operators.stylize(desk.scene)
    for _ in range(20):
        operators._turn()
    turned = [begun[0].job.phase, list(waited)]
    answers.set()
    Client.render_shot = render_shot
    while begun[0].job.running:
        operators._turn()
        if begun[0].job.done >= 2:
            JOBS.ask_cancel()
        time.sleep(0.005)
    job = begun[0].job
    files = [str(each) for each in folder.rglob("*.exr")]
    strips = len(desk.strips)
    before = stamps(files)
    said = desk.stylize()
    return {"phase": job.phase, "kept": len(files), "strips": strips, "same": stamps(files) == before, "said": said,
            "all": len(desk.facts(desk.result())["files"]), "turned": turned}  # fmt: skip


def server_killed(folder: Path, media: Path) -> Any:
    """The server dies in the middle of a bake: it is started again, and the bake goes on."""
    from impasto.hosts.blender import connection
    from impasto.hosts.blender.bake import operators

    desk = Desk(folder, media)
    desk.scene.impasto.style_name = STYLE
    desk.movie("wide_long.mp4").frame_offset_end = 18
    pid = connection.current().client().welcome.pid
    begun, _ = operators.stylize(desk.scene)
    killed = False
    until = time.monotonic() + 150
    while begun[0].job.running and time.monotonic() < until:
        operators._turn()
        if not killed and begun[0].job.done >= 2:
            os.kill(pid, signal.SIGKILL)
            killed = True
        time.sleep(0.005)
    return {"killed": killed, "phase": begun[0].job.phase, "said": begun[0].job.sentence,
            "files": len(list(folder.rglob("*.exr"))),
            "other": connection.current().client().welcome.pid != pid}  # fmt: skip


def changed_meanwhile(folder: Path, media: Path) -> Any:
    """The strip is moved, trimmed, deleted, given other media, or its scene undone, while it is painted."""
    from impasto.hosts.blender.bake import operators
    from impasto.hosts.blender.bake.job_state import JOBS

    found = {}
    for name in ("moved", "trimmed", "longer", "deleted", "other media", "stage undone"):
        desk = Desk(folder / name, media)
        JOBS.clear()
        strip = desk.movie(start=10)
        strip.frame_offset_end = 6
        if name == "stage undone":
            strip.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
        frames = [12, 15]
        before = desk.shots(frames)
        begun, _ = operators.stylize(desk.scene)
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
            desk.strips.remove(strip)
        elif name == "other media":
            strip.filepath = str(media / "lossless_25.mkv")
        elif name == "stage undone":
            import bpy

            bpy.data.scenes.remove(bpy.data.scenes[begun[0].stage_name])
        operators.run_to_end(begun)
        job = begun[0].job
        found[name] = {"phase": job.phase, "said": job.sentence, "scenes": len(bakes.bpy_data().scenes)}
        if job.phase == "finished":
            found[name] |= {"unlike": desk.unlike(before, frames), "shown": desk.facts(desk.result())["shown"],
                            "channel": desk.result().channel}  # fmt: skip
    return found


def file_saved_and_opened(folder: Path, media: Path) -> Any:
    """The file is saved while a strip is rendered, and another one is opened while the next one is."""
    import bpy

    from impasto.hosts.blender.bake import operators

    desk = Desk(folder, media)
    desk.movie().modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
    begun, _ = operators.stylize(desk.scene)
    begun[0].step()
    during = len(bpy.data.scenes)
    bpy.ops.wm.save_mainfile()
    copy = shutil.copy(bpy.data.filepath, folder / "copy.blend")
    with bpy.data.libraries.load(str(copy)) as (stored, _):
        scenes = list(stored.scenes)
    operators.run_to_end(begun)
    phase = begun[0].job.phase
    desk.strips["clip"].modifiers[0].bright = 0.2
    desk.select(desk.strips["clip"])
    late, _ = operators.stylize(desk.scene)
    late[0].step()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    return {"during": during, "stored": scenes, "phase": phase, "late": late[0].job.phase,
            "said": late[0].job.sentence, "scenes": len(bpy.data.scenes),
            "running": len(operators._running)}  # fmt: skip


def hindered(folder: Path, media: Path) -> Any:
    """What cannot work is one sentence, and what can is done around it."""
    import bpy

    from impasto.hosts.blender import preferences

    found = {}
    desk = Desk(folder / "missing", media)
    shutil.copy(media / "lossless_24.mkv", folder / "gone.mkv")
    desk.select(desk.strips.new_movie("clip", str(folder / "gone.mkv"), 1, 1))
    (folder / "gone.mkv").unlink()
    found["missing"] = [desk.stylize(), len(desk.strips)]

    desk = Desk(folder / "gap", media)
    own = folder / "gap" / "plates"
    shutil.copytree(media / "light", own)
    desk.media = folder / "gap"
    desk.pictures("plates/*.exr")
    before = desk.shots([2, 7])
    files = sorted(own.iterdir())
    files[4].unlink()
    whole = files[2].read_bytes()
    files[2].write_bytes(whole[: len(whole) // 2])
    found["gap"] = [desk.stylize(), desk.unlike(before, [2, 7]), desk.facts(desk.result())["elements"]]

    desk = Desk(folder / "wrong kind", media)
    sound = desk.strips.new_effect(name="black", type="COLOR", channel=1, frame_start=1, **bakes.effect_length(1, 20))
    desk.select(sound)
    found["wrong kind"] = desk.stylize()

    desk = Desk(folder / "no style", media)
    desk.movie()
    desk.scene.impasto.style_name = "wheatfeild"
    found["no style"] = desk.stylize()

    desk = Desk(folder / "range", media)
    desk.movie()
    desk.scene.impasto.range, desk.scene.impasto.first, desk.scene.impasto.last = "CUSTOM", 100, 120
    found["range outside"] = desk.stylize()
    desk.scene.impasto.first, desk.scene.impasto.last = 5, 9
    found["range inside"] = [desk.stylize(), desk.facts(desk.result())["shown"], desk.strips["clip"].mute]

    desk = Desk(folder / "unsaved", media, saved=False)
    desk.movie()
    found["unsaved"] = [desk.stylize(), desk.facts(desk.result())["directory"]]
    shutil.rmtree(desk.facts(desk.result())["directory"])

    desk = Desk(folder / "scratch", media)
    desk.movie()
    (folder / "scratch" / "file").write_text("no folder")
    own_preferences = preferences.of_addon()
    own_preferences.scratch = str(folder / "scratch" / "file" / "below")
    found["scratch"] = desk.stylize()
    own_preferences.scratch = str(folder / "scratch" / "frames")
    found["own scratch"] = [desk.stylize(), desk.facts(desk.result())["directory"]]
    own_preferences.scratch = ""

    desk = Desk(folder / "full", media)
    strip = desk.movie()
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
    found["full"] = desk.stylize()
    strip_render.bpy, shutil.disk_usage = own_bpy, usage
    return found


def mattes(folder: Path, media: Path) -> Any:
    """The style where a matte is white, the plate where it is black: of another strip, and of files."""
    found = {}
    for kind in ("STRIP", "FILES"):
        desk = Desk(folder / kind, media)
        settings = desk.scene.impasto
        settings.style_name = STYLE
        matte = desk.pictures("matte/half.png", channel=8)
        matte.frame_final_end, matte.mute = 30, True
        strip = desk.movie()
        strip.frame_offset_end = 20
        before = desk.shots([2])
        settings.matte = kind
        settings.matte_strip, settings.matte_files = matte.name, str(media / "matte" / "half.png")
        said = desk.stylize()
        after = desk.shots([2])
        difference = np.abs(encoded(before[0]) - encoded(after[0]))[:, :3].max(axis=1).reshape(bakes.SIZE[::-1])
        found[kind] = {"said": said, "black": float(difference[:, :30].max()), "white": float(difference[:, 34:].max())}
    return found


def no_server(folder: Path, media: Path) -> Any:
    """No server, and a command that does not start one: one sentence. The last scenario of its Blender."""
    from impasto.hosts.blender import connection

    connection.unregister()
    os.environ["IMPASTO_RUNTIME"] = str(folder / "r")
    os.environ["IMPASTO_COMMAND"] = "/nowhere/impasto"
    desk = Desk(folder, media)
    desk.movie()
    return {"said": desk.stylize(), "strips": len(desk.strips)}


def saved(folder: Path, media: Path) -> Any:
    """A file with a result, for a machine without the extension; what it shows there is compared with this."""
    import bpy

    desk = Desk(folder, media)
    strip = desk.movie()
    strip.crop.min_x = 5
    desk.stylize()
    frames = [2, 20]
    np.save(folder / "shots.npy", np.stack(desk.shots(frames)))
    directory = desk.result().directory
    bpy.ops.wm.save_mainfile()
    return {"blend": bpy.data.filepath, "directory": directory}


def reopened(blend: str, shots: str) -> Any:
    """Run without the extension, after the file's folder has moved."""
    import bpy

    bpy.ops.wm.open_mainfile(filepath=blend)
    desk = Desk.__new__(Desk)
    desk.folder = Path(blend).parent
    desk.scene = bpy.context.scene
    before = np.load(shots)
    after = np.stack([_shot(desk.scene, frame, desk.folder) for frame in (2, 20)])
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
            scene.render.resolution_x, scene.render.resolution_y = bakes.SIZE
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
    return bakes.pixels_of(scene.render.filepath)
