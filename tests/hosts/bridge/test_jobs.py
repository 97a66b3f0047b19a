"""A job that was cut off is found again, and only then."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from impasto.hosts.bridge.jobs import OPEN, Job, alive, load, store, unfinished


def dead_process() -> str:
    """The owner of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{socket.gethostname()}:{process.pid}"


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    job = Job("7f", "nuke", "painting", "Impasto1", {"key": "a"}, 3, 9, touched=5.0, owner="m:1")
    store(job, tmp_path / "deep")
    assert load(tmp_path / "deep") == job
    assert os.listdir(tmp_path / "deep") == ["impasto_job.json"]


@pytest.mark.parametrize("state", OPEN)
def test_a_job_whose_host_is_gone_is_found(tmp_path: Path, state: str) -> None:
    store(Job("7f", "nuke", state, owner=dead_process()), tmp_path / "a")
    assert [job.id for job in unfinished(tmp_path)] == ["7f"]
    assert unfinished(tmp_path, "resolve") == []


def test_jobs_that_ended_or_that_still_run_are_left_alone(tmp_path: Path) -> None:
    for state in ("done", "failed", "cancelled"):
        store(Job(state, "nuke", state, owner=dead_process()), tmp_path / state)
    store(Job("mine", "nuke", "painting"), tmp_path / "mine")
    assert unfinished(tmp_path) == []
    assert unfinished(tmp_path / "nowhere") == []


def test_of_another_machine_the_last_word_counts() -> None:
    job = Job("7f", "nuke", "painting", owner="elsewhere:1", touched=time.time())
    assert alive(job)
    assert not alive(replace(job, touched=job.touched - 3600))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"id": 1'])
def test_a_file_that_is_no_job_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "impasto_job.json").write_text(text)
    assert load(tmp_path) is None
    assert unfinished(tmp_path) == []
