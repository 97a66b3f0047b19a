# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's part of a bake, in a thread of its own: one shot request after another, around pictures that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from impasto.core.errors import (
    ImpastoError,
    InconsistentShot,
    MediaError,
    OutputError,
    RequestCancelled,
    ServerUnreachable,
    UnreadableMedia,
    UsageError,
)
from impasto.server.client import Client
from impasto.server.client.futures import ShotFutureEvent
from impasto.server.protocol.messages import ShotProgress, ShotStarted

from ..failure import sentence_of
from ..frame_files import file_of, pattern_of
from ..look.look import Look
from ..server_connection import Connection
from ..shot_job import shot_job, shot_runs
from .folders import take_over

FAILURES: Final = 8
"""When more pictures fail, the material as a whole is at fault."""
WAIT_S: Final = 60.0
POLL_S: Final = 0.05

End: TypeAlias = Literal["", "finished", "cancelled", "failed", "mismatch"]
"""'' while it runs; 'mismatch' where the server sees another picture than Blender does."""


@dataclass(frozen=True, slots=True)
class BakeRequest:
    """The pictures that the server paints."""

    input: str
    folder: Path
    slug: str
    numbers: tuple[int, ...]
    look: Look
    space: str
    still: bool = False
    size: tuple[int, int] | None = None
    """Width and height that the server must see; None where any size is right."""
    missing: tuple[int, ...] = ()
    """Pictures of `numbers` that have no file."""

    @property
    def output(self) -> str:
        """Path or pattern of the painted pictures."""
        return str(self.folder / f"{self.slug}.exr") if self.still else pattern_of(self.folder, self.slug)

    def path_of(self, number: int) -> Path:
        """Path of one painted picture."""
        return self.folder / (f"{self.slug}.exr" if self.still else file_of(self.slug, number))


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run is, as another thread may read it at any time."""

    end: End = ""
    done: int = 0
    """Pictures that exist."""
    fps: float = 0.0
    sentence: str = ""
    """Why it was cancelled, failed, or met a mismatch."""
    failed: tuple[tuple[int, str], ...] = ()
    """Pictures that could not be painted, each with the reason."""
    notes: tuple[str, ...] = ()
    painted: frozenset[int] = frozenset()


class _MediaMismatch(Exception):
    """The server sees the material otherwise than Blender does."""


class ServerRun:
    """A bake request that the server works on. `progress` is replaced, never changed; the thread touches no `bpy`."""

    def __init__(self, request: BakeRequest, connection: Connection, cancelled: Callable[[], bool]) -> None:
        self.request, self.connection, self.cancelled = request, connection, cancelled
        self.progress = RunProgress()
        self._thread: threading.Thread | None = None
        self._stored: set[int] = set()
        self._failed: dict[int, str] = {
            number: f"'{Path(request.input).name}' has no picture {number}" for number in request.missing
        }
        self._notes: dict[str, None] = {}
        self._begun = 0.0
        self._skipped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="impasto-bake", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; returns whether it came."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return bool(self.progress.end)

    def _run(self) -> None:
        try:
            client = self._client()
            self._take_over()
            self._paint(client)
        except _MediaMismatch as error:
            self._update(end="mismatch", sentence=str(error))
        except ImpastoError as error:
            self._update(end="cancelled" if self.cancelled() else "failed", sentence=sentence_of(error))
        except Exception as error:  # noqa: BLE001  # a thread's exception would be lost
            self._update(end="failed", sentence=sentence_of(error))
        else:
            self._update(end="finished")

    def _client(self) -> Client:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            client = self.connection.client()
            if client is not None and self.connection.state != "absent":
                return client
            if self.connection.state == "absent":
                raise ServerUnreachable(self.connection.sentence)
            if self.cancelled():
                raise RequestCancelled("it was cancelled")
            time.sleep(POLL_S)
        raise ServerUnreachable(f"expected a server within {WAIT_S:g} s, it is still starting; stylize again")

    def _take_over(self) -> None:
        """Make the folder, with the pictures that other looks of the same strip share with this one."""
        request = self.request
        try:
            take_over(request.folder, request.slug, request.look, request.numbers)
        except OSError as error:
            raise OutputError(
                f"expected to write into '{request.folder}', got: {error.strerror}; name another folder for frames in"
                " the extension's preferences"
            ) from error

    def _paint(self, client: Client) -> None:
        """Paint range after range, without the pictures that fail."""
        request = self.request
        ranges = list(shot_runs(set(request.numbers) - set(self._failed)))
        while ranges:
            frames = ranges.pop(0)
            self._begun = time.monotonic()
            stored_before = len(self._stored)
            try:
                self._paint_range(client, frames)
            except (MediaError, UsageError) as error:
                if not self._is_of_one_picture(error):
                    raise
                at = self._failed_in(frames)
                self._failed[at] = sentence_of(error)
                self._update()
                if len(self._failed) - len(request.missing) > FAILURES:
                    raise
                if at + 1 < frames.stop:
                    ranges.insert(0, range(at + 1, frames.stop))
            else:
                self._skipped += len(frames) - (len(self._stored) - stored_before)
        if not any(request.path_of(number).exists() for number in request.numbers):
            raise UnreadableMedia(next(iter(self._failed.values()), f"expected pictures in '{request.input}'"))

    def _update(self, **facts: Any) -> None:
        """Replace the progress."""
        seconds = time.monotonic() - self._begun if self._begun else 0.0
        if facts.get("end"):
            there = frozenset(number for number in self.request.numbers if self.request.path_of(number).exists())
            facts["painted"] = there - frozenset(self._failed)
        self.progress = replace(
            RunProgress(
                done=len(self._stored) + self._skipped,
                fps=len(self._stored) / seconds if seconds > 0.2 and self._stored else 0.0,
                failed=tuple(sorted(self._failed.items())),
                notes=tuple(self._notes),
            ),
            **facts,
        )

    def _paint_range(self, client: Client, frames: range) -> None:
        request = self.request
        job = shot_job(
            request.look,
            request.input,
            request.output,
            None if request.still else frames,
            input_space=request.space,
        )
        client.render_shot(job, self._on_event, self.cancelled)

    def _on_event(self, event: ShotFutureEvent) -> None:
        if isinstance(event, ShotStarted):
            size = self.request.size
            if size is not None and (event.width, event.height) != size:
                raise _MediaMismatch(
                    f"the server sees {event.width}x{event.height} where Blender shows {size[0]}x{size[1]}"
                )
        elif isinstance(event, ShotProgress):
            self._stored.update(each.number for each in event.stored)
            self._notes.update(dict.fromkeys(event.notes))
            self._update()

    def _is_of_one_picture(self, error: ImpastoError) -> bool:
        """Whether the others can be painted; else the shot as a whole is at fault. Raises where Blender must render."""
        if isinstance(error, InconsistentShot | UnreadableMedia) and (self._stored or "#" in self.request.input):
            return True
        # A plain UsageError is about a range that the movie does not have; a style that is missing has a subclass.
        of_material = isinstance(error, MediaError) or (type(error) is UsageError and not self.request.look.matte)
        if of_material and not self._stored and self.request.size is not None:
            raise _MediaMismatch(sentence_of(error)) from error
        return False

    def _failed_in(self, frames: range) -> int:
        """The picture at which a range broke off: the first after the stored ones that does not exist."""
        last = max((number for number in self._stored if number in frames), default=frames.start - 1)
        rest = range(last + 1, frames.stop)
        return next((number for number in rest if not self.request.path_of(number).exists()), rest.start)
