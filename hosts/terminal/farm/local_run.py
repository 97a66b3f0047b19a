"""`impasto submit --to local` and `--to ray`: a bundle run by the loop that farms are simulated with."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self

from impasto.core.errors import OutputError
from impasto.core.media.numbering import parse_numbered
from impasto.hosts.events import ChunkEnded, RunCancelled, RunFinished, RunStarted, RunWarning
from impasto.hosts.farm.bundle import Bundle
from impasto.hosts.farm.chunks import ChunkQueue
from impasto.hosts.farm.local import LocalJob, LocalSeats, Task, read_bundle
from impasto.hosts.farm.run import run_chunks
from impasto.hosts.farm.seats import ChunkDone, ChunkFailed, SeatEvent, SeatLost, Seats
from impasto.hosts.farm.template import MOVIE, PAINT, VERIFY
from impasto.hosts.terminal.report import reporter_for
from impasto.server.protocol.colour_configuration import named_here

if TYPE_CHECKING:
    from impasto.hosts.terminal.farm.shot_bundle import PreparedShot

LOG = "run.log"


class OpenedSeats(Seats, Protocol):
    """Seats that end when the block does."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> None: ...


def run_here(shot: PreparedShot, bundle: Bundle, *, stopped: Callable[[], bool], json: bool) -> bool:
    """Run every step of a bundle on this machine; as `run_on`."""
    template = bundle.shot
    devices = [template.device] if template.device != "auto" else _devices()
    jobs = {name: _read(bundle, name) for name in devices}
    files = parse_numbered(os.path.join(template.output.value, template.output.name))

    def there(number: int) -> bool:
        return files is not None and os.path.exists(files.path_of(number))

    seats = LocalSeats(jobs, PAINT, there=there)
    return run_on(seats, next(iter(jobs.values())), shot, bundle, stopped=stopped, json=json)


def run_on_cluster(shot: PreparedShot, bundle: Bundle, *, stopped: Callable[[], bool], json: bool) -> bool:
    """Paint the frames of a bundle on the connected Ray cluster, then run its other steps here; as `run_on`."""
    from impasto.hosts.farm.ray import RaySeats
    from impasto.hosts.farm.ray_node import order_of

    folder = str(bundle.folder.absolute())
    style = f"{os.path.join(folder, bundle.shot.style.value)}{bundle.shot.style.suffix}"
    order = shot.order.with_paths(lambda name, path: os.path.abspath(path) if path else path)
    ocio, sha256 = named_here()
    order = replace(order, look=replace(order.look, style=style), ocio=ocio, ocio_sha256=sha256)
    device = "cpu" if bundle.shot.device == "cpu" else "auto"
    return run_on(
        RaySeats(order_of(order, shot.job), device), _read(bundle, "auto"), shot, bundle, stopped=stopped, json=json
    )


def run_on(
    seats: OpenedSeats, job: LocalJob, shot: PreparedShot, bundle: Bundle, *, stopped: Callable[[], bool], json: bool
) -> bool:
    """Paint with these seats and run the other steps here; False where it was stopped.

    What the tasks say goes to run.log in the bundle. Raises OutputError, with the reason of the first, for frames that
    were given up.
    """
    template = bundle.shot
    numbers = job.numbers
    result = os.path.join(template.output.value, template.output.name)
    queue = ChunkQueue(numbers, attempts=template.attempts, fixed=shot.fixed_chunk)
    begun = time.monotonic()
    with _logged(os.path.join(bundle.folder, LOG)), reporter_for(json=json) as reporter:
        reporter.show(RunStarted(str(template.plates.value), result, shot.style.stem, numbers[0], len(numbers)))
        painted = 0
        reasons: list[str] = []

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
                    reasons.append(event.why)
                    reporter.show(RunWarning(f"no more chunks for {event.seat}: {event.why}"))

        with seats as opened:
            ended = run_chunks(queue, opened, heard=heard, stopped=stopped)
        seconds = time.monotonic() - begun
        if not ended and stopped():
            reporter.show(RunCancelled(result, painted, round(seconds, 3)))
            return False
        if not ended or queue.bad:
            _refuse(queue, bundle, reasons)
        for step in (VERIFY, *([MOVIE] if template.movie is not None else [])):
            task = Task(job, step, lambda text: None)
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


def _read(bundle: Bundle, device: str) -> LocalJob:
    values = {path.parameter: path.value for path in bundle.shot.paths() if os.path.isabs(path.value)}
    return read_bundle(bundle.folder, {**values, "Device": device})


def _refuse(queue: ChunkQueue, bundle: Bundle, reasons: list[str]) -> None:
    if queue.bad:
        chunk, why = next(iter(queue.bad.items()))
        more = f" and {len(queue.bad) - 1} more chunks" if len(queue.bad) > 1 else ""
        raise OutputError(f"expected every frame, {chunk.first}-{chunk.last}{more} were given up: {why}")
    said = f" ({reasons[-1]})" if reasons else ""
    raise OutputError(f"expected a device that paints, all have failed{said}; see {LOG} in '{bundle.folder}'")


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
