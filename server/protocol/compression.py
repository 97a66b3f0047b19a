"""Samples on their way through a message: raw, or packed by blosc2 where both sides have it and the link is slow.

Packing is LZ4 behind a byte shuffle, the fastest that shortens pictures with noise at all (1.4 to 1.7 times for half
floats). Packed bytes from outside are untrusted: blosc2 itself goes by the size that their header declares, so nothing
is unpacked before that size and every other field of the header is one that `pack_samples` could have written.
"""

from __future__ import annotations

import importlib.util
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

from impasto.server.protocol.codec import Malformed, Part
from impasto.server.protocol.field_types import Encoding
from impasto.server.protocol.text import shown

THREADS: Final = 2
"""Of blosc2, for each call: more would take the processor from the host or the network."""
SMALLEST_BYTES: Final = 4096
"""Less than this is sent raw: it fits into a few packets anyway."""
BLOCK_BYTES: Final = 4 << 20
"""The largest block that is unpacked; blosc2 takes some blocks of memory for each thread."""

PACK_BYTES_PER_S: Final = 0.67e9
UNPACK_BYTES_PER_S: Final = 1.35e9
RATIO: Final = 1.43
"""A 1080p frame of half RGBA with noise of 0.01, LZ4 with shuffle, two threads of a shared EPYC."""

# Versions, flags, type size; bytes unpacked, of a block, packed; six filters, codec, its setting, the filters'
# settings, nothing, more flags. README_CHUNK_FORMAT.rst of c-blosc2.
_HEADER = struct.Struct("<BBBBiii6sBB6sBB")
_FORMAT: Final = 5
_FLAGS: Final = 0x25
"""A blosc2 chunk (0x05) of LZ4 (1 in the upper three bits), not stored as it is (0x02), no delta (0x08)."""
_UNSPLIT: Final = 0x10
"""Free to the packer: whether a block is one stream or one for each byte of a sample."""
_ZEROS: Final = 0x10
"""Among the later flags: all samples are 0, and nothing follows the header. The other special values are refused, one
of which leaves what was in the memory before."""


def encodings_here() -> tuple[Encoding, ...]:
    """What this installation packs and unpacks, the one it likes best first."""
    return ("blosc2", "raw") if importlib.util.find_spec("blosc2") else ("raw",)


def worth_packing(link_bytes_per_s: float, ratio: float = RATIO) -> bool:
    """Whether a picture arrives sooner packed, over a link that was measured to carry this much.

    Sooner means: the bytes saved take longer on the link than packing and unpacking take. With the ratio and speeds
    measured for noisy half floats that is below 1.1 Gbit/s; a smoother picture gains on faster links too.
    """
    if link_bytes_per_s <= 0 or ratio <= 1:
        return False
    return (1 - 1 / ratio) / link_bytes_per_s > 1 / PACK_BYTES_PER_S + 1 / UNPACK_BYTES_PER_S


def pack_samples(samples: Part, itemsize: int, encodings: Sequence[str]) -> tuple[Part, Encoding]:
    """The samples as they are sent, and the encoding that says how: raw unless packing is agreed and shortens them.

    Raw samples are the ones that were given, not a copy. `itemsize` is the bytes of one sample, by which they are
    shuffled.
    """
    raw = memoryview(samples).cast("B")
    if "blosc2" not in encodings or raw.nbytes < SMALLEST_BYTES or "blosc2" not in encodings_here():
        return samples, "raw"
    blosc2 = _blosc2()
    packed: bytes = blosc2.compress2(
        raw,
        codec=blosc2.Codec.LZ4,
        clevel=5,
        typesize=itemsize,
        filters=[blosc2.Filter.SHUFFLE],
        filters_meta=[0],
        nthreads=THREADS,
    )
    return (packed, "blosc2") if len(packed) < raw.nbytes else (samples, "raw")


def unpack_samples(part: Part, encoding: str, into: memoryview) -> None:
    """Fill `into` with the samples of a part, which must be exactly as many.

    Raises Malformed, and then `into` may hold anything.
    """
    source, target = memoryview(part).cast("B"), into.cast("B")
    if encoding == "raw":
        if source.nbytes != target.nbytes:
            raise _refused(f"expected {target.nbytes} bytes of raw samples, got {source.nbytes}")
        target[:] = source
        return
    if encoding not in encodings_here():
        raise _refused(f"expected samples as one of {', '.join(encodings_here())}, got {shown(encoding)}")
    _check_chunk(source, target.nbytes)
    try:
        _blosc2().decompress2(source, dst=target, nthreads=THREADS)
    except (ValueError, RuntimeError) as error:
        raise _refused("expected samples packed by blosc2, got damaged ones") from error


def check_crc32(part: Part, expected: int | None) -> None:
    """Whether part 2 is as it was sent, where the sender gave its CRC-32. Raises Malformed."""
    if expected is None:
        return
    found = zlib.crc32(part)
    if found != expected:
        raise Malformed(
            f"expected part 2 with the CRC-32 {expected:#010x}, got {found:#010x}; it was damaged on its way, send it "
            "again",
            field="crc32",
        )


def _check_chunk(chunk: memoryview, size: int) -> None:
    """Whether these bytes are one whole chunk of exactly this size, of the one kind that we pack."""
    if chunk.nbytes < _HEADER.size:
        raise _refused(f"expected a chunk of blosc2 of at least {_HEADER.size} bytes, got {chunk.nbytes}")
    form, _, flags, itemsize, unpacked, block, packed, filters, codec, setting, settings, spare, later = (
        _HEADER.unpack_from(chunk)
    )
    # The size first: blosc2 writes as much as the chunk declares, however short the memory is.
    if unpacked != size:
        raise _refused(f"expected a chunk that unpacks to {size} bytes, got one that declares {unpacked}")
    if packed != chunk.nbytes:
        raise _refused(f"expected a chunk of the {chunk.nbytes} bytes that came, got one that declares {packed}")
    kind = (form, flags & ~_UNSPLIT, setting, settings, spare) == (_FORMAT, _FLAGS, 0, bytes(6), 0)
    if not kind or codec > 1 or later not in (0, _ZEROS) or set(filters) - {0, 1} or not 1 <= itemsize <= 4:
        raise _refused("expected samples packed as LZ4 behind a byte shuffle, got another kind of chunk")
    if not 0 < block <= min(size, BLOCK_BYTES):
        raise _refused(f"expected blocks of at most {min(size, BLOCK_BYTES)} bytes, got {block}")


def _refused(sentence: str) -> Malformed:
    return Malformed(f"{sentence}; pack them again, or send them raw", field="encoding")


def _blosc2() -> Any:
    # Only where packing was agreed: it takes a third of a second to import, and a host need not have it.
    import blosc2  # type: ignore[import-untyped]  # ships no hints

    # Not so by default, and a frame would hold up every other thread for ten milliseconds. For the whole process.
    blosc2.set_releasegil(True)
    return blosc2
