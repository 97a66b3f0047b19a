"""How the samples of a picture lie in memory: sizes, the checks of a `Submit`, and views without a copy.

All sizes are Python's own integers, so that no product of a client's numbers can overflow.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from impasto.core.errors import UsageError
from impasto.server.protocol.codec import Malformed, Part
from impasto.server.protocol.field_types import Alpha, Dtype
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import MattePicture, Picture, Submit

Samples: TypeAlias = npt.NDArray[Any]
Memory: TypeAlias = Part | mmap.mmap

DTYPES: Mapping[Dtype, np.dtype[Any]] = {
    "uint8": np.dtype("<u1"),
    "uint16": np.dtype("<u2"),
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
}
ALIGNMENT = 64
"""A matte begins at a multiple of this in its slot: a cache line."""
PACKING_BYTES = 64
"""What a packed part may be longer than its samples, where they do not compress."""


def picture_bytes(picture: Picture) -> int:
    """From the first sample to the last, without what would follow the last row."""
    row = picture.width * picture.channels * DTYPES[picture.dtype].itemsize
    return (picture.height - 1) * picture.row_stride + row


def matte_bytes(picture: Picture, matte: MattePicture) -> int:
    """From the first sample of the matte to the last; it has the size of the plate."""
    return (picture.height - 1) * matte.row_stride + picture.width * DTYPES[matte.dtype].itemsize


def slot_bytes_needed(picture: Picture, matte: MattePicture | None = None) -> int:
    """The smallest slot that holds both, the matte where it says it is."""
    pixels = picture_bytes(picture)
    return pixels if matte is None else max(pixels, matte.offset + matte_bytes(picture, matte))


def check_submit(submit: Submit, *, slot_bytes: int | None, part_sizes: Sequence[int], limits: Limits) -> None:
    """Whether the samples that a decoded request announces can be where it says.

    `slot_bytes` is the size of the slots of the ring that `submit.slot` names, None where the session has no such
    ring; `part_sizes` are the bytes of the parts behind the header. Raises Malformed with the field. Who owns the
    slot, and its generation, is the session's to know.
    """
    try:
        _check_picture(submit.picture, limits)
        if submit.matte is not None:
            _check_rows(
                "matte",
                submit.matte.row_stride,
                submit.picture.width * DTYPES[submit.matte.dtype].itemsize,
                submit.matte.dtype,
            )
            _check_bytes("matte.row_stride", matte_bytes(submit.picture, submit.matte), limits)
        if submit.slot is None:
            _check_parts(submit, part_sizes)
        else:
            _check_slot(submit, slot_bytes, part_sizes)
    except Malformed as error:
        error.id, error.type = submit.id, submit.TYPE
        raise


def _check_picture(picture: Picture, limits: Limits) -> None:
    pixels = picture.width * picture.height
    if pixels > limits.pixels:
        raise Malformed(
            f"expected a picture of at most {limits.pixels} pixels, got {picture.width} x {picture.height}; "
            "render it smaller, or raise the server's limit",
            field="picture",
        )
    row = picture.width * picture.channels * DTYPES[picture.dtype].itemsize
    _check_rows("picture", picture.row_stride, row, picture.dtype)
    _check_bytes("picture.row_stride", picture_bytes(picture), limits)


def _check_rows(name: str, stride: int, row: int, dtype: Dtype) -> None:
    if stride < row:
        raise Malformed(
            f"expected {name}.row_stride of at least {row}, the bytes of one row, got {stride}; rows cannot overlap",
            field=f"{name}.row_stride",
        )
    if stride % DTYPES[dtype].itemsize:
        raise Malformed(
            f"expected {name}.row_stride to be whole samples of {dtype}, got {stride} bytes; "
            f"{DTYPES[dtype].itemsize} bytes are one sample",
            field=f"{name}.row_stride",
        )


def _check_bytes(field: str, size: int, limits: Limits) -> None:
    if size > limits.raw_bytes:
        raise Malformed(
            f"expected samples of at most {limits.raw_bytes} bytes, got {size}; use fewer pixels, a smaller dtype or "
            "rows without padding",
            field=field,
        )


def _check_slot(submit: Submit, slot_bytes: int | None, part_sizes: Sequence[int]) -> None:
    if slot_bytes is None:
        raise Malformed("expected a ring of this session in slot.ring, got another; open and attach one", field="slot")
    if part_sizes:
        raise Malformed(
            f"expected no part behind the header of a request in a slot, got {len(part_sizes)}; send the samples once",
            field="slot",
        )
    if submit.encoding != "raw":
        raise Malformed(f"expected raw samples in a slot, got '{submit.encoding}'", field="encoding")
    if submit.crc32 is not None:
        raise Malformed("expected no crc32 of samples in a slot, got one; it belongs to part 2", field="crc32")
    pixels = picture_bytes(submit.picture)
    if pixels > slot_bytes:
        raise Malformed(
            f"expected samples that fit into a slot of {slot_bytes} bytes, got {pixels}; open a ring of larger slots",
            field="picture",
        )
    if submit.matte is None:
        return
    offset, end = submit.matte.offset, slot_bytes_needed(submit.picture, submit.matte)
    if offset % ALIGNMENT or offset < pixels:
        raise Malformed(
            f"expected matte.offset to be a multiple of {ALIGNMENT} behind the {pixels} bytes of the plate, "
            f"got {offset}",
            field="matte.offset",
        )
    if end > slot_bytes:
        raise Malformed(
            f"expected plate and matte to fit into a slot of {slot_bytes} bytes, got a matte that ends at {end}; "
            "open a ring of larger slots",
            field="matte.offset",
        )


def _check_parts(submit: Submit, part_sizes: Sequence[int]) -> None:
    wanted = [picture_bytes(submit.picture)]
    if submit.matte is not None:
        wanted.append(matte_bytes(submit.picture, submit.matte))
    if len(part_sizes) != len(wanted):
        raise Malformed(
            f"expected {len(wanted)} parts of samples behind the header, got {len(part_sizes)}; without a slot the "
            "plate is part 2 and its matte part 3",
            field="slot",
        )
    for field, size, expected in zip(("picture", "matte"), part_sizes, wanted, strict=False):
        if submit.encoding == "raw" and size != expected:
            raise Malformed(
                f"expected {expected} bytes of samples, as {field} says, got {size}; send all rows, without what would "
                "follow the last one",
                field=field,
            )
        if not 0 < size <= expected + PACKING_BYTES:
            raise Malformed(
                f"expected at most {expected + PACKING_BYTES} bytes of packed samples, as {field} says, got {size}; "
                "send them raw where packing does not shorten them",
                field=field,
            )


def view_of(picture: Picture, buffer: Memory, offset: int = 0) -> Samples:
    """The samples as (height, width, channels), top row first whatever `bottom_up` says; not a copy.

    Writable only where the buffer is. Raises ValueError where the buffer is too short, which `check_submit` rules out.
    """
    return _rows(
        (picture.height, picture.width, picture.channels),
        DTYPES[picture.dtype],
        picture.row_stride,
        picture.bottom_up,
        buffer,
        offset,
    )


def matte_view(picture: Picture, matte: MattePicture, buffer: Memory, offset: int = 0) -> Samples:
    """The matte as (height, width), top row first; `offset` is where it begins in the buffer, its slot's included."""
    view = _rows(
        (picture.height, picture.width, 1), DTYPES[matte.dtype], matte.row_stride, picture.bottom_up, buffer, offset
    )
    return view[:, :, 0]


def _rows(
    shape: tuple[int, int, int], dtype: np.dtype[Any], stride: int, bottom_up: bool, buffer: Memory, offset: int
) -> Samples:
    # Checked here, because numpy takes a buffer that ends at the offset for one of unknown length.
    end = offset + (shape[0] - 1) * stride + shape[1] * shape[2] * dtype.itemsize
    with memoryview(buffer) as memory:
        if not 0 <= offset < end <= memory.nbytes:
            raise ValueError(f"expected samples within {memory.nbytes} bytes, got bytes {offset} to {end}")
    strides = (stride, shape[2] * dtype.itemsize, dtype.itemsize)
    rows: Samples = np.ndarray(shape, dtype, buffer, offset, strides)
    return rows[::-1] if bottom_up else rows


def picture_of(
    array: Samples, *, bottom_up: bool = False, alpha: Alpha = "associated", colour_space: str = ""
) -> Picture:
    """The dense layout for an array of (height, width, channels) or (height, width). Raises UsageError.

    `bottom_up` is how the rows are to lie in memory; the array itself is read from top to bottom as `view_of` gives it.
    """
    shape = _shape_of(array.shape)
    return dense_picture(*shape, _dtype_of(array), bottom_up=bottom_up, alpha=alpha, colour_space=colour_space)


def dense_picture(
    height: int,
    width: int,
    channels: int,
    dtype: Dtype,
    *,
    bottom_up: bool = False,
    alpha: Alpha = "associated",
    colour_space: str = "",
) -> Picture:
    """The layout of a picture whose rows lie behind each other. Raises UsageError for a size that is none."""
    _shape_of((height, width, channels))
    stride = width * channels * DTYPES[dtype].itemsize
    return Picture(width, height, channels, dtype, stride, bottom_up, alpha, colour_space)


def matte_of(array: Samples, picture: Picture) -> MattePicture:
    """The dense layout for a matte of (height, width), behind the plate in the same slot. Raises UsageError."""
    if array.shape != (picture.height, picture.width):
        raise UsageError(
            f"expected a matte of {(picture.height, picture.width)}, as the plate is, got {array.shape}; resize it"
        )
    dtype = _dtype_of(array)
    offset = -(-picture_bytes(picture) // ALIGNMENT) * ALIGNMENT
    return MattePicture(dtype, picture.width * DTYPES[dtype].itemsize, offset)


def _shape_of(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, channels = shape if len(shape) == 3 else (*shape, 1) if len(shape) == 2 else (0, 0, 0)
    if height < 1 or width < 1 or not 1 <= channels <= 4:
        raise UsageError(
            f"expected pixels of (height, width, 1 to 4 channels) or (height, width), got {shape}; "
            "send colour and alpha only"
        )
    return height, width, channels


def _dtype_of(array: Samples) -> Dtype:
    for name, dtype in DTYPES.items():
        if array.dtype.kind == dtype.kind and array.dtype.itemsize == dtype.itemsize:
            return name
    raise UsageError(f"expected samples of {', '.join(DTYPES)}, got {array.dtype}; convert them with astype")
