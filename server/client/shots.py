"""A shot from its first request to its end, over as many servers as that takes."""

from __future__ import annotations

import posixpath
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from impasto.core.animation import animation_of
from impasto.core.errors import IncompatibleServer, ServerBusy, ServerUnreachable, UsageError
from impasto.server.client.futures import ShotEvent, ShotFuture
from impasto.server.protocol.animation import animated_from
from impasto.server.protocol.limits import ANIMATION_MINOR
from impasto.server.protocol.messages import Failed, ShotDone, ShotProgress, ShotStarted, SubmitShot, Welcome

Keys: TypeAlias = Mapping[str, Mapping[int, float]]
"""Parameter -> frame -> value."""

LOOK_S: Final = 0.05
"""How often it is asked whether the shot was cancelled."""
BACKOFF_S: Final = 0.25
HANDOVER_S: Final = 75.0
"""How long a shot waits for its own last session to let go of it: a server of protocol 1.0 keeps that for its lease."""


def with_keys(request: SubmitShot, animated: Keys | None) -> SubmitShot:
    """The request with these parameters changing over the shot. UnknownName, UsageError for what cannot be."""
    if animated is None:
        return request
    if request.animated:
        raise UsageError("expected animated parameters in the request or beside it, got both; give them once")
    return replace(request, animated=animated_from(animation_of(animated)))


def require_animation(request: SubmitShot, welcome: Welcome) -> None:
    """Raise IncompatibleServer where a server would pass over what a request bears that 1.0 did not know."""
    wishes = {
        "parameters that change over a shot": request.animated,
        "guide layers": request.guides,
        "motion vectors": request.motion,
    }
    needs = next((what for what, given in wishes.items() if given), "")
    if needs and welcome.minor < ANIMATION_MINOR:
        raise IncompatibleServer(
            f"expected a server of protocol {welcome.major}.{ANIMATION_MINOR} for {needs}, "
            f"{welcome.server} speaks {welcome.major}.{welcome.minor}; upgrade it, or on this machine run "
            f"`impasto stop` and render again"
        )


class _Told:
    """Passes the events of a shot on, counting over all servers."""

    def __init__(self, on_event: Callable[[ShotEvent], None]) -> None:
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
        """Another session than the present one had the shot, and nothing was heard of it in this one."""
        self.withheld: Failed | None = None
        """That the other session has not let go of the shot yet, which may pass."""

    def __call__(self, event: ShotEvent) -> None:
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

        In the session that has it already, word for word: the server goes on telling of the one that runs. In another
        session, of another server or of this one, what is there now is the shot's own, if it once was begun.
        """
        if self._sent is None:
            self._sent = request
        elif session != self._session:
            if not self.keeps_frames:
                self.stored = 0
            self.stored_before = self.stored
            self._moved = True
            if self.started:
                self._sent = replace(request, resume=self.keeps_frames, overwrite=not self.keeps_frames)
        self._session, self.withheld = session, None
        return self._sent


def follow_shot(
    post: Callable[[Callable[[Welcome], SubmitShot]], ShotFuture],
    request: SubmitShot,
    on_event: Callable[[ShotEvent], None],
    cancelled: Callable[[], bool],
    retries: int,
) -> ShotDone:
    """Post a shot job and stay with it until it has ended, as `impasto.server.client.Client.render_shot` says.

    `post` asks for the request once it knows the session that it goes to.
    """
    told = _Told(on_event)
    failures = stored = 0
    handed_over = time.monotonic()
    while True:
        posted = False
        try:
            shot = post(lambda welcome: told.request_for(request, welcome.session))
            posted = True
            done = _stay(shot, told, cancelled)
            known = told.stored_before
            return replace(done, rendered=done.rendered + known, skipped=max(0, done.skipped - known))
        except ServerBusy:
            # What this shot's last session began is still being stopped.
            if told.withheld is None:
                raise
            if time.monotonic() > handed_over + HANDOVER_S or cancelled():
                on_event(told.withheld)
                raise
            _pause(BACKOFF_S, cancelled)
            continue
        except ServerUnreachable:
            never_reached = failures == 0 and not posted
            further = told.keeps_frames and told.stored > stored
            failures, stored = 1 if further else failures + 1, told.stored
            if never_reached or failures > retries or cancelled():
                raise
            handed_over = time.monotonic()
        _pause(BACKOFF_S * 2 ** (failures - 1), cancelled)


def _stay(shot: ShotFuture, told: _Told, cancelled: Callable[[], bool]) -> ShotDone:
    """Pass events on until the shot has ended; take it back when somebody asks, or leaves by an exception."""
    asked = False
    try:
        while True:
            if not asked and cancelled():
                asked = True
                shot.cancel()
            try:
                event = shot.next_event(LOOK_S)
            except queue.Empty:
                continue
            if event is None:
                return shot.result(1.0)
            told(event)
    except ServerUnreachable:
        raise  # the server may live and go on with the shot, to be found again
    except BaseException:
        shot.cancel()
        raise


def _pause(seconds: float, cancelled: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not cancelled():
        time.sleep(LOOK_S)
