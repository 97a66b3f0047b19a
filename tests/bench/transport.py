"""What it costs to send a frame to the server and back, in copies of that frame made in the same run.

The worker is `tests.server.fake_worker`: its `echo` writes one output frame, which is the floor of any server.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from impasto.core.engine import Engine
from impasto.core.errors import ServerUnreachable
from impasto.core.frame import Frame
from impasto.core.malloc_settings import keep_freed_pages
from impasto.server.client import Client, ring
from impasto.server.shared_memory import NoMapping
from tests.server.fake_worker import write_style

ROUNDS = 11
FRAMES: tuple[tuple[str, int, int, type], ...] = (
    ("1080p half", 1920, 1080, np.float16),
    ("1080p float", 1920, 1080, np.float32),
    ("4K half", 3840, 2160, np.float16),
    ("4K float", 3840, 2160, np.float32),
)
STYLES = ("echo", "slow-20ms", "slow-60ms")

SERVER = """
import sys
from pathlib import Path
from impasto.server.front.server import serve
from impasto.server.settings import ServerSettings
from tests.server.fake_worker import COMMAND
settings = ServerSettings(Path(sys.argv[1]), ("cpu",), (Path(sys.argv[2]),), worker_command=COMMAND)
sys.exit(serve(settings, on_ready=lambda: print("ready", flush=True)))
"""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One kind of frame, there and back."""

    frame: str
    memcpy_ms: float
    copied: float
    """Copy in, one server write, copy out; in memcpys."""
    viewed: float
    """Views both ways; in memcpys."""
    inline: float
    """Samples inside the messages; in memcpys."""
    client_faults: float
    """Page faults of the client for a warm frame of 'copied'."""
    worker_faults: float


@dataclass(frozen=True, slots=True)
class Latency:
    """What does not depend on the size of a frame."""

    header_p50_ms: float
    """A frame of one pixel."""
    ping_p50_ms: float
    """While frames of 60 ms render."""
    ping_p99_ms: float
    two_in_flight: float
    """Time per 4K float frame with 20 ms of rendering, two in flight over one."""


@contextmanager
def fake_server() -> Iterator[Path]:
    """A server with the fake worker, in a folder and a process of its own."""
    with tempfile.TemporaryDirectory(prefix="impasto-bench-") as scratch:
        run, styles = Path(scratch, "run"), Path(scratch, "styles")
        styles.mkdir()
        for style in STYLES:
            write_style(styles, style)
        with subprocess.Popen([sys.executable, "-c", SERVER, run, styles], stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == "ready\n"
                yield run
            finally:
                server.terminate()


def round_trips() -> list[RoundTrip]:
    """Every kind of frame, each way of sending it interleaved with the copies that it is measured by."""
    with fake_server() as run:
        return [_round_trip(run, name, np.zeros((height, width, 4), dtype)) for name, width, height, dtype in FRAMES]


def latency() -> Latency:
    """Round trips of next to nothing, pings beside slow frames, and what a second frame in flight hides."""
    with fake_server() as run, Client.connect(run, start=False) as client:
        pixel = np.zeros((1, 1, 4), np.float32)
        header = [_seconds(lambda: client.submit(pixel, style="echo").result(10).release()) for _ in range(600)]
        pings = _pings_beside_frames(client)
        frame = np.zeros((2160, 3840, 4), np.float32)
        one, two = (min(_per_frame(client, frame, depth) for _ in range(5)) for depth in (1, 2))
        return Latency(
            1e3 * float(np.percentile(header[100:], 50)),
            1e3 * float(np.percentile(pings, 50)),
            1e3 * float(np.percentile(pings, 99)),
            two / one,
        )


@dataclass(frozen=True, slots=True)
class Overhead:
    """A 1080p frame through a warm server and through the engine alone, in turns, best of 11."""

    style: str
    engine_ms: float
    served_ms: float
    """From the host's array to the host's array."""


def overhead(style: str) -> Overhead:
    """What it costs that the network is in another process."""
    plate = np.random.default_rng(2).random((1080, 1920, 4), np.float32).astype(np.float16)
    plate[..., 3] = 1
    keep_freed_pages()
    engine, frame = Engine(style), Frame.from_pixels(plate)
    with tempfile.TemporaryDirectory(prefix="impasto-bench-") as scratch:
        run = Path(scratch, "run")
        program = "import sys; from pathlib import Path; from impasto.server.front.server import serve; "
        program += (
            "from impasto.server.settings import ServerSettings; sys.exit(serve(ServerSettings(Path(sys.argv[1]))))"
        )
        with subprocess.Popen([sys.executable, "-c", program, run]) as server:
            try:
                with _client_of(run) as client:
                    result = np.empty_like(plate)

                    def served() -> None:
                        with client.submit(plate, style=style).result(120) as painted:
                            np.copyto(result, painted.pixels)

                    alone, through = [], []
                    for _ in range(ROUNDS + 2):
                        alone.append(_seconds(lambda: engine(frame)))
                        through.append(_seconds(served))
                    np.testing.assert_array_equal(result, engine(frame).part.pixels)
            finally:
                server.terminate()
    return Overhead(style, 1e3 * min(alone[2:]), 1e3 * min(through[2:]))


def _client_of(run: Path, limit_s: float = 60.0) -> Client:
    until = time.monotonic() + limit_s
    while True:
        try:
            return Client.connect(run, start=False, timeout_s=5)
        except ServerUnreachable:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _round_trip(run: Path, name: str, plate: npt.NDArray[np.floating]) -> RoundTrip:
    height, width, channels = plate.shape
    result, spare = np.empty_like(plate), np.empty_like(plate)
    plate[...] = np.random.default_rng(1).random(plate.shape, np.float32)

    with Client.connect(run, start=False) as client, Client.connect(run, start=False) as sender:
        worker = client.status().devices[0].pid

        def copied() -> None:
            with client.submit(plate, style="echo").result(20) as painted:
                np.copyto(result, painted.pixels)

        def viewed() -> None:
            slot = client.slot(width, height, channels, plate.dtype.name)  # type: ignore[arg-type]
            with slot.submit("echo").result(20):
                pass

        def inline() -> None:
            with mock.patch.object(ring, "map_segment", side_effect=NoMapping("measured without")):
                sender.submit(plate, style="echo").result(20).release()

        def memcpy() -> None:
            np.copyto(spare, plate)

        best = {way: float("inf") for way in (memcpy, copied, viewed, inline)}
        faults: list[tuple[int, int]] = []
        # No host has frames inside messages between those in shared memory: each kind has rounds of its own.
        for ways in ((memcpy, copied, viewed), (memcpy, inline)):
            for round_ in range(ROUNDS + 3):
                for way in ways:
                    before = _faults(worker)
                    seconds = _seconds(way)
                    if round_ >= 3:  # the first ones map, allocate and touch
                        best[way] = min(best[way], seconds)
                        if way is copied:
                            after = _faults(worker)
                            faults.append((after[0] - before[0], after[1] - before[1]))
        np.testing.assert_array_equal(result, plate)
        assert (client.transport, sender.transport) == ("ring", "inline")
    copy = best[memcpy]
    client_faults, worker_faults = np.median(faults, axis=0)
    return RoundTrip(
        name,
        1e3 * copy,
        best[copied] / copy,
        best[viewed] / copy,
        best[inline] / copy,
        float(client_faults),
        float(worker_faults),
    )


def _pings_beside_frames(client: Client) -> list[float]:
    frame, stop = np.zeros((1080, 1920, 4), np.float32), threading.Event()

    def flow() -> None:
        while not stop.is_set():
            client.submit(frame, style="slow-60ms").result(20).release()

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        pings = []
        for _ in range(600):
            pings.append(client.ping())
            time.sleep(0.003)
        return pings
    finally:
        stop.set()
        thread.join()


def _per_frame(client: Client, frame: npt.NDArray[np.floating], depth: int, frames: int = 8) -> float:
    begun = time.perf_counter()
    waiting = deque([client.submit(frame, style="slow-20ms") for _ in range(depth)])
    for _ in range(frames - depth):
        waiting.popleft().result(20).release()
        waiting.append(client.submit(frame, style="slow-20ms"))
    for future in waiting:
        future.result(20).release()
    return (time.perf_counter() - begun) / frames


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _faults(worker: int) -> tuple[int, int]:
    """Page faults so far, of this process and of the worker."""
    fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt, int(fields[7])
