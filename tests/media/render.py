"""Stage one, run by Blender's Python: draw the frames of the harbour clip and of the lantern sequence.

    python tests/media/render.py WORK_DIR [--first N] [--last N]

Frames already in WORK_DIR are kept, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "harbour"))

FRAMES, RATE = 72, 24


def render_clip(work: Path, first: int, last: int) -> None:
    """Frames `first` to `last` of the clip as 8-bit PNG, `harbour.0001.png` for time zero."""
    import bpy  # the module takes seconds to load, and --help should not
    import scene

    waiting = [n for n in range(first, last + 1) if not (work / f"harbour.{n:04d}.png").exists()]
    if not waiting:
        return
    pose = scene.build()
    view = scene.settings(960, 540, samples=8)
    view.render.image_settings.file_format = "PNG"
    for number in waiting:
        pose((number - 1) / RATE)
        view.cycles.seed = number
        unfinished = work / "unfinished.png"
        view.render.filepath = str(unfinished)
        bpy.ops.render.render(write_still=True)
        unfinished.rename(work / f"harbour.{number:04d}.png")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("work", type=Path)
    asked.add_argument("--first", type=int, default=1)
    asked.add_argument("--last", type=int, default=FRAMES)
    options = asked.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    render_clip(options.work, options.first, options.last)
    import bpy  # noqa: F401  makes mathutils, which the scene needs, known to Python
    import lantern

    lantern.render(options.work)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # some builds of the bpy module hang when the interpreter exits by itself
