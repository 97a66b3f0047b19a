"""Paints the plates of a job with `impasto render`. Resolve is not needed for it, and not touched."""

from __future__ import annotations

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.patterns import frames_present
from impasto.hosts.bridge.ranges import FrameList, ranges_text
from impasto.hosts.bridge.render_arguments import RenderArguments
from impasto.hosts.bridge.runner import Run, follow
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFailed, RunWarning
from impasto.hosts.resolve.job_record import JobRecord, SavedPiece, TimelineJob
from impasto.hosts.resolve.ui import JobStopped, UserInterface

GO_ON = "what is finished is kept: start Impasto again to continue"
POLL_S = 0.05


def paint(record: JobRecord, ui: UserInterface, command: Command | None = None) -> None:
    """Paint what is not painted yet; frames of an earlier run with the same settings stay.

    Raises JobStopped, and BridgeError with the failure and the number of finished frames.
    """
    record.store("painting")
    for saved in record.job.pieces:
        if not saved.placed:
            _paint_piece(record.job, saved, ui, command)


def _paint_piece(job: TimelineJob, saved: SavedPiece, ui: UserInterface, command: Command | None) -> None:
    plate, painted = saved.plate(), saved.painted()
    render = RenderArguments(
        plate.pattern, painted.pattern, job.request.style, FrameList((plate.numbers,)), job.request.params,
        input_space=job.space, output_space=job.space,
    )  # fmt: skip

    def on_event(event: Event) -> None:
        if isinstance(event, FrameDone):
            ui.show_progress(event.done / (event.frames or event.done), f"painting {saved.name}")
        elif isinstance(event, RunWarning):
            ui.say(event.message)

    def cancelled() -> bool:
        ui.pause(0.0)
        return ui.stop_requested()

    with Run(render.words(), command=command) as run:
        end = follow(run, on_event, cancelled, POLL_S)
    if isinstance(end, RunCancelled):
        raise JobStopped
    present = frames_present(painted.pattern)
    missing = painted.numbers.missing(present)
    if isinstance(end, RunFailed) or missing:
        message = end.message if isinstance(end, RunFailed) else f"frames {ranges_text(missing)} are missing"
        kept = sum(number in present for number in painted.numbers.numbers())
        raise BridgeError(
            f"{message} ({kept} of {painted.numbers.count} frames of '{saved.name}' are painted; {GO_ON})"
        )
