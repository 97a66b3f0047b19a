# SPDX-License-Identifier: GPL-3.0-or-later
"""The bake of one strip: Blender renders where it must, the server paints, and the result is placed."""

from __future__ import annotations

import filecmp
import os
from collections import deque
from dataclasses import replace
from typing import Any, Final

import bpy

from impasto.core.errors import ImpastoError, UsageError

from ..connection import current
from ..look.look import Look
from ..scratch import scratch_root
from ..strips.cover import Cover, shown_pictures
from ..strips.digest import strip_digest
from ..strips.facts import facts_of, require_media
from ..strips.media import StripFacts
from ..ui.windows import in_a_window
from ..versions import all_strips_of
from .job_state import JOBS, JobState, Phase
from .plan import BakeOptions, BakePlan, FrameToRender, plan_bake
from .result import BakedFrames, place_result
from .runner import StripJob
from .server_run import RunProgress, ServerRun
from .strip_render import RenderScene

NAMED: Final = 3
"""Up to so many failed pictures are explained one by one; of more only the numbers are listed."""


class BakeJob(StripJob):
    """A strip that is being baked."""

    def __init__(self, scene: Any, strip: Any, look: Look, options: BakeOptions) -> None:
        """Raises UsageError, UnreadableMedia, OutputError for what cannot work."""
        self.scene, self.look, self._options = scene.name, look, options
        self.notes: list[str] = []
        self._pointer = strip.as_pointer()
        self._render_scene: RenderScene | None = None
        self._rendered_strip = ("", False)
        """The strip that the render scene shows, and whether as a matte."""
        self._root, note = scratch_root()
        if note:
            self.notes.append(note)
        require_media(strip)
        self._plan = plan_bake(scene, strip, look, options, self._root)
        phase: Phase = "rendering" if self._plan.to_render else "waiting"
        super().__init__(JobState(strip.name, look.title, self._plan.steps, phase))
        self._adopt(self._plan)

    @property
    def render_scene_name(self) -> str:
        return self._render_scene.name if self._render_scene is not None else ""

    def pause(self) -> None:
        if self._render_scene is not None:
            self._render_scene.remove()
            self._render_scene = None

    def _adopt(self, plan: BakePlan) -> None:
        self._plan, self.reason = plan, plan.reason
        self._to_render: deque[FrameToRender] = deque(plan.to_render)

    def _step(self) -> None:
        if self.state.cancel_asked and self.run is None:
            self.end("cancelled")
        elif self._to_render:
            self._render(self._to_render[0])
        elif self.run is None:
            self._start_run()
        else:
            self._follow(self.run.progress)

    def _render(self, wanted: FrameToRender) -> None:
        """Render one frame, unless Blender renders something else just now."""
        if bpy.app.is_job_running("RENDER"):
            return
        shown = (wanted.strip, wanted.matte)
        if self._render_scene is None or not self._render_scene.exists or self._rendered_strip != shown:
            self.pause()
            self._render_scene = self._new_render_scene(wanted)
            self._rendered_strip = shown
        if wanted.path.is_file():
            fresh = wanted.path.with_name(f".fresh_{wanted.path.name}")
            self._render_scene.render(wanted.frame, fresh)
            # An equal picture leaves the old file in place, and what was painted from it stays good.
            if filecmp.cmp(fresh, wanted.path, shallow=False):
                fresh.unlink()
            else:
                os.replace(fresh, wanted.path)
        else:
            self._render_scene.render(wanted.frame, wanted.path)
        self._to_render.popleft()
        JOBS.change(self.strip, done=len(self._plan.to_render) - len(self._to_render))
        if not self._to_render:
            self.pause()

    def _new_render_scene(self, wanted: FrameToRender) -> RenderScene:
        scene, strip = self._find()
        if self._plan.digest != strip_digest(scene, strip)[0]:
            raise UsageError(f"expected '{self.strip}' as it was when it was begun, it was changed; stylize it again")
        other = strip if wanted.strip == strip.name else all_strips_of(scene.sequence_editor).get(wanted.strip)
        if other is None:
            raise UsageError(f"expected the strip '{wanted.strip}' for the matte, it was deleted; choose another one")
        frames = [each.frame for each in self._to_render if (each.strip, each.matte) == (wanted.strip, wanted.matte)]
        return RenderScene(scene, other, range(min(frames), max(frames) + 1), matte=wanted.matte)

    def _start_run(self) -> None:
        connection = current()
        connection.connect(start=True)
        JOBS.change(self.strip, phase="waiting", done=0, frames=len(self._plan.cover.pictures))
        self.run = ServerRun(self._plan.request, connection, self.cancelled)
        self.run.start()

    def _follow(self, progress: RunProgress) -> None:
        if progress.done and not progress.end:
            JOBS.change(self.strip, phase="painting", done=progress.done, fps=progress.fps)
        if progress.end == "mismatch":
            self._let_blender_render(progress.sentence)
        elif progress.end == "cancelled":
            self.end("cancelled")
        elif progress.end == "failed":
            raise _RunFailed(progress.sentence)
        elif progress.end == "finished":
            self._finish(progress)

    def _let_blender_render(self, reason: str) -> None:
        """The server cannot read the media as Blender does after all."""
        scene, strip = self._find()
        self.run = None
        self._adopt(plan_bake(scene, strip, self.look, self._options, self._root, reason))
        JOBS.change(self.strip, phase="rendering", done=0, frames=self._plan.steps)

    def _finish(self, progress: RunProgress) -> None:
        """Place what was painted above the strip as it is now."""
        scene, strip = self._find()
        request = self._plan.request
        self.notes += [*progress.notes, *_failures(progress)]
        pictures = shown_pictures(self._plan.cover, progress.painted)
        elements = tuple(request.path_of(number).name for number in pictures)
        cover, whole = self._cover_now(scene, strip)
        baked = BakedFrames(
            self.look.title,
            "rendered" if self.reason else "source",
            request.folder,
            elements[:1] if request.still else elements,
            cover,
            whole,
        )
        self.notes += place_result(scene, strip, baked)
        with in_a_window():
            bpy.ops.ed.undo_push(message=f"Stylize {self.strip}")
        JOBS.change(self.strip, done=len(self._plan.cover.pictures))
        self.end("finished", self.report())

    def _cover_now(self, scene: Any, strip: Any) -> tuple[Cover, bool]:
        """The cover where the strip is now, cut as the strip is cut; and whether it covers all that is shown."""
        before, now = self._plan.facts, facts_of(scene, strip)
        moved = now.content_first - before.content_first
        if _pictures_of(now) != _pictures_of(before):
            raise UsageError(
                f"expected '{self.strip}' to show what it showed when it was begun, it shows other pictures now;"
                " stylize it again (the painted frames are kept)"
            )
        cover, asked = self._plan.cover, self._options.wanted
        first, end = cover.first + moved, cover.end + moved
        shown_first, shown_end = now.shown_first, now.shown_end
        if asked is not None:
            shown_first = max(shown_first, cover.shown_first + moved)
            shown_end = min(shown_end, cover.shown_end + moved)
        shown_first, shown_end = max(shown_first, first), min(shown_end, end)
        if shown_first >= shown_end:
            raise UsageError(
                f"expected '{self.strip}' to show frames that were painted, it was trimmed to others; stylize it again"
            )
        whole = shown_first <= now.shown_first and shown_end >= now.shown_end
        if not whole and asked is None:
            self.notes.append(f"'{self.strip}' was made longer while it was painted; stylize it again for the rest")
        return replace(cover, first=first, shown_first=shown_first, shown_end=shown_end), whole

    def _find(self) -> tuple[Any, Any]:
        """Scene and strip, wherever undo has put them. Raises UsageError where they are gone."""
        scene = bpy.data.scenes.get(self.scene)
        if scene is not None and scene.sequence_editor is not None:
            strips = all_strips_of(scene.sequence_editor)
            found = strips.get(self.strip)
            if found is None:
                found = next((each for each in strips if each.as_pointer() == self._pointer), None)
            if found is not None:
                return scene, found
        raise UsageError(
            f"expected the strip '{self.strip}', it was deleted while it was painted; undo that and stylize it again"
            " (the painted frames are kept)"
        )

    def report(self) -> str:
        """What was done, in words."""
        how = f"rendered, because {self.reason}" if self.reason else "read from its own files"
        frames = len(self._plan.cover.pictures)
        return "; ".join([f"{frames} frames of '{self.strip}' in {self.look.title}, {how}", *self.notes])


class _RunFailed(ImpastoError):
    """The server's part failed with this sentence."""


def _pictures_of(facts: StripFacts) -> StripFacts:
    """The facts that tell which pictures are shown, wherever the strip is and however it is trimmed."""
    return replace(facts, name="", content_first=0, shown_first=0, shown_end=0)


def _failures(progress: RunProgress) -> list[str]:
    """The pictures that could not be painted, in words."""
    said = [f"frame {number} could not be painted and shows its neighbour: {why}" for number, why in progress.failed]
    if len(said) > NAMED:
        numbers = ", ".join(str(number) for number, _ in progress.failed)
        return [f"frames {numbers} could not be painted and show their neighbours: {progress.failed[0][1]}"]
    return said
