# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainings of this Blender's strips: found again, followed, and each strip shown once in its new style."""

from __future__ import annotations

from typing import Any

from impasto.core.errors import TrainingError

from ..failure import remember
from ..live import playback
from ..live.strips import strip_of, viewer_of
from ..look import parameters
from ..look.look import Look
from ..look.strip_look import pin
from .keyframes import style_of
from .run import RUNNING, TrainingCommand, TrainingRun

_runs: dict[str, TrainingRun] = {}
"""Viewer -> the training of that strip."""
_to_show: set[str] = set()
"""Viewers whose strips were not yet shown in the style in training. After that the artist changes the look."""


def begin(scene: Any, strip: Any, command: TrainingCommand) -> None:
    """Start a training; the strip is shown in its style as soon as there is one. Raises what `start` raises."""
    viewer = viewer_of(scene, strip)
    _runs[viewer] = TrainingRun.start(command)
    _to_show.add(viewer)


def run_of(scene: Any, strip: Any) -> TrainingRun | None:
    """The training of a strip, also one that an earlier Blender started."""
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
    """Read how far the trainings are, and show new styles on their strips; returns whether one runs."""
    running = False
    for viewer, run in list(_runs.items()):
        before = run.progress
        progress = run.poll()
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
    """Pin the style that was trained on a strip to it. Every change of its file shows."""
    pin(strip, Look(str(style_of(strip)), parameters.values_at(scene.impasto)))
    playback.update_scene(scene)


def forget() -> None:
    """Follow no training any more; they go on."""
    _runs.clear()
    _to_show.clear()
