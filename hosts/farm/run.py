"""The loop that hands chunks to seats until every frame is done, the same for seats here and simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from impasto.hosts.farm.chunks import ChunkQueue
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent, SeatJoined, SeatLost, Seats

OFFERED = 4
"""Waiting seats that are asked again after each event: all of them would take long where there are a thousand."""

Heard = Callable[[SeatEvent, bool], None]
"""Called with each event, and whether the chunk of a failure will be tried again."""


def run_chunks(
    queue: ChunkQueue,
    seats: Seats,
    *,
    heard: Heard = lambda event, again: None,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Hand out every chunk and follow the seats; whether all frames were done or given up.

    False where it was stopped, or where frames are left and no seat takes them; the queue says which.
    """
    idle: dict[str, None] = {}
    """Seats that were offered nothing, the longest first."""

    def offer(seat: str) -> None:
        while (chunk := queue.next_for(seat, seats.now())) is not None:
            seats.start(seat, chunk)
            idle.pop(seat, None)

    while not queue.ended and not stopped():
        events = seats.wait()
        for event in events:
            now, again = seats.now(), False
            match event:
                case SeatJoined():
                    queue.join(event.seat, now)
                case SeatLost():
                    again = bool(queue.leave(event.seat))
                    idle.pop(event.seat, None)
                case ChunkDone():
                    queue.end(event.seat, event.chunk, now, event.painted)
                case ChunkFailed():
                    again = queue.fail(event.seat, event.chunk, now, event.why, never=event.never)
            heard(event, again)
            if not isinstance(event, SeatLost):
                idle[event.seat] = None
                offer(event.seat)
        if queue.stuck or not (events or seats.alive()):
            return False
        # What became open again, and a chunk that is late by now, are for those who wait.
        for name in list(islice(idle, OFFERED if events else None)):
            offer(name)
            if name in idle:
                idle[name] = idle.pop(name)
    return queue.ended
