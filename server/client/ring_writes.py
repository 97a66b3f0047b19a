"""Where a client's pixels go: into a slot of the ring, or into the message."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self, TypeAlias, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from impasto.core.errors import ImpastoError, NotPermitted, ServerBusy, ServerUnreachable, UsageError
from impasto.server.client.futures import FrameFuture, FrameRequest
from impasto.server.client.paths import require_sendable
from impasto.server.client.requests import Desk
from impasto.server.client.ring import RingPairs
from impasto.server.client.session import Conversation, new_id
from impasto.server.protocol.codec import Part
from impasto.server.protocol.compression import pack_samples
from impasto.server.protocol.messages import (
    AttachRing,
    CloseRing,
    Lane,
    MattePicture,
    OpenRing,
    Picture,
    Precision,
    RenderSettings,
    RingOffered,
    RingReady,
    Slot,
    Submit,
)
from impasto.server.protocol.pixels import DTYPES, matte_bytes, matte_view, picture_bytes, slot_bytes_needed, view_of
from impasto.server.shared_memory import Layout, map_segment, populate_pages, read_nonce

Samples: TypeAlias = npt.NDArray[Any]

OPEN_S: Final = 10.0
AGAIN_S: Final = 30.0
"""After a server had no memory for a ring, how long pixels go inline before it is asked again."""


class Values(Protocol):
    """Settings that can say themselves as names and numbers, such as `impasto.core.params.Params`."""

    def as_dict(self) -> dict[str, float]:
        """Name -> value."""


class LookWords(TypedDict, total=False):
    """How a frame is to be painted, and when; see `impasto.server.protocol.messages.RenderSettings` and `Submit`."""

    params: Mapping[str, float] | Values | None
    before: Mapping[str, float] | Values | None
    after: Mapping[str, float] | Values | None
    sha256: str
    precision: Precision
    tile: int
    device: str
    frame: int
    viewer: str
    lane: Lane | None
    deadline_s: float | None


class RingKeeper:
    """The ring of a session: opened for the first frame, again for larger ones, and done without where it must be."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._gate = threading.Lock()
        self._ring: RingPairs | None = None
        self._session = b""
        self._not_before = 0.0
        self.problem = ""
        """Why pixels go inline; empty while they do not."""

    @property
    def transport(self) -> Literal["ring", "inline"]:
        """How the last frame went."""
        return "inline" if self._ring is None else "ring"

    def enter(self, talk: Conversation, slot_bytes: int, until: float) -> RingPairs | None:
        """The ring, if it holds slots of this size, with a use announced; None where the pixels go inline.

        A ring of larger slots takes its place unless the server or a writer has a pair of it. Raises ServerBusy.
        """
        if "ring" not in talk.welcome.transports:
            self.problem = self.problem or "the server is on another machine"
            return None
        if not self._gate.acquire(timeout=max(0.0, until - time.monotonic())):
            raise ServerBusy("expected the ring to be opened in time, another thread still waits for it; try again")
        try:
            if talk.welcome.session != self._session:
                self._session, self._ring, self._not_before, self.problem = talk.welcome.session, None, 0.0, ""
            ring = self._ring
            if ring is None or ring.layout.slot_bytes < slot_bytes:
                if (ring is not None and ring.in_use) or time.monotonic() < self._not_before:
                    return None
                ring = self._open(talk, slot_bytes, until)
            if ring is not None:
                ring.enter()
            return ring
        finally:
            self._gate.release()

    def _open(self, talk: Conversation, slot_bytes: int, until: float) -> RingPairs | None:
        left = max(0.1, min(OPEN_S, until - time.monotonic()))
        id = new_id()
        try:
            offered, _ = talk.ask(OpenRing(id, slot_bytes, self._pairs), RingOffered, id, left)
        except (ServerUnreachable, UsageError):
            raise
        except ImpastoError as error:
            # No memory now. The session keeps the ring that it had; only this size does without.
            self._not_before, self.problem = time.monotonic() + AGAIN_S, str(error)
            return None
        try:
            self._ring = _attach(talk, offered, left)
        except (ServerUnreachable, UsageError):
            self._ring = None  # the server may have put the new one in its place already
            raise
        except ImpastoError as error:
            # Another container, another user's view of /proc: the same machine, but no memory in common.
            talk.tell("control", CloseRing(offered.ring))
            self._not_before, self.problem = float("inf"), str(error)
            return None
        self.problem = ""
        return self._ring


class FrameSlot:
    """A place to write a plate into, on its way to the server.

    `pixels` is (height, width, channels) and `matte` (height, width), or None; the first row is the lowest where the
    slot was asked for `bottom_up`. What they hold at first is left over from another frame. After `submit` they
    belong to the server. A slot that is not submitted is given back at the end of its `with` block.
    """

    def __init__(
        self, desk: Desk, talk: Conversation, ring: RingPairs | None, picture: Picture, matte: MattePicture | None
    ) -> None:
        self._desk, self._talk, self._ring = desk, talk, ring
        self._picture, self._layout = picture, matte
        self._pair = -1
        self._memory: npt.NDArray[np.uint8] = np.empty(0, np.uint8)

    def take(self, until: float) -> Self:
        """Find the memory: a pair of the ring, waited for until then, or memory of this process. Raises ServerBusy."""
        if self._ring is not None:
            try:
                self._pair = self._ring.take(until, self._check)
            except BaseException:
                self._ring.leave()
                self._ring = None
                raise
            self._memory = self._ring.in_slot(self._pair)
        else:
            self._memory = np.empty(slot_bytes_needed(self._picture, self._layout), np.uint8)
        return self

    @property
    def pixels(self) -> Samples:
        """The plate's samples, to be written."""
        return view_of(_as_sent(self._picture), self._buffer())

    @property
    def matte(self) -> Samples | None:
        """The matte's samples, to be written."""
        if self._layout is None:
            return None
        return matte_view(_as_sent(self._picture), self._layout, self._buffer(), self._layout.offset)

    def submit(self, style: str, *, timeout_s: float = 20.0, **words: Unpack[LookWords]) -> FrameFuture:
        """Have the slot painted. Raises ServerBusy where the session's credit has no room within `timeout_s`."""
        self._buffer()
        require_sendable("style", style)
        id = new_id()
        future = FrameFuture(id, self._desk.take_back, self._desk.steer)
        parts: list[Part] = []
        encoding: Literal["raw", "blosc2"] = "raw"
        if self._ring is None:
            parts, encoding = self._packed()
        look = RenderSettings(
            style,
            words.get("sha256", ""),
            _plain(words.get("params")),
            _plain(words.get("before")) or {},
            _plain(words.get("after")) or {},
            words.get("precision", "auto"),
            words.get("tile", 0),
            words.get("device", ""),
        )
        size = slot_bytes_needed(self._picture, self._layout)
        self._desk.promise(self._talk, size, time.monotonic() + timeout_s)
        try:
            slot = None
            if self._ring is not None:
                slot = Slot(self._ring.number, self._pair, self._ring.next_generation(self._pair))
            message = Submit(
                id,
                look,
                self._picture,
                slot,
                encoding,
                matte=self._layout,
                frame=words.get("frame", 0),
                lane=words.get("lane"),
                viewer=words.get("viewer", ""),
                deadline_s=words.get("deadline_s"),
            )
            self._desk.post(self._talk, FrameRequest(message, parts, future, self._ring))
        except BaseException:
            self._desk.break_promise(size)
            raise
        self._ring, self._memory = None, np.empty(0, np.uint8)
        return future

    def give_back(self) -> None:
        """Do without the slot; nothing happens after `submit`."""
        self._memory = np.empty(0, np.uint8)
        if self._ring is not None:
            self._ring.give_back(self._pair)
            self._ring.leave()
            self._ring = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def _check(self) -> None:
        self._talk.require_other_thread()
        if self._talk.error is not None:
            raise ServerUnreachable(f"{self._talk.error}; submit the frame again")

    def _buffer(self) -> memoryview:
        if not self._memory.size:
            raise UsageError("expected a slot that was not submitted yet, got one that was; ask for another slot")
        return self._memory.data

    def _packed(self) -> tuple[list[Part], Literal["raw", "blosc2"]]:
        """The samples as parts of the message, plate and matte in one encoding."""
        samples = self._buffer()
        raw: list[Part] = [samples[: picture_bytes(self._picture)]]
        sizes = [DTYPES[self._picture.dtype].itemsize]
        if self._layout is not None:
            begin = self._layout.offset
            raw.append(samples[begin : begin + matte_bytes(self._picture, self._layout)])
            sizes.append(DTYPES[self._layout.dtype].itemsize)
        if not self._desk.rate.packs():
            return raw, "raw"
        packed = [pack_samples(part, size, self._talk.welcome.encodings) for part, size in zip(raw, sizes, strict=True)]
        if all(encoding == "blosc2" for _, encoding in packed):
            return [part for part, _ in packed], "blosc2"
        return raw, "raw"


def _attach(talk: Conversation, offered: RingOffered, timeout_s: float) -> RingPairs:
    layout = Layout(offered.slot_bytes, offered.pairs, offered.first_slot, offered.nonce_offset)
    if layout.segment_bytes > offered.segment_bytes or layout.nonce_offset + 16 > layout.first_slot:
        raise NotPermitted(f"expected a ring of at least {layout.segment_bytes} bytes, got {offered.segment_bytes}")
    mapped = map_segment(offered.path, offered.segment_bytes, populate=False)
    proof = AttachRing(new_id(), offered.ring, read_nonce(mapped, layout))
    talk.ask(proof, RingReady, proof.id, timeout_s)
    populate_pages(mapped)
    return RingPairs(offered.ring, mapped, layout)


def _as_sent(picture: Picture) -> Picture:
    """The same rows, in the order of memory."""
    return Picture(picture.width, picture.height, picture.channels, picture.dtype, picture.row_stride)


def _plain(values: Mapping[str, float] | Values | None) -> dict[str, float] | None:
    if values is None:
        return None
    named = dict(values) if isinstance(values, Mapping) else values.as_dict()
    return {name: float(value) for name, value in named.items()}
