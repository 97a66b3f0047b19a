"""The JSON lines that `--json` prints: a contract with the programs that run `impasto`.

Each line on standard output is one JSON object with two fields that are always there:

    {"impasto": 1, "event": "frame", …}

`impasto` is the version of this contract. Fields and events may be added under the same version, so
a reader passes over what it does not know; what is documented here is never removed or given
another meaning. Text is UTF-8. Nothing else is printed on standard output, and nothing that
matters to a program on standard error.

A run of `render` prints one `started`, then `frame` and `warning` in any number, then exactly one of
`finished`, `cancelled` and `failed`; a run that cannot start prints `failed` alone. `train pairs` and
`train keyframes` do the same with `step` in the place of `frame`. `styles` prints one `style` for each style,
and `doctor` one `check` for each check, before their `finished` or `failed`. The exit code is the one of
`impasto.hosts.terminal.exit_codes`; `failed` repeats it. `styles` also prints one `parameter` for each control that a
style has, from which hosts build theirs.

`style show` prints one `card` and `style export` one `exported`, each before `finished`. `style compare` prints what
`render` prints, and one `comparison` before its `finished`.

`serve` prints one `serving` once clients may connect; `status` prints one `status`, with `--watch` one a second;
`stop` prints nothing of its own. All three end with `finished` or `failed`.

`watch` prints one `watching`, then for each shot what `render` prints up to its end and one `painted`, or `left` for
one that it does not paint; Ctrl-C ends it with `finished`, and with `cancelled` where a shot was cut off by it.

The classes below are the events, their fields the fields of the objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

VERSION = 1


@dataclass(frozen=True, slots=True)
class Started:
    """The inputs are open, the outputs are free, the work begins."""

    input: str
    output: str
    """The final path; a sequence as its pattern with one '#' for each digit."""
    style: str
    first: int
    """Number of the first frame of the shot."""
    frames: int | None
    """Frames that this run will render; null for a camera or stream."""
    skipped: int
    """Frames that an earlier run finished (`--resume`)."""
    width: int
    height: int
    rate: float | None
    """Frames per second of the shot, null where it does not say."""


@dataclass(frozen=True, slots=True)
class FrameDone:
    """A frame is finished. A file of a sequence is there, whole; a movie appears with `finished`."""

    number: int
    path: str
    done: int
    """Frames finished by this run."""
    frames: int | None
    """As in `started`."""
    fps: float
    """Frames per second of this run so far."""
    remaining_s: float | None
    """Seconds until the end at this pace, null where the end is not known."""
    invalid_pixels: int
    """Pixels with a NaN or infinite channel, which came back as they were."""


@dataclass(frozen=True, slots=True)
class Step:
    """Training has come this far."""

    step: int
    fraction: float
    """Of the whole run, 0 to 1."""
    seconds: float
    remaining_s: float | None
    figures: Mapping[str, float] = field(default_factory=dict)
    preview: str | None = None
    """A contact sheet (plate, result, target) that is drawn anew once a minute or more often."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A search for settings has tried some."""

    trial: int
    trials: int
    """How many are planned."""
    settings: Mapping[str, float | int | str]
    error: float | None
    """On pictures that were held out; lower is better. Null where it could not be judged."""
    ended: str
    """'whole', 'pruned' (it fell behind), 'stopped' or 'failed'."""
    best: float | None
    """The lowest error so far of a trial that ran to its end."""


@dataclass(frozen=True, slots=True)
class StyleFound:
    """A style that `--style` takes."""

    name: str
    title: str
    description: str
    size: str
    halo: int
    megabytes: float
    licence: str
    credits: tuple[str, ...]
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ParameterFound:
    """A control of every style."""

    name: str
    minimum: float
    maximum: float
    default: float
    """Where neither the user nor the style's card says another value."""
    help: str


@dataclass(frozen=True, slots=True)
class CardShown:
    """What `style show` knows of a style."""

    name: str
    """By which `--style` takes it: of the file, without its ending."""
    path: str
    megabytes: float
    card: Mapping[str, object]
    """The fields of `impasto.core.card.Card`, and 'schema'."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What `style compare` measured, as means over the frames; null where a figure cannot be told."""

    first: str
    """The style A."""
    second: str
    """The style B."""
    clip: str
    frames: int
    plate: Mapping[str, float | None]
    """Of the plate itself: the fields of `impasto.core.style_comparison.PlateFigures`."""
    figures: Mapping[str, Mapping[str, float | None]]
    """'first' and 'second' -> the fields of `impasto.core.style_comparison.Figures`."""
    difference: Mapping[str, float | None]
    """The second against the first: the fields of `impasto.core.style_comparison.Difference`."""


@dataclass(frozen=True, slots=True)
class StyleExported:
    """A style was written for other programs, and agrees with the engine."""

    style: str
    path: str
    format: Literal["onnx", "torchscript"]
    megabytes: float
    largest_difference: float
    """Between the file's pictures and the engine's, on the test pictures."""
    facts: Mapping[str, str]
    """The metadata that the file carries."""


@dataclass(frozen=True, slots=True)
class CheckDone:
    """One thing that `doctor` looked at."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    hint: str
    """What to do; empty where nothing is."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server is ready for clients."""

    server: str
    """'impasto 0.2.0'"""
    pid: int
    endpoints: tuple[str, ...]
    styles: int
    """Style files in its folders, the built-in ones among them."""
    metrics: str | None
    """Address of the Prometheus metrics, null where none were asked for."""
    public_key: str | None
    """By which clients of other machines know this server, null where it does not listen for them."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """How a server is."""

    server: str
    pid: int
    uptime_s: float
    health: Literal["ok", "starting", "degraded", "draining"]
    problems: tuple[str, ...]
    """Why the health is not 'ok'."""
    devices: tuple[Mapping[str, object], ...]
    """The fields of `impasto.server.protocol.messages.DeviceFacts`."""
    clients: tuple[Mapping[str, object], ...]
    """The fields of `ClientFacts`."""
    errors: tuple[Mapping[str, object], ...]
    """The fields of `PastError`, newest last."""
    styles: int
    queued: int
    running: int
    jobs: int
    frames: int
    """Frames painted since the start."""
    fps: float
    """Over the last ten seconds."""
    rss_bytes: int
    """Memory of the front process; the workers' is in `devices`."""
    endpoints: tuple[str, ...]
    counters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watching:
    """`watch` looks at a folder from now on."""

    folder: str
    into: str
    """Where results go."""
    style: str


@dataclass(frozen=True, slots=True)
class Painted:
    """`watch` has painted a shot: the result is whole under its name."""

    input: str
    output: str
    frames: int
    skipped: int
    """Frames that an earlier run finished."""
    seconds: float
    fps: float


@dataclass(frozen=True, slots=True)
class Left:
    """`watch` leaves a shot as it is, until it changes."""

    input: str
    code: str
    """As in `failed`."""
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should read and that does not stop the work."""

    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """All is done. Fields that mean nothing to a command keep their defaults."""

    output: str | None = None
    frames: int = 0
    skipped: int = 0
    invalid_pixels: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: 'reading', 'before', 'network', 'after', 'writing'."""
    steps: int = 0
    """Steps of training."""
    trials: int = 0
    """Of a search for settings."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Stopped by a signal; the exit code is 130. What was finished is at `output`, null where nothing is."""

    output: str | None
    frames: int
    seconds: float
    steps: int = 0
    trials: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The work could not be done, or not to its end."""

    code: str
    """What went wrong, as one word: 'usage', 'unknown_name', 'output_exists', 'unreadable_media', …"""
    message: str
    """What was expected, what came, and what to do."""
    hint: str
    """The part of the message that says what to do; may be empty."""
    exit_code: int
    log: str | None = None
    """The file with the details of a fault of the program itself."""


Event: TypeAlias = (
    Started
    | FrameDone
    | Step
    | Tried
    | StyleFound
    | ParameterFound
    | CardShown
    | Compared
    | StyleExported
    | CheckDone
    | Serving
    | ServerStatus
    | Watching
    | Painted
    | Left
    | Warned
    | Finished
    | Cancelled
    | Failed
)

NAMES: dict[type[Event], str] = {
    Started: "started",
    FrameDone: "frame",
    Step: "step",
    Tried: "trial",
    StyleFound: "style",
    ParameterFound: "parameter",
    CardShown: "card",
    Compared: "comparison",
    StyleExported: "exported",
    CheckDone: "check",
    Serving: "serving",
    ServerStatus: "status",
    Watching: "watching",
    Painted: "painted",
    Left: "left",
    Warned: "warning",
    Finished: "finished",
    Cancelled: "cancelled",
    Failed: "failed",
}


def line_of(event: Event) -> str:
    """An event as one line of JSON, without the line break."""
    return json.dumps({"impasto": VERSION, "event": NAMES[type(event)], **asdict(event)}, ensure_ascii=False)
