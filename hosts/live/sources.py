"""The sources of a live session: what an address means, and the thread that reads it.

A camera or a stream is read as fast as it comes, a file in real time. Whatever nobody took when the next picture comes
is passed over: a source is never made to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from impasto.core.errors import ImpastoError, MediaError, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.media.open import is_live, is_movie, open_reader
from impasto.core.media.shot import Reader
from impasto.hosts.live.clock import Clock, live_clock
from impasto.hosts.live.display import to_picture
from impasto.hosts.live.intake import Intake
from impasto.hosts.live.movie_sound import MovieSound
from impasto.hosts.live.pace import Pace
from impasto.hosts.live.pictures import SoundChunk

SourceKind: TypeAlias = Literal["camera", "stream", "file", "browser"]

RETRY_S: Final = 1.0
FILE_FPS: Final = Fraction(24)
"""Of pictures that state no rate."""
END_S: Final = 4.0
"""How long a thread that reads may take to end: a camera gives up within a frame, a stream within two seconds."""


@frozen_dataclass
class SourceAddress:
    """What is to be painted live."""

    text: str
    kind: SourceKind
    loop: bool = False
    """Whether a file begins again at its end."""


def parse_source(text: str, *, loop: bool = False) -> SourceAddress:
    """'camera:0', 'browser', a movie, a picture, a numbered sequence or its folder, or the address of a stream.

    UsageError for `loop` where nothing ends.
    """
    kind: SourceKind = "file"
    if text == "browser":
        kind = "browser"
    elif is_live(text):
        kind = "camera" if text.lower().startswith("camera:") else "stream"
    if loop and kind != "file":
        raise UsageError(f"expected --loop with a movie or pictures, got it with '{text}'; leave it out")
    return SourceAddress(text, kind, loop)


def open_source(address: SourceAddress, rate: Fraction | None = None) -> Reader:
    """A reader of the address, as `open_reader` opens it; a stream with as little delay as it can have."""
    if address.kind == "stream":
        from impasto.core.media.camera import StreamReader

        return StreamReader(_listening(address.text), live=True)
    if address.kind == "browser":
        raise UsageError("expected a source that is read here, got the browser's camera; open the page")
    return open_reader(address.text, rate=rate if address.kind == "file" and not is_movie(address.text) else None)


def _listening(url: str) -> str:
    """A udp address with room for a keyframe, and usable by several receivers of one machine."""
    if not url.lower().startswith("udp://") or "?" in url:
        return url
    return f"{url}?fifo_size=50000&overrun_nonfatal=1&reuse=1"


class SourceThread:
    """Reads one source into an intake until it is closed or at its end.

    A camera that goes away, and a stream that ends, are tried again every second. A file that cannot be read ends the
    source with its error.
    """

    def __init__(
        self,
        address: SourceAddress,
        intake: Intake,
        largest: tuple[int, int],
        *,
        rate: Fraction | None = None,
        clock: Clock = live_clock,
        open_reader: Callable[[SourceAddress, Fraction | None], Reader] = open_source,
    ) -> None:
        """Open a camera or a file; `start` begins to read. Raises what `open_reader` does. A stream may come later."""
        self._address, self.intake, self._largest = address, intake, largest
        self._rate, self._clock, self._open = rate, clock, open_reader
        self._stop = threading.Event()
        self._reader = None if address.kind == "stream" else open_reader(address, rate)
        if self._reader is not None:
            self._note_rate(self._reader)
        else:
            intake.problem = f"waiting for {address.text}"
        facts = self._reader.info.movie if self._reader is not None else None
        self.has_sound = address.kind == "file" and facts is not None and facts.has_audio
        """Whether sound comes with the pictures."""
        self._thread = threading.Thread(target=self._run, name="impasto-source", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and release the source; a source that hangs is left to the end of the process."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(END_S)
        elif self._reader is not None:
            self._reader.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    with self._reader or self._open(self._address, self._rate) as reader:
                        self._reader = None
                        self._note_rate(reader)
                        self._read(reader)
                    why = "it gave no more pictures"
                except MediaError as error:
                    if self._address.kind == "file":
                        raise
                    why = str(error)
                if self._address.kind == "file":
                    break
                if not self._stop.is_set():
                    self.intake.problem = f"waiting for {self._address.text}: {why}"
                    self._stop.wait(RETRY_S)
            self.intake.end()
        except ImpastoError as error:
            self.intake.end(error)

    def _note_rate(self, reader: Reader) -> None:
        rate = reader.info.rate
        if rate is None and self._address.kind == "file":
            rate = self._rate or FILE_FPS
        self.intake.claimed_fps = None if rate is None else float(rate)

    def _read(self, reader: Reader) -> None:
        if self._address.kind == "file":
            self._play(reader)
            return
        for frame in reader:
            if self._stop.is_set():
                return
            taken_s = self._clock()
            self.intake.put(to_picture(frame, self._largest), taken_s)

    def _play(self, reader: Reader) -> None:
        """The pictures of a file when they are due, again and again where it is looped; one timeline for all rounds."""
        rate = float(reader.info.rate or self._rate or FILE_FPS)
        pace, begun_s = Pace(self._clock()), 0.0
        while True:
            count = self._play_once(reader, pace, begun_s, rate)
            begun_s += count / rate
            if not self._address.loop or not count or self._stop.is_set():
                self._wait_until(pace.due(begun_s, self._clock()))
                return

    def _play_once(self, reader: Reader, pace: Pace, begun_s: float, rate: float) -> int:
        """One round, so late on the timeline, with the sound that belongs to it; how many pictures it has."""
        count = 0
        with ExitStack() as stack:
            sound = stack.enter_context(MovieSound(self._address.text)) if self.has_sound else None
            for frame in reader:
                pixels = to_picture(frame, self._largest)
                media_s = count / rate
                due_s = pace.due(begun_s + media_s, self._clock())
                if self._wait_until(due_s):
                    break
                self.intake.put(pixels, due_s, frame.number)
                count += 1
                for chunk in sound.until(count / rate) if sound is not None else ():
                    self.intake.on_sound(SoundChunk(chunk.samples, due_s + chunk.at_s - media_s))
        return count

    def _wait_until(self, due_s: float) -> bool:
        """Wait; whether the source is to end."""
        return self._stop.wait(max(0.0, due_s - self._clock()))
