"""Shoot the panel of Blender's extension, and its wipe over the preview, in a real window: `blender_panel.3.4.png`.

    apt-get install --no-install-recommends blender xvfb libgl1-mesa-dri xdotool imagemagick python3-numpy
    python tests/media/blender_panel.py --packages build/blender/client --impasto .venv/bin/impasto

Debian's Blender is 3.4.1, the only one that draws into a virtual screen here: the extension knows that version for the
sake of this picture alone. `--packages` holds msgpack and pyzmq for the Python that this Blender has. The same file
runs outside, where it starts everything, and inside Blender, where it presses the buttons one after another.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WIDTH, HEIGHT = 1280, 800
ADDON = "impasto_sequencer"
"""A name of its own: `impasto` is the client's."""
TAB_DOWN = 287
"""Pixels from the top of the sidebar to the tab of the extension."""
STEP_S, LIMIT_STEPS = 0.4, 300


def main() -> None:
    """Start a virtual screen and Blender in it, and keep the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--impasto", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=HERE / "blender_panel.3.4.png")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
        scratch = Path(folder)
        (scratch / "addons").mkdir()
        (scratch / "addons" / ADDON).symlink_to(ROOT / "hosts" / "blender")
        (scratch / "python" / "impasto").mkdir(parents=True)
        for room in ("core", "server"):
            (scratch / "python" / "impasto" / room).symlink_to(ROOT / room)
        environment = {
            **os.environ,
            "BLENDER_USER_SCRIPTS": str(scratch), "BLENDER_USER_CONFIG": str(scratch), "LIBGL_ALWAYS_SOFTWARE": "1",
            "IMPASTO_RUNTIME": str(scratch / "run"), "IMPASTO_COMMAND": str(asked.impasto.absolute()),
            "SHOOT_PATHS": os.pathsep.join([str(scratch / "python"), str(asked.packages.absolute())]),
            "SHOOT_SCRATCH": str(scratch), "SHOOT_OUTPUT": str(asked.output.absolute()),
        }  # fmt: skip
        screen = ["xvfb-run", "-a", "-s", f"-screen 0 {WIDTH}x{HEIGHT}x24 +extension GLX"]
        blender = ["blender", "--factory-startup", "--window-geometry", "0", "0", str(WIDTH), str(HEIGHT)]
        subprocess.run([*screen, *blender, "-P", __file__], env=environment, timeout=300, check=True)
        subprocess.run([str(asked.impasto), "stop", "--now"], env=environment, timeout=60, check=False)
    print(f"{asked.output}: {asked.output.stat().st_size // 1024} KiB")


def drive() -> None:
    """Inside Blender: one step after another, each once the one before is done."""
    import bpy

    sys.path[:0] = os.environ["SHOOT_PATHS"].split(os.pathsep)
    bpy.context.preferences.view.show_splash = False
    steps = list(STEPS)
    turns = iter(range(LIMIT_STEPS))

    def turn() -> float:
        try:
            next(turns)
            if steps[0]():
                steps.pop(0)
        except BaseException:  # noqa: BLE001
            sys.excepthook(*sys.exc_info())
            os._exit(1)  # nobody sees this window: a step that failed must end it
        if not steps:
            os._exit(0)
        return STEP_S

    bpy.app.timers.register(turn, first_interval=1.0)


def area() -> Any:
    """The largest area of the window."""
    import bpy

    return max(bpy.context.window_manager.windows[0].screen.areas, key=lambda each: each.width * each.height)


def region(kind: str) -> Any:
    """A region of it."""
    return next(each for each in area().regions if each.type == kind)


def within(kind: str, call: Callable[[], object]) -> None:
    """Run an operator as if the mouse were over a region of the sequencer."""
    import bpy

    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area(), region=region(kind)):
        call()


def cut() -> bool:
    """A sequencer with the sample clip, and the extension."""
    import addon_utils
    import bpy

    addon_utils.enable(ADDON, default_set=True)
    bpy.context.preferences.addons[ADDON].preferences.scratch = os.environ["SHOOT_SCRATCH"]
    bpy.types.Sequence.multiply_alpha = bpy.props.BoolProperty()  # strips have it since 4.2
    place = area()
    place.ui_type = "SEQUENCE_EDITOR"
    place.spaces.active.view_type, place.spaces.active.show_region_ui = "SEQUENCER_PREVIEW", True
    place.spaces.active.timeline_overlay.show_strip_source = False
    scene = bpy.context.scene
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.fps = 960, 540, 24
    strip = scene.sequence_editor_create().sequences.new_movie("harbour", str(HERE / "harbour.mp4"), 1, 1)
    scene.frame_end = strip.frame_final_end - 1
    scene.sequence_editor.active_strip = strip
    scene.frame_set(40)
    sys.modules[f"{ADDON}.connection"].current().connect(start=True)
    return True


def choose() -> bool:
    """Once the server is ready: a style, and the wipe."""
    import bpy

    if sys.modules[f"{ADDON}.connection"].current().state != "ready":
        return False
    settings = bpy.context.scene.impasto
    settings.style, settings.colour, settings.detail = "wheatfield", 0.2, 0.15
    bpy.context.scene.impasto_wipe.show = True
    return True


def painted() -> bool:
    """Whether the frame under the playhead is there."""
    wipe = sys.modules[f"{ADDON}.wipe"]
    import bpy

    scene = bpy.context.scene
    return any(each.frames.has(each.number_at(scene.frame_current)) for each in wipe.wanted(scene))


def maximise() -> bool:
    """The sequencer alone in the window."""
    import bpy

    within("WINDOW", bpy.ops.screen.screen_full_area)
    return True


def edge() -> tuple[int, int]:
    """A point on the lower edge of the preview, as the mouse counts."""
    preview = region("PREVIEW")
    return preview.x + preview.width // 3, HEIGHT - preview.y


def approach() -> bool:
    """The mouse over the edge, as a hand would come there."""
    x, y = edge()
    mouse("mousemove", x, y - 8, "sleep", 0.1, "mousemove", x, y - 1)
    return True


def take() -> bool:
    """The button down."""
    mouse("mousedown", 1)
    return True


def pull() -> bool:
    """Down with the edge."""
    x, y = edge()
    mouse("mousemove", x, y + 40, "sleep", 0.1, "mousemove", x, y + 130)
    return True


def let_go() -> bool:
    """The button up."""
    mouse("mouseup", 1)
    return True


def open_tab() -> bool:
    """The tab of the extension, opened by a click."""
    sidebar = region("UI")
    mouse("mousemove", sidebar.x + sidebar.width - 10, HEIGHT - (sidebar.y + sidebar.height) + TAB_DOWN, "click", 1)
    return True


def fit() -> bool:
    """Everything in view."""
    import bpy

    within("PREVIEW", bpy.ops.sequencer.view_all_preview)
    within("WINDOW", bpy.ops.sequencer.view_all)
    return True


def mouse(*words: object) -> None:
    """What the hand does."""
    subprocess.run(["xdotool", *map(str, words)], check=True)


def look_away() -> bool:
    """The mouse out of the picture."""
    mouse("mousemove", WIDTH // 3, HEIGHT - 60)
    return True


def wait() -> bool:
    """One more turn, for what was asked to be drawn."""
    return True


def shoot() -> bool:
    """The window as a picture of few colours."""
    picture = ["import", "-window", "root", "+dither", "-colors", "256", f"png8:{os.environ['SHOOT_OUTPUT']}"]
    subprocess.run(picture, check=True)
    return True


STEPS = (
    *(cut, choose, painted, maximise, wait),
    *(approach, take, pull, let_go, open_tab, wait),
    *(fit, look_away, wait, wait, shoot),
)

if __name__ == "__main__":
    if "bpy" in sys.modules or os.path.basename(sys.executable).startswith("blender") or "SHOOT_PATHS" in os.environ:
        drive()
    else:
        main()
