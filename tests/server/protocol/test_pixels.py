"""Layouts: what fits, what is refused, and views that show the same samples whatever way they lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import UsageError
from impasto.server.protocol import pixels
from impasto.server.protocol.codec import Malformed
from impasto.server.protocol.field_types import Dtype
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import MattePicture, Picture, RenderSettings, Slot, Submit

ID = bytes(16)
LIMITS = Limits()
DTYPES: tuple[Dtype, ...] = ("uint8", "uint16", "float16", "float32")


def request(picture: Picture, **changes: Any) -> Submit:
    return Submit(ID, RenderSettings("wheatfield"), picture, **changes)


def dense(width: int, height: int, channels: int = 4, dtype: Dtype = "float32", **changes: Any) -> Picture:
    return Picture(width, height, channels, dtype, width * channels * pixels.DTYPES[dtype].itemsize, **changes)


def refusal(
    submit: Submit, *, slot_bytes: int | None = None, part_sizes: tuple[int, ...] = (), limits: Limits = LIMITS
) -> Malformed:
    with pytest.raises(Malformed) as raised:
        pixels.check_submit(submit, slot_bytes=slot_bytes, part_sizes=part_sizes, limits=limits)
    assert raised.value.id == ID
    assert raised.value.type == "submit"
    return raised.value


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    dtype = draw(st.sampled_from(DTYPES))
    width, height, channels = draw(st.integers(1, 9)), draw(st.integers(1, 7)), draw(st.integers(1, 4))
    size = pixels.DTYPES[dtype].itemsize
    stride = (width * channels + draw(st.integers(0, 5))) * size
    return Picture(width, height, channels, dtype, stride, draw(st.booleans()))


def noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    # Integers that every dtype holds, so that equality means what it says.
    return np.arange(np.prod(shape)).reshape(shape).__mod__(251).astype(dtype)


# Views


@given(picture=pictures(), matte_dtype=st.sampled_from(DTYPES), gap=st.integers(0, 2), base=st.integers(0, 3))
def test_samples_come_back_from_any_layout(picture: Picture, matte_dtype: Dtype, gap: int, base: int) -> None:
    samples = noise((picture.height, picture.width, picture.channels), pixels.DTYPES[picture.dtype])
    grey = noise((picture.height, picture.width), pixels.DTYPES[matte_dtype])
    behind = pixels.matte_of(grey, picture)
    matte = replace(behind, row_stride=behind.row_stride + gap * 4, offset=behind.offset + 64 * gap)
    size = pixels.slot_bytes_needed(picture, matte)
    buffer = bytearray(base * 64 + size)

    pixels.check_submit(
        request(picture, slot=Slot(1, 0, 1), matte=matte), slot_bytes=size, part_sizes=(), limits=LIMITS
    )
    pixels.view_of(picture, buffer, base * 64)[:] = samples
    pixels.matte_view(picture, matte, buffer, base * 64 + matte.offset)[:] = grey
    np.testing.assert_array_equal(pixels.view_of(picture, buffer, base * 64), samples)
    np.testing.assert_array_equal(pixels.matte_view(picture, matte, buffer, base * 64 + matte.offset), grey)


@given(picture=pictures())
def test_a_view_reaches_to_the_last_byte_and_no_further(picture: Picture) -> None:
    size = pixels.picture_bytes(picture)
    assert pixels.view_of(picture, bytes(size)).shape == (picture.height, picture.width, picture.channels)
    with pytest.raises(ValueError, match="expected samples within"):
        pixels.view_of(picture, bytes(size - 1))
    with pytest.raises(ValueError, match="expected samples within"):
        pixels.view_of(picture, bytes(size), size)
    with pytest.raises(ValueError, match="expected samples within"):
        pixels.view_of(picture, bytes(size), -1)


def test_the_first_row_in_memory_is_the_lowest_when_it_is_said_so() -> None:
    picture = dense(1, 3, 1, "uint8", bottom_up=True)
    assert pixels.view_of(picture, b"\x01\x02\x03").ravel().tolist() == [3, 2, 1]
    assert pixels.matte_view(picture, MattePicture("uint8", 1), b"\x01\x02\x03").ravel().tolist() == [3, 2, 1]


def test_samples_are_little_endian() -> None:
    assert pixels.view_of(dense(1, 1, 1, "uint16"), b"\x02\x01").item() == 0x0102


def test_a_view_is_the_memory_itself() -> None:
    buffer = bytearray(16)
    pixels.view_of(dense(1, 1), buffer)[0, 0, 3] = 1
    assert buffer[12:] == np.float32(1).tobytes()


def test_a_view_is_writable_only_where_its_memory_is() -> None:
    picture = dense(2, 2, bottom_up=True)
    size = pixels.picture_bytes(picture)
    assert pixels.view_of(picture, bytearray(size)).flags.writeable
    assert not pixels.view_of(picture, bytes(size)).flags.writeable
    assert not pixels.view_of(picture, memoryview(bytearray(size)).toreadonly()).flags.writeable


@given(picture=pictures())
def test_the_layout_of_an_array_is_dense(picture: Picture) -> None:
    array = noise((picture.height, picture.width, picture.channels), pixels.DTYPES[picture.dtype])
    found = pixels.picture_of(array, bottom_up=picture.bottom_up, alpha="unassociated", colour_space="ACEScg")
    assert pixels.picture_bytes(found) == array.nbytes
    assert (found.bottom_up, found.alpha, found.colour_space) == (picture.bottom_up, "unassociated", "ACEScg")


def test_a_grey_array_may_have_two_dimensions() -> None:
    assert pixels.picture_of(np.zeros((3, 5), np.uint8)) == dense(5, 3, 1, "uint8")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 5, 5), np.float32),
        np.zeros((0, 5, 3), np.float32),
        np.zeros((1, 2, 3, 4, 5), np.float32),
        np.zeros(3, np.float32),
        np.zeros((3, 5, 3), np.float64),
        np.zeros((3, 5, 3), np.int16),
        np.zeros((3, 5, 3), bool),
        np.empty((3, 5, 3), object),
    ],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)
def test_an_array_that_is_no_picture_is_refused(array: Any) -> None:
    with pytest.raises(UsageError, match="expected"):
        pixels.picture_of(array)


def test_a_matte_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="resize"):
        pixels.matte_of(np.zeros((3, 4), np.uint8), dense(5, 3))


# Sizes (rows 25, 26, 33)


@pytest.mark.parametrize(
    ("width", "height", "channels"),
    [(1, 1, 1), (1, 32768, 1), (32768, 1, 4), (7, 3, 3), (8192, 8192, 4), (32768, 2048, 1)],
)
def test_odd_and_large_pictures_are_taken(width: int, height: int, channels: int) -> None:
    picture = dense(width, height, channels, "float32")
    size = width * height * channels * 4
    assert pixels.picture_bytes(picture) == size
    pixels.check_submit(request(picture), slot_bytes=None, part_sizes=(size,), limits=LIMITS)
    pixels.check_submit(request(picture, slot=Slot(1, 0, 1)), slot_bytes=size, part_sizes=(), limits=LIMITS)


@pytest.mark.parametrize(
    ("picture", "field"),
    [
        (dense(8193, 8192, 1, "uint8"), "picture"),
        (dense(32768, 32768, 4), "picture"),
        (replace(dense(4, 4), row_stride=63), "picture.row_stride"),
        (replace(dense(4, 4), row_stride=65), "picture.row_stride"),
        (replace(dense(4, 4), row_stride=1), "picture.row_stride"),
        (replace(dense(1, 32768), row_stride=1 << 30), "picture.row_stride"),
        # Past every bound of the codec: sizes stay exact however large the numbers are.
        (Picture(1 << 31, 1 << 31, 4, "float32", 1 << 35), "picture"),
        (Picture(1, 1 << 26, 1, "uint8", 1 << 62), "picture.row_stride"),
    ],
    ids=str,
)
def test_a_picture_beyond_a_limit_or_with_impossible_rows_is_refused(picture: Picture, field: str) -> None:
    size = pixels.picture_bytes(picture)
    assert refusal(request(picture), part_sizes=(size,)).field == field
    assert refusal(request(picture, slot=Slot(1, 0, 1)), slot_bytes=1 << 80).field == field


def test_a_server_may_lower_the_limits() -> None:
    picture = dense(100, 100)
    assert refusal(request(picture), part_sizes=(160_000,), limits=Limits(pixels=9_999)).field == "picture"
    assert refusal(request(picture), part_sizes=(160_000,), limits=Limits(raw_bytes=1)).field == "picture.row_stride"


# Slots (row 31)


def test_a_picture_larger_than_its_slot_is_refused() -> None:
    slotted = request(dense(4, 4), slot=Slot(1, 0, 1))
    pixels.check_submit(slotted, slot_bytes=256, part_sizes=(), limits=LIMITS)
    assert "larger slots" in str(refusal(slotted, slot_bytes=255))


def test_a_slot_of_no_ring_is_refused() -> None:
    assert refusal(request(dense(4, 4), slot=Slot(9, 0, 1))).field == "slot"


@pytest.mark.parametrize(
    ("changes", "parts", "field"),
    [({}, (256,), "slot"), ({"encoding": "blosc2"}, (), "encoding"), ({"crc32": 0}, (), "crc32")],
)
def test_what_belongs_to_inline_samples_is_refused_beside_a_slot(
    changes: dict[str, Any], parts: tuple[int, ...], field: str
) -> None:
    slotted = request(dense(4, 4), slot=Slot(1, 0, 1), **changes)
    assert refusal(slotted, slot_bytes=4096, part_sizes=parts).field == field


# Mattes (row 34)


@pytest.mark.parametrize(
    ("matte", "field"),
    [
        (MattePicture("uint8", 4, 256), None),
        (MattePicture("uint8", 4, 320), None),
        (MattePicture("uint8", 4, 0), "matte.offset"),
        (MattePicture("uint8", 4, 192), "matte.offset"),
        (MattePicture("uint8", 4, 257), "matte.offset"),
        (MattePicture("uint8", 4, 512), "matte.offset"),
        (MattePicture("uint8", 4, (1 << 63) - 64), "matte.offset"),
        (MattePicture("uint8", 3, 256), "matte.row_stride"),
        (MattePicture("float32", 17, 256), "matte.row_stride"),
        (MattePicture("float32", 1 << 30, 256), "matte.row_stride"),
    ],
    ids=str,
)
def test_a_matte_lies_behind_the_plate_and_inside_the_slot(matte: MattePicture, field: str | None) -> None:
    slotted = request(dense(4, 4), slot=Slot(1, 0, 1), matte=matte)
    if field is None:
        pixels.check_submit(slotted, slot_bytes=320 + 16, part_sizes=(), limits=LIMITS)
    else:
        assert refusal(slotted, slot_bytes=320 + 16).field == field


# Parts (row 26)


@pytest.mark.parametrize("parts", [(), (255,), (257,), (0,), (256, 16), (256, 16, 16)])
def test_raw_parts_are_exactly_as_long_as_their_layout(parts: tuple[int, ...]) -> None:
    refusal(request(dense(4, 4)), part_sizes=parts)


@pytest.mark.parametrize(
    ("parts", "sound"), [((256, 16), True), ((256,), False), ((256, 15), False), ((16, 256), False)]
)
def test_an_inline_matte_is_part_3(parts: tuple[int, ...], sound: bool) -> None:
    inline = request(dense(4, 4), matte=MattePicture("uint8", 4))
    if sound:
        pixels.check_submit(inline, slot_bytes=None, part_sizes=parts, limits=LIMITS)
    else:
        refusal(inline, part_sizes=parts)


@pytest.mark.parametrize(
    ("size", "sound"), [(1, True), (256, True), (320, True), (321, False), (0, False), (1 << 40, False)]
)
def test_a_packed_part_is_hardly_longer_than_its_samples(size: int, sound: bool) -> None:
    packed = request(dense(4, 4), encoding="blosc2")
    if sound:
        pixels.check_submit(packed, slot_bytes=None, part_sizes=(size,), limits=LIMITS)
    else:
        refusal(packed, part_sizes=(size,))


@given(
    picture=st.builds(
        Picture,
        st.integers(1, 200) | st.integers(1, 32768),
        st.integers(1, 20) | st.integers(1, 32768),
        st.integers(1, 4),
        st.sampled_from(DTYPES),
        st.integers(1, 999).map((4).__mul__) | st.integers(1, 1 << 30),
    ),
    matte=st.none()
    | st.builds(MattePicture, st.sampled_from(DTYPES), st.integers(1, 1 << 30), st.integers(0, 1 << 20)),
    slot_bytes=st.integers(1, 1 << 20),
)
def test_whatever_is_let_through_stays_inside_its_slot(
    picture: Picture, matte: MattePicture | None, slot_bytes: int
) -> None:
    slotted = request(picture, slot=Slot(1, 0, 1), matte=matte)
    try:
        pixels.check_submit(slotted, slot_bytes=slot_bytes, part_sizes=(), limits=LIMITS)
    except Malformed:
        return
    buffer = bytes(slot_bytes)
    pixels.view_of(picture, buffer)
    if matte is not None:
        pixels.matte_view(picture, matte, buffer, matte.offset)
