"""Plates to the server, paintings to the sinks, with at most two under way and no queue.

Two threads: one sends the newest plate whenever the server can begin with it, and may be held up by a server that is
gone; the other shows what comes back, and a marked plate where nothing does.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import cv2
import numpy as np

from impasto.core.animation import Animation
from impasto.core.errors import DeadlineExpired, ImpastoError, RequestCancelled, ServerBusy, ServerUnreachable
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.hosts.live.clock import Clock, live_clock
from impasto.hosts.live.display import resized, scaled
from impasto.hosts.live.figures import SessionFigures, SpanOfValues
from impasto.hosts.live.governor import Governor, Rung
from impasto.hosts.live.intake import Intake
from impasto.hosts.live.look import LookSetting
from impasto.hosts.live.marks import marked
from impasto.hosts.live.pictures import Picture, ShownPicture, SourcePlate

FADE_S: Final = 0.25
"""How long one rung is seen through the next."""
SILENCE_S: Final = 1.0
"""After so long without a painting, plates are shown with a mark."""
MARKED_FPS: Final = 10.0
LEAD_S: Final = 0.003
"""So long before a frame is expected back, the next one is sent: its way and its colours run beside the network."""
AGAIN_S: Final = 1.0
"""How long it waits after an error of the server."""
DEADLINE_S: Final = 2.0
"""A painting is of no use later, unless the network itself takes long."""
LOADING_S: Final = 60.0
"""The same for the first of a style, which has to be loaded."""
CONNECTING_S: Final = 10.0
"""How long a server that is gone may take to be found, or started, before it is said and tried again."""
POLL_S: Final = 0.05


class FramePainter(Protocol):
    """The part of `impasto.server.client.Client` that is used."""

    def submit(
        self,
        pixels: Picture,
        *,
        style: str,
        params: Mapping[str, float] | None,
        before: Mapping[str, float] | None,
        viewer: str,
        deadline_s: float | None,
        timeout_s: float,
        cache: bool,
    ) -> Future[Any]: ...


class Outlet(Protocol):
    """Where pictures go. No call waits."""

    @property
    def wanted(self) -> bool:
        """Whether anybody looks."""
        ...

    def offer(self, shown: ShownPicture) -> None:
        """Show a picture, in the place of one that still waits."""
        ...


@frozen_dataclass
class PumpOptions:
    """How frames are to be painted."""

    latency_s: float = 0.15
    fps: float | None = None
    """Paintings a second at most; None: as many as come."""
    animation: Animation | None = None
    """Parameters by the frame of the movie that is shown; they go before those that were set."""
    before: Mapping[str, float] = field(default_factory=dict)
    """The grade of every plate before the style; see `impasto.core.grade_settings`."""


@dataclass(slots=True, eq=False)
class _Sent:
    """A frame under way."""

    plate: SourcePlate
    rung: Rung
    sent_s: float


class Pump:
    """Paints the newest plate of an intake, again and again, until it is closed."""

    def __init__(
        self,
        intake: Intake,
        painter: FramePainter,
        setting: LookSetting,
        outlets: Sequence[Outlet],
        options: PumpOptions | None = None,
        clock: Clock = live_clock,
    ) -> None:
        self._intake, self._painter, self._setting, self._outlets = intake, painter, setting, outlets
        self._options, self._clock = options or PumpOptions(), clock
        self._governor = Governor(setting.rungs(), fps=self._fps(), latency_s=self._options.latency_s)
        self._lock = threading.Condition()
        """Guards what follows; notified when a frame comes back."""
        self._under_way: list[_Sent] = []
        self._usual_s = 0.0
        """What a frame takes, in the middle; 0 while that is not known."""
        self._known_looks: set[tuple[str, float]] = set()
        """Networks, with their scales, that have painted."""
        self._results: queue.SimpleQueue[tuple[_Sent, Future[Any]] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._painted = self._unwanted = self._handled = 0
        self._came_back_s = 0.0
        self._trouble = "not painted yet: the style is being loaded"
        self._ages, self._costs = SpanOfValues(), SpanOfValues()
        self._fade: tuple[Picture, float] | None = None
        """The last picture of the rung before, and when it was shown."""
        self._rung: Rung | None = None
        """Of the last painting."""
        self._painting: ShownPicture | None = None
        """The last that the sinks got without a mark."""
        self._size: tuple[int, int] | None = None
        self._last_painted_s = clock()
        self._marked_s = 0.0
        self._threads = [
            threading.Thread(target=self._send_all, name="impasto-send", daemon=True),
            threading.Thread(target=self._show_all, name="impasto-show", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End both threads; what is under way is not waited for."""
        self._stop.set()
        self._intake.plates.close()
        with self._lock:
            self._lock.notify_all()
        self._results.put(None)
        for thread in self._threads:
            thread.join(SILENCE_S)

    @property
    def idle(self) -> bool:
        """Whether the source is at its end and everything of it is shown."""
        intake = self._intake
        with self._lock:
            all_seen = intake.ended and intake.came == intake.passed_over + self._handled
            return all_seen and not self._under_way and self._results.empty()

    def figures(self) -> SessionFigures:
        """How it goes."""
        now, intake = self._clock(), self._intake
        plate = intake.latest
        width, height = plate.size if plate is not None else (0, 0)
        return SessionFigures(
            intake.name,
            width,
            height,
            intake.came,
            self._painted,
            max(0, intake.came - self._painted - self._unwanted - len(self._under_way)),
            round(intake.fps, 2) if intake.came > 1 else 0.0,
            round(self._ages.rate(now), 2),
            round(1e3 * self._costs.share(now, 0.5), 1),
            round(1e3 * self._ages.share(now, 0.5), 1),
            round(1e3 * self._ages.share(now, 0.95), 1),
            self._governor.rung.label,
            self._governor.reason,
            intake.problem or (self._trouble if self._silent(now) else ""),
        )

    # In the thread that sends.

    def _send_all(self) -> None:
        next_s = 0.0
        while not self._stop.is_set():
            if not self._may_send():
                continue
            plate = self._intake.plates.take(POLL_S)
            if plate is not None:
                fps = self._fps()
                if self._is_for_painting(plate, next_s, fps):
                    next_s = max(next_s, plate.taken_s - 1 / fps) + 1 / fps
                    self._send(plate, fps)
                self._handled += 1
            elif self._intake.ended:
                self._stop.wait(POLL_S)

    def _is_for_painting(self, plate: SourcePlate, next_s: float, fps: float) -> bool:
        """Whether somebody waits for this plate. `next_s` is when the next is due where not all are painted."""
        if not any(outlet.wanted for outlet in self._outlets):
            self._unwanted += 1
            self._last_painted_s = self._clock()
            return False
        if self._options.fps is not None and plate.taken_s < next_s - 0.25 / fps:
            return False
        # One from before the machine slept is not, because a newer one comes.
        old = self._clock() - plate.taken_s > max(SILENCE_S, self._options.latency_s)
        return not old or self._intake.ended

    def _may_send(self) -> bool:
        """Whether the server could begin with a frame now; waits a little where it could not."""
        with self._lock:
            if not self._under_way:
                return True
            due_s = self._under_way[0].sent_s + self._usual_s - LEAD_S - self._clock()
            one = len(self._under_way) == 1
            if one and self._usual_s and due_s <= 0:
                return True
            self._lock.wait(min(POLL_S, due_s) if one and self._usual_s else POLL_S)
            return False

    def _send(self, plate: SourcePlate, fps: float) -> None:
        look = self._setting.look
        with self._lock:
            self._governor.set_rate(fps)
            self._governor.use(self._setting.rungs())
            if plate.size != self._size:
                self._size = plate.size
                self._governor.begin_anew()
            rung = self._governor.rung
            style = self._setting.network(rung)
            known = (style, rung.scale) in self._known_looks
            sent = _Sent(plate, rung, self._clock())
            self._under_way.append(sent)
        try:
            pixels = plate.pixels if rung.scale == 1 else scaled(plate.pixels, rung.scale)
            future = self._painter.submit(
                pixels,
                style=style,
                params=self._params(look.params, plate) or None,
                before=self._options.before or None,
                viewer="live",
                deadline_s=max(DEADLINE_S, 4 * self._usual_s) if known else LOADING_S,
                timeout_s=CONNECTING_S,
                cache=False,  # no picture comes twice
            )
        except ImpastoError as error:
            self._failed(sent, error)
            self._stop.wait(POLL_S if isinstance(error, ServerBusy) else AGAIN_S)
            return
        future.add_done_callback(lambda done: self._came_back(sent, style, done))

    def _params(self, chosen: Mapping[str, float], plate: SourcePlate) -> Mapping[str, float]:
        animation = self._options.animation
        if animation is None or not plate.frame:
            return chosen
        return {**chosen, **{track.name: track.at(plate.frame) for track in animation.tracks}}

    # In the client's thread.

    def _came_back(self, sent: _Sent, style: str, future: Future[Any]) -> None:
        now = self._clock()
        error = future.exception()
        if error is None:
            with self._lock:
                self._known_looks.add((style, sent.rung.scale))
                cost = now - max(sent.sent_s, self._came_back_s)
                self._came_back_s = now
                self._under_way.remove(sent)
                self._lock.notify_all()
            self._costs_of(now, sent, cost, future.result())
            self._results.put((sent, future))
        elif isinstance(error, ImpastoError):
            self._failed(sent, error)
        else:
            self._failed(sent, ImpastoError(str(error)))

    def _costs_of(self, now: float, sent: _Sent, cost_s: float, result: Any) -> None:
        seconds = result.done.seconds
        self._costs.add(now, float(seconds.get("server", cost_s)))
        self._usual_s = self._costs.share(now, 0.5)
        with self._lock:
            if sent.rung == self._governor.rung and self._governor.painted(now, cost_s, now - sent.plate.taken_s):
                self._usual_s = 0.0

    def _failed(self, sent: _Sent, error: ImpastoError) -> None:
        with self._lock:
            if sent in self._under_way:
                self._under_way.remove(sent)
            if isinstance(error, ServerUnreachable):
                self._known_looks.clear()  # another server has to load them
            self._lock.notify_all()
        if isinstance(error, DeadlineExpired):
            self._trouble = "not painted: the server does not keep up"
        elif isinstance(error, ServerUnreachable):
            self._trouble = "not painted: the render server is gone, looking for it"
        elif not isinstance(error, RequestCancelled | ServerBusy):
            self._trouble = f"not painted: {error}"

    # In the thread that shows.

    def _show_all(self) -> None:
        while True:
            try:
                found = self._results.get(timeout=1 / MARKED_FPS)
            except queue.Empty:
                if self._stop.is_set():
                    return
                self._show_marked()
                continue
            if found is None:
                return
            sent, future = found
            with future.result() as result:
                pixels = np.ascontiguousarray(result.pixels[..., :3]).copy()
            if sent.rung != self._rung and self._painting is not None and not self._silent(self._clock()):
                self._fade = self._painting.pixels, self._last_painted_s
            self._rung = sent.rung
            self._show(ShownPicture(sent.plate, self._faded(pixels)))

    def _show(self, shown: ShownPicture) -> None:
        now = self._clock()
        if not shown.mark:
            if self._painting is not None and shown.plate.number <= self._painting.plate.number:
                return  # overtaken
            self._painted += 1
            self._painting, self._last_painted_s = shown, now
            self._trouble = "not painted: the server does not answer"
            self._ages.add(now, now - shown.plate.taken_s)
        for outlet in self._outlets:
            outlet.offer(shown)

    def _faded(self, pixels: Picture) -> Picture:
        """The picture with what is left of the rung before it."""
        if self._fade is None:
            return pixels
        before, begun_s = self._fade
        left = 1 - (self._clock() - begun_s) / FADE_S
        if left <= 0:
            self._fade = None
            return pixels
        height, width = pixels.shape[:2]
        below = resized(before, (width, height))
        return np.asarray(cv2.addWeighted(below, left, pixels, 1 - left, 0.0), np.uint8)

    def _silent(self, now: float) -> bool:
        return now - self._last_painted_s > SILENCE_S

    def _show_marked(self) -> None:
        """A plate with a mark where the painter is silent; the last picture with one where the source is."""
        now = self._clock()
        plate = self._intake.latest
        if plate is None or self._intake.ended or not self._silent(now) or now - self._marked_s < 0.9 / MARKED_FPS:
            return
        self._marked_s = now
        waiting = self._intake.problem
        if not waiting and now - plate.taken_s > SILENCE_S:
            waiting = f"waiting for {self._intake.name}"
        held = self._painting
        if waiting and held is not None:
            self._show(ShownPicture(held.plate, marked(held.pixels, waiting), waiting))
        else:
            text = waiting or self._trouble
            self._show(ShownPicture(plate, marked(plate.pixels, text), text))

    def _fps(self) -> float:
        """Paintings a second that are wanted."""
        came = self._intake.fps
        return came if self._options.fps is None else min(came, self._options.fps)
