"""Bakes of strips inside Blender, each in a file of its own; what came of it is answered in numbers."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (64, 48)
"""Of the clips and of the scene."""


class Edit:
    """The edit of one scenario: a fresh file in its own folder, with what a scenario does to it."""

    def __init__(self, folder: Path, media: Path, *, saved: bool = True) -> None:
        import bpy

        self.folder, self.media = folder, media
        folder.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        if saved:
            bpy.ops.wm.save_as_mainfile(filepath=str(folder / "schnitt ä 1.blend"))
        self.adopt()
        self.scene.render.resolution_x, self.scene.render.resolution_y = SIZE
        self.scene.render.fps = 24
        self.scene.impasto.style_name = "identity"

    def adopt(self) -> None:
        """Take up the file that is open."""
        import bpy

        from impasto.hosts.blender import versions

        self.scene = bpy.context.scene
        versions.set_sequencer_scene(bpy.context, self.scene)
        self.editor = versions.editor_of(self.scene)
        self.strips = versions.strips_of(self.editor)

    def movie(self, name: str = "lossless_24.mkv", *, start: int = 1, channel: int = 1) -> Any:
        strip = self.strips.new_movie(name="clip", filepath=str(self.media / name), channel=channel, frame_start=start)
        return self.select(strip)

    def pictures(self, pattern: str, *, start: int = 1, channel: int = 1) -> Any:
        files = sorted(self.media.glob(pattern))
        strip = self.strips.new_image(name="plates", filepath=str(files[0]), channel=channel, frame_start=start)
        for file in files[1:]:
            strip.elements.append(file.name)
        return self.select(strip)

    def select(self, strip: Any) -> Any:
        for each in self.editor.strips_all:
            each.select = each == strip
        self.editor.active_strip = strip
        return strip

    def stylize(self, **words: Any) -> str:
        """Run the operator; the sentence of the last job."""
        import bpy

        from impasto.hosts.blender.bake.job_state import JOBS

        JOBS.clear()
        try:
            bpy.ops.impasto.stylize(**words)
        except RuntimeError as error:  # how a script sees an operator's ERROR
            return f"refused: {' '.join(str(error).split())}"
        return " | ".join(f"{job.phase}: {job.sentence}" for job in JOBS.all())

    def shot(self, frame: int) -> np.ndarray:
        """The final picture of the sequencer, linear float32, rows from the bottom up."""
        import bpy

        from impasto.hosts.blender import versions

        render = self.scene.render
        versions.still_images(render.image_settings)
        render.image_settings.file_format = "OPEN_EXR"
        render.image_settings.color_mode, render.image_settings.color_depth = "RGBA", "32"
        render.filepath = str(self.folder / f"shot_{time.monotonic_ns()}.exr")
        self.scene.frame_set(frame)
        bpy.ops.render.render(write_still=True)
        return pixels_of(render.filepath)

    def shots(self, frames: list[int]) -> list[np.ndarray]:
        return [self.shot(frame) for frame in frames]

    def unlike(self, before: list[np.ndarray], frames: list[int]) -> float:
        """The greatest difference to what was shown before, in display code values of 0 to 1."""
        return max(
            float(np.abs(encoded(old) - encoded(new)).max())
            for old, new in zip(before, self.shots(frames), strict=True)
        )

    def unlike_on_average(self, before: list[np.ndarray], frames: list[int]) -> float:
        """The same, as the mean over all pixels."""
        pairs = zip(before, self.shots(frames), strict=True)
        return float(np.mean([np.abs(encoded(old) - encoded(new)).mean() for old, new in pairs]))

    def result(self) -> Any:
        return next(each for each in self.editor.strips_all if "impasto" in each)

    def facts(self, strip: Any) -> dict[str, Any]:
        import bpy

        folder = Path(bpy.path.abspath(strip.directory))
        return {
            "name": strip.name, "channel": strip.channel, "directory": strip.directory,
            "start": strip.frame_start, "shown": [strip.frame_final_start, strip.frame_final_end],
            "offsets": [strip.frame_offset_start, strip.frame_offset_end],
            "space": strip.colorspace_settings.name, "alpha": strip.alpha_mode,
            "elements": [each.filename for each in strip.elements],
            "files": [str(folder / each.filename) for each in strip.elements],
        }  # fmt: skip


def pixels_of(path: str) -> np.ndarray:
    import bpy

    image = bpy.data.images.load(path)
    found = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(found)
    bpy.data.images.remove(image)
    return found.reshape(-1, 4)


def encoded(linear: np.ndarray) -> np.ndarray:
    """Display code values, in which half precision is even; alpha is treated alike."""
    low = np.clip(linear, 0, None)
    return np.where(low <= 0.0031308, 12.92 * low, 1.055 * np.power(np.maximum(low, 1e-8), 1 / 2.4) - 0.055)


def stamps(files: list[str]) -> dict[str, int]:
    return {file: os.stat(file).st_mtime_ns for file in files}


def run_all(folder: str, media: str, names: list[str]) -> dict[str, Any]:
    """Run scenarios; what one raises is its own answer."""
    from impasto.hosts.blender import connection

    connection.current().wait_ready(60)
    answers: dict[str, Any] = {}
    for name in names:
        begun = time.perf_counter()
        scenario: Callable[[Path, Path], Any] = globals()[name]
        try:
            answers[name] = scenario(Path(folder) / name.replace("_", " ö "), Path(media))
        except Exception:  # noqa: BLE001  # told to the test of that name
            answers[name] = {"error": traceback.format_exc()}
        answers[f"{name} seconds"] = time.perf_counter() - begun
    return answers


def source_movie(folder: Path, media: Path) -> Any:
    edit = Edit(folder, media)
    strip = edit.movie(start=10)
    strip.frame_offset_start, strip.frame_offset_end = 3, 2
    frames = [13, 20, 31]
    before = edit.shots(frames)
    said = edit.stylize(handles=2)
    return {
        "said": said, "unlike": edit.unlike(before, frames), "result": edit.facts(edit.result()),
        "muted": strip.mute, "scenes": len(bpy_data().scenes),
    }  # fmt: skip


def every_rate(folder: Path, media: Path) -> Any:
    """Movies of three rates in scenes of three rates, as strips that show frame after frame."""
    found = {}
    for movie, fps, base in (("24", 25, 1.0), ("25", 30, 1.001), ("2997", 24, 1.0)):
        edit = Edit(folder / f"{movie} in {fps}", media)
        edit.scene.render.fps, edit.scene.render.fps_base = fps, base
        edit.movie(f"lossless_{movie}.mkv")
        before = edit.shots([1, 12, 24])
        said = edit.stylize()
        found[f"{movie} in {fps}"] = [edit.unlike(before, [1, 12, 24]), said]
    return found


def of_other_rate(folder: Path, media: Path) -> Any:
    """Movies that keep their own rate in a scene of another, from a file that was saved so."""
    import bpy

    found = {}
    for blend in sorted(media.glob("rated_*.blend")):
        bpy.ops.wm.open_mainfile(filepath=str(blend))
        edit = Edit.__new__(Edit)
        edit.folder, edit.media = folder / blend.stem, media
        edit.folder.mkdir(parents=True)
        edit.adopt()
        bpy.ops.wm.save_as_mainfile(filepath=str(edit.folder / "x.blend"))
        edit.adopt()
        edit.scene.impasto.style_name = "identity"
        # 5.0 answers for such a movie with the frame before, where that one is in its cache.
        edit.editor.use_cache_raw = edit.editor.use_cache_final = False
        strip = edit.select(edit.strips[0])
        strip.frame_offset_start = 2
        frames = list(range(int(strip.frame_final_start), int(strip.frame_final_end)))[:12]
        before = edit.shots(frames)
        said = edit.stylize()
        elements = edit.facts(edit.result())["elements"]
        found[blend.stem] = [edit.unlike(before, frames), said, len(elements), len(set(elements))]
    return found


def pictures(folder: Path, media: Path) -> Any:
    """EXR with light above 1, PNG with straight alpha, a still, and a sequence backwards in steps of two."""
    found = {}
    for name, pattern, frames in (
        ("exr", "light/plate.*.exr", [1, 5, 8]), ("png", "straight/plate.*.png", [1, 5, 8]),
        ("still", "still/one.png", [1, 20]), ("backwards", "light/plate.*.exr", [1, 2, 5, 8]),
    ):  # fmt: skip
        edit = Edit(folder / name, media)
        strip = edit.pictures(pattern)
        if name == "still":
            strip.frame_final_end = 21
        if name == "backwards":
            strip.use_reverse_frames, strip.strobe = True, 2
        before = edit.shots(frames)
        said = edit.stylize()
        found[name] = {"unlike": edit.unlike(before, frames), "said": said, "result": edit.facts(edit.result())}
        found[name]["peak"] = float(max(shot.max() for shot in before))
    return found


def placed_and_laid(folder: Path, media: Path) -> Any:
    """Crop, transform, flip, opacity and blend mode over another picture, some of it animated: in both modes."""
    found = {}
    for mode in ("source", "rendered"):
        edit = Edit(folder / mode, media)
        below = edit.pictures("still/one.png", channel=1)
        below.frame_final_end = 30
        strip = edit.movie(channel=3)
        strip.transform.offset_x, strip.transform.scale_y, strip.transform.rotation = 7, 0.75, 0.0
        strip.crop.min_x, strip.use_flip_x, strip.blend_type = 9, True, "SCREEN" if mode == "source" else "ALPHA_OVER"
        for frame, alpha, offset in ((1, 0.25, 7.0), (24, 0.8, -9.0)):
            strip.blend_alpha, strip.transform.offset_x = alpha, offset
            strip.keyframe_insert("blend_alpha", frame=frame)
            strip.transform.keyframe_insert("offset_x", frame=frame)
        frames = [1, 13, 24]
        before = edit.shots(frames)
        said = edit.stylize(rendered=mode == "rendered")
        result = edit.result()
        found[mode] = {
            "unlike": edit.unlike(before, frames), "unlike_on_average": edit.unlike_on_average(before, frames),
            "said": said, "channel": result.channel, "blend": result.blend_type, "actions": len(bpy_data().actions),
        }  # fmt: skip
    return found


def only_rendered(folder: Path, media: Path) -> Any:
    """What the server cannot read as Blender does: it says why, and shows the same picture."""
    found = {}
    for name in ("modifier", "alpha", "retimed", "meta", "scene", "nested", "saturated"):
        edit = Edit(folder / name, media)
        strip = _only_rendered_strip(edit, name)
        frames = [strip.frame_final_start, (strip.frame_final_start + strip.frame_final_end) // 2,
                  strip.frame_final_end - 1]  # fmt: skip
        frames = [int(frame) for frame in frames]
        before = edit.shots(frames)
        said = edit.stylize()
        found[name] = {"unlike": edit.unlike(before, frames), "said": said, "shown": float(before[1].max())}
        if name == "nested":
            found[name]["parent"] = edit.result().parent_meta().name
    return found


def _only_rendered_strip(edit: Edit, name: str) -> Any:
    import bpy

    if name == "alpha":
        return edit.movie("straight.mov")
    if name == "scene":
        other = bpy.data.scenes.new("inner")
        other.render.resolution_x, other.render.resolution_y = SIZE
        other.frame_end = 10
        other.sequence_editor_create().strips.new_movie("in", str(edit.media / "lossless_24.mkv"), 1, 1)
        strip = edit.strips.new_scene("clip", other, 1, 1)
        strip.scene_input = "SEQUENCER"
        return edit.select(strip)
    if name in ("meta", "nested"):
        meta = edit.strips.new_meta("clip", 1, 5)
        inner = meta.strips.new_movie("in", str(edit.media / "lossless_24.mkv"), 1, 5)
        inner.transform.offset_x = 4
        above = meta.strips.new_image("over", str(edit.media / "still" / "one.png"), 4, 8)
        above.frame_final_end, above.blend_alpha = 20, 0.5
        meta.frame_final_end = 25
        if name == "nested":
            inner.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.1
            meta.transform.scale_x = 0.5
            return edit.select(inner)
        return edit.select(meta)
    strip = edit.movie()
    if name == "modifier":
        strip.modifiers.new("bright", "BRIGHT_CONTRAST").bright = 0.2
        strip.transform.offset_x = 11
    if name == "saturated":
        strip.color_saturation = 0.3
    if name == "retimed":
        window = bpy.context.window_manager.windows[0]
        area = window.screen.areas[0]
        area.type = "SEQUENCE_EDITOR"
        region = next(each for each in area.regions if each.type == "WINDOW")
        with bpy.context.temp_override(window=window, area=area, region=region, scene=edit.scene):
            bpy.ops.sequencer.retiming_segment_speed_set(speed=60)
    return strip


def effects(folder: Path, media: Path) -> Any:
    """Two clips with a cross between them: painted, the cross goes on between the painted ones."""
    edit = Edit(folder, media)
    left = edit.movie(channel=1)
    right = edit.strips.new_movie("right", str(media / "lossless_25.mkv"), 2, 17)
    cross = edit.strips.new_effect(
        name="cross", type="CROSS", channel=3, frame_start=17, **_inputs(left, right), **effect_length(17, 8)
    )
    frames = [5, 17, 20, 23, 30]
    before = edit.shots(frames)
    left.select = right.select = True
    cross.select = False
    said = edit.stylize()
    return {"unlike": edit.unlike(before, frames), "said": said,
            "inputs": [cross.input_1.name, cross.input_2.name],
            "channels": [cross.channel, cross.input_1.channel, cross.input_2.channel]}  # fmt: skip


def _inputs(left: Any, right: Any) -> dict[str, Any]:
    import bpy

    names = [each.identifier for each in bpy.types.StripsTopLevel.bl_rna.functions["new_effect"].parameters] \
        if hasattr(bpy.types, "StripsTopLevel") else []  # fmt: skip
    first, second = ("input1", "input2") if "input1" in names or not names else ("seq1", "seq2")
    return {first: left, second: right}


def effect_length(first: int, frames: int) -> dict[str, int]:
    """How each version wants the length of a new effect."""
    import bpy

    return {"length": frames} if bpy.app.version >= (5, 0, 0) else {"frame_end": first + frames}


def bpy_data() -> Any:
    import bpy

    return bpy.data
