"""Jobs by strip: what begins, is reported, cancelled and ends."""

from __future__ import annotations

import pytest

from impasto.core.errors import UsageError
from impasto.hosts.blender.bake.job_state import JobState, JobStates


def test_progress_is_in_words() -> None:
    job = JobState("shot", "wheatfield", 48, "painting", done=12, fps=3.0)
    assert job.text == "painting 12 of 48, 3.0 frames/s, 0:12 left"
    assert job.fraction == 0.25


def test_without_a_rate_nothing_is_promised() -> None:
    assert JobState("shot", "wheatfield", 48).text == "waiting 0 of 48"
    assert JobState("shot", "wheatfield", 48).remaining_s is None


def test_a_strip_has_one_job_at_a_time() -> None:
    jobs = JobStates()
    jobs.begin(JobState("a", "wheatfield", 4))
    with pytest.raises(UsageError, match="expected one job for each strip"):
        jobs.begin(JobState("a", "wheatfield", 4))
    jobs.change("a", phase="finished", done=4)
    jobs.begin(JobState("a", "wheatfield", 8))
    assert jobs.of("a") == JobState("a", "wheatfield", 8)


def test_what_has_ended_stays_as_it_ended() -> None:
    jobs = JobStates()
    jobs.begin(JobState("a", "wheatfield", 4))
    jobs.change("a", phase="cancelled", done=1)
    assert jobs.change("a", phase="painting", done=2).phase == "cancelled"


def test_cancel_is_asked_of_one_strip_or_of_all_that_run() -> None:
    jobs = JobStates()
    for strip in "abc":
        jobs.begin(JobState(strip, "wheatfield", 4))
    jobs.change("c", phase="finished")
    assert jobs.ask_cancel("a") == 1
    assert [jobs.cancelled(strip) for strip in "abc"] == [True, False, False]
    assert jobs.ask_cancel() == 2
    assert [jobs.cancelled(strip) for strip in "abc"] == [True, True, False]
    assert jobs.cancelled("nobody")


def test_ended_jobs_are_listed_last_until_they_are_cleared() -> None:
    jobs = JobStates()
    jobs.begin(JobState("a", "wheatfield", 4, "failed", sentence="expected a strip, got none"))
    jobs.begin(JobState("b", "wheatfield", 4))
    assert [job.strip for job in jobs.all()] == ["b", "a"]
    assert jobs.all()[1].text == "expected a strip, got none"
    jobs.clear()
    assert [job.strip for job in jobs.all()] == ["b"]
