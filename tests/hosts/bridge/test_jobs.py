"""A job that was cut off is found again, and only then."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from impasto.hosts.bridge.jobs import OPEN, HostJob, alive, cut_off, load, problem_of, store


def dead_process() -> str:
    """The owner of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{socket.gethostname()}:{process.pid}"


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    job = HostJob("7f", "nuke", "painting", "Impasto1", {"key": "a"}, 3, 9, touched=5.0, owner="m:1")
    store(job, tmp_path / "deep")
    assert load(tmp_path / "deep") == job
    assert os.listdir(tmp_path / "deep") == ["impasto_job.json"]


@pytest.mark.parametrize("state", OPEN)
def test_a_job_whose_host_is_gone_is_cut_off(state: str) -> None:
    assert cut_off(HostJob("7f", "nuke", state, owner=dead_process()))


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_job_that_ended_is_not_cut_off(state: str) -> None:
    assert not cut_off(HostJob("7f", "nuke", state, owner=dead_process()))


def test_a_job_that_still_runs_is_not_cut_off(tmp_path: Path) -> None:
    store(HostJob("7f", "nuke", "painting"), tmp_path)
    job = load(tmp_path)
    assert job is not None
    assert not cut_off(job)


def test_on_another_machine_the_age_of_the_file_counts() -> None:
    job = HostJob("7f", "nuke", "painting", owner="elsewhere:1", touched=time.time())
    assert alive(job)
    assert not alive(replace(job, touched=job.touched - 3600))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"id": 1'])
def test_a_file_that_is_no_job_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "impasto_job.json").write_text(text)
    assert load(tmp_path) is None
    assert "expected a job of Impasto in" in problem_of(tmp_path)


@pytest.mark.parametrize(
    "odd",
    [
        {"touched": "x"},
        {"owner": 5},
        {"done": "many"},
        {"resume_data": [1]},
        {"message": None},
        {"state": ["painting"]},
    ],
    ids=str,
)
def test_a_job_file_with_odd_facts_is_skipped_and_named(tmp_path: Path, odd: dict[str, Any]) -> None:
    facts = {"id": "7f", "host": "nuke", "state": "painting", "owner": "m:1", "touched": 1} | odd
    (tmp_path / "impasto_job.json").write_text(json.dumps(facts))
    assert load(tmp_path) is None
    assert str(tmp_path / "impasto_job.json") in problem_of(tmp_path)


def test_a_job_file_of_endless_depth_is_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "impasto_job.json").write_text('{"id": ' + "[" * 100_000)
    assert load(tmp_path) is None
    assert "cannot be used" in problem_of(tmp_path)


def test_a_folder_without_a_job_file_has_no_problem(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    assert problem_of(tmp_path) == ""


def test_a_process_number_that_no_system_has_is_of_no_process_here() -> None:
    job = HostJob("7f", "nuke", "painting", owner=f"{socket.gethostname()}:{'9' * 30}", touched=time.time())
    assert alive(job)
    assert not alive(replace(job, touched=job.touched - 3600))
