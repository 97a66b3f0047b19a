"""How many threads a run takes on a processor, and when it counts in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch

from impasto.training.cpu_pace import CpuTime, FreeCores, autocast, cpu_time, free_cores_for
from impasto.training.recipe import Recipe

MINUTES = Recipe(minutes=1.0)


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    """Leave torch the threads that it had."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def cores(count: int, others: Sequence[float]) -> FreeCores:
    """A machine on which other programs use so many cores between looks a second apart, and this process one."""
    used = [sum(others[:number]) for number in range(len(others) + 1)]
    looks = iter([CpuTime(float(at), at + each, float(at)) for at, each in enumerate(used)])
    return FreeCores(lambda: next(looks), count, pause=lambda seconds: None)


@pytest.mark.parametrize(
    ("others", "threads"), [(0.0, 4), (0.2, 4), (0.5, 3), (1.0, 3), (2.9, 1), (4.0, 1), (6.0, 1), (-0.1, 4)]
)
def test_a_run_takes_the_cores_that_others_leave(others: float, threads: int) -> None:
    torch.set_num_threads(2)
    cores(4, [others]).adapt()
    assert torch.get_num_threads() == threads


def test_a_change_is_one_sentence_and_no_change_is_none() -> None:
    torch.set_num_threads(2)
    machine = cores(2, [1.0, 1.0, 0.0])
    assert "1 of 2 cores" in machine.adapt()
    assert machine.adapt() == ""
    assert "2 of 2 cores" in machine.adapt()
    torch.set_num_threads(1)
    machine.restore()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("recipe", "device", "processes", "environment"),
    [
        (Recipe(steps=10), "cpu", 1, {}),
        (MINUTES, "cuda:0", 1, {}),
        (MINUTES, "cpu", 2, {}),
        (MINUTES, "cpu", 1, {"OMP_NUM_THREADS": "2"}),
    ],
)
def test_threads_stay_in_a_run_that_is_to_be_repeated_or_was_told(
    recipe: Recipe, device: str, processes: int, environment: dict[str, str]
) -> None:
    assert free_cores_for(recipe, device, processes, environment) is None


def test_bfloat16_is_for_one_thread_or_a_gpu() -> None:
    torch.set_num_threads(1)
    with autocast("cpu", MINUTES):
        assert torch.is_autocast_enabled("cpu")
    torch.set_num_threads(2)
    with autocast("cpu", MINUTES):
        assert not torch.is_autocast_enabled("cpu")
    torch.set_num_threads(1)
    with autocast("cpu", Recipe(mixed_precision=False)):
        assert not torch.is_autocast_enabled("cpu")


def test_the_clocks_of_the_machine_run() -> None:
    first = cpu_time()
    sum(range(2_000_000))
    second = cpu_time()
    assert second.at_s > first.at_s
    assert second.own_s >= first.own_s
    assert second.everyone_s >= first.everyone_s > second.own_s - first.own_s
