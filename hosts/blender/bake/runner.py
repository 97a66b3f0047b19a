# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that a timer carries on in the main thread, step by step: no step waits for anything."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar, Final, Literal

import bpy
from bpy.app.handlers import persistent

from ..failure import guarded_call, remember
from ..main_thread import drain
from ..registration import ModuleRegistration
from .job_state import JOBS, JobState
from .server_run import ServerRun
from .strip_render import sweep

RENDERING_S: Final = 0.01
PAINTING_S: Final = 0.1
POLL_S: Final = 0.02

_running: list[StripJob] = []


class StripJob:
    """The work on one strip. `step` goes on until it returns True; whatever goes wrong ends the job."""

    AGAIN: ClassVar = "stylize again to go on"
    """What the user does where another file ended the job."""

    def __init__(self, state: JobState) -> None:
        """Raises UsageError where another job works on the strip."""
        self.strip = state.strip
        self.reason = ""
        """Why Blender renders the strip; '' where the server reads its media."""
        self.run: ServerRun | None = None
        self._stop = threading.Event()
        JOBS.begin(state)

    @property
    def state(self) -> JobState:
        """How far it is."""
        found = JOBS.of(self.strip)
        assert found is not None
        return found

    @property
    def render_scene_name(self) -> str:
        """The copy of the scene that is in use, '' where none is."""
        return ""

    def step(self) -> bool:
        """Do the next bit of work; returns whether all is done."""
        if not self.state.running:
            return True
        try:
            self._step()
        except Exception as error:  # noqa: BLE001  # whatever it was, the job ends and the user reads why
            self.end("failed", remember(error))
        return not self.state.running

    def pause(self) -> None:
        """Remove what must not get into the user's file; the next step makes it again."""

    def end(self, phase: Literal["finished", "cancelled", "failed"], sentence: str = "") -> None:
        """End the job here and now."""
        self._stop.set()
        self.pause()
        JOBS.change(self.strip, phase=phase, sentence=sentence)

    def to_end(self) -> None:
        """Step until the end, for background renders and tests alone: this waits."""
        while not self.step():
            drain()
            if self.run is not None:
                self.run.join(POLL_S)

    def cancelled(self) -> bool:
        """Whether it must stop; for any thread."""
        return self._stop.is_set() or JOBS.cancelled(self.strip)

    def _step(self) -> None:
        raise NotImplementedError


def start(job: StripJob) -> None:
    """Give a job to the timer. In the background no timer ticks: `run_to_end` does its work."""
    _running.append(job)
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=RENDERING_S)


def run_to_end(jobs: Sequence[StripJob]) -> None:
    """Wait until jobs have ended: the strips take turns."""
    for each in jobs:
        each.step()
    for each in jobs:
        each.to_end()
        if each in _running:
            _running.remove(each)


def running_on(strip: str) -> StripJob | None:
    """The job that works on a strip."""
    return next((each for each in _running if each.strip == strip), None)


def cancel_all(sentence: str = "") -> None:
    """End every job at once; finished frames stay."""
    while _running:
        job = _running.pop()
        job.end("cancelled", f"{sentence}; {job.AGAIN}" if sentence else "")


@guarded_call(PAINTING_S)
def _tick() -> float | None:
    """Blender's timer: one step of each job."""
    for each in list(_running):
        if not _user_drags() and each.step():
            _running.remove(each)
    if not _running:
        return None
    return RENDERING_S if any(each.state.phase == "rendering" for each in _running) else PAINTING_S


def _user_drags() -> bool:
    """Whether the user is dragging something: then no scene and no strip may be added."""
    windows = bpy.context.window_manager.windows
    names = (each.bl_idname for window in windows for each in getattr(window, "modal_operators", ()))
    return any(name.startswith(("TRANSFORM_OT", "SEQUENCER_OT")) for name in names)


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _after_undo(*_: object) -> None:
    """Remove copies of scenes that an older state brought back; those in use are made anew."""
    sweep(frozenset(each.render_scene_name for each in _running))


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _before_load(*_: object) -> None:
    """Another file: end the jobs of this one."""
    cancel_all("another file was opened")


@persistent  # type: ignore[untyped-decorator]
@guarded_call()
def _before_save(*_: object) -> None:
    """No copy of a scene gets into the user's file."""
    for each in _running:
        each.pause()


_registration: Final = ModuleRegistration(
    handlers=(
        ("undo_post", _after_undo),
        ("redo_post", _after_undo),
        ("load_post", _after_undo),
        ("load_pre", _before_load),
        ("save_pre", _before_save),
    ),
    timers_on_demand=(_tick,),
)
register = _registration.register


def unregister() -> None:
    """End the jobs and take everything out."""
    cancel_all()
    _registration.unregister()
