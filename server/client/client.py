"""The way for a host to have frames and shots painted: connect or launch, submit, await, cancel.

    with Client.connect() as server:
        future = server.submit(pixels, style="wheatfield-draft", params={"strength": 0.8})
        with future.result(timeout=30) as painted:
            show(painted.pixels)

Two frames under way at once keep the server busy; three results that nobody releases make it wait. Every call that
waits has a time limit and raises an error of `impasto.core.errors` beyond it. The client may be used from several
threads. Callbacks of futures run in a thread of the client's own. They must not wait for the server, nor long for
anything else.

A frame whose connection is lost fails with ServerUnreachable; the next call connects again. `render_shot` resumes its
shot by itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt

from impasto.core.errors import ServerError
from impasto.server.client.address import ServerAddress, parse_address
from impasto.server.client.frame_slot import FrameOptions, FrameSlot
from impasto.server.client.futures import FrameFuture, ShotFuture, ShotFutureEvent, ShotRequest
from impasto.server.client.paths import require_sendable_shot
from impasto.server.client.requests import ClientOptions, ClientRequests
from impasto.server.client.ring import RingClient
from impasto.server.client.session import new_id
from impasto.server.client.shots import follow_shot
from impasto.server.client.transport import OpenTransport, SocketTransport
from impasto.server.client.versions import require_minor
from impasto.server.protocol.colour_configuration import with_configuration
from impasto.server.protocol.field_types import Alpha, Dtype, Lane
from impasto.server.protocol.messages import (
    AskStatus,
    CancelClient,
    ClientCancelled,
    ListStyles,
    Picture,
    PreviewFound,
    ShotDone,
    ShotJob,
    ShowPreview,
    Shutdown,
    ShuttingDown,
    Status,
    StyleFacts,
    StyleList,
    SubmitShot,
    Welcome,
)
from impasto.server.protocol.pixels import DTYPES, dense_picture, matte_of, picture_of, slot_bytes_needed

if TYPE_CHECKING:
    from impasto.server.auth import ClientAuth

Samples: TypeAlias = npt.NDArray[Any]

TIMEOUT_S = 20.0
PAIRS = 3
"""Two frames under way and one that is shown."""
PAGES_AGAIN = 5


class Client:
    """A session with a render server. After a lost connection the next call opens another one.

    A forked child may go on with the client it inherited: its first call connects anew, and leaves the parent's
    connection alone.
    """

    def __init__(
        self,
        address: ServerAddress,
        options: ClientOptions,
        *,
        pairs: int = PAIRS,
        timeout_s: float = TIMEOUT_S,
        open_transport: OpenTransport = SocketTransport,
    ) -> None:
        self._address, self._options, self._open_transport = address, options, open_transport
        self._pairs, self._timeout_s = pairs, timeout_s
        self._inherited: list[tuple[ClientRequests, RingClient]] = []
        self._requests, self._ring = ClientRequests(address, options, open_transport), RingClient(pairs)
        self._requests.session(timeout_s)

    @classmethod
    def connect(
        cls,
        address: str | Path | None = None,
        *,
        start: bool = True,
        timeout_s: float = TIMEOUT_S,
        lane: Lane = "interactive",
        name: str = "python",
        command: Sequence[str] | None = None,
        auth: ClientAuth | None = None,
        pairs: int = PAIRS,
        control_only: bool = False,
    ) -> Client:
        """Connect to the user's server, to that of a runtime folder, or to 'tcp://HOST:PORT' with `auth`.

        With `start` a local server that does not run is started, by `command` where it is given. `lane` is the one
        of requests that name none, `name` how the status calls this program. `timeout_s` bounds this call and is the
        default of the others. With `control_only` nothing can be rendered, and the server has room for the client where
        it has none for others. Raises ServerUnreachable, IncompatibleServer, NotPermitted, UsageError.
        """
        where = parse_address(address, command=command, auth=auth)
        return cls(where, ClientOptions(name, lane, start, control_only), pairs=pairs, timeout_s=timeout_s)

    def submit(
        self,
        pixels: Samples,
        *,
        style: str | Path,
        matte: Samples | None = None,
        colour_space: str | None = None,
        alpha: Alpha = "associated",
        bottom_up: bool = False,
        timeout_s: float | None = None,
        **options: Unpack[FrameOptions],
    ) -> FrameFuture:
        """Have a plate painted: (height, width, 1 to 4 channels) of uint8, uint16, float16 or float32.

        The samples are copied once, with any strides, and not converted; the caller may change them at once.
        `bottom_up` says that the first row is the lowest, of the matte too; the result's rows come in the same order.
        `params` None means the style's own defaults. A newer request of the same `viewer` supersedes those that
        still wait. Raises ServerBusy where no pair of slots, or no credit, becomes free within `timeout_s`, else as
        `connect` does; whatever befalls the request later is raised by the future.
        """
        until = time.monotonic() + self._limit(timeout_s)
        pixels = np.asarray(pixels)
        picture = picture_of(pixels, bottom_up=bottom_up, alpha=alpha, colour_space=colour_space or "")
        with self._slot_for(picture, None if matte is None else np.asarray(matte), until) as slot:
            np.copyto(slot.pixels, pixels if pixels.ndim == 3 else pixels[:, :, None])
            if matte is not None and slot.matte is not None:
                np.copyto(slot.matte, matte)
            return slot.submit(str(style), timeout_s=max(0.0, until - time.monotonic()), **options)

    def slot(
        self,
        width: int,
        height: int,
        channels: int,
        dtype: Dtype,
        *,
        matte: Dtype | None = None,
        colour_space: str | None = None,
        alpha: Alpha = "associated",
        bottom_up: bool = False,
        timeout_s: float | None = None,
    ) -> FrameSlot:
        """Memory to write a plate into, without the copy of `submit`; use it as a context manager.

        `matte` is the dtype of a matte beside it. Raises as `submit` does.
        """
        until = time.monotonic() + self._limit(timeout_s)
        picture = dense_picture(
            height, width, channels, dtype, bottom_up=bottom_up, alpha=alpha, colour_space=colour_space or ""
        )
        mask = None if matte is None else np.broadcast_to(np.empty((), DTYPES[matte]), (height, width))
        return self._slot_for(picture, mask, until)

    def submit_shot(self, job: ShotJob, *, timeout_s: float | None = None) -> ShotFuture:
        """Have a shot rendered from files to files. Nothing is sent again if the server is lost: see `render_shot`."""
        request = SubmitShot(new_id(), job)
        return self._post_shot(lambda welcome: request, timeout_s)

    def render_shot(
        self,
        job: ShotJob,
        on_event: Callable[[ShotFutureEvent], None] = lambda event: None,
        cancelled: Callable[[], bool] = lambda: False,
        *,
        retries: int = 3,
    ) -> ShotDone:
        """Render a shot and return what became of it.

        `impasto.server.protocol.animation.animated_of` makes the parameters that change over the shot. With `resume`
        only the frames are rendered again whose values have changed. Raises IncompatibleServer for a server of protocol
        1.0 that does not know what the job asks for.

        `on_event` is called in the calling thread with what happens: `Queued`, `ShotStarted`, `ShotProgress`, and
        with `Failed` or `Cancelled` before their error is raised, because they say where the finished frames are.
        `cancelled` is called at least ten times a second. Where the server is lost it is found, or started, again and
        the shot resumed, up to `retries` times in a row without a frame in between. Frames that became safe just
        before a loss may never be reported. Raises RequestCancelled, and whatever rendering the shot raises.
        """
        return follow_shot(self._post_shot, SubmitShot(new_id(), job), on_event, cancelled, retries)

    def styles(self) -> tuple[StyleFacts, ...]:
        """The library, sorted by name."""
        for _ in range(PAGES_AGAIN):
            if (found := self._styles()) is not None:
                return found
        raise ServerError("expected a library that stays as it is while it is read, it changed all the time; try again")

    def preview(self, style: str) -> bytes:
        """The picture of a style, as a PNG. Raises UnknownName."""
        id = new_id()
        _, parts = self._here().session(self._timeout_s).ask(ShowPreview(id, style), PreviewFound, id, self._timeout_s)
        if len(parts) != 1:
            raise ServerError(f"expected a preview in one part, got {len(parts)}; upgrade the server")
        return bytes(parts[0])

    def on_styles_changed(self, call: Callable[[int], None]) -> None:
        """Call with the library's revision whenever it changes, in a thread of the client's own; it may call back."""
        self._here().on_styles_changed(call)

    def status(self, *, timeout_s: float | None = None) -> Status:
        """How the server is doing."""
        id = new_id()
        limit = self._limit(timeout_s)
        return self._here().session(limit).ask(AskStatus(id), Status, id, limit)[0]

    def cancel_client(self, number: int) -> int:
        """Have the server cancel all that a client asked for, by its number in the status; how many requests it had.

        The client stays connected. For clients on the server's machine and keys with the role admin, else NotPermitted.
        """
        id = new_id()
        session = self._here().session(self._timeout_s, start=False)
        return session.ask(CancelClient(id, number), ClientCancelled, id, self._timeout_s)[0].requests

    def ping(self, *, timeout_s: float | None = None) -> float:
        """Seconds until the server has answered."""
        limit = self._limit(timeout_s)
        return self._here().session(limit).ping(limit)

    def shut_down(self, *, at_once: bool = False) -> float:
        """Have the server finish what runs, or with `at_once` cancel it, and leave; the seconds it may take at most."""
        id = new_id()
        session = self._here().session(self._timeout_s, start=False)
        return session.ask(Shutdown(id, at_once), ShuttingDown, id, self._timeout_s)[0].seconds

    @property
    def welcome(self) -> Welcome:
        """What the server said of itself: version, process, credit, devices, controls with their ranges."""
        return self._here().session(self._timeout_s).welcome

    @property
    def transport(self) -> Literal["ring", "inline"]:
        """How the pixels of the last frame travelled; 'inline' before the first."""
        return self._ring.transport

    @property
    def transport_problem(self) -> str:
        """Why pixels travel inside the messages; empty while they do not."""
        return self._ring.problem

    def close(self) -> None:
        """Leave the server, within about a second; requests under way fail, results stay good."""
        self._here().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post_shot(self, request_for: Callable[[Welcome], SubmitShot], timeout_s: float | None = None) -> ShotFuture:
        """Send the shot job that fits the session."""
        requests = self._here()
        session = requests.session(self._limit(timeout_s))
        request = request_for(session.welcome)
        request = replace(request, job=with_configuration(request.job))
        require_minor(request.job, session.welcome)
        require_sendable_shot(request.job)
        future = ShotFuture(request.id, requests.cancel)
        requests.post(session, ShotRequest(request, future))
        return future

    def _here(self) -> ClientRequests:
        """The requests of this process."""
        if self._requests.pid != os.getpid():
            # Kept, because the memory and locks of the parent's threads must not be collected here.
            self._inherited.append((self._requests, self._ring))
            self._requests = ClientRequests(self._address, self._options, self._open_transport)
            self._ring = RingClient(self._pairs)
        return self._requests

    def _limit(self, timeout_s: float | None) -> float:
        return self._timeout_s if timeout_s is None else timeout_s

    def _slot_for(self, picture: Picture, matte: Samples | None, until: float) -> FrameSlot:
        layout = None if matte is None else matte_of(matte, picture)
        requests = self._here()
        session = requests.session(max(0.0, until - time.monotonic()))
        ring = self._ring.enter(session, slot_bytes_needed(picture, layout), until)
        return FrameSlot(requests, session, ring, picture, layout, until)

    def _styles(self) -> tuple[StyleFacts, ...] | None:
        """One pass over the pages; None where the library changed on the way."""
        session = self._here().session(self._timeout_s)
        found: list[StyleFacts] = []
        revision: int | None = None
        while True:
            id = new_id()
            page, _ = session.ask(ListStyles(id, len(found)), StyleList, id, self._timeout_s)
            if page.offset != len(found) or revision not in (None, page.revision):
                return None
            revision = page.revision
            found += page.styles
            if len(found) >= page.total or not page.styles:
                return tuple(found)
