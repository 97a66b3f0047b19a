"""What the front and a worker say to each other, over a socket pair that only they hold.

Both are of one installation, so these messages have no version; they are packed by the same codec as the wire's.
Ring segments travel beside `MapRing` as an open file. The worker ends when the socket does.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol.field_types import Count, Id, Many, Name, Number, Seconds, Words
from impasto.server.protocol.limits import ARRAY_ITEMS, PIXELS
from impasto.server.protocol.messages import (
    DeviceFacts,
    Done,
    ErrorFacts,
    ShotDone,
    ShotStarted,
    StoredFrame,
    Submit,
    SubmitShot,
)

DEVICE_FAILED: Final = 86
"""Exit status of a worker after an error of its device, or one that cannot be told from it: the next starts clean."""


# From the front


@frozen_dataclass
class MapRing:
    """Map the segment whose open file comes with this message (on Windows: whose tag is `path`)."""

    TYPE: ClassVar = "map_ring"

    ring: Count
    path: Words
    segment_bytes: Count


@frozen_dataclass
class DropRing:
    """The segment is not used any more."""

    TYPE: ClassVar = "drop_ring"

    ring: Count


@frozen_dataclass
class PaintFrame:
    """Paint the samples at one place of a mapped segment into another. Answer: `FramePainted` or `WorkFailed`.

    Inline samples too are in a segment: one of the front's own.
    """

    TYPE: ClassVar = "paint_frame"

    request: Submit
    style_path: Words
    """The file behind the style's name."""
    ring: Count
    in_offset: Count
    out_offset: Count


@frozen_dataclass
class RunShot:
    """Run a shot job.

    Answers: `ShotOpened`, `TurnAsked` and `TurnOver` for each frame, `FramesSafe`, and one of `ShotEnded`,
    `WorkFailed`, `WorkStopped`.
    """

    TYPE: ClassVar = "run_shot"

    request: SubmitShot
    style_path: Words
    attempt: Count
    opened: bool = True
    """Whether an earlier attempt answered `ShotOpened`, so that what is at the output now is the job's own."""
    pixels: Count = PIXELS
    """How many the plate, the resized plate and the result may have."""
    roots: Annotated[tuple[Words, ...], Many(ARRAY_ITEMS)] = ()
    """Folders below which every path of the job lies and is opened; none where the client may name any path."""


@frozen_dataclass
class TurnGranted:
    """The job may paint its next frame."""

    TYPE: ClassVar = "turn_granted"

    job: Id
    turn: Count


@frozen_dataclass
class StopWork:
    """Stop a request or job at its next cancel point and answer `WorkStopped`."""

    TYPE: ClassVar = "stop_work"

    id: Id


@frozen_dataclass
class CheckStyle:
    """Load and verify a style file; a good one takes the place of the one of its name. Answer: `StyleChecked`."""

    TYPE: ClassVar = "check_style"

    style: Words
    """The name in the library."""
    path: Words


@frozen_dataclass
class Quit:
    """End, without waiting for what runs."""

    TYPE: ClassVar = "quit"


# From the worker


@frozen_dataclass
class Ready:
    """The device answers and has painted a test picture as it should."""

    TYPE: ClassVar = "ready"

    device: DeviceFacts
    depth: Count = 2
    """Turns that may run at once: one in the network, one in colour."""
    others: Annotated[tuple[Name, ...], Many(64)] = ()
    """Asked for 'auto': the other devices of this machine, each worth a worker of its own."""


@frozen_dataclass
class Beat:
    """Twice a second: the worker lives. Units that moved since the last one are named."""

    TYPE: ClassVar = "beat"

    device: DeviceFacts
    moved: Annotated[tuple[Id, ...], Many(64)] = ()


@frozen_dataclass
class FramePainted:
    """The result is in its place."""

    TYPE: ClassVar = "frame_painted"

    done: Done


@frozen_dataclass
class WorkFailed:
    """A request or job ended with an error; the worker itself is well unless it leaves after this."""

    TYPE: ClassVar = "work_failed"

    id: Id
    error: ErrorFacts
    path: Words = ""
    rendered: Count = 0


@frozen_dataclass
class WorkStopped:
    """A request or job was stopped as told."""

    TYPE: ClassVar = "work_stopped"

    id: Id
    path: Words = ""
    rendered: Count = 0
    seconds: Seconds = 0.0


@frozen_dataclass
class ShotOpened:
    """The shot is open and its result free."""

    TYPE: ClassVar = "shot_opened"

    started: ShotStarted


@frozen_dataclass
class TurnAsked:
    """A frame of the job waits for its turn."""

    TYPE: ClassVar = "turn_asked"

    job: Id
    turn: Count
    frame: Number
    pixels: Count


@frozen_dataclass
class TurnOver:
    """The turn's frame is painted, or was given up."""

    TYPE: ClassVar = "turn_over"

    job: Id
    turn: Count


@frozen_dataclass
class FramesSafe:
    """Frames of a job that are stored, and notes for the artist."""

    TYPE: ClassVar = "frames_safe"

    job: Id
    stored: Annotated[tuple[StoredFrame, ...], Many(64)] = ()
    notes: Annotated[tuple[Words, ...], Many(16)] = ()


@frozen_dataclass
class ShotEnded:
    """The job is finished."""

    TYPE: ClassVar = "shot_ended"

    done: ShotDone


@frozen_dataclass
class StyleChecked:
    """What became of a style file."""

    TYPE: ClassVar = "style_checked"

    style: Words
    path: Words
    sha256: Words = ""
    error: ErrorFacts | None = None


@frozen_dataclass
class WorkerNote:
    """Something for the log."""

    TYPE: ClassVar = "worker_note"

    level: Literal["info", "warning", "error"]
    event: Name
    facts: Annotated[dict[Name, Words], Many(16)] = field(default_factory=dict)


FromFront: TypeAlias = MapRing | DropRing | PaintFrame | RunShot | TurnGranted | StopWork | CheckStyle | Quit
FromWorker: TypeAlias = (
    Ready
    | Beat
    | FramePainted
    | WorkFailed
    | WorkStopped
    | ShotOpened
    | TurnAsked
    | TurnOver
    | FramesSafe
    | ShotEnded
    | StyleChecked
    | WorkerNote
)
