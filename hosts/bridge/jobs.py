"""What a job is doing, as a file, so that a host that was closed in the middle finds it at its next start."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Mapping

NAME = "impasto_job.json"
OPEN = ("writing", "painting", "placing")
"""States of a job that is under way; the others are 'done', 'failed' and 'cancelled'."""
SILENT_S = 600.0
"""After this time without a word, a job of another machine is taken for dead."""


@dataclass(frozen=True)
class Job:
    """One job of one host."""

    id: str
    host: str
    """'nuke', 'resolve', …"""
    state: str
    """'writing' the plate, 'painting', 'placing' the result; then 'done', 'failed' or 'cancelled'."""
    what: str = ""
    """For a person: what is painted."""
    order: Mapping[str, Any] = field(default_factory=dict)
    """What the host needs to take the job up again."""
    done: int = 0
    frames: int = 0
    message: str = ""
    owner: str = ""
    """Machine and process, as `this_process` says it."""
    touched: float = 0.0
    """Seconds since the epoch."""


def this_process() -> str:
    """Machine and process that a job belongs to."""
    return f"{socket.gethostname()}:{os.getpid()}"


def store(job: Job, folder: Path) -> Path:
    """Write a job's file, whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    partial = folder / f".{NAME}.{os.getpid()}"
    said = dict(asdict(job), touched=job.touched or time.time(), owner=job.owner or this_process())
    try:
        partial.write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(str(partial), str(path))
    finally:
        if partial.exists():
            partial.unlink()
    return path


def load(folder: Path) -> Job | None:
    """The job of a folder, None where there is none that can be read."""
    try:
        said = json.loads((folder / NAME).read_text(encoding="utf-8"))
        known = Job.__dataclass_fields__
        return Job(**{name: value for name, value in said.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def unfinished(root: Path, host: str = "") -> list[Job]:
    """Jobs below a folder that were under way when their host went away, oldest first."""
    found = []
    for path in sorted(root.rglob(NAME)) if root.is_dir() else []:
        job = load(path.parent)
        if job is not None and job.state in OPEN and host in ("", job.host) and not alive(job):
            found.append(job)
    return sorted(found, key=lambda job: job.touched)


def elsewhere(folder: Path) -> Job | None:
    """The job of a folder that another process has lately worked on and not ended, None where there is none."""
    job = load(folder)
    if job is None or job.state not in OPEN or job.owner == this_process() or not alive(job):
        return None
    # A process may have got the number of one that died.
    return job if time.time() - job.touched < SILENT_S else None


def alive(job: Job) -> bool:
    """Whether the process that a job belongs to still runs; of another machine only its last word can be asked."""
    machine, _, number = job.owner.rpartition(":")
    if machine != socket.gethostname() or not number.isdigit():
        return time.time() - job.touched < SILENT_S
    return runs(int(number))


def runs(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    if sys.platform == "win32":
        import ctypes

        # os.kill(pid, 0) ends a process on Windows instead of asking for it.
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
        return True  # it is there and somebody else's
    return True
