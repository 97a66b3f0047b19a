"""Seats on a Ray cluster: an actor with a warm engine for each GPU, or for each node where there is none.

A node that does not answer for a while is not dead: its actor may still store frames, so it is asked again for the same
chunk, which then skips what is there. Only an actor that Ray calls dead, or one that stays silent, loses its seat.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.core.errors import ServerUnreachable, UsageError
from impasto.hosts.farm.chunks import Chunk
from impasto.hosts.farm.ray_node import NodeOrder, RayNode
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent, SeatJoined, SeatLost

LOOK_AROUND_S = 0.5
NODES_EVERY_S = 2.0
"""How often new nodes are looked for."""
ASK_AGAIN_S = 1.0
SILENT_S = 60.0
"""How long an actor may be unavailable before it is given up."""
LIVES = 3
"""Actors that a place may lose before it gets no more."""
REACHED_S = 5.0


RAY_THREAD = "ray_listen_error_messages"
"""In which Ray prints twenty lines of its logs on standard output for each node that is lost."""


class _WithoutRay:
    """Standard output, but for what Ray prints there: `SeatLost` says it, and lines of JSON stay so."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, unless Ray does."""
        if threading.current_thread().name == RAY_THREAD:
            return len(text)
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Join the cluster of RAY_ADDRESS, or the one that runs here, and leave it at the end.

    Raises UsageError for a cluster without a token, or with nodes on other machines and without TLS; ServerUnreachable
    where there is none.
    """
    import ray

    _require_token()
    address = os.environ.get("RAY_ADDRESS") or "auto"
    _require_reached(address)
    hint = "start one with `ray start --head`, and name it in RAY_ADDRESS"
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, OSError) as error:
        raise ServerUnreachable(f"expected a Ray cluster at '{address}', got: {_first_line(error)}; {hint}") from error
    except (RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UsageError(f"expected the Ray cluster '{address}' to take this program, got: {_first_line(error)}; "
                         "use its token and its versions of Ray and Python") from error  # fmt: skip
    try:
        addresses = sorted({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]})
        _require_private(addresses)
        with contextlib.redirect_stdout(_WithoutRay(sys.stdout)):
            yield
    finally:
        ray.shutdown()


def has_gpus() -> bool:
    """Whether any node of the cluster has a GPU."""
    import ray

    return any(node["Resources"].get("GPU", 0) >= 1 for node in ray.nodes() if node["Alive"])


def _require_token() -> None:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if os.environ.get("RAY_AUTH_MODE") != "token" or not (named or Path.home().joinpath(".ray/auth_token").is_file()):
        raise UsageError(
            "expected a cluster with a token, for without one anybody who reaches it may run programs there; set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN on every node, start Ray anew, and set both here"
        )


def _require_reached(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if "://" in address or not host or not port.isdecimal():
        raise UsageError(f"expected RAY_ADDRESS as HOST:PORT of the head node, got '{address}'; see `ray start --head`")
    try:
        socket.create_connection((host, int(port)), REACHED_S).close()
    except (OSError, OverflowError) as error:
        raise ServerUnreachable(
            f"expected a Ray cluster at '{address}', got: {error}; start one with `ray start --head`, or correct "
            "RAY_ADDRESS"
        ) from error


def _require_private(addresses: Sequence[str]) -> None:
    """Refuse nodes on other machines where what goes to them is not encrypted."""
    away = [address for address in addresses if not _is_here(address)]
    if away and os.environ.get("RAY_USE_TLS") != "1":
        raise UsageError(
            f"expected TLS between machines, node {away[0]} would get token and job in the clear; set RAY_USE_TLS=1 "
            "and Ray's certificates on every node and here"
        )


def _is_here(address: str) -> bool:
    """Whether an address is one of this machine: another cannot be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((address, 0))
        return True
    return False


@dataclass(slots=True)
class _Seat:
    place: tuple[str, int]
    """Node and number of the GPU there."""
    actor: Any
    joined: bool = False
    silent_since: float | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """What a seat was asked for: a chunk, None for whether it can take part."""

    seat: str
    chunk: Chunk | None


@dataclass(slots=True)
class _Place:
    lost: int = 0
    refused: bool = False


@dataclass(slots=True)
class _Later:
    """Calls that are to be made once more."""

    calls: list[tuple[float, _Call]] = field(default_factory=list)

    def due(self, now: float) -> list[_Call]:
        found = [call for when, call in self.calls if when <= now]
        self.calls = [(when, call) for when, call in self.calls if when > now]
        return found


class RaySeats:
    """`Seats` of the cluster that this process is connected to. Nodes that come later get seats; leaving ends all."""

    def __init__(self, order: NodeOrder, device: str) -> None:
        """`device` is 'cpu', or 'auto' for GPUs alone."""
        self._order, self._device = order, device
        self._seats: dict[str, _Seat] = {}
        self._places: dict[tuple[str, int], _Place] = {}
        self._calls: dict[Any, _Call] = {}
        """Object reference of Ray -> what was asked."""
        self._later = _Later()
        self._looked = 0.0

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def start(self, seat: str, chunk: Chunk) -> None:
        """Put a chunk behind what a seat has."""
        self._ask(_Call(seat, chunk))

    def wait(self) -> Sequence[SeatEvent]:
        """The events since the last call; none after half a second, so that the caller can look around."""
        import ray

        now = self.now()
        if now - self._looked >= NODES_EVERY_S:
            self._looked = now
            self._take_places()
        for call in self._later.due(now):
            if call.seat in self._seats:
                self._ask(call)
        if not self._calls:
            time.sleep(LOOK_AROUND_S)
            return []
        ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=LOOK_AROUND_S)
        ready, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0) if ready else ([], [])
        return [event for each in ready if (event := self._answered(each)) is not None]

    def alive(self) -> bool:
        """Whether any seat is there or may come."""
        return bool(self._seats)

    def __enter__(self) -> RaySeats:
        return self

    def __exit__(self, *raised: object) -> None:
        for name in list(self._seats):
            self._drop(name)

    def _take_places(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        taken = {seat.place for seat in self._seats.values()}
        for node in ray.nodes():
            resources = node["Resources"]
            gpus = 0 if self._device == "cpu" else int(resources.get("GPU", 0))
            number_of = 1 if self._device == "cpu" else gpus
            for place in [(node["NodeID"], number) for number in range(number_of if node["Alive"] else 0)]:
                known = self._places.setdefault(place, _Place())
                if place in taken or known.refused or known.lost >= LIVES:
                    continue
                actor = ray.remote(RayNode).options(
                    num_gpus=1 if gpus else 0,
                    num_cpus=max(int(resources.get("CPU", 0)) // max(gpus, 1), 0),
                    max_restarts=0,
                    max_task_retries=0,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
                )
                name = f"{node['NodeManagerAddress']}/{node['NodeID'][:6]}:{place[1]}"
                order, device = self._order, "cuda:0" if gpus else "cpu"
                self._seats[name] = _Seat(place, actor.remote(order.farm_job, order.shot, device))
                self._ask(_Call(name, None))

    def _ask(self, call: _Call) -> None:
        actor = self._seats[call.seat].actor
        chunk = call.chunk
        asked = actor.refusal.remote() if chunk is None else actor.paint.remote(chunk.first, chunk.last)
        self._calls[asked] = call

    def _answered(self, reference: Any) -> SeatEvent | None:
        import ray
        from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

        call = self._calls.pop(reference, None)
        seat = None if call is None else self._seats.get(call.seat)
        if call is None or seat is None:
            return None
        try:
            answer = ray.get(reference)
        except ActorUnavailableError as error:
            return self._silent(call, seat, _first_line(error))
        except RayTaskError as error:
            said = str(error.cause or error).strip().splitlines()[-1]
            return self._lost(call.seat, said) if call.chunk is None else ChunkFailed(call.seat, call.chunk, said)
        except RayError as error:
            return self._lost(call.seat, _first_line(error))
        seat.silent_since = None
        if call.chunk is None:
            return self._greeted(call.seat, seat, answer)
        painted, wrong, everywhere = answer
        if wrong:
            return ChunkFailed(call.seat, call.chunk, wrong, never=everywhere)
        return ChunkDone(call.seat, call.chunk, painted)

    def _greeted(self, name: str, seat: _Seat, refusal: str) -> SeatEvent:
        if refusal:
            self._places[seat.place].refused = True
            return self._lost(name, refusal)
        return SeatJoined(name)

    def _silent(self, call: _Call, seat: _Seat, said: str) -> SeatEvent | None:
        """Ask an actor again that did not answer; it may still be painting, and the frames that it stores are kept."""
        now = self.now()
        seat.silent_since = now if seat.silent_since is None else seat.silent_since
        if now - seat.silent_since >= SILENT_S:
            return self._lost(call.seat, f"no answer for {SILENT_S:.0f} s: {said}")
        self._later.calls.append((now + ASK_AGAIN_S, call))
        return None

    def _lost(self, name: str, why: str) -> SeatLost:
        self._places[self._seats[name].place].lost += 1
        self._drop(name)
        return SeatLost(name, why)

    def _drop(self, name: str) -> None:
        import ray

        seat = self._seats.pop(name)
        self._calls = {reference: call for reference, call in self._calls.items() if call.seat != name}
        with contextlib.suppress(ray.exceptions.RayError, ValueError):
            ray.kill(seat.actor)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
