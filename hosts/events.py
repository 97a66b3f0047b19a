"""The JSON lines that `--json` prints: a contract with the programs that run `impasto`.

Each line on standard output is one JSON object with two fields that are always there:

    {"impasto": 1, "event": "frame", …}

`impasto` is the version of this contract. Fields and events may be added under the same version, so
a reader skips what it does not know; what is documented here is never removed or given
another meaning. Text is UTF-8. Nothing else is printed on standard output, and nothing that
matters to a program on standard error.

A run of `render` or `paint` prints one `started`, then `frame` and `warning` in any number, then exactly one of
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

`live` prints one `live`, then one `figures` a second and `warning` in any number, then `finished` or `failed`; Ctrl-C
ends it with `finished`.

The classes below are the events, their fields the fields of the objects. The events that hosts read have a default for
every field, so that a line of another minor version is understood. This file runs inside Nuke and Resolve too: Python
3.7 and the standard library.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Mapping, Union

VERSION = 1
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class RunStarted:
    """The inputs are open, the outputs are free, the work begins."""

    input: str = ""
    output: str = ""
    """The final path; a sequence as its pattern with one '#' for each digit."""
    style: str = ""
    first: int = 0
    """Number of the first frame of the shot."""
    frames: int | None = None
    """Frames that this run will render; null for a camera or stream."""
    skipped: int = 0
    """Frames that an earlier run finished (`--resume`)."""
    width: int = 0
    height: int = 0
    rate: float | None = None
    """Frames per second of the shot, null where it does not say."""


@dataclass(frozen=True)
class FrameDone:
    """A frame is finished. A file of a sequence is there, whole; a movie appears with `finished`."""

    number: int = 0
    path: str = ""
    done: int = 0
    """Frames finished by this run."""
    frames: int | None = None
    """As in `started`."""
    fps: float = 0.0
    """Frames per second of this run so far."""
    remaining_s: float | None = None
    """Seconds until the end at this pace, null where the end is not known."""
    invalid_pixels: int = 0
    """Pixels with a NaN or infinite channel, which came back as they were."""


@dataclass(frozen=True)
class TrainingStep:
    """Training has reached a step."""

    step: int
    fraction: float
    """Of the whole run, 0 to 1."""
    seconds: float
    remaining_s: float | None
    figures: Mapping[str, float] = field(default_factory=dict)
    preview: str | None = None
    """A contact sheet (plate, result, target) that is drawn anew once a minute or more often."""


@dataclass(frozen=True)
class TrialDone:
    """A search for settings has finished a trial."""

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


@dataclass(frozen=True)
class StyleFound:
    """A style that `--style` accepts."""

    name: str = ""
    title: str = ""
    description: str = ""
    size: str = ""
    halo: int = 0
    megabytes: float = 0.0
    licence: str = ""
    credits: tuple[str, ...] = ()
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class ParameterFound:
    """A control of every style."""

    name: str = ""
    minimum: float = 0.0
    maximum: float = 1.0
    default: float = 0.0
    """Where neither the user nor the style's card says another value."""
    help: str = ""


@dataclass(frozen=True)
class CardShown:
    """The card of a style, for `style show`."""

    name: str
    """The name that `--style` accepts: that of the file, without its ending."""
    path: str
    megabytes: float
    card: Mapping[str, object]
    """The fields of `impasto.core.card.Card`, and 'schema'."""


@dataclass(frozen=True)
class StylesCompared:
    """The figures of `style compare`, as means over the frames; null where there is no figure."""

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


@dataclass(frozen=True)
class StyleExported:
    """A style was written for other programs, and agrees with the engine."""

    style: str
    path: str
    format: str
    """'onnx' or 'torchscript'."""
    megabytes: float
    largest_difference: float
    """Between the file's pictures and the engine's, on the test pictures."""
    facts: Mapping[str, str]
    """The metadata that the file carries."""


@dataclass(frozen=True)
class CheckDone:
    """One check of `doctor`."""

    name: str = ""
    state: str = ""
    """'ok', 'warning' or 'failed'."""
    found: str = ""
    hint: str = ""
    """What to do; empty where nothing is."""


@dataclass(frozen=True)
class ServerReady:
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


@dataclass(frozen=True)
class ServerStatus:
    """The state of a server."""

    server: str
    pid: int
    uptime_s: float
    health: str
    """'ok', 'starting', 'degraded' or 'draining'."""
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


@dataclass(frozen=True)
class WatchStarted:
    """`watch` has begun to watch a folder."""

    folder: str
    into: str
    """Where results go."""
    style: str


@dataclass(frozen=True)
class ShotPainted:
    """`watch` has painted a shot: the result is complete under its name."""

    input: str
    output: str
    frames: int
    skipped: int
    """Frames that an earlier run finished."""
    seconds: float
    fps: float


@dataclass(frozen=True)
class ShotSkipped:
    """`watch` does not paint a shot until it changes."""

    input: str
    code: str
    """As in `failed`."""
    message: str
    hint: str


@dataclass(frozen=True)
class LiveStarted:
    """`live` begins to paint what comes."""

    source: str
    style: str
    sinks: tuple[str, ...]
    page: str
    """Address of the page with its token, for the user alone; empty where no page is served."""


@dataclass(frozen=True)
class LiveFigures:
    """How a live session goes, once a second: the fields of `impasto.hosts.live.figures.SessionFigures`."""

    source: str
    width: int
    height: int
    came: int
    painted: int
    dropped: int
    fps_in: float
    fps: float
    painting_ms: float
    age_p50_ms: float
    age_p95_ms: float
    rung: str
    reason: str
    problem: str


@dataclass(frozen=True)
class RunWarning:
    """Something that a person should read and that does not stop the work."""

    message: str = ""


@dataclass(frozen=True)
class RunFinished:
    """All is done. Fields that mean nothing to a command keep their defaults."""

    output: str | None = None
    frames: int = 0
    skipped: int = 0
    invalid_pixels: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: 'before', 'network', 'after'; 'reading' and 'writing', which are waiting; 'reading_cpu' and
    'writing_cpu', the processor time of files and codecs, beside the other stages."""
    steps: int = 0
    """Steps of training."""
    trials: int = 0
    """Of a search for settings."""
    precision: str = ""
    """What the network counted in: 'float32', 'float16' or 'bfloat16'; empty where nothing was painted."""
    cached: int = 0
    """Frames, of `frames`, that were kept from an earlier time, and not painted by this run."""


@dataclass(frozen=True)
class RunCancelled:
    """Stopped by a signal; the exit code is 130. What was finished is at `output`, null where nothing is."""

    output: str | None = None
    frames: int = 0
    seconds: float = 0.0
    steps: int = 0
    trials: int = 0


@dataclass(frozen=True)
class JobWritten:
    """The bundle of a farm job is there: `impasto submit`."""

    job: str = ""
    """Its name, which every frame notes."""
    folder: str = ""
    output: str = ""
    """The pattern of the result."""
    frames: int = 0
    chunk: int = 0
    """Frames in one task."""
    commands: tuple[str, ...] = ()
    """What hands it to a farm, or runs it here."""
    task: str = ""
    """The command of one task, for farms of another kind; FIRST-LAST stands for its frames."""


@dataclass(frozen=True)
class ChunkEnded:
    """A chunk of a farm job that runs here has ended."""

    first: int = 0
    last: int = 0
    seat: str = ""
    state: str = ""
    """'done', 'again' (it will be tried again) or 'failed'."""
    attempt: int = 1
    done: int = 0
    """Frames of the job that are done."""
    frames: int = 0
    message: str = ""


@dataclass(frozen=True)
class ShotChecked:
    """Every frame of a result was looked at: `impasto verify`."""

    output: str = ""
    """The pattern of the sequence."""
    frames: int = 0
    """That were looked for."""
    missing: tuple[int, ...] = ()
    torn: tuple[int, ...] = ()
    """There, and not whole."""
    stale: tuple[int, ...] = ()
    """Of a plate, matte, guide layer or motion vectors that have changed since."""
    other_look: tuple[int, ...] = ()
    """Of another style, other settings or another plate."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Number -> what is wrong."""


@dataclass(frozen=True)
class RunFailed:
    """The work could not be done, or not to its end."""

    code: str = ""
    """What went wrong, as one word: 'usage', 'unknown_name', 'output_exists', 'unreadable_media', …"""
    message: str = ""
    """What was expected, what came, and what to do."""
    hint: str = ""
    """The part of the message that says what to do; may be empty."""
    exit_code: int = 1
    log: str | None = None
    """The file with the details of a fault of the program itself."""


RunEnd = Union[RunFinished, RunCancelled, RunFailed]
Event = Union[
    RunStarted,
    FrameDone,
    TrainingStep,
    TrialDone,
    StyleFound,
    ParameterFound,
    CardShown,
    StylesCompared,
    StyleExported,
    CheckDone,
    ServerReady,
    ServerStatus,
    WatchStarted,
    ShotPainted,
    ShotSkipped,
    LiveStarted,
    LiveFigures,
    ShotChecked,
    JobWritten,
    ChunkEnded,
    RunWarning,
    RunEnd,
]
ENDS = (RunFinished, RunCancelled, RunFailed)

NAMES: dict[type[Event], str] = {
    RunStarted: "started",
    FrameDone: "frame",
    TrainingStep: "step",
    TrialDone: "trial",
    StyleFound: "style",
    ParameterFound: "parameter",
    CardShown: "card",
    StylesCompared: "comparison",
    StyleExported: "exported",
    CheckDone: "check",
    ServerReady: "serving",
    ServerStatus: "status",
    WatchStarted: "watching",
    ShotPainted: "painted",
    ShotSkipped: "left",
    LiveStarted: "live",
    LiveFigures: "figures",
    ShotChecked: "verified",
    JobWritten: "written",
    ChunkEnded: "chunk",
    RunWarning: "warning",
    RunFinished: "finished",
    RunCancelled: "cancelled",
    RunFailed: "failed",
}


KINDS: dict[str, type[Any]] = {name: kind for kind, name in NAMES.items()}


def line_of(event: Event) -> str:
    """An event as one line of JSON, without the line break.

    What steers a terminal, breaks lines for some readers, or has no UTF-8 (half a surrogate pair) is escaped.
    """
    text = json.dumps({"impasto": VERSION, "event": NAMES[type(event)], **asdict(event)}, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def parse_event(line: str) -> Event | None:
    """The event of one line, None for a line that is no event or one that is not known here.

    A line of another version of the contract is a `RunFailed` that says so.
    """
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    if not isinstance(facts, dict) or "impasto" not in facts:
        return None
    if facts["impasto"] != VERSION:
        return RunFailed(
            "contract",
            "expected lines of version {} from the `impasto` command, got version {!r}; install command and plug-in "
            "of one version".format(VERSION, facts["impasto"]),
        )
    kind = KINDS.get(facts.get("event", ""))
    if kind is None:
        return None
    given = {each.name: facts[each.name] for each in fields(kind) if each.name in facts}
    try:
        event: Event = kind(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        )
    except TypeError:
        return None  # a field that has no default is missing
    return event
