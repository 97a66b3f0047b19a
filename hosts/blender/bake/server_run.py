# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's part of a bake, in a thread of its own: shot jobs one after the other, around pictures that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

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
from impasto.server.protocol.animation import animated_of
from impasto.server.protocol.messages import RenderSettings, ShotJob, ShotProgress, ShotStarted

from .plan import Look, file_of, shot_runs, take_over

FAILURES: Final = 8
"""Pictures that may fail before the material as a whole is held to be at fault."""
WAIT_S: Final = 60.0
LOOK_S: Final = 0.05

End: TypeAlias = Literal["", "finished", "cancelled", "failed", "unlike"]
"""'' while it goes on; 'unlike' where the server sees another picture than Blender does."""


class Connected(Protocol):
    """The part of the connection that a bake needs."""

    @property
    def state(self) -> str: ...

    @property
    def sentence(self) -> str: ...

    def client(self) -> Client | None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """What the server is to paint."""

    input: str
    folder: Path
    slug: str
    numbers: tuple[int, ...]
    look: Look
    space: str
    still: bool = False
    size: tuple[int, int] | None = None
    """Width and height that the server must see; None where whatever it sees is right."""
    missing: tuple[int, ...] = ()
    """Pictures of `numbers` whose files are not there."""

    @property
    def output(self) -> str:
        """Where the painted pictures go."""
        return str(self.folder / (f"{self.slug}.exr" if self.still else f"{self.slug}.####.exr"))

    def job(self, run: range) -> ShotJob:
        """The shot job of a run of pictures."""
        tracks = self.look.animated.items()
        keys = {name: {number: track[number] for number in run if number in track} for name, track in tracks}
        return ShotJob(
            RenderSettings(style=self.look.style, sha256=self.look.sha256, params=dict(self.look.params)),
            self.input,
            self.output,
            first=None if self.still else run.start,
            last=None if self.still else run.stop - 1,
            matte=self.look.matte,
            input_space=self.space,
            output_space="lin_rec709",
            resume=True,
            animated=animated_of(keys),
        )

    def path_of(self, number: int) -> Path:
        """Where one painted picture goes."""
        return self.folder / (f"{self.slug}.exr" if self.still else file_of(self.slug, number))


@dataclass(frozen=True, slots=True)
class Account:
    """How far the painting is, as another thread may read it at any time."""

    end: End = ""
    done: int = 0
    """Pictures that are there."""
    fps: float = 0.0
    sentence: str = ""
    """Of an end that was not wanted."""
    failed: tuple[tuple[int, str], ...] = ()
    """Pictures that could not be painted, each with the reason."""
    notes: tuple[str, ...] = ()
    painted: frozenset[int] = frozenset()


class _UnlikeError(Exception):
    """The server sees the material otherwise than Blender does."""


@dataclass
class Painting:
    """An order under way. `account` is replaced, never changed; the thread touches no `bpy`."""

    order: Order
    connection: Connected
    cancelled: Callable[[], bool]
    account: Account = field(default_factory=Account)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="impasto-bake", daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return bool(self.account.end)

    def _run(self) -> None:
        run = _Run(self)
        try:
            client = self._client()
            _take_over(self.order)
            run.paint(client)
        except RequestCancelled as error:
            run.tell(end="cancelled" if self.cancelled() else "failed", sentence=_said(error))
        except _UnlikeError as error:
            run.tell(end="unlike", sentence=str(error))
        except ImpastoError as error:
            run.tell(end="cancelled" if self.cancelled() else "failed", sentence=_said(error))
        except Exception as error:  # noqa: BLE001  # a thread's exception would be lost
            from ..failure import sentence_of

            run.tell(end="failed", sentence=sentence_of(error))
        else:
            run.tell(end="finished")

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
            time.sleep(LOOK_S)
        raise ServerUnreachable(f"expected a server within {WAIT_S:g} s, it is still starting; stylize again")


class _Run:
    """What the thread keeps while it paints."""

    def __init__(self, painting: Painting) -> None:
        self.painting, self.order = painting, painting.order
        self.stored: set[int] = set()
        self.failed: dict[int, str] = {
            number: f"'{Path(self.order.input).name}' has no picture {number}" for number in self.order.missing
        }
        self.notes: dict[str, None] = {}
        self.begun = 0.0
        self.skipped = 0

    def paint(self, client: Client) -> None:
        """Paint run after run; a picture that cannot be read is left out and told."""
        open_runs = list(shot_runs(set(self.order.numbers) - set(self.failed)))
        while open_runs:
            run = open_runs.pop(0)
            self.begun = time.monotonic()
            stored_before = len(self.stored)
            try:
                self._paint_run(client, run)
            except (MediaError, UsageError) as error:
                if not self._goes_on(error):
                    raise
                at = self._failed_in(run)
                self.failed[at] = _said(error)
                self.tell()
                if len(self.failed) - len(self.order.missing) > FAILURES:
                    raise
                if at + 1 < run.stop:
                    open_runs.insert(0, range(at + 1, run.stop))
            else:
                self.skipped += len(run) - (len(self.stored) - stored_before)
        if not any(self.order.path_of(number).exists() for number in self.order.numbers):
            raise UnreadableMedia(next(iter(self.failed.values()), f"expected pictures in '{self.order.input}'"))

    def tell(self, **facts: object) -> None:
        """Replace the account."""
        seconds = time.monotonic() - self.begun if self.begun else 0.0
        now = Account(
            done=len(self.stored) + self.skipped,
            fps=len(self.stored) / seconds if seconds > 0.2 and self.stored else 0.0,
            failed=tuple(sorted(self.failed.items())),
            notes=tuple(self.notes),
        )
        if facts.get("end"):
            there = frozenset(number for number in self.order.numbers if self.order.path_of(number).exists())
            facts["painted"] = there - frozenset(self.failed)
        self.painting.account = Account(**{**_fields(now), **facts})  # type: ignore[arg-type]

    def _paint_run(self, client: Client, run: range) -> None:
        client.render_shot(self.order.job(run), self._on_event, self.painting.cancelled)

    def _on_event(self, event: ShotFutureEvent) -> None:
        if isinstance(event, ShotStarted):
            if self.order.size is not None and (event.width, event.height) != self.order.size:
                raise _UnlikeError(
                    f"the server sees {event.width}x{event.height} where Blender shows"
                    f" {self.order.size[0]}x{self.order.size[1]}"
                )
        elif isinstance(event, ShotProgress):
            self.stored.update(each.number for each in event.stored)
            self.notes.update(dict.fromkeys(event.notes))
            self.tell()

    def _goes_on(self, error: ImpastoError) -> bool:
        """Whether an error is one picture's, so that the others are painted; else the shot as a whole is at fault."""
        if isinstance(error, InconsistentShot | UnreadableMedia) and (self.stored or "#" in self.order.input):
            return True
        # Of the errors of usage only a range that the movie does not have is meant, not a style that is not there.
        of_material = isinstance(error, MediaError) or (type(error) is UsageError and not self.order.look.matte)
        if of_material and not self.stored and self.order.size is not None:
            raise _UnlikeError(_said(error)) from error
        return False

    def _failed_in(self, run: range) -> int:
        """The picture at which a run broke off: the first behind those that were stored that is not there."""
        last = max((number for number in self.stored if number in run), default=run.start - 1)
        behind = range(last + 1, run.stop)
        return next((number for number in behind if not self.order.path_of(number).exists()), behind.start)


def _take_over(order: Order) -> None:
    """Make the folder, with what other looks of the same strip have in common with this one."""
    try:
        take_over(order.folder, order.slug, order.look, order.numbers)
    except OSError as error:
        raise OutputError(
            f"expected to write into '{order.folder}', got: {error.strerror}; name another folder for frames in the"
            " extension's preferences"
        ) from error


def _fields(account: Account) -> dict[str, object]:
    return {name: getattr(account, name) for name in account.__slots__}


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())
