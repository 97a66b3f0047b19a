"""The governor under loads, on a clock of its own."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from impasto.hosts.live.governor import PATIENCE_S, REST_S, Governor, Rung, ladder

FPS, LATENCY_S = 30.0, 0.15
FULL_S, DRAFT_S = 0.0216, 0.0166
"""Of a 640x360 frame on two cores of an AMD EPYC."""

Load = Callable[[float], float]


@dataclass
class Run:
    """What happened: when the rung changed, and the age of each frame."""

    changes: list[tuple[float, Rung]] = field(default_factory=list)
    ages: list[tuple[float, float]] = field(default_factory=list)
    rung: Rung = ladder("auto", has_draft=True)[0]

    def late(self, since_s: float = 0.0) -> float:
        ages = [age for at, age in self.ages if at >= since_s]
        return sum(age > LATENCY_S for age in ages) / len(ages)

    def rung_at(self, time_s: float) -> Rung:
        before = [rung for at, rung in self.changes if at <= time_s]
        return before[-1] if before else ladder("auto", has_draft=True)[0]


def simulate(load: Load, seconds: float, *, governor: Governor | None = None, fps: float = FPS) -> Run:
    """A source of `fps`, a painter whose frames take `load(t)` times as long as usual, the newest picture each time."""
    governor = governor or Governor(ladder("auto", has_draft=True), fps=fps, latency_s=LATENCY_S)
    run, now = Run(), 0.0
    last = -1
    while now < seconds:
        newest = math.floor(now * fps)
        if newest == last:
            now = (last + 1) / fps + 1e-9
            continue
        last, begun, rung = newest, now, governor.rung
        cost = (DRAFT_S if rung.draft else FULL_S) * rung.scale**2 * load(now)
        now += cost
        run.ages.append((now, now - newest / fps))
        if governor.painted(now, now - begun, now - newest / fps):
            run.changes.append((now, governor.rung))
    run.rung = governor.rung
    return run


def noisy(seed: int, most: float) -> Load:
    """A load that wanders between 1 and `most`, another for each second, with a hiccup now and then."""
    draw = random.Random(seed)
    levels = [1.0]
    for _ in range(200):
        levels.append(min(most, max(1.0, levels[-1] + draw.uniform(-1, 1))))
    hiccups = {draw.randrange(6000) for _ in range(30)}
    return lambda t: levels[int(t)] * (4.0 if int(t * 100) in hiccups else 1.0)


TRACES: dict[str, Load] = {
    "quiet": lambda t: 1.0,
    "twice": lambda t: 2.0,
    "four times": lambda t: 4.0,
    "on the edge of full": lambda t: 1.38,
    "on the edge of draft": lambda t: 1.8,
    "ten times for ten seconds": lambda t: 10.0 if 20 <= t < 30 else 1.0,
    "five times for a second, each ten": lambda t: 5.0 if t % 10 < 1 else 1.0,
    "twice, each other five seconds": lambda t: 2.0 if t % 10 < 5 else 1.0,
    "ramp up": lambda t: 1 + t / 15,
    "ramp down": lambda t: 5 - t / 15,
    "slow sine": lambda t: 2.5 + 1.5 * math.sin(t / 8),
    "quick sine": lambda t: 1.6 + 0.6 * math.sin(2 * t),
    "single stalls": lambda t: 20.0 if abs(t % 7 - 3) < 0.01 else 1.0,
    "beats with the source": lambda t: 1.5 + 0.2 * math.sin(t * 37),
    "grows quicker": lambda t: 0.3 if t > 30 else 3.0,
    "grows slower": lambda t: 3.0 if t > 30 else 0.3,
    **{f"noise {seed}": noisy(seed, 5.0) for seed in range(6)},
}


@pytest.mark.parametrize("name", TRACES)
def test_it_keeps_time_and_rests_between_changes(name: str) -> None:
    run = simulate(TRACES[name], 60)
    times = [at for at, _ in run.changes]
    assert all(later - earlier >= REST_S for earlier, later in itertools.pairwise(times))
    assert run.late() <= 0.05


def test_on_a_quiet_machine_the_full_network_stays() -> None:
    assert simulate(TRACES["quiet"], 60).changes == []


def test_a_slow_machine_goes_down_one_rung_at_a_time_and_rests_where_it_keeps_time() -> None:
    run = simulate(lambda t: 2.5, 60)
    assert [rung.label for _, rung in run.changes] == ["draft", "draft at 3/4"]


def test_on_its_last_rung_it_paints_on_and_says_why() -> None:
    governor = Governor(ladder("auto", has_draft=True), fps=FPS, latency_s=LATENCY_S)
    run = simulate(lambda t: 60.0, 60, governor=governor)
    assert run.rung == Rung(True, 0.375)
    assert "the quickest there is" in governor.reason
    assert len([at for at, _ in run.ages if at > 50]) > 50  # about seven a second


def test_after_ten_slow_seconds_the_age_is_back_within_two_frames() -> None:
    run = simulate(TRACES["ten times for ten seconds"], 60)
    after = [age for at, age in run.ages if at >= 30.0]
    assert all(age <= LATENCY_S for age in after[2:])


def test_quality_comes_back_after_a_load() -> None:
    run = simulate(TRACES["ten times for ten seconds"], 90)
    assert run.rung == Rung(False, 1.0)


def test_an_attempt_that_does_not_hold_is_made_ever_more_seldom() -> None:
    def load(t: float) -> float:
        # The full network looks as if it fitted, and does not.
        return 1.0 if governor.rung.draft else 3.0

    governor = Governor(ladder("auto", has_draft=True), fps=FPS, latency_s=LATENCY_S)
    run = simulate(load, 240, governor=governor)
    attempts = [at for at, rung in run.changes if not rung.draft]
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(attempts)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 4 * PATIENCE_S


def test_one_stall_changes_nothing() -> None:
    assert simulate(TRACES["single stalls"], 60).changes == []


def test_a_full_network_that_was_asked_for_stays() -> None:
    governor = Governor(ladder("full", has_draft=True), fps=FPS, latency_s=LATENCY_S)
    assert simulate(lambda t: 30.0, 20, governor=governor).changes == []


def test_a_slower_source_gives_the_full_network_more_time() -> None:
    assert simulate(lambda t: 2.5, 30, fps=12.0).changes == []


def test_after_a_pause_what_was_measured_before_does_not_count() -> None:
    governor = Governor(ladder("auto", has_draft=True), fps=FPS, latency_s=LATENCY_S)
    for frame in range(10):
        assert not governor.painted(frame / FPS, 0.1, 0.1)  # one more, and it would go down
    assert not governor.painted(3600.0, 0.1, 0.1)  # the machine slept
    assert governor.cost_s == 0.0


@pytest.mark.parametrize(
    ("quality", "has_draft", "labels"),
    [
        ("auto", True, ["full", "draft", "draft at 3/4", "draft at 1/2", "draft at 3/8"]),
        ("auto", False, ["full", "full at 3/4", "full at 1/2", "full at 3/8"]),
        ("draft", True, ["draft", "draft at 3/4", "draft at 1/2", "draft at 3/8"]),
        ("full", True, ["full"]),
    ],
)
def test_the_ladder(quality: str, has_draft: bool, labels: list[str]) -> None:
    assert [rung.label for rung in ladder(quality, has_draft=has_draft)] == labels  # type: ignore[arg-type]


def test_another_style_keeps_the_rung_where_it_has_it() -> None:
    governor = Governor(ladder("auto", has_draft=True), fps=FPS, latency_s=LATENCY_S)
    simulate(lambda t: 2.5, 20, governor=governor)
    held = governor.rung
    governor.use(ladder("draft", has_draft=True))
    assert governor.rung == held
    governor.use(ladder("full", has_draft=True))
    assert governor.rung == Rung(False, 1.0)
