# SPDX-License-Identifier: GPL-3.0-or-later
"""Make cached: all frames of a live strip as files, which render where there is neither server nor extension."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

from impasto.core.errors import ServerError

from ..bake import runner
from ..bake.job_state import JOBS, JobState
from ..bake.server_run import BakeRequest, RunProgress, ServerRun
from ..connection import current
from ..frame_files import link_or_copy, slug_of
from ..scratch import scratch_root
from . import nodes
from .frames import SLUG, LiveFrames
from .strips import read, refresh, strip_of


class CacheJob(runner.StripJob):
    """A live strip that is being cached."""

    AGAIN: ClassVar = "make it cached again to go on"

    def __init__(self, scene: Any, strip: Any) -> None:
        """Start to paint the frames that are missing; those that were painted live are linked.

        Raises UsageError where another job works on the strip, UnsupportedMedia, OutputError.
        """
        self._found = read(scene, strip)
        numbers, look = tuple(self._found.plate.numbers), self._found.look
        folder = scratch_root()[0] / f"{slug_of(strip.name)}-live-{self._found.frames.folder.name}"
        self._frames = LiveFrames(folder)
        _link(self._found.frames, self._frames, numbers)
        super().__init__(JobState(strip.name, look.title, len(numbers), "painting"))
        request = BakeRequest(self._found.plate.input, folder, SLUG, numbers, look, self._found.plate.space)
        self.run = ServerRun(request, current(), self.cancelled)
        self.run.start()

    def _step(self) -> None:
        """Show how far it is; at the end the strip's nodes show the files, and no server is asked any more."""
        assert self.run is not None
        progress = self.run.progress
        JOBS.change(self.strip, done=progress.done, fps=progress.fps)
        if progress.end == "cancelled":
            self.end("cancelled", self._sentence(progress))
        elif progress.end == "finished" and not progress.failed:
            self.end("finished")
            place = strip_of(self._found.viewer)
            group = None if place is None else nodes.group_of(place[1])
            if place is not None and group is not None:
                nodes.set_cached(group, cached=True)
                nodes.point(group, self._found.plate, self._frames)
                refresh(place[1])
        elif progress.end:
            raise ServerError(self._sentence(progress))

    def _sentence(self, progress: RunProgress) -> str:
        wanted = f"expected all frames of '{self.strip}'"
        if progress.failed:
            number, reason = progress.failed[0]
            return f"{wanted}, {len(progress.failed)} failed, the first is {number}: {reason}"
        return progress.sentence or f"{wanted}, {progress.done} were painted; make it cached again"


def _link(source: LiveFrames, target: LiveFrames, numbers: tuple[int, ...]) -> None:
    """Link, or copy, what was painted live."""
    target.folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        if source.has(number) and not target.has(number):
            with contextlib.suppress(OSError):  # the server paints it then
                link_or_copy(source.path_of(number), target.path_of(number))
