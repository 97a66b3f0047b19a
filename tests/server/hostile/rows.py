"""Every kind of bad message, numbered: what is sent, and what must come back. A number is never given to another kind.

Rows that need more than one message are in `test_sequences.py`, those of shared memory in `test_rings.py`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgpack  # type: ignore[import-untyped]  # ships no hints

from impasto.server.protocol import codec
from impasto.server.protocol.messages import (
    Done,
    Failed,
    Ping,
    Rejected,
    ShotJob,
    SubmitShot,
)
from tests.server.running_server import PIXELS, request_of

PREAMBLE, PING = codec.encode(Ping(7))
SAMPLES = PIXELS.tobytes()
TWO_GIB = 1 << 31


@dataclass(frozen=True)
class Row:
    """One bad message and its answer."""

    number: int
    name: str
    parts: tuple[bytes, ...]
    answer: type[Any] = Rejected
    code: str = "invalid_request"
    field: str | None = None
    """None: whichever."""
    sockets: Literal["control", "data", "both"] = "both"

    @property
    def id(self) -> bytes:
        """Of the request in it."""
        return id_of(self.name)


def id_of(name: str) -> bytes:
    """A request's id, always the same for the same row."""
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def header(type: Any, **fields: Any) -> bytes:
    """A header as it is spelled out."""
    return bytes(msgpack.packb({"type": type, **fields}))


def plain_submit(name: str, **over: Any) -> dict[str, Any]:
    """A good frame request with these fields put over it, `picture__width` for that of the picture; `...` drops one."""
    plain: dict[str, Any] = msgpack.unpackb(codec.encode(request_of("echo", PIXELS, id=id_of(name)))[1])
    for path, value in over.items():
        owner, _, field = path.rpartition("__")
        into = plain.setdefault(owner, {}) if owner else plain
        if value is ...:
            del into[field]
        else:
            into[field] = value
    return plain


def spliced(plain: Mapping[str, Any], key: str, raw: bytes) -> bytes:
    """The header with a further key whose value is these bytes, sound or not."""
    packed = bytes(msgpack.packb(plain))
    assert packed[0] & 0xF0 == 0x80
    return bytes([packed[0] + 1]) + packed[1:] + bytes(msgpack.packb(key)) + raw


def submit_row(
    number: int,
    name: str,
    /,
    *payload: bytes,
    answer: type[Any] = Failed,
    code: str = "invalid_request",
    expect: str | None = None,
    **over: Any,
) -> Row:
    """A frame request with something wrong; samples of the right size unless others are given."""
    parts = payload or (SAMPLES,)
    return Row(
        number, name, (PREAMBLE, msgpack.packb(plain_submit(name, **over)), *parts), answer, code, expect, "data"
    )


def framing() -> Iterator[Row]:
    """Messages that are none."""
    yield Row(1, "an empty message", (b"",))
    yield Row(1, "an empty message of two parts", (b"", b""))
    yield Row(2, "no header", (PREAMBLE,))
    yield Row(2, "an empty header", (PREAMBLE, b""))
    yield Row(3, "another magic", (b"HTTP/1.1", PING))
    yield Row(3, "a short preamble", (PREAMBLE[:7], PING))
    yield Row(3, "a long preamble", (PREAMBLE + b"\0", PING))
    yield Row(3, "flags", (PREAMBLE[:6] + b"\x01\x00", PING))
    yield Row(3, "an empty delimiter before it", (b"", PREAMBLE, PING))
    yield Row(4, "a future major", (b"IMPA\x02\x00\0\0", PING), code="incompatible")
    yield Row(4, "major 255", (b"IMPA\xff\x00\0\0", PING), code="incompatible")
    yield Row(5, "a header a byte too long", (PREAMBLE, spliced({"type": "ping"}, "x", bytes(65_536 - 12))[:65_537]))
    yield Row(5, "a header of the largest size", (PREAMBLE, bytes(65_536)))
    yield Row(6, "17 parts", (PREAMBLE, PING, *[b"x"] * 15))
    yield Row(7, "5000 parts", (PREAMBLE, PING, *[b"x"] * 4_998))
    yield Row(7, "5000 parts of a request", (PREAMBLE, msgpack.packb(plain_submit("5000")), *[SAMPLES] * 4_998))
    yield Row(9, "a byte behind the header", (PREAMBLE, PING + b"\0"))
    yield Row(9, "a second header behind the first", (PREAMBLE, PING + PING))
    yield Row(10, "the byte that msgpack never uses", (PREAMBLE, b"\xc1"))
    yield Row(10, "the same inside a map", (PREAMBLE, spliced({"type": "ping", "token": 1}, "x", b"\xc1")))


def nesting() -> Iterator[Row]:
    """Headers that are deep, or claim to be large."""
    for depth in (9, 1_000, 60_000):
        raw = b"\x91" * depth + b"\xc0"
        yield Row(11, f"{depth} lists in each other", (PREAMBLE, raw))
        yield Row(11, f"{depth} below an unknown key", (PREAMBLE, spliced({"type": "ping", "token": 1}, "x", raw)))
    yield Row(11, "9 maps below an unknown key", (PREAMBLE, spliced({"type": "ping"}, "x", b"\x81\xa1a" * 9 + b"\xc0")))
    yield Row(11, "100000 lists", (PREAMBLE, b"\x91" * 100_000))
    for name, mark in (("list", b"\xdd"), ("map", b"\xdf"), ("bytes", b"\xc6"), ("text", b"\xdb"), ("ext", b"\xc9")):
        claim = mark + b"\xff\xff\xff\xff"
        yield Row(12, f"a {name} of 4 GiB", (PREAMBLE, claim))
        yield Row(12, f"a {name} of 4 GiB below a key", (PREAMBLE, spliced({"type": "ping"}, "x", claim)))
    yield Row(
        13, "a MB of empty maps", (PREAMBLE, b"\xdd" + struct.pack(">I", 1 << 20) + b"\x80" * (1 << 20)), sockets="data"
    )
    yield Row(13, "60000 empty maps", (PREAMBLE, b"\xdd" + struct.pack(">I", 60_000) + b"\x80" * 60_000))
    full = b"\xdc\x01\x00" + (b"\xdc\x00\xf0" + b"\x80" * 240) * 256
    yield Row(13, "60000 empty maps in lists that are allowed", (PREAMBLE, full))
    yield Row(13, "the same below an unknown key", (PREAMBLE, spliced({"type": "format"}, "x", full)))


def keys_and_texts() -> Iterator[Row]:
    """Maps and texts as they are not written."""
    for name, key in (("a number", b"\x01"), ("a list", b"\x91\x01"), ("bytes", b"\xc4\x01a"), ("nothing", b"\xc0")):
        yield Row(14, f"{name} as a key", (PREAMBLE, b"\x82\xa4type\xa4ping" + key + b"\x01"))
        inner = b"\x81" + key + b"\x01"
        yield Row(14, f"{name} as a key below a key", (PREAMBLE, spliced({"type": "ping", "token": 1}, "x", inner)))
    yield Row(15, "a key twice", (PREAMBLE, b"\x82\xa4type\xa4ping\xa4type\xa4ping"))
    yield Row(15, "a token twice", (PREAMBLE, spliced({"type": "ping", "token": 1}, "token", b"\x02")))
    yield Row(16, "text that is no UTF-8", (PREAMBLE, spliced({"type": "ping", "token": 1}, "x", b"\xa2\xff\xfe")))
    yield Row(16, "half a surrogate pair", (PREAMBLE, spliced({"type": "ping"}, "x", b"\xa3\xed\xa0\x80")))
    yield Row(
        16,
        "a MB of text",
        (PREAMBLE, spliced({"type": "ping"}, "x", b"\xdb\x00\x10\x00\x00" + b"a" * (1 << 20))),
        sockets="data",
    )
    yield Row(16, "5000 letters", (PREAMBLE, spliced({"type": "ping"}, "x", b"\xda\x13\x88" + b"a" * 5_000)))
    for number, (name, text) in enumerate(NAMES.items()):
        yield submit_row(16, f"{name} in a style", code="invalid_request", expect="look.style", look__style=text)
        yield submit_row(16, f"{name} in a viewer", expect="viewer", viewer=text)
        yield submit_row(16, f"{name} in a parameter", look__params={f"stroke{number}{text}": 1.0})
        yield Row(16, f"{name} in a type", (PREAMBLE, header(f"pin{text}g")), field="type")
    yield Row(17, "a timestamp", (PREAMBLE, spliced({"type": "ping", "token": 1}, "x", b"\xd6\xff\0\0\0\1")))
    yield Row(17, "an extension of no bytes", (PREAMBLE, spliced({"type": "ping", "token": 1}, "x", b"\xc7\x00\x05")))
    yield Row(17, "an extension as the header", (PREAMBLE, b"\xd4\x05\x00"))


NAMES: Mapping[str, str] = {
    "a newline": 'a\n{"level":"error","event":"forged"}',
    "a carriage return": "a\r[forged]",
    "NUL": "a\0b",
    "an escape": "a\x1b[2Jb",
    "a turn of direction": "a\u202egnp.exe",
    "a line separator": "a\u2028b",
    "a C1 control": "a\x9bb",
}


def numbers() -> Iterator[Row]:
    """Numbers beyond their range, and what is no number."""
    for name, value in (("NaN", float("nan")), ("infinity", float("inf")), ("1e308", 1e308), ("-1e308", -1e308)):
        yield submit_row(18, f"{name} as a parameter", expect="look.params[stroke]", look__params={"stroke": value})
        yield submit_row(18, f"{name} before the network", look__before={"denoise": value})
        yield submit_row(18, f"{name} as a deadline", expect="deadline_s", deadline_s=value)
        if name == "NaN":
            yield Row(18, "NaN below an unknown key", (PREAMBLE, header("ping", token=1, later=[value])))
    yield submit_row(18, "-0 as a parameter", answer=Done, look__params={"strength": -0.0})
    yield submit_row(18, "a parameter out of its range", code="usage", look__params={"stroke": 4.5})
    for value in (2**63, 2**64 - 1, -1, -(2**63)):
        yield Row(19, f"{value} as a token", (PREAMBLE, header("ping", token=value)), field="token", sockets="control")
        yield submit_row(19, f"{value} as a stride", expect="picture.row_stride", picture__row_stride=value)
        yield submit_row(19, f"{value} as a generation", slot={"ring": 0, "pair": 0, "generation": value})
    yield submit_row(19, "2^31 as a frame", expect="frame", frame=2**31)
    yield Row(20, "true as a token", (PREAMBLE, header("ping", token=True)), field="token")
    yield submit_row(20, "true as a width", expect="picture.width", picture__width=True)
    yield submit_row(20, "true as a parameter", look__params={"stroke": True})
    yield submit_row(20, "1 as bottom_up", expect="picture.bottom_up", picture__bottom_up=1)
    yield Row(21, "an unknown type", (PREAMBLE, header("format_disk")), code="invalid_request", field="type")
    yield Row(21, "no type", (PREAMBLE, msgpack.packb({"token": 1})), field="type")
    yield Row(21, "a number as type", (PREAMBLE, header(5)), field="type")
    yield Row(21, "a list as header", (PREAMBLE, msgpack.packb(["ping", 1])))
    for name in ("done", "welcome", "failed"):
        yield Row(21, f"the server's own '{name}'", (PREAMBLE, header(name)), field="type")
    yield Row(21, "a part behind a ping", (PREAMBLE, PING, b"x"))
    ids: dict[str, Any] = {"no id": ..., "15 bytes": bytes(15), "17 bytes": bytes(17), "text": "i" * 16}
    for name, id in ids.items():
        yield submit_row(22, f"{name} as id", answer=Rejected, expect="id", id=id)


def pictures() -> Iterator[Row]:
    """Layouts that cannot be, and a few odd ones that can."""
    odd: dict[str, Any] = {"channels": 1, "dtype": "uint8"}

    def sized(width: int, height: int) -> dict[str, Any]:
        return {"picture": {**odd, "width": width, "height": height, "row_stride": max(1, width)}}

    for width, height in ((1, 1), (1, 32_768), (32_768, 1), (7, 3)):
        yield submit_row(25, f"{width} x {height}", bytes(width * height), answer=Done, **sized(width, height))
    for width in (0, -1, 32_769, TWO_GIB, 2**63):
        yield submit_row(25, f"a width of {width}", expect="picture.width", picture__width=width)
    yield submit_row(25, "2^31 x 2^31", expect="picture.width", **sized(TWO_GIB, TWO_GIB))
    yield submit_row(25, "a height of 0", expect="picture.height", picture__height=0)
    yield submit_row(25, "a width of 8.0", expect="picture.width", picture__width=8.0)
    yield submit_row(25, "five dimensions", expect="picture", picture=[1, 2, 3, 4, 5])
    yield submit_row(25, "no picture", expect="picture", picture=...)
    yield submit_row(26, "a byte too few", SAMPLES[:-1], expect="picture")
    yield submit_row(26, "a byte too many", SAMPLES + b"\0", expect="picture")
    yield submit_row(26, "an empty part", b"", expect="picture")
    yield submit_row(26, "two parts of samples", SAMPLES, SAMPLES, expect="slot")
    name = "no samples"
    yield Row(26, name, (PREAMBLE, msgpack.packb(plain_submit(name))), Failed, field="slot", sockets="data")
    yield submit_row(26, "rows that overlap", expect="picture.row_stride", picture__row_stride=31)
    yield submit_row(
        26, "rows of half samples", expect="picture.row_stride", picture__dtype="float32", picture__row_stride=129
    )
    yield submit_row(26, "rows a GiB apart", expect="picture.row_stride", picture__row_stride=1 << 30)
    yield submit_row(27, "another CRC-32", expect="crc32", crc32=1)
    yield submit_row(27, "a CRC-32 beyond its bits", expect="crc32", crc32=1 << 32)
    for dtype in ("object", "float64", ">f4", "|O", "", "uint8 "):
        yield submit_row(28, f"samples of '{dtype}'", expect="picture.dtype", picture__dtype=dtype)
    yield submit_row(28, "a dtype that is a list", expect="picture.dtype", picture__dtype=["uint8"])
    yield submit_row(28, "an unknown alpha", expect="picture.alpha", picture__alpha="straight")
    yield submit_row(28, "an unknown key that executes", answer=Done, picture__layout="__reduce__")
    for channels in (0, 5, 17, -1):
        yield submit_row(32, f"{channels} channels", expect="picture.channels", picture__channels=channels)
    two: dict[str, Any] = {"picture__channels": 2, "picture__row_stride": 16}
    yield submit_row(32, "2 channels", bytes(6 * 16), answer=Done, **two)
    for width, height in ((8_193, 8_192), (32_768, 32_768)):
        yield submit_row(33, f"{width} x {height} pixels", expect="picture", **sized(width, height))
    matte = {"dtype": "uint8", "row_stride": 8}
    yield submit_row(34, "a matte that was not sent", expect="slot", matte=matte)
    yield submit_row(34, "a matte of another size", SAMPLES, bytes(47), expect="matte", matte=matte)
    yield submit_row(
        34,
        "a matte whose rows overlap",
        SAMPLES,
        bytes(48),
        expect="matte.row_stride",
        matte={**matte, "row_stride": 7},
    )
    yield submit_row(34, "a matte far away", SAMPLES, bytes(48), answer=Done, matte={**matte, "offset": 2**63 - 1})
    yield submit_row(34, "a matte at -1", SAMPLES, bytes(48), expect="matte.offset", matte={**matte, "offset": -1})


def looks() -> Iterator[Row]:
    """Styles and paths that are not there, or not what they should be."""
    for style in ("ecko", "../echo", "/nowhere/x.safetensors", "x.pth", "/etc/passwd", "/dev/zero", "/proc/self/mem"):
        yield submit_row(0, f"the style '{style}'", code="", expect="", look__style=style)
    yield submit_row(0, "a style's path of 4000 letters", code="", look__style="/" + "a" * 3_980 + ".safetensors")
    yield submit_row(0, "a style's path with a format", code="", look__style="/{0.__class__}/%n%s.safetensors")
    yield submit_row(0, "another digest", code="style", look__sha256="0" * 64)
    yield submit_row(0, "an unknown parameter", code="unknown_name", look__params={"strenth": 0.5})
    yield submit_row(0, "a device that is not there", code="device", look__device="cuda:63")
    yield submit_row(0, "65 parameters", answer=Rejected, look__params={f"p{n}": 0.0 for n in range(65)})
    for name, more in SHOTS.items():
        plain = msgpack.unpackb(
            codec.encode(SubmitShot(id_of(name), ShotJob(request_of("echo", PIXELS).look, **more)))[1]
        )
        yield Row(0, name, (PREAMBLE, msgpack.packb(plain)), Failed, "", sockets="data")


SHOTS: Mapping[str, dict[str, Any]] = {
    "a shot with relative paths": {"input": "a.mov", "output": "b.mov"},
    "a shot without paths": {"input": "", "output": ""},
    "a shot that is not there": {"input": "/nowhere/a.mov", "output": "/nowhere/b.mov"},
    "a shot that reads a device": {"input": "/dev/null", "output": "/tmp/impasto-never/b.mov"},
    "a shot that runs backwards": {"input": "/nowhere/a.mov", "output": "/nowhere/b.mov", "first": 5, "last": 1},
    "a shot of two thousand million frames": {
        "input": "/nowhere/a.%04d.exr", "output": "/nowhere/b.%04d.exr", "first": 0, "last": 2**31 - 1,
    },
    "a shot with a format in its size": {
        "input": "/nowhere/a.mov", "output": "/nowhere/b.mov", "before_resize": "9999999999x{0}%n",
    },
}  # fmt: skip

ROWS = [row for table in (framing, nesting, keys_and_texts, numbers, pictures, looks) for row in table()]
