"""The codec: every message comes back as it was, everything else is refused in one sentence that names the field."""

from __future__ import annotations

import math
import struct
import tracemalloc
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.core.errors import ImpastoError, IncompatibleServer, InvalidRequest
from impasto.server.protocol import codec, limits, messages, worker_messages
from impasto.server.protocol.codec import FROM_CLIENT, FROM_FRONT, FROM_SERVER, FROM_WORKER, Malformed
from impasto.server.protocol.fields import reader_of, record_reader
from impasto.server.protocol.messages import (
    Hello,
    MattePicture,
    Picture,
    Ping,
    RenderSettings,
    ShowPreview,
    Slot,
    Submit,
)
from tests.compat.samples import CLIENTS, CLIENTS_1_2
from tests.server.protocol.generators import anything, headers, messages_of

PREAMBLE = b"IMPA" + bytes((limits.MAJOR, limits.MINOR, 0, 0))
ID = bytes(range(16))
SUBMIT = Submit(
    ID,
    RenderSettings("wheatfield", params={"strength": 0.5, "exposure": -0.0}, before={"denoise": 1.0}),
    Picture(1920, 1080, 4, "float32", 1920 * 16, bottom_up=True, colour_space="ACEScg"),
    Slot(1, 2, 33),
    matte=MattePicture("uint8", 1920, 1920 * 1080 * 16),
    frame=-7,
    viewer="viewer",
    deadline_s=2,
)


def sent(header: dict[Any, Any] | bytes, preamble: bytes = PREAMBLE) -> list[bytes]:
    return [preamble, header if isinstance(header, bytes) else msgpack.packb(header)]


def submit(**changes: Any) -> dict[str, Any]:
    """The header of a sound request as plain maps, with changes at 'picture__width' and the like."""
    plain = msgpack.unpackb(codec.encode(SUBMIT)[1])
    for path, value in changes.items():
        *maps, name = path.split("__")
        place = plain
        for step in maps:
            place = place[step]
        if value is ...:
            del place[name]
        else:
            place[name] = value
    return plain


def refusal(parts: list[bytes], table: codec.Table[Any] = FROM_CLIENT) -> Malformed:
    with pytest.raises(Malformed) as raised:
        codec.decode(parts, table)
    sentence = str(raised.value)
    assert sentence.isprintable()
    assert len(sentence) < 500
    assert len(raised.value.field.encode()) <= limits.NAME_BYTES
    return raised.value


# Sound messages


@pytest.mark.parametrize("table", [FROM_CLIENT, FROM_SERVER], ids=["client", "server"])
@given(data=st.data())
@settings(max_examples=150)
def test_every_message_of_the_wire_comes_back_as_it_was(table: codec.Table[Any], data: st.DataObject) -> None:
    message = data.draw(messages_of(table))
    preamble, header = codec.encode(message)
    assert codec.decode([preamble, header, b"pixels"], table) == (message, [b"pixels"])


@pytest.mark.parametrize("table", [FROM_FRONT, FROM_WORKER], ids=["front", "worker"])
@given(data=st.data())
@settings(max_examples=100)
def test_every_message_between_front_and_worker_comes_back_as_it_was(
    table: codec.Table[Any], data: st.DataObject
) -> None:
    message = data.draw(messages_of(table))
    assert codec.decode_link(codec.encode_link(message), table) == message


def test_every_message_has_a_table() -> None:
    for union, table in [
        (messages.FromClient, FROM_CLIENT),
        (messages.FromServer, FROM_SERVER),
        (worker_messages.FromFront, FROM_FRONT),
        (worker_messages.FromWorker, FROM_WORKER),
    ]:
        assert set(table.kinds.values()) == set(get_args(union))
        assert len(table.kinds) == len(get_args(union)), "two messages share a name"
        assert all("type" not in {field.name for field in fields(kind)} for kind in table.kinds.values())


def test_a_field_with_its_default_is_left_out() -> None:
    assert codec.encode(Ping(5)) == (PREAMBLE, msgpack.packb({"type": "ping", "token": 5}))
    assert msgpack.unpackb(codec.encode(Hello("nuke", 1, 0, 7))[1]).keys() == {
        "type",
        "client",
        "major",
        "minor",
        "pid",
    }


def test_parts_may_be_any_kind_of_buffer() -> None:
    preamble, header = codec.encode(SUBMIT)
    parts = [memoryview(preamble), memoryview(bytearray(header)), bytearray(3)]
    assert codec.decode(parts, FROM_CLIENT) == (SUBMIT, [bytearray(3)])


def test_a_key_of_a_newer_minor_version_is_skipped() -> None:
    header = submit(sharpness=2, look__seed=[1, {"a": 0.5}], picture__pixel_aspect={"x": 1})
    assert codec.decode(sent(header), FROM_CLIENT)[0] == SUBMIT


def test_whole_numbers_are_taken_as_real_ones() -> None:
    decoded = codec.decode(sent(submit(deadline_s=3)), FROM_CLIENT)[0]
    assert isinstance(decoded, Submit)
    assert (decoded.deadline_s, type(decoded.deadline_s)) == (3.0, float)


# The envelope (rows 1-7)


@pytest.mark.parametrize("count", [0, 1, 17, 5000])
def test_a_message_has_two_to_sixteen_parts(count: int) -> None:
    parts = ([*sent({"type": "goodbye"})] + [b""] * 5000)[:count]
    assert f"got {count}" in str(refusal(parts))


@pytest.mark.parametrize(
    "preamble", [b"", b"IMPA", b"impa\x01\0\0\0", b"IMPA\x01\0\0\0\0", b"GET / HTTP/1.1\r\n", b"\0" * 8]
)
def test_another_preamble_is_refused(preamble: bytes) -> None:
    assert "no client of impasto" in str(refusal(sent({"type": "goodbye"}, preamble)))


@pytest.mark.parametrize(
    ("major", "table", "older"),
    [(2, FROM_CLIENT, "server"), (0, FROM_CLIENT, "client"), (2, FROM_SERVER, "client"), (0, FROM_SERVER, "server")],
)
def test_another_major_says_which_side_to_upgrade(major: int, table: codec.Table[Any], older: str) -> None:
    with pytest.raises(IncompatibleServer, match=f"upgrade the {older}'s impasto"):
        codec.decode(sent(b"\xc1", struct.pack("<4sBBH", b"IMPA", major, 9, 1)), table)


def test_a_higher_minor_is_taken() -> None:
    assert codec.decode(sent({"type": "goodbye"}, b"IMPA\x01\xff\0\0"), FROM_CLIENT)[0] == messages.Goodbye()


def test_flags_without_a_meaning_are_refused() -> None:
    assert "flags" in str(refusal(sent({"type": "goodbye"}, b"IMPA\x01\0\x01\0")))


def test_a_header_of_64_kib_is_read_and_one_byte_more_is_not() -> None:
    def header(size: int) -> bytes:
        padding = {f"x{number}": "a" * 4000 for number in range(16)}
        plain = {"type": "goodbye", **padding, "y": ""}
        return msgpack.packb({**plain, "y": "b" * (size - len(msgpack.packb({**plain, "y": "b" * 256})) + 256)})

    assert len(header(65536)) == 65536
    assert codec.decode(sent(header(65536)), FROM_CLIENT)[0] == messages.Goodbye()
    assert "65537" in str(refusal(sent(header(65537))))


# msgpack (rows 8-17)


def test_a_header_cut_anywhere_is_refused() -> None:
    header = codec.encode(SUBMIT)[1]
    for size in range(len(header)):
        refusal(sent(header[:size]))


def nested(levels: int) -> bytes:
    """A header with an unknown key whose lists go `levels` deep, the header itself counted."""
    return b"\x82\xa4type\xa7goodbye\xa1x" + b"\x91" * (levels - 2) + b"\x90"


@pytest.mark.parametrize(
    "header",
    [
        codec.encode(SUBMIT)[1] + b"\x00",
        codec.encode(SUBMIT)[1] * 2,
        b"\xc1",
        b"\x82\xa4type\xa7goodbye\xa1x\xc1",
        nested(9),
        nested(1000),
        nested(60_000),
        b"\x81\xa1x" * 9 + b"\x80",
        b"\xdd\xff\xff\xff\xff",
        b"\x82\xa4type\xa7goodbye\xa1x\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x05",
        b"\xdc\xff\xff" + b"\x80" * 65_533,
        msgpack.packb({"type": "goodbye", "x": {f"p{number}": 0.0 for number in range(65)}}),
        b"\x90",
        b"\xc0",
        b"\xd4\x05\x00",
        b"\xa4ping",
        b"\x81\x01\x02",
        b"\x81\x90\x02",
        b"\x81\x80\x02",
        b"\x81\xc0\x02",
        b"\x82\xa4type\xa7goodbye\xc4\x01a\x02",
        b"\x82\xa4type\xa7goodbye\xa1x\x81\xc4\x01a\x02",
        b"\x83\xa4type\xa4ping\xa5token\x01\xa5token\x02",
        b"\x82\xa4type\xa7goodbye\xa1x\x82\xa1a\x01\xa1a\x01",
        b"\x82\xa4type\xa7goodbye\xa1x\xa2\xff\xfe",
        b"\x82\xa4type\xa7goodbye\xa1x\xa3\xed\xa0\x80",
        b"\x82\xa4type\xa7goodbye\xa1x\xc7\x00\x05",
        b"\x82\xa4type\xa7goodbye\xa1x\xc7\x00\xff",
        b"\x82\xa4type\xa7goodbye\xa1x\xd6\xff\x00\x00\x00\x01",
        b"\x82\xa4type\xa7goodbye\xa1x\xda\x10\x01" + b"a" * 4097,
        b"\x82\xa4type\xa7goodbye\xa1x\xc5\x10\x01" + b"a" * 4097,
        b"\x82\xa4type\xa7goodbye\xa1x\xdc\x01\x01" + b"\x00" * 257,
        b"\x82\xa4type\xa7goodbye\xa1x\xca\x7f\xc0\x00\x00",
    ],
    ids=lambda header: header[:24].hex(),
)
def test_what_msgpack_should_not_hold_is_refused(header: bytes) -> None:
    refusal(sent(header))


def test_a_header_may_be_eight_levels_deep() -> None:
    assert codec.decode(sent(nested(8)), FROM_CLIENT)[0] == messages.Goodbye()


# Fields (rows 16, 18-22)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": ...}, "id"),
        ({"id": ID[:15]}, "id"),
        ({"id": bytes(17)}, "id"),
        ({"id": "0123456789abcdef"}, "id"),
        ({"look": ...}, "look"),
        ({"look": []}, "look"),
        ({"picture": None}, "picture"),
        ({"picture__width": 0}, "picture.width"),
        ({"picture__width": -1}, "picture.width"),
        ({"picture__width": 32769}, "picture.width"),
        ({"picture__height": 1 << 63}, "picture.height"),
        ({"picture__height": (1 << 64) - 1}, "picture.height"),
        ({"picture": ...}, "picture"),
        ({"picture__row_stride": 1 << 63}, "picture.row_stride"),
        ({"picture__height": 1080.0}, "picture.height"),
        ({"picture__height": True}, "picture.height"),
        ({"picture__channels": 0}, "picture.channels"),
        ({"picture__channels": 5}, "picture.channels"),
        ({"picture__channels": 17}, "picture.channels"),
        ({"picture__dtype": "object"}, "picture.dtype"),
        ({"picture__dtype": ">f4"}, "picture.dtype"),
        ({"picture__dtype": "float64"}, "picture.dtype"),
        ({"picture__dtype": "uint8 "}, "picture.dtype"),
        ({"picture__dtype": ""}, "picture.dtype"),
        ({"picture__dtype": ["float32"]}, "picture.dtype"),
        ({"picture__bottom_up": 1}, "picture.bottom_up"),
        ({"picture__alpha": "premultiplied"}, "picture.alpha"),
        ({"slot__pair": 64}, "slot.pair"),
        ({"slot__generation": -1}, "slot.generation"),
        ({"matte__offset": -1}, "matte.offset"),
        ({"deadline_s": math.nan}, "deadline_s"),
        ({"deadline_s": math.inf}, "deadline_s"),
        ({"deadline_s": 1e308}, "deadline_s"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": True}, "deadline_s"),
        ({"look__params": {"stroke": math.nan}}, "look.params[stroke]"),
        ({"look__params": {"stroke": math.inf}}, "look.params[stroke]"),
        ({"look__params": {"stroke": 1e308}}, "look.params[stroke]"),
        ({"look__params": {"stroke": -1e308}}, "look.params[stroke]"),
        ({"look__params": {"stroke": True}}, "look.params[stroke]"),
        ({"look__before": {"denoise": math.nan}}, "look.before[denoise]"),
        ({"look__params": {"stroke": "1"}}, "look.params[stroke]"),
        ({"look__params": {"🌾" * 63: "x"}}, f"look.params[{'🌾' * 40}]"),
        ({"look__params": {"\u200fa": "x"}}, "look.params[\\u200fa]"),
        ({"look__params": {"": 1.0}}, "look.params"),
        ({"look__params": {"a\n": 1.0}}, "look.params"),
        ({"look__params": {b"a": 1.0}}, "look.params"),
        ({"look__style": "a\nINFO all is well"}, "look.style"),
        ({"look__style": "a\0"}, "look.style"),
        ({"look__style": "a\r[forged]"}, "look.style"),
        ({"look__style": "a\x1b[2J"}, "look.style"),
        ({"look__style": "a\x9bb"}, "look.style"),
        ({"look__style": "\u202egnp.exe"}, "look.style"),
        ({"look__style": "\u2066a\u2069"}, "look.style"),
        ({"look__style": "a\x85b"}, "look.style"),
        ({"look__style": "a\u2028b"}, "look.style"),
        ({"look__style": b"wheatfield"}, "look.style"),
        ({"viewer": "é" * 128}, "viewer"),
        ({"crc32": 1 << 32}, "crc32"),
        ({"frame": 1 << 31}, "frame"),
        ({"lane": ""}, "lane"),
    ],
    ids=repr,
)
def test_a_field_out_of_its_bounds_is_named(changes: dict[str, Any], field: str) -> None:
    refused = refusal(sent(submit(**changes)))
    assert refused.field == field
    assert refused.type == "submit"
    assert refused.id == (None if field == "id" else ID)


WRONG: tuple[Any, ...] = (None, True, -1, 2**64 - 1, 0.5, "\x1b[2J", b"", [], {}, [[]], {"a": 1})


@pytest.mark.parametrize(
    ("slot_bytes", "pairs", "field"),
    [
        (0, 1, "slot_bytes"),
        (-1, 1, "slot_bytes"),
        ((2 << 30) + 1, 1, "slot_bytes"),
        (1 << 62, 1, "slot_bytes"),
        (4096, 0, "pairs"),
        (4096, 65, "pairs"),
    ],
)
def test_a_ring_of_impossible_size_is_refused(slot_bytes: int, pairs: int, field: str) -> None:
    header = {"type": "open_ring", "id": ID, "slot_bytes": slot_bytes, "pairs": pairs}
    assert refusal(sent(header)).field == field


SOUND: dict[tuple[str, str], tuple[Any, ...]] = {
    ("hello", "encodings"): ([],),
    ("hello", "resume"): (None,),
    ("shutdown", "at_once"): (True,),
    ("submit", "crc32"): (None,),
    ("submit", "deadline_s"): (None, 0.5),
    ("submit", "frame"): (-1,),
    **{("submit", name): (None,) for name in ("lane", "matte", "slot")},
    **{("submit_shot", name): (None, -1) for name in ("first", "last")},
    **{("submit_shot", name): (True,) for name in ("overwrite", "resume")},
}
"""Those of them that a field may bear."""


@pytest.mark.parametrize("name", sorted(FROM_CLIENT.kinds))
def test_no_field_of_any_message_takes_a_value_of_another_kind(name: str) -> None:
    sound = msgpack.unpackb(codec.encode({**CLIENTS_1_2, **CLIENTS}[name])[1])
    for field in sorted(sound.keys() - {"type"}):
        for value in WRONG:
            if value not in SOUND.get((name, field), ()):
                refusal(sent({**sound, field: value}))


def test_the_sentence_says_what_was_expected_and_what_came() -> None:
    assert "expected picture.width to be a whole number from 1 to 32768, got 0" in str(
        refusal(sent(submit(picture__width=0)))
    )


def test_a_word_that_is_nearly_right_is_told_the_right_one() -> None:
    assert "did you mean 'float16'?" in str(refusal(sent(submit(picture__dtype="flaot16"))))
    refused = refusal(sent({"type": "sumbit", "id": ID}))
    assert "did you mean 'submit'?" in str(refused)
    assert refused.id == ID


def test_text_in_any_script_is_taken() -> None:
    for text in ("Weizenfeld – Öl", "麦畑", "حقل القمح", "שדה חיטה\u200f", "🌾"):
        found = codec.decode(sent(submit(look__style=text)), FROM_CLIENT)[0]
        assert isinstance(found, Submit)
        assert found.look.style == text


@pytest.mark.parametrize("hostile", ["\x1b[2J" * 900, "\n" * 4000, "\u202e" * 1000, "A" * 4000, "\U0010ffff" * 900])
def test_hostile_text_is_neither_repeated_nor_left_unescaped(hostile: str) -> None:
    for header in (
        {"type": hostile},
        {"type": "show_preview", "id": ID, "style": hostile},
        submit(picture__dtype=hostile),
        submit(look__params={hostile[:200]: "x"}),
    ):
        sentence = str(refusal(sent(header)))
        assert "\x1b" not in sentence
        assert hostile[:61] not in sentence


def test_messages_of_the_other_side_are_unknown() -> None:
    assert refusal(sent(codec.encode(Ping(1))[1]), FROM_SERVER).field == "type"


# Encoding


def test_a_message_beyond_64_kib_is_not_sent() -> None:
    settings_of = {f"{'x' * 250}{number}": 0.0 for number in range(400)}
    with pytest.raises(codec.TooLong, match="less in its field look"):
        codec.encode(replace(SUBMIT, look=RenderSettings("a", params=settings_of)))


@pytest.mark.parametrize("value", ["\udc80", object(), 1 << 64])
def test_a_value_that_cannot_be_packed_is_an_error_of_ours(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="'show_preview'"):
        codec.encode(ShowPreview(ID, value))


def test_the_longest_request_still_fits_between_front_and_worker() -> None:
    long = {f"{number:03}{'x' * 252}": 0.5 for number in range(64)}
    look = RenderSettings("s" * 4096, "", long, long, long)
    shot = messages.SubmitShot(
        ID,
        messages.ShotJob(look, "i" * 4096, "o" * 4096, matte="m" * 4096, guides=("g" * 4096,) * 4, motion="v" * 4096),
    )
    work = worker_messages.RunShot(shot, "p" * 4096, 1)
    assert codec.decode_link(codec.encode_link(work), FROM_FRONT) == work


# The specification itself


@pytest.mark.parametrize(
    "hint", [int, str, float, bytes, list, dict[str, int], tuple[int, int], int | str, Any], ids=str
)
def test_a_field_without_bounds_is_a_mistake_in_the_specification(hint: Any) -> None:
    with pytest.raises(TypeError):
        reader_of(hint, 1)


@pytest.mark.parametrize("table", [FROM_CLIENT, FROM_SERVER, FROM_FRONT, FROM_WORKER], ids=lambda table: table.sender)
def test_every_field_of_every_message_has_bounds(table: codec.Table[Any]) -> None:
    for kind in table.kinds.values():
        assert is_dataclass(kind)
        record_reader(kind)


# Hostile bytes


def decoded_or_refused(parts: list[bytes], table: codec.Table[Any]) -> None:
    try:
        message, _ = codec.decode(parts, table)
    except (Malformed, IncompatibleServer) as error:
        sentence = str(error)
    else:
        assert type(message) in table.kinds.values()
        assert codec.decode(codec.encode(message), table)[0] == message
        return
    assert sentence.isprintable()
    assert len(sentence) < 600


@pytest.mark.parametrize("table", [FROM_CLIENT, FROM_SERVER], ids=["client", "server"])
@given(header=st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(table: codec.Table[Any], header: bytes) -> None:
    decoded_or_refused([PREAMBLE, header], table)


@given(parts=st.lists(st.binary(max_size=20), max_size=4))
def test_any_parts_are_read_or_refused(parts: list[bytes]) -> None:
    decoded_or_refused(parts, FROM_CLIENT)


@pytest.mark.parametrize("table", [FROM_CLIENT, FROM_SERVER], ids=["client", "server"])
@given(data=st.data())
@settings(max_examples=400)
def test_a_sound_message_changed_anywhere_is_read_or_refused(table: codec.Table[Any], data: st.DataObject) -> None:
    header = data.draw(headers(table))
    decoded_or_refused([PREAMBLE, header], table)


@given(value=anything())
def test_any_value_is_read_or_refused(value: Any) -> None:
    decoded_or_refused([PREAMBLE, msgpack.packb(value)], FROM_CLIENT)


def test_a_nasty_header_takes_a_few_megabytes_at_most() -> None:
    empty_maps = b"\x82\xa4type\xa7goodbye\xa1x\xdc\x00\xfe" + (b"\xdc\x00\xff" + b"\x80" * 255) * 254
    empty_lists = empty_maps.replace(b"\x80", b"\x90")
    pairs = b"\x82\xa4type\xa7goodbye\xa1x\xdc\x00\xfe" + (b"\xdc\x00\x80" + b"\x81\xa0\x80" * 80) * 250
    deep = b"\x91" * 65_000
    for header in (empty_maps, empty_lists, pairs, deep):
        # The peak counts what msgpack builds too: its objects are Python's.
        tracemalloc.start()
        try:
            with pytest.raises(Malformed):
                codec.decode([PREAMBLE, header[: limits.HEADER_BYTES - 1] + b"\xc1"], FROM_CLIENT)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20


def test_every_refusal_is_an_error_of_the_tree() -> None:
    assert issubclass(Malformed, InvalidRequest)
    assert issubclass(InvalidRequest, ImpastoError)
