"""One job from plate to painted frames, with its progress. Knows no host: the caller brings the way to write plates."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import HostJob, store
from impasto.hosts.bridge.patterns import for_view, frames_present
from impasto.hosts.bridge.ranges import ranges_text
from impasto.hosts.bridge.render_arguments import RenderArguments
from impasto.hosts.bridge.runner import Run, follow
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFailed, RunStarted, RunWarning
from impasto.hosts.nuke.plan import Plan
from impasto.hosts.nuke.reuse_plates import remove_between, remove_folder, replace_changed
from impasto.hosts.nuke.settings_file import PaintedSettings, remove_settings, store_settings

WRITING_SHARE = 0.2
"""The part of the progress bar for writing plates; the rest is painting."""


class WriteCancelled(Exception):
    """The artist pressed Cancel while the host wrote plates."""


@dataclass(frozen=True)
class StylizeProgress:
    """How far a job is: a share of all work from 0 to 1, and a text for the bar."""

    share: float
    text: str


@dataclass(frozen=True)
class StylizeOutcome:
    """How a job ended: 'done', 'failed' or 'cancelled', with a sentence; empty where all is well."""

    state: str
    message: str = ""
    notes: tuple[str, ...] = ()


class StylizeJob:
    """A job under way. `write` renders the plates of a view to `plan.folders.incoming`, and blocks.

    It raises WriteCancelled, or RuntimeError with the host's own words. `on_progress` and `cancelled` are called often,
    on the thread that calls `run`.
    """

    def __init__(
        self,
        plan: Plan,
        write: Callable[[str], None],
        on_progress: Callable[[StylizeProgress], None],
        cancelled: Callable[[], bool],
        command: Command | None = None,
    ) -> None:
        self._plan, self._write, self._command = plan, write, command
        self._on_progress, self._cancelled = on_progress, cancelled
        self._done = 0
        self._notes: list[str] = []

    def run(self) -> StylizeOutcome:
        """Write, paint and check every view. Never raises: every error is an outcome."""
        try:
            outcome = self._run()
        except BridgeError as error:
            outcome = StylizeOutcome("failed", str(error))
        except OSError as error:
            outcome = StylizeOutcome(
                "failed",
                f"expected to keep pictures in '{self._plan.folders.root}', which failed: "
                f"{error.strerror or error}; make room, or choose another scratch folder",
            )
        for view in self._plan.views:
            remove_folder(for_view(self._plan.folders.incoming, view))
        # The caller gets the outcome in any case; the file is for the next start of the host.
        with suppress(OSError):
            self._store(outcome.state, outcome.message)
        return outcome

    def _run(self) -> StylizeOutcome:
        plan = self._plan
        # Settings that cannot work raise here, before plates are written.
        renders = {view: plan.render_arguments(view) for view in plan.views}
        for index, (view, render) in enumerate(renders.items()):
            self._store("writing")
            self._report(index, 0.0, f"writing plates{self._of(view)}")
            if self._cancelled():
                return self._stopped()
            remove_folder(for_view(plan.folders.incoming, view))
            try:
                self._write(view)
            except WriteCancelled:
                return self._stopped()
            except RuntimeError as error:
                return StylizeOutcome(
                    "failed",
                    "expected Nuke to write the plates of {}{}, it says: {}; look at the node's input".format(
                        plan.frames.text(), self._of(view), str(error).strip() or "nothing"
                    ),
                )
            replace_changed(for_view(plan.folders.incoming, view), for_view(plan.folders.plates, view), plan.frames)
            self._store("painting")
            remove_settings(plan.folders.root)
            remove_between(for_view(plan.folders.painted, view), plan.frames)
            ended = self._paint(index, view, render)
            if ended is not None:
                return ended
        store_settings(plan.folders.root, PaintedSettings(plan.key(), plan.style_digest))
        return StylizeOutcome("done", "", tuple(self._notes))

    def _paint(self, index: int, view: str, render: RenderArguments) -> StylizeOutcome | None:
        """Paint one view; None where all its frames exist."""
        plan = self._plan
        if self._cancelled():
            return self._stopped()
        self._report(index, WRITING_SHARE, f"starting{self._of(view)}")
        curves = render.store_animation(Path(plan.folders.root) / "animation.json")
        before, done = self._done, 0

        def on_event(event: Event) -> None:
            nonlocal done
            if isinstance(event, RunStarted):
                done = event.skipped
                self._done = before + done
            elif isinstance(event, FrameDone):
                done += 1
                self._done = before + done
                # For the next start of the host; a full disk must not end the job.
                with suppress(OSError):
                    self._store("painting")
                share = done / plan.frames.count
                left = "" if event.remaining_s is None else f", {event.remaining_s:.0f} s left"
                text = f"painted {event.number}{self._of(view)}{left}"
                self._report(index, WRITING_SHARE + (1 - WRITING_SHARE) * min(share, 1.0), text)
            elif isinstance(event, RunWarning):
                self._notes.append(event.message)

        with Run(render.words(curves), command=self._command) as run:
            end = follow(run, on_event, self._cancelled)
        if isinstance(end, RunCancelled):
            return self._stopped()
        if isinstance(end, RunFailed):
            kept = f"{done} of {plan.frames.count} frames{self._of(view)} are kept"
            return StylizeOutcome("failed", f"{end.message} ({kept}, Stylize goes on behind them)")
        missing = plan.frames.missing(frames_present(for_view(plan.folders.painted, view)))
        if missing:
            raise BridgeError(
                f"expected a painted frame for each of {plan.frames.text()}, found none for {ranges_text(missing)}; "
                "press Stylize again"
            )
        return None

    def _stopped(self) -> StylizeOutcome:
        return StylizeOutcome("cancelled", "stopped; what is painted is kept, Stylize goes on behind it")

    def _of(self, view: str) -> str:
        return f" of view {view}" if len(self._plan.views) > 1 else ""

    def _report(self, index: int, share: float, text: str) -> None:
        self._on_progress(StylizeProgress((index + share) / len(self._plan.views), text))

    def _store(self, state: str, message: str = "") -> None:
        plan = self._plan
        what = f"{plan.name} ({plan.render.style}, frames {plan.frames.text()})"
        total = plan.frames.count * len(plan.views)
        job = HostJob(plan.identity, "nuke", state, what, done=self._done, frames=total, message=message)
        store(job, plan.folders.root)
