"""Memory that a host writes a plate into: a slot of the ring, or samples that go inside the message."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from impasto.core.errors import ServerUnreachable, UsageError
from impasto.server.client.futures import FrameFuture, FrameRequest
from impasto.server.client.paths import require_sendable
from impasto.server.client.requests import ClientRequests
from impasto.server.client.ring import RingPairs
from impasto.server.client.session import ClientSession, new_id
from impasto.server.client.versions import require_layout, require_ocio
from impasto.server.protocol.codec import Part
from impasto.server.protocol.colour_configuration import named_for_frames
from impasto.server.protocol.compression import pack_samples
from impasto.server.protocol.field_types import KeysQuality, Lane, Precision, Projection, Stereo
from impasto.server.protocol.messages import MattePicture, Picture, RenderSettings, Slot, Submit
from impasto.server.protocol.pixels import DTYPES, matte_bytes, matte_view, picture_bytes, slot_bytes_needed, view_of

Samples: TypeAlias = npt.NDArray[Any]


class NamedValues(Protocol):
    """Settings that give themselves as names and numbers, such as `impasto.core.params.Params`."""

    def as_dict(self) -> dict[str, float]:
        """Name -> value."""


class FrameOptions(TypedDict, total=False):
    """How a frame is to be painted, and when; see `impasto.server.protocol.messages.RenderSettings` and `Submit`."""

    params: Mapping[str, float] | NamedValues | None
    before: Mapping[str, float] | NamedValues | None
    after: Mapping[str, float] | NamedValues | None
    sha256: str
    precision: Precision
    tile: int
    device: str
    keys_quality: KeysQuality
    projection: Projection
    stereo: Stereo
    cache: bool
    frame: int
    viewer: str
    lane: Lane | None
    deadline_s: float | None


class FrameSlot:
    """A place to write a plate into, on its way to the server.

    `pixels` is (height, width, channels) and `matte` (height, width), or None; the first row is the lowest where the
    slot was asked for `bottom_up`. What they hold at first is left over from another frame. After `submit` they
    belong to the server. A slot that is not submitted is given back at the end of its `with` block.
    """

    def __init__(
        self,
        requests: ClientRequests,
        session: ClientSession,
        ring: RingPairs | None,
        picture: Picture,
        matte: MattePicture | None,
        until: float,
    ) -> None:
        """Takes a pair of the ring, waiting until then, or memory of this process. Raises ServerBusy."""
        self._requests, self._session = requests, session
        self._picture, self._layout = picture, matte
        self._pair = None if ring is None else ring.take(until, self._check)
        self._memory: npt.NDArray[np.uint8] = (
            np.empty(slot_bytes_needed(picture, matte), np.uint8) if self._pair is None else self._pair.in_slot()
        )

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

    def submit(self, style: str, *, timeout_s: float = 20.0, **options: Unpack[FrameOptions]) -> FrameFuture:
        """Have the slot painted. Raises ServerBusy where the session's credit has no room within `timeout_s`."""
        self._buffer()
        require_sendable("style", style)
        parts: list[Part] = []
        encoding: Literal["raw", "blosc2"] = "raw"
        if self._pair is None:
            parts, encoding = self._packed()
        look = RenderSettings(
            style,
            options.get("sha256", ""),
            _plain(options.get("params")),
            _plain(options.get("before")) or {},
            _plain(options.get("after")) or {},
            options.get("precision", "auto"),
            options.get("tile", 0),
            options.get("device", ""),
            options.get("keys_quality", "standard"),
            projection=options.get("projection", "auto"),
            stereo=options.get("stereo", "auto"),
            cache=options.get("cache", True),
        )
        ocio, ocio_sha256 = named_for_frames() if self._picture.colour_space else ("", "")
        require_ocio(ocio, self._session.welcome)
        require_layout(look, self._session.welcome)
        id = new_id()
        future = FrameFuture(id, self._requests.cancel, self._requests.require_may_wait)
        size = slot_bytes_needed(self._picture, self._layout)
        try:
            self._requests.reserve_credit(self._session, id, size, time.monotonic() + timeout_s)
            slot = None
            if self._pair is not None:
                slot = Slot(self._pair.ring, self._pair.pair, self._pair.next_generation())
            message = Submit(
                id,
                look,
                self._picture,
                slot,
                encoding,
                matte=self._layout,
                frame=options.get("frame", 0),
                lane=options.get("lane"),
                viewer=options.get("viewer", ""),
                deadline_s=options.get("deadline_s"),
                ocio=ocio,
                ocio_sha256=ocio_sha256,
            )
            self._requests.post(self._session, FrameRequest(message, parts, future, self._pair))
        except BaseException:
            if self._requests.is_under_way(id):
                self._hand_over()  # Ctrl-C behind the post: the server may paint into it
            else:
                self._requests.return_credit(id)
            raise
        self._hand_over()
        return future

    def give_back(self) -> None:
        """Do without the slot; nothing happens after `submit`."""
        pair = self._pair
        self._hand_over()
        if pair is not None:
            pair.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def _hand_over(self) -> None:
        self._pair, self._memory = None, np.empty(0, np.uint8)

    def _check(self) -> None:
        self._session.require_other_thread()
        if self._session.error is not None:
            raise ServerUnreachable(f"{self._session.error}; submit the frame again")

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
        if not self._requests.rate.packs():
            return raw, "raw"
        encodings = self._session.welcome.encodings
        packed = [pack_samples(part, size, encodings) for part, size in zip(raw, sizes, strict=True)]
        if all(encoding == "blosc2" for _, encoding in packed):
            return [part for part, _ in packed], "blosc2"
        return raw, "raw"


def _as_sent(picture: Picture) -> Picture:
    """The same rows, in the order of memory."""
    return Picture(picture.width, picture.height, picture.channels, picture.dtype, picture.row_stride)


def _plain(values: Mapping[str, float] | NamedValues | None) -> dict[str, float] | None:
    if values is None:
        return None
    named = dict(values) if isinstance(values, Mapping) else values.as_dict()
    return {name: float(value) for name, value in named.items()}
