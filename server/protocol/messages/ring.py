"""The shared memory through which pixels pass on one machine."""

from __future__ import annotations

from typing import Annotated, ClassVar

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol import limits
from impasto.server.protocol.field_types import Bytes, Count, Id, Whole, Words


@frozen_dataclass
class OpenRing:
    """Asks for a ring. A session has one; a new one takes the place of the old. Answer: `RingOffered` or `Failed`."""

    TYPE: ClassVar = "open_ring"

    id: Id
    slot_bytes: Annotated[int, Whole(1, 2 * limits.RAW_BYTES)]
    pairs: Annotated[int, Whole(1, 64)] = 3


@frozen_dataclass
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


@frozen_dataclass
class AttachRing:
    """Proves the mapping. Answer: `RingReady` or `Failed`."""

    TYPE: ClassVar = "attach_ring"

    id: Id
    ring: Count
    nonce: Annotated[bytes, Bytes(16)]


@frozen_dataclass
class RingReady:
    """The mapping is proven; the ring may be named in `Submit`."""

    TYPE: ClassVar = "ring_ready"

    id: Id
    ring: Count


@frozen_dataclass
class CloseRing:
    """The client uses the ring no more. No answer."""

    TYPE: ClassVar = "close_ring"

    ring: Count


@frozen_dataclass
class Slot:
    """A pair of slots of the session's ring."""

    ring: Count
    pair: Annotated[int, Whole(0, 63)]
    generation: Count
    """Higher than the pair's last one."""
