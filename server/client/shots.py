"""A shot from its first request to its end, over as many servers as that takes."""

from __future__ import annotations

import posixpath
import queue
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from impasto.core.errors import ServerBusy, ServerUnreachable
from impasto.server.client.futures import ShotFuture, ShotFutureEvent
from impasto.server.protocol.messages import Failed, ShotDone, ShotProgress, ShotStarted, SubmitShot, Welcome

POLL_S: Final = 0.05
"""How often `cancelled` is called."""
BACKOFF_S: Final = 0.25
HANDOVER_S: Final = 75.0
"""How long a shot waits until its own last session has ended: a server of protocol 1.0 keeps that for its lease."""


class _Attempts:
    """The attempts at a shot: passes their events on, and counts frames over all servers."""

    def __init__(self, on_event: Callable[[ShotFutureEvent], None]) -> None:
        self._on_event = on_event
        self._session = b""
        self._sent: SubmitShot | None = None
        self.started = False
        self.keeps_frames = False
        """Whether stored frames outlive the server: the files of a sequence do, a movie is written in one go."""
        self.stored = 0
        self.stored_before = 0
        """By servers that are gone."""
        self._moved = False
        """Another session than the present one had the shot, and no event of it has come in this one."""
        self.withheld: Failed | None = None
        """The refusal while the other session still holds the shot, which may pass."""

    def __call__(self, event: ShotFutureEvent) -> None:
        if self._moved and isinstance(event, Failed) and event.error.code == "busy":
            self.withheld = event
            return
        self._moved = False
        if isinstance(event, ShotStarted):
            self.started = True
            self.keeps_frames = "#" in posixpath.basename(event.output)
        elif isinstance(event, ShotProgress):
            self.stored += len(event.stored)
            if self.stored_before:
                stored = tuple(replace(each, done=each.done + self.stored_before) for each in event.stored)
                event = replace(event, stored=stored)
        self._on_event(event)

    def request_for(self, request: SubmitShot, session: bytes) -> SubmitShot:
        """The request as it is sent in this session.

        In the session that has it already it is sent unchanged, and the server goes on reporting the one that runs. In
        another session, of another server or of this one, the output is the shot's own if the shot was ever begun.
        """
        if self._sent is None:
            self._sent = request
        elif session != self._session:
            if not self.keeps_frames:
                self.stored = 0
            self.stored_before = self.stored
            self._moved = True
            if self.started:
                job = replace(request.job, resume=self.keeps_frames, overwrite=not self.keeps_frames)
                self._sent = replace(request, job=job)
        self._session, self.withheld = session, None
        return self._sent


def follow_shot(
    post: Callable[[Callable[[Welcome], SubmitShot]], ShotFuture],
    request: SubmitShot,
    on_event: Callable[[ShotFutureEvent], None],
    cancelled: Callable[[], bool],
    retries: int,
) -> ShotDone:
    """Post a shot job and follow it to its end, as `impasto.server.client.Client.render_shot` describes.

    `post` calls its argument once it knows the session that the request goes to.
    """
    attempts = _Attempts(on_event)
    failures = stored = 0
    handed_over = time.monotonic()
    while True:
        posted = False
        try:
            shot = post(lambda welcome: attempts.request_for(request, welcome.session))
            posted = True
            done = _follow(shot, attempts, cancelled)
            known = attempts.stored_before
            return replace(done, rendered=done.rendered + known, skipped=max(0, done.skipped - known))
        except ServerBusy:
            # The server is still stopping what the last session of this shot began.
            if attempts.withheld is None:
                raise
            if time.monotonic() > handed_over + HANDOVER_S or cancelled():
                on_event(attempts.withheld)
                raise
            _pause(BACKOFF_S, cancelled)
            continue
        except ServerUnreachable:
            never_reached = failures == 0 and not posted
            further = attempts.keeps_frames and attempts.stored > stored
            failures, stored = 1 if further else failures + 1, attempts.stored
            if never_reached or failures > retries or cancelled():
                raise
            handed_over = time.monotonic()
        _pause(BACKOFF_S * 2 ** (failures - 1), cancelled)


def _follow(shot: ShotFuture, attempts: _Attempts, cancelled: Callable[[], bool]) -> ShotDone:
    """Pass events on until the shot has ended. Cancel it when `cancelled` says so, or after an exception."""
    asked = False
    try:
        while True:
            if not asked and cancelled():
                asked = True
                shot.cancel()
            try:
                event = shot.next_event(POLL_S)
            except queue.Empty:
                continue
            if event is None:
                return shot.result(1.0)
            attempts(event)
    except ServerUnreachable:
        raise  # the server may live and go on with the shot, to be found again
    except BaseException:
        shot.cancel()
        raise


def _pause(seconds: float, cancelled: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not cancelled():
        time.sleep(POLL_S)
