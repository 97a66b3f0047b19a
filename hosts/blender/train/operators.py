# SPDX-License-Identifier: GPL-3.0-or-later
"""Train from here: mark frames of a strip as keyframes, export them for painting, train a style on them.

The training is a program of its own (see `run`); while it runs the strip shows its latest style.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import bpy
from bpy.app.handlers import persistent

from impasto.core.errors import UsageError

from .. import main_thread
from ..connection import current
from ..failure import guarded_call, remember
from ..live.frames import LivePlate
from ..live.strips import plate_of
from ..look.strip_look import pinned_look
from ..preferences import command
from ..registration import ModuleRegistration
from ..server_connection import found_command
from ..ui.operator import blender_operator
from ..ui.windows import draw_text, redraw_sequencers
from ..versions import sequencer_scene
from . import runs
from .keyframes import export_of, folder_of, keys_of, marks_of, style_of, toggle
from .painting_folder import Export, collect, export_plates
from .run import RUNNING, TrainingCommand, TrainingStatus
from .runs import follow, run_of

TICK_S: Final = 0.5
CLIENT_S: Final = 30.0
SIZES: Final = (
    ("draft", "Draft", "Small and quick: the first to try"),
    ("standard", "Standard", "For finals, and some patience"),
    ("fine", "Fine", "Large: wants a GPU"),
)


class ImpastoTrainingSettings(bpy.types.PropertyGroup):
    """The training settings of a scene."""

    size: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Size", description="How large a network is trained", items=SIZES, default="draft"
    )
    minutes: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Minutes", description="How long it trains", min=0.1, soft_max=60.0, default=5.0
    )
    ending: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Format",
        description="In which format plates are exported for painting",
        items=(
            (".png", "PNG", "As it looks, for any painting program"),
            (".exr", "EXR", "Scene-linear, with highlights"),
        ),
        default=".png",
    )


@blender_operator("Mark Keyframe", undo=True)
def key_mark(_: Any, context: bpy.types.Context) -> None:
    """Mark the frame under the playhead as one that is painted by hand, or remove the mark"""
    scene = sequencer_scene(context)
    toggle(scene, active_strip(scene))


@blender_operator("Export for Painting")
def keys_export(_: Any, context: bpy.types.Context) -> None:
    """Write the marked frames of the active strip as pictures to be painted over, and open their folder"""
    scene = sequencer_scene(context)
    strip = active_strip(scene)
    export = export_of(scene, strip)
    current().connect(start=True)
    if bpy.app.background:
        export_plates(current().wait_ready(CLIENT_S), export)
    else:
        _export_in_thread(export)


@blender_operator("Train")
def train_start(_: Any, context: bpy.types.Context) -> None:
    """Train a style on the painted frames of the active strip, and show the strip in it while it learns"""
    scene = sequencer_scene(context)
    strip = active_strip(scene)
    runs.begin(scene, strip, command_of(scene, strip))


@blender_operator("Stop Training")
def train_stop(_: Any, context: bpy.types.Context) -> None:
    """Stop the training; the best style so far is kept"""
    scene = sequencer_scene(context)
    run = run_of(scene, active_strip(scene))
    if run is None:
        raise UsageError("expected a training of this strip, none runs")
    run.stop()


@blender_operator("Show in Trained Style", undo=True)
def train_show(_: Any, context: bpy.types.Context) -> None:
    """Show the active strip in the style that it was trained on; Stylize paints it in that style too"""
    scene = sequencer_scene(context)
    strip = active_strip(scene)
    if not style_of(strip).exists():
        raise UsageError(f"expected a trained style at '{style_of(strip)}', found none; train one first")
    runs.show_in_style(scene, strip)


@blender_operator("Open Folder")
def keys_folder(_: Any, context: bpy.types.Context) -> None:
    """Open the folder in which the frames are painted"""
    scene = sequencer_scene(context)
    folder = folder_of(active_strip(scene))
    if not folder.is_dir():
        raise UsageError(f"expected exported frames in '{folder}', there are none; press Export for Painting first")
    open_folder(folder)


def active_strip(scene: Any) -> Any:
    """The active strip. Raises UsageError where there is none."""
    strip = None if scene.sequence_editor is None else scene.sequence_editor.active_strip
    if strip is None:
        raise UsageError("expected an active strip, there is none; click on the one that is meant")
    return strip


def command_of(scene: Any, strip: Any) -> TrainingCommand:
    """The training of a strip. Raises TrainingError for keys that do not fit, UsageError without a command."""
    plate = plate_of(scene, strip)
    impasto = found_command(command(), "to train")
    settings = scene.impasto_training
    return TrainingCommand(
        impasto=impasto,
        plates=plate.input,
        keys=collect(folder_of(strip), keys_of(scene, strip)),
        style=style_of(strip),
        size=settings.size,
        minutes=settings.minutes,
        input_space=_float_space(plate),
    )


def _float_space(plate: LivePlate) -> str:
    """The space of EXR plates; a movie tells its own."""
    return plate.space if plate.input.lower().endswith(".exr") else ""


def _export_in_thread(export: Export) -> None:
    """Export without making Blender wait; the folder opens when the pictures are written."""
    connection = current()

    def work() -> None:
        try:
            export_plates(connection.wait_connected(CLIENT_S), export)
        except Exception as error:  # noqa: BLE001  # a thread's exception would be lost
            remember(error)
        else:
            main_thread.later(lambda: open_folder(export.folder))

    threading.Thread(target=work, name="impasto-export", daemon=True).start()


def open_folder(folder: Path) -> None:
    """Show a folder in the system's file browser; nothing without a window."""
    if not bpy.app.background:
        bpy.ops.wm.path_open(filepath=str(folder))


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _on_load(*_: object) -> None:
    """Another file: its strips may have the same names."""
    runs.forget()


@guarded_call(TICK_S)
def _tick() -> float:
    """Blender's timer."""
    if follow():
        redraw_sequencers()
    return TICK_S


def draw_section(layout: Any, context: bpy.types.Context) -> None:
    """Draw the section of the panel."""
    scene = sequencer_scene(context)
    strip = None if scene.sequence_editor is None else scene.sequence_editor.active_strip
    if strip is None or strip.type not in ("MOVIE", "IMAGE"):
        layout.label(text="Select a movie or an image sequence", icon="INFO")
        return
    settings, marks = scene.impasto_training, marks_of(strip)
    layout.operator("impasto.key_mark", icon="KEYFRAME_HLT" if marks else "KEYFRAME")
    if marks:
        layout.label(text="Frames " + ", ".join(map(str, marks)))
    row = layout.row(align=True)
    row.prop(settings, "ending", expand=True)
    row = layout.row(align=True)
    row.enabled = bool(marks)
    row.operator("impasto.keys_export", icon="EXPORT")
    row.operator("impasto.keys_folder", text="", icon="FILE_FOLDER")
    run = run_of(scene, strip)
    progress = None if run is None else run.progress
    if progress is not None:
        _draw_progress(layout, context, progress)
        pinned = pinned_look(strip)
        if progress.step and (pinned is None or pinned.style != str(style_of(strip))):
            layout.operator("impasto.train_show", icon="HIDE_OFF")
    if progress is not None and progress.state in RUNNING:
        layout.operator("impasto.train_stop", icon="SNAP_FACE")
        return
    column = layout.column(align=True)
    column.prop(settings, "size")
    column.prop(settings, "minutes")
    layout.operator("impasto.train_start", icon="PLAY")


def _draw_progress(layout: Any, context: bpy.types.Context, progress: TrainingStatus) -> None:
    if progress.state in RUNNING and hasattr(layout, "progress"):
        layout.progress(factor=progress.fraction, text=progress.text)
    else:
        draw_text(layout, context, progress.text, icon="ERROR" if progress.state in ("failed", "lost") else "CHECKMARK")
    if progress.advice:
        layout.label(text=progress.advice, icon="BRUSH_DATA")
    for note in progress.notes[-2:]:
        draw_text(layout, context, note, icon="INFO")


_registration: Final = ModuleRegistration(
    classes=(
        ImpastoTrainingSettings,
        key_mark,
        keys_export,
        keys_folder,
        train_start,
        train_stop,
        train_show,
    ),
    scene_settings={"impasto_training": ImpastoTrainingSettings},
    handlers=(("load_post", _on_load),),
    timers={_tick: TICK_S},
)
register = _registration.register


def unregister() -> None:
    """Take all of it out. A training goes on, because it is a program of its own."""
    _registration.unregister()
    runs.forget()
