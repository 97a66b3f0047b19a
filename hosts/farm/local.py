"""Seats on this machine: sessions of OpenJD that run the template of a bundle, one for each device.

The library enters the environment with its warm server, runs one task a chunk, and leaves it; `run_chunks` says which
chunk goes where and tries again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impasto.core.errors import UsageError
from impasto.hosts.farm.bundle import TEMPLATE
from impasto.hosts.farm.chunks import Chunk, chunks_of
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent, SeatJoined, SeatLost

NEVER = (2, 3, 5)
"""Exit codes of `impasto` that no other attempt changes."""
LOOK_AROUND_S = 0.5
ENDS_S = 60.0
"""How long an action may take to end once it was told to."""


@dataclass(frozen=True, slots=True)
class LocalJob:
    """A bundle as OpenJD's own model understands it, with the parameters of this machine."""

    job: Any
    values: Mapping[str, Any]

    def step(self, name: str) -> Any:
        """A step by its name."""
        return next(step for step in self.job.steps if step.name == name)

    @property
    def numbers(self) -> list[int]:
        """Every frame of the first step."""
        from openjd.model import StepParameterSpaceIterator

        space = StepParameterSpaceIterator(space=self.job.steps[0].parameterSpace, chunks_task_count_override=1)
        return [int(task["Frames"].value.partition("-")[0]) for task in space]


def read_bundle(folder: Path, values: Mapping[str, str]) -> LocalJob:
    """The job of a bundle. UsageError, in the words of OpenJD, for a template or values that it does not take."""
    import yaml
    from openjd.model import (
        CompatibilityError,
        DecodeValidationError,
        ModelValidationError,
        create_job,
        decode_job_template,
        preprocess_job_parameters,
    )

    try:
        template = decode_job_template(
            template=yaml.safe_load((folder / TEMPLATE).read_text(encoding="utf-8")),
            supported_extensions=["TASK_CHUNKING"],
        )
        parameters = preprocess_job_parameters(
            job_template=template,
            job_parameter_values=dict(values),
            job_template_dir=folder.absolute(),
            current_working_dir=Path.cwd(),
        )
        job = create_job(job_template=template, job_parameter_values=parameters)
    except (CompatibilityError, DecodeValidationError, ModelValidationError, OSError, ValueError) as error:
        raise UsageError(f"expected a job bundle in '{folder}', got: {error}; mend it or submit again") from error
    return LocalJob(job, parameters)


class Task:
    """One session of OpenJD: its environment entered, actions run one after the other; one thread owns it."""

    def __init__(self, job: LocalJob, step: str, log: Callable[[str], None]) -> None:
        from openjd.model import RevisionExtensions, SpecificationRevision
        from openjd.sessions import Session

        self._step, self._log = job.step(step), log
        self._ended = threading.Event()
        self._status: Any = None
        self._said: list[str] = []
        self._told = ""
        self._session = Session(
            session_id=f"impasto-{uuid.uuid4().hex[:8]}",
            job_parameter_values=dict(job.values),
            callback=self._on_status,
            revision_extensions=RevisionExtensions(
                spec_rev=SpecificationRevision.v2023_09, supported_extensions=["TASK_CHUNKING"]
            ),
        )
        self._entered: list[str] = []

    def enter(self) -> str:
        """Enter the environments of the step; '' or what went wrong."""
        for environment in self._step.stepEnvironments or []:
            self._ended.clear()
            self._entered.append(self._session.enter_environment(environment=environment))
            if (wrong := self._outcome()) is not None:
                return wrong[0]
        return ""

    def run(self, frames: Chunk | None) -> tuple[str, int] | None:
        """Run the step for a chunk; None where it was done, else what went wrong and the exit code."""
        from openjd.model import ParameterValue, ParameterValueType

        values = {}
        if frames is not None:
            text = f"{frames.first}-{frames.last}"
            values = {"Frames": ParameterValue(type=ParameterValueType.CHUNK_INT, value=text)}
        self._ended.clear()
        self._session.run_task(step_script=self._step.script, task_parameter_values=values, log_task_banner=False)
        return self._outcome()

    def cancel(self) -> None:
        """End the action that runs, if one does; may be called from another thread."""
        with contextlib.suppress(RuntimeError):
            self._session.cancel_action()

    def close(self) -> None:
        """Leave the environments and remove the session's folder."""
        for identifier in reversed(self._entered):
            self._ended.clear()
            with contextlib.suppress(RuntimeError):
                self._session.exit_environment(identifier=identifier)
                self._outcome()
        self._session.cleanup()

    def _on_status(self, session_id: str, status: Any) -> None:
        from openjd.sessions import ActionState

        self._status = status
        if status.fail_message:
            self._said = [status.fail_message]
        elif status.status_message and status.status_message != self._told:
            self._told = status.status_message
            self._log(self._told)
        if status.state != ActionState.RUNNING:
            self._ended.set()

    def _outcome(self) -> tuple[str, int] | None:
        from openjd.sessions import ActionState

        self._ended.wait()
        status, said, self._said = self._status, self._said, []
        if status.state == ActionState.SUCCESS:
            return None
        code = -1 if status.exit_code is None else status.exit_code
        return (said[0] if said else f"ended with exit code {code}"), code


@dataclass(slots=True)
class _Seat:
    name: str
    chunks: queue.SimpleQueue[Chunk | None] = field(default_factory=queue.SimpleQueue)
    task: Task | None = None


class LocalSeats:
    """`Seats` of this machine, each with a thread and a session. Leaving the block ends what runs and the servers."""

    def __init__(
        self,
        jobs: Mapping[str, LocalJob],
        step: str,
        *,
        there: Callable[[int], bool] = lambda number: False,
        log: Callable[[str, str], None] = lambda seat, text: None,
    ) -> None:
        """`jobs` has a job for each seat, with the device of its own; `there` says whether a frame has a file."""
        self._step, self._there, self._log = step, there, log
        self._left = False
        self._events: queue.SimpleQueue[SeatEvent] = queue.SimpleQueue()
        self._seats = {name: _Seat(name) for name in jobs}
        self._threads = [
            threading.Thread(target=self._work, args=(self._seats[name], job), name=f"impasto-seat-{name}")
            for name, job in jobs.items()
        ]

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def start(self, seat: str, chunk: Chunk) -> None:
        """Put a chunk behind what a seat has."""
        self._seats[seat].chunks.put(chunk)

    def wait(self) -> Sequence[SeatEvent]:
        """The events since the last call; none after half a second, so that the caller can look around."""
        return list(self._arrived())

    def alive(self) -> bool:
        """Whether a session runs."""
        return any(thread.is_alive() for thread in self._threads)

    def _arrived(self) -> Iterator[SeatEvent]:
        with contextlib.suppress(queue.Empty):
            yield self._events.get(timeout=LOOK_AROUND_S)
            while True:
                yield self._events.get_nowait()

    def __enter__(self) -> LocalSeats:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._left = True
        for seat in self._seats.values():
            seat.chunks.put(None)
            if seat.task is not None:
                seat.task.cancel()
        for thread in self._threads:
            thread.join(ENDS_S)

    def _work(self, seat: _Seat, job: LocalJob) -> None:
        """The thread of a seat. A session takes no more tasks after one that failed, so the next gets a new one."""
        joined = False
        try:
            while True:
                seat.task = task = Task(job, self._step, lambda text: self._log(seat.name, text))
                try:
                    if wrong := task.enter():
                        self._events.put(SeatLost(seat.name, wrong))
                        return
                    if not joined:
                        self._events.put(SeatJoined(seat.name))
                        joined = True
                    if self._paint_until_failure(seat, task):
                        return
                finally:
                    task.close()
        except Exception as error:  # noqa: BLE001  # a thread that dies in silence would leave the run waiting
            self._events.put(SeatLost(seat.name, str(error)))

    def _paint_until_failure(self, seat: _Seat, task: Task) -> bool:
        """Paint what a seat gets; True when it is to end, False after a failure."""
        while (chunk := seat.chunks.get()) is not None:
            before = sum(self._there(number) for number in range(chunk.first, chunk.last + 1))
            wrong = task.run(chunk)
            if wrong is not None:
                self._events.put(ChunkFailed(seat.name, chunk, wrong[0], never=wrong[1] in NEVER))
                return self._left
            self._events.put(ChunkDone(seat.name, chunk, len(chunk) - before))
        return True


def as_range(numbers: Sequence[int]) -> str:
    """Frame numbers as OpenJD writes them: '1001-1100,1201'."""
    return ",".join(f"{each.first}" if len(each) == 1 else f"{each.first}-{each.last}" for each in chunks_of(numbers))
