"""The loop that hands out chunks, against seats in simulated time."""

from __future__ import annotations

import pytest

from impasto.hosts.farm.chunks import Chunk, ChunkQueue, chunks_of
from impasto.hosts.farm.run import run_chunks
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent
from tests.bench.farm_seeds import FAIR, ROUGH, ratio_of
from tests.hosts.farm.simulated_seats import SimulatedSeats, Weather


@pytest.mark.parametrize("weather", [FAIR, ROUGH], ids=["fair", "rough"])
def test_every_frame_is_stored_in_at_most_1_7_times_the_ideal_time(weather: Weather) -> None:
    ratios = [ratio_of(25, 2400, seed, weather, attempts=9) for seed in range(200)]
    assert max(ratios) <= 1.7


@pytest.mark.parametrize("seeds", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_a_thousand_nodes_paint_96000_frames_in_at_most_1_7_times_the_ideal_time(seeds: int) -> None:
    assert max(ratio_of(1000, 96000, seed, FAIR) for seed in range(seeds)) <= 1.7


def test_one_node_paints_everything_in_order() -> None:
    seats = SimulatedSeats(1, 0, Weather(lost_every_s=1e12, slow=0))
    ends: list[int] = []

    def heard(event: SeatEvent, again: bool) -> None:
        if isinstance(event, ChunkDone):
            ends.append(event.chunk.first)

    assert run_chunks(ChunkQueue(range(1, 101)), seats, heard=heard)
    assert ends == sorted(ends)
    assert seats.painted == 100, "no frame twice"


def test_a_lost_node_costs_what_of_its_chunks_it_had_not_stored() -> None:
    weather = Weather(lost_every_s=300.0)
    seats, queue = SimulatedSeats(20, 3, weather), ChunkQueue(range(1, 2001))
    lost: list[bool] = []
    assert run_chunks(queue, seats, heard=lambda event, again: lost.append(again))
    assert any(lost)
    assert len(seats.stored) == 2000
    assert seats.painted <= 2000 + queue.twice, "a frame is painted twice only where two seats had it"


def test_a_bad_chunk_is_told_from_a_bad_seat() -> None:
    seats = SimulatedSeats(8, 1, Weather(bad_frames=frozenset({50})))
    queue = ChunkQueue(range(1, 201), attempts=3, fixed=10)
    on: list[str] = []

    def heard(event: SeatEvent, again: bool) -> None:
        if isinstance(event, ChunkFailed):
            on.append(event.seat)

    assert run_chunks(queue, seats, heard=heard)
    assert list(queue.bad.items()) == [(Chunk(41, 50), "no such frame")]
    assert len(set(on)) == len(on) == 3, "each time on another seat"
    assert queue.done == 190


def test_what_fails_everywhere_is_tried_once() -> None:
    queue = ChunkQueue(range(1, 5), fixed=4)
    queue.join("a", 0.0)
    chunk = queue.next_for("a", 0.0)
    assert chunk == Chunk(1, 4)
    assert not queue.fail("a", chunk, 1.0, "the style is not sound", never=True)
    assert queue.ended
    assert queue.bad == {chunk: "the style is not sound"}


def test_a_seat_on_which_everything_fails_gets_no_more_and_the_run_ends() -> None:
    queue = ChunkQueue(range(1, 101), fixed=2, attempts=9)
    queue.join("broken", 0.0)
    for _ in range(3):
        chunk = queue.next_for("broken", 0.0)
        assert chunk is not None
        queue.fail("broken", chunk, 1.0, "the device is lost", never=False)
    assert queue.next_for("broken", 2.0) is None
    assert queue.stuck


def test_frames_apart_are_never_in_one_chunk() -> None:
    assert chunks_of([5, 1, 2, 3, 9, 8]) == [Chunk(1, 3), Chunk(5, 5), Chunk(8, 9)]
    queue = ChunkQueue([1, 2, 3, 5], fixed=4)
    queue.join("a", 0.0)
    assert queue.next_for("a", 0.0) == Chunk(1, 3)
