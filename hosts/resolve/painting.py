"""The plates of a job through `impasto render`. Resolve is not needed for it, and not touched."""

from __future__ import annotations

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.events import Cancelled, Event, Failed, FrameDone, Warned
from impasto.hosts.bridge.patterns import frames_present
from impasto.hosts.bridge.ranges import ranges_text
from impasto.hosts.bridge.render_arguments import RenderArguments
from impasto.hosts.bridge.runner import Run, follow
from impasto.hosts.resolve.job_record import Order, Part, Record
from impasto.hosts.resolve.ui import Front, Stopped

GO_ON = "what is finished is kept: start Impasto again to continue"
LOOK_S = 0.05


def paint(record: Record, front: Front, command: Command | None = None) -> None:
    """Paint what is not painted yet; frames of an earlier run that still agree are kept.

    Raises Stopped, and BridgeError that names what failed and says how much is there.
    """
    record.note("painting")
    for part in record.order.parts:
        if not part.placed:
            _paint_part(record.order, part, front, command)


def _paint_part(order: Order, part: Part, front: Front, command: Command | None) -> None:
    plate, painted = part.plate(), part.painted()
    render = RenderArguments(
        plate.pattern, painted.pattern, order.request.style, plate.numbers, order.request.params,
        input_space=order.space, output_space=order.space,
    )  # fmt: skip

    def heard(event: Event) -> None:
        if isinstance(event, FrameDone):
            front.tell(event.done / (event.frames or event.done), f"painting {part.name}")
        elif isinstance(event, Warned):
            front.say(event.message)

    def stopped() -> bool:
        front.pause(0.0)
        return front.stopped()

    with Run(render.words(), command=command) as run:
        end = follow(run, heard, stopped, LOOK_S)
    if isinstance(end, Cancelled):
        raise Stopped
    present = frames_present(painted.pattern)
    missing = painted.numbers.missing(present)
    if isinstance(end, Failed) or missing:
        said = end.message if isinstance(end, Failed) else f"frames {ranges_text(missing)} are missing"
        kept = sum(number in present for number in painted.numbers.numbers())
        raise BridgeError(f"{said} ({kept} of {painted.numbers.count} frames of '{part.name}' are painted; {GO_ON})")
