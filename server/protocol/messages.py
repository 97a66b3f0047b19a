"""Every message of the wire, as a frozen dataclass: its fields, their bounds, who sends it and what answers it.

This file is the specification. A client in another language needs it, `limits.py`, and the two pages below.

**Sockets.** The server binds two ROUTER sockets, *control* and *data*; a client connects a DEALER to each. On one
machine they are `control.sock` and `data.sock` in the server's runtime folder (mode 0700). Over a network they are
`tcp://HOST:PORT` and `tcp://HOST:PORT+1`, with CURVE. `Submit`, `SubmitShot` and everything that answers them go over
data; all other messages go over control, so that a ping or a cancel never waits behind pixels.

**Parts.** A message is two to sixteen ZeroMQ parts, without an empty delimiter:

    0   preamble, 8 bytes: b"IMPA", major (u8), minor (u8), flags (u16, little endian, 0)
    1   header, at most 64 KiB of msgpack: one map with string keys; "type" names the message
    2…  samples (`Submit` and `Done` with inline pixels), or a PNG (`PreviewFound`)

A field with a default may be left out. A key that the receiver does not know is ignored, so that a minor version may
add fields; a *message* that the server does not know is answered with `Rejected`. NaN and infinity are refused in every
number. Text is UTF-8 without control characters. Times are relative; no clock is compared with another machine's.
What a later minor version added bears it in brackets: (1.1).

**Order.** `Hello` (control) → `Welcome`; `Join` (data) with the session of the welcome → `Joined`; then anything.
`Submit` and `SubmitShot` get exactly one terminal message, `Done`, `ShotDone`, `Failed`, `Cancelled` or `Expired`, and
the same one again if they are sent again with the same id. A request that is sent again while it runs attaches to it;
another request under its id is `Rejected`, and so is whatever else belongs to no request.

**Ring.** On one machine pixels pass through shared memory. `OpenRing` → `RingOffered` names a file to map; the client
reads 16 bytes at `nonce_offset` and returns them in `AttachRing` → `RingReady`; by then the name is gone. The ring
holds `pairs` pairs of slots of `slot_bytes` each: pair i has its in-slot at `first_slot + 2 i * slot_bytes` and its
out-slot one `slot_bytes` further. The client chooses a pair that it does not use, writes the samples (and the matte
behind them) into the in-slot and names the pair in `Submit` with a generation that is higher than the pair's last;
the result is in the out-slot, in the same layout, when `Done` arrives, and stays until the client names the pair
again. Between `Submit` and its terminal message the pair belongs to the server.

**Inline.** Where mapping fails, and over a network, part 2 holds the samples of `Submit` and part 3 those of its
matte; part 2 of `Done` holds the result. `encoding` says how: "raw", or "blosc2" where both sides named it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from impasto.core.record import record
from impasto.server.protocol import limits


@record
class Bytes:
    """Exactly `size` bytes."""

    size: int


@record
class Blob:
    """Bytes, at least one and at most `most` units of `unit` bytes each."""

    most: int
    unit: int


@record
class Text:
    """UTF-8 without control characters, at most `bytes` long; not empty unless `empty`."""

    bytes: int = limits.TEXT_BYTES
    empty: bool = True


@record
class Whole:
    """An integer of this range, both ends included; never a boolean."""

    least: int
    most: int


@record
class Real:
    """A finite number of this range, both ends included; integers are taken too."""

    least: float
    most: float


@record
class Many:
    """At most `most` items or entries."""

    most: int


@record
class Flat:
    """The fields of the record are keys of the map that it stands in. The last field of its message."""


Id: TypeAlias = Annotated[bytes, Bytes(16)]
"""Chosen by the client at random for every request."""
Name: TypeAlias = Annotated[str, Text(limits.NAME_BYTES, empty=False)]
Words: TypeAlias = Annotated[str, Text()]
Count: TypeAlias = Annotated[int, Whole(0, (1 << 63) - 1)]
Number: TypeAlias = Annotated[int, Whole(-(1 << 31), (1 << 31) - 1)]
"""A frame number."""
Seconds: TypeAlias = Annotated[float, Real(0, 1e9)]
Amount: TypeAlias = Annotated[float, Real(-1e9, 1e9)]
Settings: TypeAlias = Annotated[dict[Name, Amount], Many(limits.MAP_ITEMS)]
"""Control name -> value, as the tables of `Welcome` name and bound them.

A parameter that is missing has the style's own default, another control the one of its table.
"""
Lane: TypeAlias = Literal["interactive", "batch"]
Dtype: TypeAlias = Literal["uint8", "uint16", "float16", "float32"]
"""Little endian."""
Alpha: TypeAlias = Literal["associated", "unassociated"]
Encoding: TypeAlias = Literal["raw", "blosc2"]
Precision: TypeAlias = Literal["auto", "float32", "float16", "bfloat16"]
KeysQuality: TypeAlias = Literal["draft", "standard", "best"]
EncoderSpeed: TypeAlias = Literal[
    "auto", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]
"""The presets of x264 and x265, from the largest files to the smallest; 'auto' is superfast for drafts, else fast."""
Side: TypeAlias = Annotated[int, Whole(1, limits.SIDE)]
Stride: TypeAlias = Annotated[int, Whole(1, limits.RAW_BYTES)]
Tile: TypeAlias = Annotated[int, Whole(-1, limits.SIDE)]
"""Side in pixels; 0 is 'auto', -1 is 'off'."""


# Values inside messages


@record
class ErrorFacts:
    """What went wrong, for a person and for a program."""

    code: Name
    """A word of `impasto.server.protocol.errors`."""
    message: Words
    """What was expected, what came, what to do."""
    retryable: bool = False
    """Whether the same request may succeed later without a change."""
    retry_after_s: Seconds = 0.0
    field: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """The field of the header that was refused, where it was one."""
    incident: Annotated[str, Text(64)] = ""
    """By which the server's log can be searched."""


@record
class ParameterFacts:
    """One control: the fields of `impasto.core.params.Parameter`."""

    name: Name
    minimum: Amount
    maximum: Amount
    default: Amount
    help: Words


@record
class StyleFacts:
    """One style of the library."""

    name: Name
    title: Words
    description: Words
    size: Name
    sha256: Annotated[str, Text(64)]
    halo: Count
    megabytes: Amount
    licence: Words
    credits: Annotated[tuple[Words, ...], Many(32)] = ()
    guides: Annotated[tuple[Name, ...], Many(32)] = ()
    codes: Annotated[tuple[Name, ...], Many(64)] = ()
    defaults: Settings = field(default_factory=dict)
    has_preview: bool = False
    problem: Words = ""
    """Why the newest file of this name is not used; the one before it is."""


@record
class Picture:
    """How the samples of a plate lie in memory: rows of interleaved channels.

    A row begins `row_stride` bytes after the one before it (at least width x channels x sample size, and a
    multiple of the sample size). `bottom_up` says that the first row is the lowest. The samples take
    `(height - 1) * row_stride + width * channels * sample size` bytes.
    """

    width: Side
    height: Side
    channels: Annotated[int, Whole(1, 4)]
    """1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    dtype: Dtype
    row_stride: Stride
    bottom_up: bool = False
    alpha: Alpha = "associated"
    """How colour and alpha relate, where there is alpha."""
    colour_space: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: scene-linear Rec.709 for floats, sRGB for integers."""


@record
class MattePicture:
    """How the samples of a matte lie: one channel, of the plate's size and `bottom_up` as the plate."""

    dtype: Dtype
    """Integers are divided by their greatest value, floats clipped to [0, 1]."""
    row_stride: Stride
    offset: Count = 0
    """Where it begins in the in-slot, a multiple of 64; unused inline."""


@record
class Slot:
    """A pair of slots of the session's ring."""

    ring: Count
    pair: Annotated[int, Whole(0, 63)]
    generation: Count
    """Higher than the pair's last one."""


@record
class RenderSettings:
    """The settings that a frame, or each frame of a shot, is to be painted with: the style and every control."""

    style: Words
    """A name of the library; on the local socket also the absolute path of a .safetensors file.

    NAME@A=0.7+B=0.3 chooses among the styles of one file, or blends them.
    """
    sha256: Annotated[str, Text(64)] = ""
    """Where given, the style must have this digest, or the request fails."""
    params: Settings | None = None
    """None: the style's own defaults."""
    before: Settings = field(default_factory=dict)
    after: Settings = field(default_factory=dict)
    precision: Precision = "auto"
    tile: Tile = 0
    device: Annotated[str, Text(32)] = ""
    """Empty: any that the server has."""
    keys_quality: KeysQuality = "standard"
    """Of the carried paint of keys by a hand. A server that does not know it carries none. (1.2)"""
    keys_map: bool = False
    """Whether a shot in EXR gets a layer that says where no hand painted; as before. (1.2)"""


@record
class Stretch:
    """The values of a parameter at frames in a row."""

    first: Number
    """The frame of the first value."""
    values: Annotated[bytes, Blob(limits.BLOB_BYTES // 8, 8)]
    """float64, little endian, one for each frame."""


@record
class AnimatedParameter:
    """A parameter that changes over a shot. (1.1)

    Between two stretches the value goes in a straight line from the last of the one to the first of the other; before
    the first stretch and behind the last it stays.
    """

    name: Name
    stretches: Annotated[tuple[Stretch, ...], Many(limits.ARRAY_ITEMS)]
    """At least one, by ascending frame, no frame twice."""


@record
class ShotJob:
    """What a shot job reads, paints and writes: the one description of it, from a host to the worker that runs it.

    Paths are those of the process that opens the files. On the local socket they are absolute (an input may be
    'camera:0' or a stream's address too); elsewhere 'ROOT:relative/path' below a named root.
    """

    look: RenderSettings
    input: Words
    output: Words
    first: Number | None = None
    """First and last frame, both included; both None mean the whole shot."""
    last: Number | None = None
    layer: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: the default layer."""
    matte: Words = ""
    """A still, or pictures numbered like the shot; empty for none."""
    input_space: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: the space that the input states, or the usual one of its kind."""
    output_space: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Empty: the space of the plate, or the usual one of the result where plate and result differ."""
    before_resize: Annotated[str, Text(32)] = ""
    """As the command line takes it: 50%, 1280x720, 1280x or x720."""
    after_resize: Annotated[str, Text(32)] = ""
    overwrite: bool = False
    resume: bool = False
    """Keep the frames that an earlier run made of the same plate with the same settings."""
    lane: Lane = "batch"
    animated: Annotated[tuple[AnimatedParameter, ...], Many(32)] = ()
    """Parameters that change over the shot, in the place of those of `look`; see `protocol.animation`. A server of 1.0
    would skip them, so a client looks at the minor version of the welcome first. (1.1)"""
    guides: Annotated[tuple[Words, ...], Many(4)] = ()
    """Pictures with the guide layers of the style, numbered like the shot. A client asks as for `animated`. (1.1)"""
    motion: Words = ""
    """Pictures with motion vectors, numbered like the shot, or the input again. A client asks as for `animated`.
    (1.1)"""
    motion_layer: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """LAYER, LAYER=CONVENTION or nothing, as `impasto.core.motion.conventions` reads them. (1.1)"""
    rate: Annotated[str, Text(32)] = ""
    """Frames per second of pictures, as the command line takes them: 24, 23.976 or 24000/1001; empty: what they state.
    A client asks as for `animated`. (1.2)"""
    ocio: Words = ""
    """The OpenColorIO configuration: an absolute path, a name that begins with 'ocio://', or 'built-in'. Empty: the one
    of the server's own environment. A client asks as for `animated`, except for 'built-in'. (1.2)"""
    ocio_sha256: Annotated[str, Text(64)] = ""
    """Of the configuration's file, where it is one: the server refuses the job if it has another. (1.2)"""
    encoder_speed: EncoderSpeed = "auto"
    """Of movies in H.264 and H.265. A server that does not know it encodes at its own speed. (1.2)"""

    def paths(self) -> Iterator[tuple[str, str]]:
        """Field and path of every file or pattern that the job names; input and output may be empty."""
        for name in PATHS:
            path = getattr(self, name)
            if path or name in ("input", "output"):
                yield name, path
        for path in self.guides:
            yield "guides", path

    def with_paths(self, change: Callable[[str, str], str]) -> ShotJob:
        """The job with every path as `change` makes it of field and path."""
        plain = {name: change(name, path) for name, path in self.paths() if name in PATHS}
        guides = tuple(change("guides", path) for path in self.guides)
        return replace(self, **plain, guides=guides)  # type: ignore[arg-type]  # all of them are texts


PATHS: Final = ("input", "output", "matte", "motion")
"""Fields of a `ShotJob` with one path each."""


@record
class StoredFrame:
    """A frame of a shot job that is finished and safe."""

    number: Number
    path: Words
    done: Count
    """Frames stored by this job so far, over all attempts."""
    invalid_pixels: Count


@record
class DeviceFacts:
    """One worker and what it works on."""

    device: Annotated[str, Text(32)]
    name: Words
    state: Literal["starting", "ready", "busy", "lost"]
    pid: Count
    precision: Precision
    restarts: Count
    loaded: Annotated[tuple[Name, ...], Many(64)]
    """Styles that are warm."""
    rss_bytes: Count
    device_bytes: Count
    """Memory in use on the device; 0 where it is the processor's own."""
    device_total_bytes: Count


@record
class ClientFacts:
    """One session."""

    client: Name
    host: Words
    user: Words
    pid: Count
    lane: Lane
    transport: Literal["ring", "inline", "none"]
    queued: Count
    running: Count


@record
class PastError:
    """An error that was answered, newest last."""

    age_s: Seconds
    code: Name
    message: Words
    incident: Annotated[str, Text(64)] = ""


# From the client


@record
class Hello:
    """The first message on control. Answer: `Welcome`, or `Rejected`."""

    TYPE: ClassVar = "hello"

    client: Name
    """The program that asks: 'blender 5.0.1', 'impasto render'."""
    major: Annotated[int, Whole(0, 255)]
    minor: Annotated[int, Whole(0, 255)]
    pid: Annotated[int, Whole(0, 1 << 31)]
    host: Words = ""
    user: Words = ""
    """Who asks, for fairness and the status; over CURVE the key's name takes its place."""
    lane: Lane = "interactive"
    """The lane of requests that name none, and the length of the lease."""
    encodings: Annotated[tuple[Name, ...], Many(8)] = ("raw",)
    resume: Annotated[bytes, Bytes(16)] | None = None
    """The session of an earlier welcome, to go on with it after a lost connection; `Join` follows as ever."""
    control_only: bool = False
    """Nothing will be rendered: `Submit`, `SubmitShot` and `OpenRing` are refused, and there is room for this client
    where others find none. (1.1)"""
    replaces: Annotated[bytes, Bytes(16)] | None = None
    """The session of an earlier welcome that the client will not go on with: it ends now and not with its lease, and
    what ran in it is stopped. A job of it may be sent again under its id, which is busy until it has stopped. (1.1)"""


@record
class Join:
    """The first message on data, with the session of the welcome. Answer: `Joined`, or `Rejected`."""

    TYPE: ClassVar = "join"

    session: Id


@record
class OpenRing:
    """Asks for a ring. A session has one; a new one takes the place of the old. Answer: `RingOffered` or `Failed`."""

    TYPE: ClassVar = "open_ring"

    id: Id
    slot_bytes: Annotated[int, Whole(1, 2 * limits.RAW_BYTES)]
    pairs: Annotated[int, Whole(1, 64)] = 3


@record
class AttachRing:
    """Proves the mapping. Answer: `RingReady` or `Failed`."""

    TYPE: ClassVar = "attach_ring"

    id: Id
    ring: Count
    nonce: Annotated[bytes, Bytes(16)]


@record
class CloseRing:
    """The client uses the ring no more. No answer."""

    TYPE: ClassVar = "close_ring"

    ring: Count


@record
class Submit:
    """A frame request (data). The result has the layout, dtype and channels of the plate.

    Answer: maybe `Queued`, then exactly one of `Done`, `Failed`, `Cancelled`, `Expired`.
    """

    TYPE: ClassVar = "submit"

    id: Id
    look: RenderSettings
    picture: Picture
    slot: Slot | None = None
    """None: the samples are in part 2."""
    encoding: Encoding = "raw"
    crc32: Annotated[int, Whole(0, 0xFFFFFFFF)] | None = None
    """CRC-32 of part 2 as it was sent, checked where given."""
    matte: MattePicture | None = None
    frame: Number = 0
    lane: Lane | None = None
    viewer: Annotated[str, Text(limits.NAME_BYTES)] = ""
    """Where given, a newer request of the same session and viewer supersedes those of it that still wait."""
    deadline_s: Annotated[float, Real(0.001, 86_400)] | None = None
    """Seconds from arrival after which the answer is of no use."""


@record
class SubmitShot:
    """A shot job (data): the server reads and writes the files itself.

    Answer: `ShotStarted`, then `ShotProgress`, then one of `ShotDone`, `Failed`, `Cancelled`, `Expired`.
    """

    TYPE: ClassVar = "submit_shot"

    id: Id
    job: Annotated[ShotJob, Flat()]


@record
class Cancel:
    """Takes a request back, wherever it is. Its terminal message follows; nothing if it had one. (control)"""

    TYPE: ClassVar = "cancel"

    id: Id


@record
class Ping:
    """Answer: `Pong` with the same token, at once. Renews the lease, as every message does."""

    TYPE: ClassVar = "ping"

    token: Count


@record
class ListStyles:
    """Answer: `StyleList`, from this place of the list on."""

    TYPE: ClassVar = "list_styles"

    id: Id
    offset: Count = 0


@record
class ShowPreview:
    """Answer: `PreviewFound` with a PNG in part 2, or `Failed`."""

    TYPE: ClassVar = "show_preview"

    id: Id
    style: Name


@record
class AskStatus:
    """Answer: `Status`."""

    TYPE: ClassVar = "ask_status"

    id: Id


@record
class Shutdown:
    """Asks the server to take no more work, finish what runs and leave. Answer: `ShuttingDown` or `Failed`."""

    TYPE: ClassVar = "shutdown"

    id: Id
    at_once: bool = False
    """Cancel what runs instead of finishing it."""


@record
class Goodbye:
    """The client leaves: its queued requests are dropped, its ring goes. No answer. (control)"""

    TYPE: ClassVar = "goodbye"


# From the server


@record
class Welcome:
    """The answer to `Hello`: what the client may do."""

    TYPE: ClassVar = "welcome"

    server: Name
    """'impasto 0.2.0'"""
    major: Annotated[int, Whole(0, 255)]
    minor: Annotated[int, Whole(0, 255)]
    """The lower of both sides' minors: what both understand."""
    boot: Id
    """Changes with every start of the server; another boot knows no session, ring or request of the last."""
    session: Id
    pid: Count
    lease_s: Seconds
    """A session that is silent for longer is dropped; send `Ping` every `heartbeat_s`."""
    heartbeat_s: Seconds
    credit_frames: Count
    """Frame requests that may be under way at once."""
    credit_bytes: Count
    transports: Annotated[tuple[Name, ...], Many(8)]
    """'ring' and 'inline', as this connection may use them."""
    encodings: Annotated[tuple[Name, ...], Many(8)]
    devices: Annotated[tuple[Name, ...], Many(64)]
    parameters: Annotated[tuple[ParameterFacts, ...], Many(32)]
    before: Annotated[tuple[ParameterFacts, ...], Many(32)]
    after: Annotated[tuple[ParameterFacts, ...], Many(32)]
    pixels: Count
    """The largest picture in pixels."""
    raw_bytes: Count
    resumed: bool = False


@record
class Joined:
    """The answer to `Join`: requests are taken from now on."""

    TYPE: ClassVar = "joined"


@record
class RingOffered:
    """Where to map, and how the segment is laid out."""

    TYPE: ClassVar = "ring_offered"

    id: Id
    ring: Count
    path: Words
    segment_bytes: Count
    slot_bytes: Count
    """As asked, rounded up to whole pages."""
    pairs: Count
    first_slot: Count
    nonce_offset: Count


@record
class RingReady:
    """The mapping is proven; the ring may be named in `Submit`."""

    TYPE: ClassVar = "ring_ready"

    id: Id
    ring: Count


@record
class Queued:
    """The request waits; sent only if it does not start at once, and again when much changes. Lossy."""

    TYPE: ClassVar = "queued"

    id: Id
    position: Count


@record
class Done:
    """The frame is painted. Terminal."""

    TYPE: ClassVar = "done"

    id: Id
    seconds: Annotated[dict[Name, Seconds], Many(16)]
    """Stage -> seconds: 'queue', 'upload', 'before', 'network', 'after', 'download', 'server' (arrival to answer)."""
    invalid_pixels: Count = 0
    tile: Annotated[int, Whole(0, limits.SIDE)] = 0
    """Side of the tiles, 0 for the whole frame at once."""
    notes: Annotated[tuple[Words, ...], Many(16)] = ()
    provenance: Annotated[dict[Name, Words], Many(32)] = field(default_factory=dict)
    inline: bool = False
    """The result is in part 2."""
    encoding: Encoding = "raw"


@record
class ShotStarted:
    """The shot is open and its result is free. Again, with more frames skipped, when a worker was replaced."""

    TYPE: ClassVar = "shot_started"

    id: Id
    output: Words
    first: Number
    frames: Count | None
    """Frames that will be rendered, None where the source does not know its end."""
    skipped: Count
    width: Count
    height: Count
    rate: Annotated[float, Real(0, 1e6)] | None = None
    attempt: Count = 1


@record
class ShotProgress:
    """Frames that became safe since the last progress, at most ten times a second. Every frame is reported once.

    One without frames and notes says that the work goes on.
    """

    TYPE: ClassVar = "shot_progress"

    id: Id
    stored: Annotated[tuple[StoredFrame, ...], Many(limits.ARRAY_ITEMS)] = ()
    notes: Annotated[tuple[Words, ...], Many(16)] = ()


@record
class ShotDone:
    """The shot job is finished. Terminal."""

    TYPE: ClassVar = "shot_done"

    id: Id
    path: Words
    """The final file or pattern; empty where nothing was written."""
    rendered: Count
    skipped: Count
    invalid_pixels: Count
    seconds: Seconds
    stages: Annotated[dict[Name, Seconds], Many(16)] = field(default_factory=dict)


@record
class Failed:
    """The request could not be answered. Terminal for `Submit` and `SubmitShot`."""

    TYPE: ClassVar = "failed"

    id: Id
    error: ErrorFacts
    path: Words = ""
    """Of a shot job: where the frames before the error are; empty where there are none."""
    rendered: Count = 0


@record
class Cancelled:
    """The request was taken back. Terminal."""

    TYPE: ClassVar = "cancelled"

    id: Id
    reason: Literal["asked", "superseded", "session", "shutdown"] = "asked"
    path: Words = ""
    """Of a shot job: where the finished frames are; empty where there are none."""
    rendered: Count = 0
    seconds: Seconds = 0.0


@record
class Expired:
    """The deadline passed before the frame was painted. Terminal."""

    TYPE: ClassVar = "expired"

    id: Id
    late_s: Seconds


@record
class Pong:
    """The answer to `Ping`. One with token 0 that nobody asked for looks whether the client is still there."""

    TYPE: ClassVar = "pong"

    token: Count


@record
class StyleList:
    """A page of the library, sorted by name."""

    TYPE: ClassVar = "style_list"

    id: Id
    revision: Count
    """Changes with the library; pages of differing revisions do not belong together."""
    total: Count
    offset: Count
    styles: Annotated[tuple[StyleFacts, ...], Many(64)]


@record
class StylesChanged:
    """The library changed; sent to every session."""

    TYPE: ClassVar = "styles_changed"

    revision: Count


@record
class PreviewFound:
    """The preview is in part 2, a PNG."""

    TYPE: ClassVar = "preview_found"

    id: Id


@record
class Status:
    """How the server is."""

    TYPE: ClassVar = "status"

    id: Id
    server: Name
    pid: Count
    boot: Id
    uptime_s: Seconds
    health: Literal["ok", "starting", "degraded", "draining"]
    problems: Annotated[tuple[Words, ...], Many(16)]
    """Why the health is not 'ok'."""
    devices: Annotated[tuple[DeviceFacts, ...], Many(64)]
    clients: Annotated[tuple[ClientFacts, ...], Many(64)]
    styles: Count
    queued: Count
    running: Count
    jobs: Count
    frames: Count
    """Frames painted since the start."""
    fps: Amount
    """Over the last ten seconds."""
    rss_bytes: Count
    """Memory of the front process."""
    endpoints: Annotated[tuple[Words, ...], Many(8)]
    errors: Annotated[tuple[PastError, ...], Many(16)]
    counters: Annotated[dict[Name, Count], Many(64)]


@record
class ShuttingDown:
    """The server takes no more work and leaves; to whoever asked, and to every session."""

    TYPE: ClassVar = "shutting_down"

    id: Annotated[bytes, Bytes(16)] | None = None
    seconds: Seconds = 0.0
    """The longest that it waits for what runs."""


@record
class Rejected:
    """A message that was not taken, without a request to hang the answer on."""

    TYPE: ClassVar = "rejected"

    error: ErrorFacts


FromClient: TypeAlias = (
    Hello
    | Join
    | OpenRing
    | AttachRing
    | CloseRing
    | Submit
    | SubmitShot
    | Cancel
    | Ping
    | ListStyles
    | ShowPreview
    | AskStatus
    | Shutdown
    | Goodbye
)
FromServer: TypeAlias = (
    Welcome
    | Joined
    | RingOffered
    | RingReady
    | Queued
    | Done
    | ShotStarted
    | ShotProgress
    | ShotDone
    | Failed
    | Cancelled
    | Expired
    | Pong
    | StyleList
    | StylesChanged
    | PreviewFound
    | Status
    | ShuttingDown
    | Rejected
)
ShotEvent: TypeAlias = ShotStarted | ShotProgress
"""What happens to a shot before it ends."""
ShotEnd: TypeAlias = ShotDone | Cancelled
"""How rendering a shot ends, unless an error is raised."""
Terminal: TypeAlias = Done | ShotDone | Failed | Cancelled | Expired
