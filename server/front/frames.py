"""Frame requests on the front's side: checked, given their memory, sent to a worker, answered.

Pixels in the ring are never touched here. Pixels in the message wait as they came; when the request's turn has come,
a thread copies or unpacks them into a segment of the front's own, which the worker maps like any ring.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from impasto.core.controls import after_of, before_of, params_of
from impasto.core.errors import InvalidRequest, StyleError
from impasto.core.params import Params
from impasto.core.style import file_of
from impasto.core.style_reference import split_reference
from impasto.server.front.background_work import Errands
from impasto.server.front.library import Found, Library
from impasto.server.front.outbox import Receipt, letter
from impasto.server.front.requests import Dispatch, Task
from impasto.server.front.rings import RingDesk
from impasto.server.front.segments import Place, Ring, Stage, Staging, open_stage
from impasto.server.front.sessions import Session
from impasto.server.protocol import compression, pixels, worker_messages
from impasto.server.protocol.codec import Malformed, Part, fingerprint
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import (
    Cancelled,
    Done,
    Encoding,
    ErrorFacts,
    Failed,
    Picture,
    RenderSettings,
    Submit,
)
from impasto.server.scheduler import events as plan
from impasto.server.shared_memory import Segment

AT_ONCE_BYTES: Final = 256 << 10
"""Samples that are copied without a thread: waking one takes longer."""


@dataclass(slots=True, eq=False, kw_only=True)
class PendingFrame(Task):
    """A frame request under way."""

    submit: Submit
    found: Found
    ring: Ring | None = None
    place: Place | None = None
    """In the ring; None where the samples came in the message."""
    parts: Sequence[Part] = ()
    """Samples that came in the message, kept until the terminal message for a second attempt."""
    stage: Stage | None = None
    staging: int = 0
    """Counts the attempts to stage, so that one which was overtaken is told from the one that counts."""
    stop_asked: bool = False
    seen: bool = False
    """A worker has been sent it."""


class FrameDesk:
    """Takes `Submit`."""

    def __init__(
        self,
        dispatch: Dispatch,
        library: Library,
        rings: RingDesk,
        staging: Staging,
        errands: Errands,
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        self._dispatch = dispatch
        self._library = library
        self._rings = rings
        self._staging = staging
        self._errands = errands
        self._limits = limits
        self._clock = clock

    def submit(self, session: Session, submit: Submit, digest: bytes, parts: Sequence[Part]) -> None:
        """Check a request and hand it to the scheduler. Raises InvalidRequest and whatever its style raises."""
        ring = session.ring
        own = submit.slot is not None and ring is not None and ring.number == submit.slot.ring
        pixels.check_submit(
            submit,
            slot_bytes=ring.segment.slot_bytes if own and ring is not None else None,
            part_sizes=[part.nbytes if isinstance(part, memoryview) else len(part) for part in parts],
            limits=self._limits,
        )
        if submit.encoding not in session.agreed.encodings:
            raise Malformed(
                f"expected an encoding that was agreed on ({', '.join(session.agreed.encodings)}), got "
                f"'{submit.encoding}'; name it in Hello",
                field="encoding",
                id=submit.id,
            )
        found = found_style(self._library, submit.look, local=session.local)
        picture = submit.picture
        staged = submit if submit.slot is not None else _staged_submit(submit)
        size = pixels.slot_bytes_needed(picture, staged.matte)
        task = PendingFrame(
            id=submit.id,
            session=session,
            digest=digest,
            arrived_s=self._clock(),
            label=f"{found.name} {picture.width}x{picture.height}x{picture.channels} {picture.dtype}",
            slot=submit.slot,
            device=submit.look.device,
            submit=submit,
            found=found,
            parts=parts,
        )
        if submit.slot is not None:
            assert ring is not None  # `check_submit` has refused any other
            task.place, task.ring = ring.claim(submit.slot), ring
        if parts:
            self._dispatch.journal.telemetry.count("bytes_in", sum(map(len, parts)))
        self._dispatch.add(task, self)
        self._dispatch.feed(
            plan.FrameSubmitted(
                submit.id,
                session.token,
                submit.lane or session.agreed.lane,
                found.name,
                _digest_of(submit, found),
                picture.width * picture.height / 1e6,
                size,
                submit.viewer,
                submit.deadline_s,
                submit.look.device,
            )
        )

    def start(self, task: Task) -> None:
        """Send the request to its worker, its samples first where they came in the message."""
        frame = _frame(task)
        if frame.place is not None:
            self._paint(frame, frame.place)
            return
        if frame.stage is not None:  # staged for an earlier worker, which never writes into an in-slot
            self._paint(frame, frame.stage.place())
            return
        frame.staging += 1
        attempt = frame.staging
        asked = frame.submit
        submit = _staged_submit(asked)
        need = pixels.slot_bytes_needed(submit.picture, submit.matte)
        stage = self._staging.take(need)

        def fill() -> tuple[Segment, memoryview] | None:
            opened = None if stage is not None else open_stage(need)
            segment, memory = (stage.segment, stage.memory) if stage is not None else opened  # type: ignore[misc]
            try:
                _fill(asked, frame.parts, memory[segment.in_offset(0) :])
            except BaseException:
                if opened is not None:
                    opened[1].release()
                    opened[0].close()
                raise
            return opened

        def filled(future: Future[tuple[Segment, memoryview] | None]) -> None:
            self._staged(frame, attempt, stage, future)

        if stage is not None and need <= AT_ONCE_BYTES:
            done: Future[tuple[Segment, memoryview] | None] = Future()
            try:
                done.set_result(fill())
            except Exception as error:  # noqa: BLE001  # goes where that of a thread goes
                done.set_exception(error)
            filled(done)
        else:
            self._errands.run(fill, filled)

    def stop(self, task: Task) -> None:
        """Tell the worker to stop; a request that is still being staged never reaches it."""
        frame = _frame(task)
        frame.stop_asked = True
        if task.worker is not None and frame.seen:
            self._dispatch.crew.send(task.worker, worker_messages.StopWork(task.id))

    def answer(self, task: Task) -> None:
        """Pass the worker's ending on, with the pixels where they go in the message."""
        frame = _frame(task)
        ending = task.ending
        if isinstance(ending, worker_messages.WorkFailed):
            self._dispatch.settle(task, Failed(task.id, named(ending.error, frame.submit.look, frame.found)))
        elif isinstance(ending, worker_messages.FramePainted):
            done = ending.done
            done.seconds.update(queue=task.queued_s, server=max(0.0, self._clock() - task.arrived_s))
            if frame.stage is None:
                self._dispatch.settle(task, done)
            else:
                self._send_pixels(frame, frame.stage, done)
        else:
            self._dispatch.settle(task, Cancelled(task.id))

    def taken_back(self, task: Task, reason: plan.Reason) -> Cancelled:
        """The terminal message of a cancelled request."""
        return Cancelled(task.id, reason)

    def failed(self, task: Task, error: ErrorFacts) -> Failed:
        """The terminal message of a request that no worker answers."""
        return Failed(task.id, error)

    def ended(self, task: Task, worker: int, outcome: Literal["done", "failed", "stopped"]) -> plan.Event:
        """What the scheduler is told."""
        return plan.FrameEnded(task.id, worker, outcome)

    def release(self, task: Task) -> None:
        """Give back the pair of the ring, or the stage."""
        frame = _frame(task)
        frame.parts = ()
        if frame.ring is not None and frame.slot is not None:
            frame.ring.release(frame.slot, used=frame.seen)
            self._rings.let_go(frame.ring)
        if frame.stage is not None:
            self._staging.give_back(frame.stage, None, self._clock())
            frame.stage = None

    def _paint(self, frame: PendingFrame, place: Place) -> None:
        assert frame.worker is not None
        self._dispatch.show(frame.worker, place.segment)
        submit = frame.submit if frame.slot is not None else _staged_submit(frame.submit)
        message = worker_messages.PaintFrame(
            submit, str(frame.found.path), place.segment.number, place.in_offset, place.out_offset
        )
        frame.seen = True
        self._dispatch.crew.send(frame.worker, message)

    def _staged(
        self,
        frame: PendingFrame,
        attempt: int,
        stage: Stage | None,
        future: Future[tuple[Segment, memoryview] | None],
    ) -> None:
        """The samples are in their segment, or could not be brought there."""
        error = None if future.cancelled() else future.exception()
        opened = None if future.cancelled() or error is not None else future.result()
        if opened is not None:
            stage = self._staging.adopt(*opened)
        overtaken = frame.worker is None or frame.staging != attempt or frame.settled
        if overtaken or error is not None or stage is None or frame.stop_asked:
            if stage is not None:
                self._staging.give_back(stage, None, self._clock())
            if overtaken or frame.worker is None:
                return
            if frame.stop_asked:
                self._dispatch.end(frame.worker, frame.id, worker_messages.WorkStopped(frame.id))
            else:
                trouble = error if isinstance(error, Exception) else InvalidRequest("the server is closing")
                facts = self._dispatch.journal.facts_of_any(trouble)
                self._dispatch.end(frame.worker, frame.id, worker_messages.WorkFailed(frame.id, facts))
            return
        frame.stage = stage
        try:
            self._paint(frame, stage.place())
        except Exception as trouble:  # noqa: BLE001  # nobody above knows which request it was
            facts = self._dispatch.journal.facts_of_any(trouble)
            if frame.worker is not None:
                self._dispatch.end(frame.worker, frame.id, worker_messages.WorkFailed(frame.id, facts))

    def _send_pixels(self, frame: PendingFrame, stage: Stage, done: Done) -> None:
        offset = stage.place().out_offset
        size = pixels.picture_bytes(frame.submit.picture)
        samples = stage.memory[offset : offset + size]
        itemsize = pixels.DTYPES[frame.submit.picture.dtype].itemsize
        encodings = frame.session.agreed.encodings
        self._dispatch.journal.telemetry.count("bytes_out", size)
        if frame.session.local or encodings == ("raw",):
            self._seal(frame, done, "raw", samples)
            return
        self._errands.run(
            lambda: compression.pack_samples(samples, itemsize, encodings),
            lambda future: self._packed(frame, done, future),
        )

    def _packed(self, frame: PendingFrame, done: Done, future: Future[tuple[Part, Encoding]]) -> None:
        if future.cancelled() or frame.settled:
            return
        error = future.exception()
        if isinstance(error, Exception):
            self._dispatch.settle(frame, Failed(frame.id, self._dispatch.journal.facts_of_any(error)))
            return
        samples, encoding = future.result()
        try:
            self._seal(frame, done, encoding, samples)
        except Exception as trouble:  # noqa: BLE001  # nobody above knows which request it was
            self._dispatch.settle(frame, Failed(frame.id, self._dispatch.journal.facts_of_any(trouble)))

    def _seal(self, frame: PendingFrame, done: Done, encoding: Encoding, samples: Part) -> None:
        """Send the result in the message; its memory is free for another request once ZeroMQ has let go of it."""
        stage = frame.stage
        done = replace(done, inline=True, encoding=encoding)

        def over(receipt: Receipt | None) -> None:
            if stage is not None:
                self._staging.give_back(stage, receipt, self._clock())

        sealed = letter(done, samples, over)
        frame.stage = None  # from here on it is the letter's
        self._dispatch.settle(frame, done, sealed)


def found_style(library: Library, look: RenderSettings, *, local: bool) -> Found:
    """The file behind a look whose settings have been checked. Raises UnknownName, UsageError, StyleError."""
    if look.params:
        params_of(look.params, Params())
    if look.before:
        before_of(look.before)
    if look.after:
        after_of(look.after)
    found = library.find(look.style, paths_allowed=local)
    if look.sha256 and look.sha256 != found.sha256:
        raise StyleError(
            f"expected the style '{found.name}' with SHA-256 {look.sha256[:12]}…, the server has {found.sha256[:12]}…; "
            f"bring the same file there, or ask without a digest"
        )
    return found


def named(error: ErrorFacts, look: RenderSettings, found: Found) -> ErrorFacts:
    """An error with the style in the client's words in place of its path: by its name, or by the path that it gave."""
    said = look.style if os.path.isabs(look.style) else found.name
    message = error.message.replace(str(found.path), said)
    return replace(error, message=message.replace(str(file_of(found.path)), split_reference(said)[0]))


def _frame(task: Task) -> PendingFrame:
    assert isinstance(task, PendingFrame)
    return task


def _staged_submit(submit: Submit) -> Submit:
    """The request as the worker reads it: raw, the matte behind the plate."""
    matte = submit.matte
    if matte is not None:
        matte = replace(matte, offset=matte_offset(submit.picture))
    return replace(submit, matte=matte, encoding="raw", crc32=None)


def matte_offset(picture: Picture) -> int:
    """Where a matte that came in the message is put: behind the plate, on a cache line of its own."""
    return -(-pixels.picture_bytes(picture) // pixels.ALIGNMENT) * pixels.ALIGNMENT


def _fill(submit: Submit, parts: Sequence[Part], slot: memoryview) -> None:
    """Bring the samples of a message into an in-slot. Raises InvalidRequest for samples that are not what was said."""
    compression.check_crc32(parts[0], submit.crc32)
    places = [(0, pixels.picture_bytes(submit.picture))]
    if submit.matte is not None:
        places.append((matte_offset(submit.picture), pixels.matte_bytes(submit.picture, submit.matte)))
    for part, (offset, size) in zip(parts, places, strict=True):
        into = slot[offset : offset + size]
        if submit.encoding == "raw":
            # Not a copy between memoryviews, which would hold the interpreter, and with it the loop.
            np.copyto(np.frombuffer(into, np.uint8), np.frombuffer(part, np.uint8))
        else:
            compression.unpack_samples(part, submit.encoding, into)


def _digest_of(submit: Submit, found: Found) -> bytes:
    """Of everything that was asked for, whoever asked and wherever the samples are."""
    return fingerprint(os.fsencode(found.path), found.sha256, submit.look, submit.picture, submit.matte, submit.frame)
