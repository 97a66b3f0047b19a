"""`impasto submit --to local`: the steps of a bundle run here, by the loop that farms are simulated with."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from impasto.core.errors import OutputError
from impasto.core.media.numbering import parse_numbered
from impasto.hosts.events import ChunkEnded, RunCancelled, RunFinished, RunStarted, RunWarning
from impasto.hosts.farm.bundle import Bundle
from impasto.hosts.farm.chunks import ChunkQueue
from impasto.hosts.farm.local import LocalSeats, Task, read_bundle
from impasto.hosts.farm.run import run_chunks
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent, SeatLost
from impasto.hosts.farm.template import MOVIE, PAINT, VERIFY
from impasto.hosts.terminal.report import reporter_for

if TYPE_CHECKING:
    from impasto.hosts.terminal.farm.shot_bundle import PreparedShot

LOG = "run.log"


def run_here(shot: PreparedShot, bundle: Bundle, *, stopped: Callable[[], bool], json: bool) -> bool:
    """Run every step of a bundle; False where it was stopped. What the tasks say goes to run.log in the bundle.

    Raises OutputError, with the reason of the first, for frames that were given up.
    """
    template = bundle.shot
    values = {path.parameter: path.value for path in template.paths() if os.path.isabs(path.value)}
    devices = [template.device] if template.device != "auto" else _devices()
    jobs = {name: read_bundle(bundle.folder, {**values, "Device": name}) for name in devices}
    numbers = next(iter(jobs.values())).numbers
    result = os.path.join(template.output.value, template.output.name)
    files = parse_numbered(result)
    queue = ChunkQueue(numbers, attempts=template.attempts, fixed=shot.fixed_chunk)
    begun = time.monotonic()
    with _logged(os.path.join(bundle.folder, LOG)), reporter_for(json=json) as reporter:
        reporter.show(RunStarted(str(template.plates.value), result, shot.style.stem, numbers[0], len(numbers)))
        painted = 0

        def heard(event: SeatEvent, again: bool) -> None:
            nonlocal painted
            done, every = queue.done, queue.frames
            match event:
                case ChunkDone():
                    painted += event.painted
                    chunk = event.chunk
                    reporter.show(ChunkEnded(chunk.first, chunk.last, event.seat, "done", 1, done, every))
                case ChunkFailed():
                    chunk, state = event.chunk, "again" if again else "failed"
                    tries = queue.tries(chunk)
                    reporter.show(ChunkEnded(chunk.first, chunk.last, event.seat, state, tries, done, every, event.why))
                case SeatLost():
                    reporter.show(RunWarning(f"no more chunks for {event.seat}: {event.why}"))

        def there(number: int) -> bool:
            return files is not None and os.path.exists(files.path_of(number))

        with LocalSeats(jobs, PAINT, there=there) as seats:
            ended = run_chunks(queue, seats, heard=heard, stopped=stopped)
        seconds = time.monotonic() - begun
        if not ended and stopped():
            reporter.show(RunCancelled(result, painted, round(seconds, 3)))
            return False
        if not ended or queue.bad:
            _refuse(queue, bundle)
        for step in (VERIFY, *([MOVIE] if template.movie is not None else [])):
            task = Task(next(iter(jobs.values())), step, lambda text: None)
            try:
                wrong = task.enter() or (task.run(None) or ("",))[0]
            finally:
                task.close()
            if wrong:
                raise OutputError(f"expected step {step} of '{bundle.folder}' to succeed, {wrong}; see {LOG} there")
        seconds = time.monotonic() - begun
        fps = round(painted / seconds, 3) if painted else 0.0
        reporter.show(RunFinished(result, painted, len(numbers) - painted, 0, round(seconds, 3), fps))
    return True


def _refuse(queue: ChunkQueue, bundle: Bundle) -> None:
    if queue.bad:
        chunk, why = next(iter(queue.bad.items()))
        more = f" and {len(queue.bad) - 1} more chunks" if len(queue.bad) > 1 else ""
        raise OutputError(f"expected every frame, {chunk.first}-{chunk.last}{more} were given up: {why}")
    raise OutputError(f"expected a device that paints, all have failed; see {LOG} in '{bundle.folder}'")


def _devices() -> list[str]:
    """A seat for each CUDA device, or one that the server chooses."""
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["auto"]


@contextlib.contextmanager
def _logged(path: str) -> Iterator[None]:
    """Everything that sessions and tasks say goes to a file, and nowhere else."""
    from openjd.sessions import LOG as SESSIONS

    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    before = SESSIONS.level, SESSIONS.propagate
    SESSIONS.addHandler(handler)
    SESSIONS.setLevel(logging.INFO)
    SESSIONS.propagate = False
    try:
        yield
    finally:
        SESSIONS.removeHandler(handler)
        handler.close()
        SESSIONS.setLevel(before[0])
        SESSIONS.propagate = before[1]
