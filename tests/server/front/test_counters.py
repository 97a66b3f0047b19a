"""The figures of a server: counters, rates, stages and the last errors."""

from __future__ import annotations

import pytest

from impasto.server.front.counters import ERRORS_KEPT, SPANS_KEPT, STAGES, Counters, Rate, StageTimes
from impasto.server.protocol.messages import ErrorFacts


def test_a_rate_is_the_mean_of_the_last_ten_seconds() -> None:
    rate = Rate()
    assert rate.per_second(0.0) == 0.0
    for frame in range(60 * 30):
        rate.add(5.0 + frame / 60)
    assert rate.per_second(35.0) == pytest.approx(60, abs=1)
    assert rate.per_second(40.0) == pytest.approx(30, abs=1)
    assert rate.per_second(46.0) == 0.0


def test_a_stage_has_its_last_its_median_and_its_sum() -> None:
    stages = StageTimes()
    for seconds in (1.0, 9.0, 2.0):
        stages.add({"network": seconds, "upload": 0.5})
    facts = stages.facts()["network"]
    assert (facts.last_s, facts.median_s, facts.total_s, facts.count) == (2.0, 2.0, 12.0, 3)


def test_old_spans_leave_the_median_and_stages_have_a_bound() -> None:
    stages = StageTimes()
    for seconds in [100.0] * SPANS_KEPT + [1.0] * SPANS_KEPT:
        stages.add({"network": seconds})
    stages.add({f"stage {number}": 1.0 for number in range(100)})
    assert stages.facts()["network"].median_s == 1.0
    assert len(stages.facts()) == STAGES


def test_what_is_counted_has_a_name_of_the_table() -> None:
    counters = Counters()
    counters.count("workers_lost")
    counters.count("bytes_in", 1000)
    assert counters.totals()["workers_lost"] == 1
    assert counters.totals()["bytes_in"] == 1000
    assert counters.totals()["frames"] == 0
    with pytest.raises(KeyError):
        counters.count("frmaes")


def test_the_counters_fit_into_a_status() -> None:
    assert len(Counters().totals()) <= 64


def test_painted_frames_are_counted_timed_and_make_the_rate() -> None:
    counters = Counters()
    for _ in range(20):
        counters.painted(100.0, {"network": 0.25})
    counters.painted(100.0, frames=5)
    assert counters.totals()["frames"] == 25
    assert counters.frames_per_second(100.0) == 2.5
    assert counters.stages.facts()["network"].count == 20


def test_the_last_errors_are_kept_with_their_age() -> None:
    counters = Counters()
    for number in range(ERRORS_KEPT + 4):
        counters.failed(float(number), ErrorFacts("style", f"error\n{number}", incident="abcd"))
    errors = counters.errors(100.0)
    assert len(errors) == ERRORS_KEPT
    assert (errors[-1].age_s, errors[-1].message, errors[-1].incident) == (81.0, "error 19", "abcd")
    assert errors[0].message == "error 4"
