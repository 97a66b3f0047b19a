"""The state of a job as a file, so that a host that was closed in the middle finds it at its next start."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Mapping

from impasto.hosts.bridge.errors import BridgeError

NAME = "impasto_job.json"
OPEN = ("writing", "painting", "placing")
"""States of a job that is under way; the others are 'done', 'failed' and 'cancelled'."""
SILENT_S = 600.0
"""A job of another machine counts as dead when its file is older than this."""


@dataclass(frozen=True)
class HostJob:
    """One job of one host."""

    id: str
    host: str
    """'nuke', 'resolve', …"""
    state: str
    """'writing' the plate, 'painting', 'placing' the result; then 'done', 'failed' or 'cancelled'."""
    what: str = ""
    """For a person: what is painted."""
    resume_data: Mapping[str, Any] = field(default_factory=dict)
    """What the host needs to continue the job."""
    done: int = 0
    frames: int = 0
    message: str = ""
    owner: str = ""
    """Machine and process, as `this_process` writes them."""
    touched: float = 0.0
    """Seconds since the epoch."""


_NO_JOB = HostJob("", "", "")
"""Has the kind of every field."""


def this_process() -> str:
    """Machine and process that own a job."""
    return f"{socket.gethostname()}:{os.getpid()}"


def store(job: HostJob, folder: Path) -> Path:
    """Write the file of a job, whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    partial = folder / f".{NAME}.{os.getpid()}"
    facts = dict(asdict(job), touched=job.touched or time.time(), owner=job.owner or this_process())
    try:
        partial.write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(str(partial), str(path))
    finally:
        if partial.exists():
            partial.unlink()
    return path


def load(folder: Path) -> HostJob | None:
    """The job of a folder, None where there is none that can be read; `problem_of` says why."""
    try:
        return _read(folder)
    except BridgeError:
        return None


def problem_of(folder: Path) -> str:
    """Why the job file of a folder cannot be used, as a sentence; empty where it can be, or where there is none."""
    try:
        _read(folder)
    except BridgeError as error:
        return str(error)
    return ""


def _read(folder: Path) -> HostJob | None:
    path = folder / NAME
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name: type(getattr(_NO_JOB, each.name)) for each in fields(HostJob)}
        job = HostJob(**{name: value for name, value in facts.items() if name in known})
        for name, kind in known.items():
            value = getattr(job, name)
            if not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
                raise TypeError(f"{name} is {value!r:.40}")
        return job
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BridgeError(
            f"expected a job of Impasto in '{path}', it cannot be used ({error}); remove it, or start the job anew"
        ) from error


def cut_off(job: HostJob) -> bool:
    """Whether a job was under way when its host went away."""
    return job.state in OPEN and not alive(job)


def elsewhere(folder: Path) -> HostJob | None:
    """The job of a folder on which another process works, None where there is none."""
    job = load(folder)
    if job is None or job.state not in OPEN or job.owner == this_process() or not alive(job):
        return None
    # A new process may have got the number of a dead one.
    return job if time.time() - job.touched < SILENT_S else None


def alive(job: HostJob) -> bool:
    """Whether the owner of a job still runs. For an owner on another machine the age of the file decides."""
    machine, _, number = job.owner.rpartition(":")
    # A longer number is no process of any system, and none that the system's calls take.
    if machine != socket.gethostname() or not re.fullmatch("[0-9]{1,9}", number):
        return time.time() - job.touched < SILENT_S
    return process_runs(int(number))


def process_runs(pid: int) -> bool:
    """Whether a process of this number exists on this machine."""
    if sys.platform == "win32":
        import ctypes

        # On Windows os.kill(pid, 0) ends a process.
        synchronise, still = 0x00100000, 0x102
        handle = ctypes.windll.kernel32.OpenProcess(synchronise, False, pid)
        if not handle:
            return False
        waited = ctypes.windll.kernel32.WaitForSingleObject(handle, 0)
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(waited == still)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it exists and belongs to another user
    return True
