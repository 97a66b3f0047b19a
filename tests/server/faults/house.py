"""A private runtime folder with servers in processes of their own, clients around them, and nothing left at the end.

Everything that is started here, and whatever that starts, bears a mark in its environment, by which it is found when
the test is over. Every wait has a limit.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil

from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.server.auth import ClientAuth
from impasto.server.client import Client
from impasto.server.client.requests import ClientOptions
from impasto.server.client.transport import Endpoints
from impasto.server.protocol.messages import RenderSettings, ShotJob, Status
from impasto.server.runtime_dir import control_endpoint, data_endpoint
from impasto.server.shared_memory import NAMED
from tests.server.fake_worker import COMMAND, write_style
from tests.server.faults.relay import Relay

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MARK = "IMPASTO_FAULTS"
WAIT_S = 20.0
"""Nothing that is expected takes longer, on a machine that is busy with other things."""

STYLES = ("echo", "invert", "slow-100ms", "slow-400ms", "delay-2ms", "delay-50ms", "tiles-512", "fail", "oom", "crash",
          "crash-once", "crash-twice", "hang", "hang-once", "sticky", "sticky-once", "garbage")  # fmt: skip


def until(condition: Callable[[], Any], timeout_s: float = WAIT_S, what: str = "") -> Any:
    """What the condition says, as soon as that is true."""
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {timeout_s} s in vain {what}"
        time.sleep(0.01)
    return found


def plate(height: int = 54, width: int = 96, seed: int = 0) -> np.ndarray[Any, Any]:
    """A plate of noise: 81 KiB of float32 at its default size."""
    return np.random.default_rng(seed).random((height, width, 4), dtype=np.float32)


@dataclass
class Program:
    """A process of ours whose first line of output says that it is under way."""

    process: subprocess.Popen[str]
    said: Path
    """Where its complaints go."""

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self, timeout_s: float = WAIT_S) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"expected a line within {timeout_s} s; it said: {self.said.read_text()[-2000:]}"
        return line.strip()

    def await_line(self, line: str, timeout_s: float = WAIT_S) -> None:
        """Read on until this line."""
        end = time.monotonic() + timeout_s
        while self.line(max(0.0, end - time.monotonic())) != line:
            pass

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait(WAIT_S)

    def code(self, timeout_s: float = WAIT_S) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(timeout_s)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


@dataclass
class House:
    """One runtime folder, its styles, and everything that runs around it."""

    root: Path
    programs: list[Program] = field(default_factory=list)
    servers: list[Program] = field(default_factory=list)

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def styles(self) -> Path:
        return self.root / "styles"

    def log(self) -> str:
        return (self.run / "events.log").read_text()

    def serve(self, *, wait: bool = True, **asked: Any) -> Program:
        """Start a server; see `one_server` for what may be asked."""
        facts = {"folder": str(self.run), "styles": str(self.styles), "worker_command": list(COMMAND)} | asked
        facts["limits"] = {"drain_s": 5.0} | facts.get("limits", {})
        server = self.start([str(HERE / "one_server.py"), json.dumps(facts)], own_group=True)
        self.servers.append(server)
        if wait:
            server.await_line("ready")
        return server

    def start(self, arguments: Sequence[str], *, own_group: bool = False, talks: bool = False) -> Program:
        """Start a Python program that knows the tests; with `talks` it is told things over its standard input."""
        said = self.root / f"said-{len(self.programs)}.txt"
        with said.open("w") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", *arguments],
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=complaints, text=True, bufsize=1,
                start_new_session=own_group, cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(ROOT), MARK: str(self.root)},
            )  # fmt: skip
        program = Program(process, said)
        self.programs.append(program)
        return program

    def client_program(self, what: str, *more: str, folder: Path | None = None) -> Program:
        """A client in a process of its own; see `one_client` for what it may do."""
        return self.start([str(HERE / "one_client.py"), what, str(folder or self.run), *more])

    def client(self, **more: Any) -> Client:
        return Client.connect(self.run, **{"start": False, "timeout_s": WAIT_S, "name": "tester", **more})

    def status(self) -> Status:
        with self.client(name="looker") as client:
            return client.status()

    def worker_pid(self, client: Client) -> int:
        """The process of the one worker, once it is ready."""
        devices = until(lambda: [each for each in client.status().devices if each.state in ("ready", "busy")])
        return int(devices[0].pid)

    def segments_of(self, server: Program) -> int:
        """Shared memory that the server holds open."""
        found = 0
        for entry in Path(f"/proc/{server.pid}/fd").iterdir():
            try:
                found += os.readlink(entry).startswith("/memfd:impasto-")
            except OSError:
                continue
        return found

    def others(self, pid: int = 0) -> list[psutil.Process]:
        """Every living process that bears our mark, zombies that nobody has looked at excepted."""
        return [process for process in marked(self.root) if process.pid != pid]

    def leave(self) -> None:
        """End everything, and look what is left."""
        clean = [server for server in self.servers if server.alive]
        for program in self.programs:
            if program.alive and program not in self.servers:
                program.process.kill()
        for server in clean:
            server.signal(signal.SIGCONT)
            server.signal(signal.SIGTERM)
        for program in self.programs:
            try:
                program.process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                program.process.kill()
                raise
            finally:
                for pipe in (program.process.stdin, program.process.stdout):
                    if pipe is not None:
                        pipe.close()
        until(lambda: not self.others(), 3.0, f"for these to end: {self.others()}")
        pids = {program.pid for program in self.programs}
        folders = (Path("/dev/shm"), Path(tempfile.gettempdir()))
        found = [path for folder in folders for path in folder.glob("impasto-*") if NAMED.fullmatch(path.name)]
        named = [path for path in found if int(path.name.split("-")[1]) in pids]
        assert not named, f"segments are left: {named}"
        if clean:
            assert not list(self.run.glob("*.sock")), "sockets are left"
        assert not parts_of(self.root), f"temporary files are left: {parts_of(self.root)}"


def marked(root: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(root):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def parts_of(folder: Path) -> list[str]:
    """Temporary files of results, anywhere below."""
    return [str(path) for path in folder.rglob(".*.part*")]


@contextmanager
def house() -> Iterator[House]:
    """A house with every style of the fake worker, whose path is short enough for a socket."""
    built = House(Path(tempfile.mkdtemp(prefix="impasto-", dir="/tmp")))
    built.styles.mkdir()
    for name in STYLES:
        write_style(built.styles, name)
    try:
        yield built
        built.leave()
    finally:
        for process in marked(built.root):
            process.kill()
        for program in built.programs:
            program.process.poll()
        shutil.rmtree(built.root, ignore_errors=True)


class Via:
    """The two sockets of a server behind relays, and a `ServerAddress` by which a client goes through them."""

    def __init__(self, control: str, data: str, outer: Callable[[str], str], auth: ClientAuth | None = None) -> None:
        self.control, self.data = Relay(control, outer("control")), Relay(data, outer("data"))
        self.auth = auth
        self.local, self.far = auth is None, False

    def reach(self, *, start: bool, timeout_s: float) -> Endpoints:
        return Endpoints(self.control.endpoint, self.data.endpoint, "the server behind the relay", self.auth)

    def may_run(self) -> bool:
        return True

    def log_hint(self) -> str:
        return ""

    def client(self, *, timeout_s: float = WAIT_S) -> Client:
        return Client(self, ClientOptions("relayed", "interactive", start=False), timeout_s=timeout_s)

    def cut(self) -> None:
        self.control.cut()
        self.data.cut()

    def silence(self, silent: bool) -> None:
        self.control.weather.silent = self.data.weather.silent = silent

    def __enter__(self) -> Via:
        self.control.__enter__()
        self.data.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.control.__exit__()
        self.data.__exit__()


def beside(built: House, name: str = "relay") -> Via:
    """Relays before the local sockets of a house; `Raw` finds them in the folder `root/name`."""
    folder = built.root / name
    folder.mkdir()
    return Via(
        control_endpoint(built.run), data_endpoint(built.run),
        lambda channel: control_endpoint(folder) if channel == "control" else data_endpoint(folder),
    )  # fmt: skip


def free_port() -> int:
    """A port that is free, with a free one behind it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


# Shots

WIDTH, HEIGHT = 16, 8


def write_plates(folder: Path, count: int) -> str:
    """A sequence of tiny EXR plates, each of its own colour."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = str(folder / "plate.####.exr")
    with open_writer(pattern, ShotInfo("", "sequence", 1, count, WIDTH, HEIGHT)) as writer:
        for number in range(1, count + 1):
            writer.write(Frame.from_pixels(np.full((HEIGHT, WIDTH, 3), number / 256, np.float16), number=number))
    return pattern


def shot(plates: str, output: Path, style: str = "echo", **more: Any) -> ShotJob:
    return ShotJob(RenderSettings(style), plates, str(output / "painted.####.exr"), **more)


def frames_in(folder: Path) -> Mapping[str, bytes]:
    """Every file of a folder, hidden ones too, by its pixels; one that is torn cannot be read."""
    return {path.name: next(iter(open_reader(str(path)))).colour.tobytes() for path in sorted(folder.iterdir())}
