"""One job from plate to painted frames, told step by step. Knows no host: the caller brings the way to write plates."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import Job, store
from impasto.hosts.bridge.patterns import for_view, frames_present
from impasto.hosts.bridge.ranges import ranges_text
from impasto.hosts.bridge.render_arguments import RenderOrder, arguments_of, store_animation
from impasto.hosts.bridge.runner import Run, follow
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFailed, RunStarted, RunWarning
from impasto.hosts.nuke.plan import Plan
from impasto.hosts.nuke.reuse_plates import clear, settle
from impasto.hosts.nuke.settings_file import Mark, drop_mark, set_mark

WRITING_SHARE = 0.2
"""Of the bar, for writing plates; the rest is painting."""


class WriteCancelled(Exception):
    """Somebody pressed Cancel while the host wrote plates."""


@dataclass(frozen=True)
class Progress:
    """How far a job is: a share of all work from 0 to 1, and a text for the bar."""

    share: float
    text: str


@dataclass(frozen=True)
class Outcome:
    """How a job ended: 'done', 'failed' or 'cancelled', with a sentence; empty where all is well."""

    state: str
    message: str = ""
    notes: tuple[str, ...] = ()


class Painting:
    """A job under way. `write` gets a view and renders its plates to `plan.folders.incoming`, blocking.

    It raises WriteCancelled, or RuntimeError with the host's own words. `tell` gets the progress, `cancelled` is asked
    often; both are called on the thread that calls `run`.
    """

    def __init__(
        self,
        plan: Plan,
        write: Callable[[str], None],
        tell: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        command: Command | None = None,
    ) -> None:
        self._plan, self._write, self._tell, self._cancelled, self._command = plan, write, tell, cancelled, command
        self._done = 0
        self._notes: list[str] = []

    def run(self) -> Outcome:
        """Write, paint and check every view. Never raises: whatever goes wrong is the outcome."""
        try:
            outcome = self._run()
        except BridgeError as error:
            outcome = Outcome("failed", str(error))
        except OSError as error:
            outcome = Outcome(
                "failed",
                f"expected to keep pictures in '{self._plan.folders.root}', which failed: "
                f"{error.strerror or error}; make room, or choose another scratch folder",
            )
        for view in self._plan.views:
            clear(for_view(self._plan.folders.incoming, view))
        # The outcome is told all the same; the note is for the next start alone.
        with suppress(OSError):
            self._note(outcome.state, outcome.message)
        return outcome

    def _run(self) -> Outcome:
        plan = self._plan
        # What cannot be ordered is said before plates are written for it.
        orders = {view: plan.order(view) for view in plan.views}
        for index, (view, order) in enumerate(orders.items()):
            self._note("writing")
            self._say(index, 0.0, f"writing plates{self._of(view)}")
            if self._cancelled():
                return self._stopped()
            clear(for_view(plan.folders.incoming, view))
            try:
                self._write(view)
            except WriteCancelled:
                return self._stopped()
            except RuntimeError as error:
                return Outcome(
                    "failed",
                    "expected Nuke to write the plates of {}{}, it says: {}; look at the node's input".format(
                        plan.frames.text(), self._of(view), str(error).strip() or "nothing"
                    ),
                )
            settle(for_view(plan.folders.incoming, view), for_view(plan.folders.plates, view), plan.frames)
            self._note("painting")
            drop_mark(plan.folders.root)
            ended = self._paint(index, view, order)
            if ended is not None:
                return ended
        set_mark(plan.folders.root, Mark(plan.key(), plan.style_digest))
        return Outcome("done", "", tuple(self._notes))

    def _paint(self, index: int, view: str, order: RenderOrder) -> Outcome | None:
        """Paint one view; None where all its frames are there."""
        plan = self._plan
        if self._cancelled():
            return self._stopped()
        self._say(index, WRITING_SHARE, f"starting{self._of(view)}")
        curves = store_animation(order, Path(plan.folders.root) / "animation.json")
        before, done = self._done, [0]

        def heard(event: Event) -> None:
            if isinstance(event, RunStarted):
                done[0] = event.skipped
                self._done = before + done[0]
            elif isinstance(event, FrameDone):
                done[0] += 1
                self._done = before + done[0]
                # For the next start alone, should this one end here; where there is no room, painting says so.
                with suppress(OSError):
                    self._note("painting")
                share = done[0] / plan.frames.count
                left = "" if event.remaining_s is None else f", {event.remaining_s:.0f} s left"
                text = f"painted {event.number}{self._of(view)}{left}"
                self._say(index, WRITING_SHARE + (1 - WRITING_SHARE) * min(share, 1.0), text)
            elif isinstance(event, RunWarning):
                self._notes.append(event.message)

        with Run(arguments_of(order, curves), command=self._command) as run:
            end = follow(run, heard, self._cancelled)
        if isinstance(end, RunCancelled):
            return self._stopped()
        if isinstance(end, RunFailed):
            kept = f"{done[0]} of {plan.frames.count} frames{self._of(view)} are kept"
            return Outcome("failed", f"{end.message} ({kept}, Stylize goes on behind them)")
        missing = plan.frames.missing(frames_present(for_view(plan.folders.painted, view)))
        if missing:
            raise BridgeError(
                f"expected a painted frame for each of {plan.frames.text()}, found none for {ranges_text(missing)}; "
                "press Stylize again"
            )
        return None

    def _stopped(self) -> Outcome:
        return Outcome("cancelled", "stopped; what is painted is kept, Stylize goes on behind it")

    def _of(self, view: str) -> str:
        return f" of view {view}" if len(self._plan.views) > 1 else ""

    def _say(self, index: int, share: float, text: str) -> None:
        self._tell(Progress((index + share) / len(self._plan.views), text))

    def _note(self, state: str, message: str = "") -> None:
        plan = self._plan
        what = f"{plan.name} ({plan.style}, frames {plan.frames.text()})"
        order = {"key": plan.key(), "style": plan.style, "frames": plan.frames.text(), "views": list(plan.views)}
        total = plan.frames.count * len(plan.views)
        store(Job(plan.identity, "nuke", state, what, order, self._done, total, message), plan.folders.root)
