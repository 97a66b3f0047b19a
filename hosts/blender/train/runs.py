# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainings of this Blender's strips: found again, followed, and each strip shown once in the style it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from impasto.core.errors import TrainingError

from ..bake.plan import slug_of
from ..bake.scratch import scratch_root
from ..failure import remember
from ..live import operators as live
from ..live.strips import strip_of, viewer_of
from ..look import parameters
from ..look.pinned import KeptLook, keep
from .run import RUNNING, TrainingOrder, TrainingRun

NAME: Final = "impasto_keys_name"
"""On the strip: its name when its first keyframe was marked. The halves of a cut share their keyframes."""

_runs: dict[str, TrainingRun] = {}
"""Viewer -> the training of that strip."""
_to_show: set[str] = set()
"""Viewers whose strips have not yet been shown in what they learn. After that the look is the artist's to change."""


def slug_of_keys(strip: Any) -> str:
    """What a strip's keyframes and style are called: as it was when the first was marked, whatever it is called now."""
    return slug_of(strip.get(NAME, strip.name))


def folder_of(strip: Any) -> Path:
    """Where a strip's frames are painted. Raises OutputError."""
    return scratch_root()[0] / f"{slug_of_keys(strip)}-keyframes"


def style_of(strip: Any) -> Path:
    """The style that a strip's training writes."""
    return folder_of(strip) / f"{slug_of_keys(strip)}.safetensors"


def begin(scene: Any, strip: Any, order: TrainingOrder) -> None:
    """Start a training, and show the strip in its style as soon as there is one. Raises what `start` does."""
    viewer = viewer_of(scene, strip)
    _runs[viewer] = TrainingRun.start(order)
    _to_show.add(viewer)


def run_of(scene: Any, strip: Any) -> TrainingRun | None:
    """The training of a strip: of this Blender, or one that goes on since an earlier one."""
    viewer = viewer_of(scene, strip)
    if viewer not in _runs:
        found = TrainingRun.found(style_of(strip))
        if found is None:
            return None
        _runs[viewer] = found
        if found.progress.state in RUNNING:
            _to_show.add(viewer)
    return _runs[viewer]


def follow() -> bool:
    """Look how far the trainings are and show their strips in what they have learned; whether one runs."""
    running = False
    for viewer, run in list(_runs.items()):
        before = run.progress
        progress = run.look()
        running |= progress.state in RUNNING
        place = strip_of(viewer)
        if place is None:
            continue
        scene, strip = place
        if viewer in _to_show and progress.step and style_of(strip).exists():
            _to_show.discard(viewer)
            show_in_style(scene, strip)
        if progress.state in ("failed", "lost") and before.state != progress.state:
            remember(TrainingError(progress.sentence))
    return running


def show_in_style(scene: Any, strip: Any) -> None:
    """Have a strip keep a look of its own: the style that it is trained on. Its file is noticed whenever it changes."""
    keep(strip, KeptLook(str(style_of(strip)), parameters.look_of(scene.impasto)))
    live.look_at(scene)


def forget() -> None:
    """Follow nothing any more; the trainings go on."""
    _runs.clear()
    _to_show.clear()
