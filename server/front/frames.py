"""Frame requests: check them, give them memory, send them to a worker, answer them.

Nothing here touches pixels in the ring. Pixels in a message wait as they came. When a worker is free for the request, a
thread copies or unpacks them into a segment of the front's own, which the worker maps like a ring.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from impasto.server.front.library import Library, StyleFile, error_in_client_words, style_of
from impasto.server.front.outbox import OnSent, SendTracker
from impasto.server.front.pending_request import PendingRequest, Reply
from impasto.server.front.rings import close_unused
from impasto.server.front.segments import SessionRing, SlotPair, Staging, StagingSegment
from impasto.server.front.sessions import Session, Untaken
from impasto.server.front.workers import Workers
from impasto.server.protocol import compression, pixels, worker_messages
from impasto.server.protocol.codec import Malformed, Part, fingerprint
from impasto.server.protocol.colour_configuration import on_this_machine
from impasto.server.protocol.field_types import Encoding
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Cancelled, Done, Failed, Picture, Submit
from impasto.server.scheduler import events as plan

AT_ONCE_BYTES: Final = 256 << 10
"""Samples of at most this size are copied without a thread, because to wake a thread takes longer."""


@dataclass(frozen=True, slots=True)
class FrameContext:
    """What frame requests need of the server."""

    library: Library
    limits: Limits
    workers: Workers
    staging: Staging
    clock: Callable[[], float]


@dataclass(slots=True, eq=False, kw_only=True)
class PendingFrame(PendingRequest):
    """A frame request under way."""

    context: FrameContext
    submit: Submit
    style: StyleFile
    ring: SessionRing | None = None
    pair: SlotPair | None = None
    """The pair of slots in the ring; None if the samples came in the message."""
    parts: Sequence[Part] = ()
    """Samples that came in the message. They are kept until the terminal message, for a second attempt."""
    staged: StagingSegment | None = None
    """The front's own memory, which holds those samples and later the result."""

    @classmethod
    def admit(
        cls, context: FrameContext, session: Session, submit: Submit, digest: bytes, parts: Sequence[Part]
    ) -> Self:
        """Check a request and claim its pair of the ring. Raises InvalidRequest, and the errors of its style."""
        ring = session.ring
        own = submit.slot is not None and ring is not None and ring.number == submit.slot.ring
        pixels.check_submit(
            submit,
            slot_bytes=ring.segment.slot_bytes if own and ring is not None else None,
            part_sizes=[part.nbytes if isinstance(part, memoryview) else len(part) for part in parts],
            limits=context.limits,
        )
        if submit.encoding not in session.agreed.encodings:
            raise Malformed(
                f"expected an encoding that was agreed on ({', '.join(session.agreed.encodings)}), got "
                f"'{submit.encoding}'; name it in Hello",
                field="encoding",
                id=submit.id,
            )
        submit = on_this_machine(submit, local=session.local)
        style = style_of(context.library, submit.look, local=session.local)
        picture = submit.picture
        request = cls(
            id=submit.id,
            session=session,
            digest=digest,
            arrived_s=context.clock(),
            label=f"{style.name} {picture.width}x{picture.height}x{picture.channels} {picture.dtype}",
            workers=context.workers,
            device=submit.look.device,
            slot=submit.slot,
            context=context,
            submit=submit,
            style=style,
            parts=parts,
        )
        request.slot_bytes()  # may raise, before the pair is taken
        if submit.slot is not None:
            assert ring is not None  # `check_submit` has refused any other
            request.pair, request.ring = ring.claim(submit.slot), ring
        return request

    @property
    def staged_bytes(self) -> int:
        """See `PendingRequest`."""
        return sum(part.nbytes if isinstance(part, memoryview) else len(part) for part in self.parts)

    def submission(self) -> plan.SchedulerEvent:
        """`FrameSubmitted`."""
        submit, picture = self.submit, self.submit.picture
        return plan.FrameSubmitted(
            self.id,
            self.session.token,
            submit.lane or self.session.agreed.lane,
            self.style.name,
            _digest_of(submit, self.style),
            picture.width * picture.height / 1e6,
            self.slot_bytes(),
            submit.viewer,
            submit.deadline_s,
            self.device,
        )

    def slot_bytes(self) -> int:
        """Bytes of a slot for its samples, or for its result."""
        return pixels.slot_bytes_needed(self.submit.picture, self._as_painted().matte)

    def start(self) -> Callable[[], StagingSegment] | None:
        """Send it to its worker. If its samples came in the message, a thread copies them first."""
        if self.pair is not None:
            self._send_to_worker(self.pair)
            return None
        staging, need = self.context.staging, self.slot_bytes()
        if self.staged is None:
            if need > AT_ONCE_BYTES or (free := staging.reuse(need)) is None:
                return lambda: self._filled(staging.open(need))
            self.staged = self._filled(free)
        self._send_to_worker(self.staged.pair)  # workers never write into the in-slot, so it still holds the samples
        return None

    def loaded(self, result: StagingSegment) -> None:
        """Send it to its worker, now that its samples are copied."""
        self.staged = result
        self._send_to_worker(result.pair)

    def discard(self, result: StagingSegment) -> None:
        """Give back the memory of a copy that is not needed any more."""
        self.context.staging.give_back(result)

    def reply(self) -> Reply | Callable[[], Reply]:
        """The worker's answer, with the samples if they go in the message. A thread packs them for a network."""
        ending = self.ending
        if isinstance(ending, worker_messages.WorkFailed):
            return Reply(Failed(self.id, error_in_client_words(ending.error, self.submit.look, self.style)))
        if not isinstance(ending, worker_messages.FramePainted):
            return Reply(Cancelled(self.id))
        done = ending.done
        done.seconds.update(queue=self.queued_s, server=max(0.0, self.context.clock() - self.arrived_s))
        staged = self.staged
        if staged is None:
            return Reply(done)
        offset, size = staged.pair.out_offset, pixels.picture_bytes(self.submit.picture)
        samples = staged.memory[offset : offset + size]
        encodings = self.session.agreed.encodings
        if self.session.local or encodings == ("raw",):
            return self._with_samples(done, samples, "raw")
        itemsize = pixels.DTYPES[self.submit.picture.dtype].itemsize
        return lambda: self._with_samples(done, *compression.pack_samples(samples, itemsize, encodings))

    def release(self) -> None:
        """Give back the pair of the ring, or the staging segment."""
        self.parts = ()
        if self.ring is not None and self.slot is not None:
            self.ring.release(self.slot, used=self.sent)
            close_unused(self.ring, self.workers)
        if self.staged is not None:
            self.context.staging.give_back(self.staged)
            self.staged = None

    def _send_to_worker(self, pair: SlotPair) -> None:
        assert self.worker is not None
        self.workers.map_segment(self.worker, pair.segment)
        message = worker_messages.PaintFrame(
            self._as_painted(), str(self.style.path), pair.segment.number, pair.in_offset, pair.out_offset
        )
        self.sent = True
        self.workers.send(self.worker, message)

    def _as_painted(self) -> Submit:
        """The request as the worker reads it: samples of a message are raw, with the matte behind the plate."""
        submit = self.submit
        if submit.slot is not None:
            return submit
        matte = submit.matte
        if matte is not None:
            matte = replace(matte, offset=_matte_offset(submit.picture))
        return replace(submit, matte=matte, encoding="raw", crc32=None)

    def _filled(self, staged: StagingSegment) -> StagingSegment:
        """Copy or unpack the samples of the message into this memory."""
        try:
            _fill(self.submit, self.parts, staged.memory[staged.pair.in_offset :])
        except BaseException:
            self.context.staging.give_back(staged)
            raise
        return staged

    def _with_samples(self, done: Done, samples: Part, encoding: Encoding) -> Reply:
        size = pixels.picture_bytes(self.submit.picture)
        return Reply(replace(done, inline=True, encoding=encoding), samples, size, self._detach)

    def _detach(self) -> OnSent:
        staged, self.staged = self.staged, None
        assert staged is not None
        give_back = self.context.staging.give_back_when_sent(staged)
        answer = Untaken(staged.segment.segment_bytes)
        self.session.untaken.add(answer)

        def sent(tracker: SendTracker | None) -> None:
            answer.sent(tracker, self.context.clock())
            give_back(tracker)

        return sent


def _matte_offset(picture: Picture) -> int:
    """Where a matte that came in the message is put: behind the plate, on a cache line of its own."""
    return -(-pixels.picture_bytes(picture) // pixels.ALIGNMENT) * pixels.ALIGNMENT


def _fill(submit: Submit, parts: Sequence[Part], slot: memoryview) -> None:
    """Copy the samples of a message into an in-slot. Raises InvalidRequest for samples that are not as described."""
    compression.check_crc32(parts[0], submit.crc32)
    layout = [(0, pixels.picture_bytes(submit.picture))]
    if submit.matte is not None:
        layout.append((_matte_offset(submit.picture), pixels.matte_bytes(submit.picture, submit.matte)))
    for part, (offset, size) in zip(parts, layout, strict=True):
        into = slot[offset : offset + size]
        if submit.encoding == "raw":
            # Not a copy between memoryviews, which would hold the interpreter, and with it the loop.
            np.copyto(np.frombuffer(into, np.uint8), np.frombuffer(part, np.uint8))
        else:
            compression.unpack_samples(part, submit.encoding, into)


def _digest_of(submit: Submit, style: StyleFile) -> bytes:
    """Of everything that was asked for, from any client and wherever the samples are."""
    asked = (submit.look, submit.picture, submit.matte, submit.frame, submit.ocio, submit.ocio_sha256)
    return fingerprint(os.fsencode(style.path), style.sha256, *asked)
