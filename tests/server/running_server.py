"""A real server with fake workers: `served` runs it in a thread of the test, a `Sandbox` in processes of its own.

Every process of a sandbox, and every process that one of them starts, bears a mark in its environment, by which it is
found when the test is over: nothing may be left.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from impasto.server.client import Client
from impasto.server.front.server import serve
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Shutdown
from impasto.server.settings import ServerSettings
from impasto.server.shared_memory import NAMED
from tests.server.fake_worker import COMMAND, write_style
from tests.server.wire_client import WireClient
from tests.waiting import until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MARK = "IMPASTO_SANDBOX"
WAIT_S = 30.0
"""No process needs longer to start, to answer or to end."""
DRAIN_S = 5.0

STYLES = (
    *("echo", "invert", "slow-100ms", "slow-400ms", "delay-2ms", "delay-50ms", "delay-400ms", "tiles-512", "fail"),
    *("oom", "bug", "crash", "crash-once", "crash-twice", "hang", "hang-once", "sticky", "sticky-once", "garbage"),
)


# In a thread


@dataclass
class ServerThread:
    """A server in a thread of the test."""

    settings: ServerSettings
    thread: threading.Thread
    codes: list[int] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.settings.folder

    def log(self) -> str:
        return (self.folder / "events.log").read_text()

    def exit_code(self) -> int:
        """The exit code, once the server has ended."""
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive(), "the server did not end"
        return self.codes[0]


@contextmanager
def served(
    styles: Sequence[str] = ("echo", "invert"), *, limits: Mapping[str, Any] | None = None, **settings: Any
) -> Iterator[ServerThread]:
    """A server in a thread for the length of a block."""
    root = short_folder(styles)
    asked = ServerSettings(
        folder=root / "run", devices=("cpu",), styles=(root / "styles",), worker_command=COMMAND,
        limits=replace(Limits(drain_s=DRAIN_S), **(limits or {})),
    )  # fmt: skip
    server = ServerThread(replace(asked, **settings), threading.Thread())
    ready = threading.Event()

    def run() -> None:
        try:
            server.codes.append(serve(server.settings, on_ready=ready.set))
        finally:
            ready.set()

    server.thread = threading.Thread(target=run, name="server", daemon=True)
    server.thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield server
    finally:
        if server.thread.is_alive():
            with WireClient(server.folder) as closer:
                closer.tell(Shutdown(secrets.token_bytes(16), at_once=True))
                server.thread.join(WAIT_S)
        shutil.rmtree(root, ignore_errors=True)
        assert not server.thread.is_alive(), "the server did not end"


def short_folder(styles: Sequence[str]) -> Path:
    """A folder with 'styles' in it, whose path is short enough for a socket below it."""
    root = Path(tempfile.mkdtemp(prefix="impasto-", dir="/tmp"))
    (root / "styles").mkdir()
    for name in styles:
        write_style(root / "styles", name)
    return root


def free_port() -> int:
    """A port of this machine that is free, with a free one behind it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


# In processes


@dataclass
class Program:
    """A process whose lines of output tell the test how far it is."""

    process: subprocess.Popen[str]
    stderr: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def line(self, timeout_s: float = WAIT_S) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout_s)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"expected a line within {timeout_s} s; its errors: {self.complaints()[-2000:]}"
        return line.strip()

    def await_line(self, line: str, timeout_s: float = WAIT_S) -> None:
        """Read on until this line."""
        end = time.monotonic() + timeout_s
        while self.line(max(0.0, end - time.monotonic())) != line:
            pass

    def complaints(self) -> str:
        """What the process, or a library in it, wrote to stderr."""
        return self.stderr.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait(WAIT_S)

    def code(self, timeout_s: float = WAIT_S) -> int:
        """The exit code, once it has ended by itself."""
        return self.process.wait(timeout_s)

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def open_files(self) -> Counter[str]:
        """Open files by their kind: in each name, 'N' stands for a number."""
        folder = f"/proc/{self.pid}/fd"
        kinds: Counter[str] = Counter()
        for number in os.listdir(folder):
            try:
                kinds[re.sub(r"\d+", "N", os.readlink(f"{folder}/{number}"))] += 1
            except FileNotFoundError:
                continue  # closed meanwhile
        return kinds

    def open_segments(self) -> int:
        """Shared memory that it holds open."""
        return sum(count for name, count in self.open_files().items() if name.startswith("/memfd:impasto-"))


@dataclass
class Sandbox:
    """One runtime folder, its styles, and every process around it."""

    root: Path
    programs: list[Program] = field(default_factory=list)
    servers: list[Program] = field(default_factory=list)

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def styles(self) -> Path:
        return self.root / "styles"

    @property
    def server(self) -> Program:
        """The server that was started last."""
        return self.servers[-1]

    def log(self) -> str:
        return (self.run / "events.log").read_text()

    def serve(self, *, wait: bool = True, **asked: Any) -> Program:
        """Start a server; see `server_program` for what may be asked."""
        facts = {"folder": str(self.run), "styles": str(self.styles), "worker_command": list(COMMAND)} | asked
        facts["limits"] = {"drain_s": DRAIN_S} | facts.get("limits", {})
        server = self.start([str(HERE / "server_program.py"), json.dumps(facts)], own_group=True)
        self.servers.append(server)
        if wait:
            server.await_line("ready")
        return server

    def start(self, arguments: Sequence[str], *, own_group: bool = False, talks: bool = False) -> Program:
        """Start a Python program that can import the tests; `talks` gives it a standard input."""
        stderr = self.root / f"stderr-{len(self.programs)}.txt"
        with stderr.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", *arguments],
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=file, text=True, bufsize=1, start_new_session=own_group, cwd=self.root,
                env={**os.environ, "PYTHONPATH": str(ROOT), MARK: str(self.root)},
            )  # fmt: skip
        program = Program(process, stderr)
        self.programs.append(program)
        return program

    def client_program(self, what: str, *more: str, folder: Path | None = None) -> Program:
        """A client in a process of its own; see `client_program` for what it may do."""
        return self.start([str(HERE / "client_program.py"), what, str(folder or self.run), *more])

    def client(self, **more: Any) -> Client:
        return Client.connect(self.run, **{"start": False, "timeout_s": WAIT_S, "name": "tester", **more})

    def worker_pid(self, client: Client) -> int:
        """The process of the one worker, once it is ready."""
        devices = until(lambda: [each for each in client.status().devices if each.state in ("ready", "busy")])
        return int(devices[0].pid)

    def processes(self) -> list[psutil.Process]:
        """Every living process that bears the mark, zombies excepted."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(self.root):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def close(self) -> None:
        """End every process, and check that nothing is left."""
        alive = [server for server in self.servers if server.alive]
        for program in self.programs:
            if program.alive and program not in self.servers:
                program.process.kill()
        for server in alive:
            server.signal(signal.SIGCONT)
            server.signal(signal.SIGTERM)
        for program in self.programs:
            try:
                program.code()
            except subprocess.TimeoutExpired:
                program.process.kill()
                raise
            finally:
                for pipe in (program.process.stdin, program.process.stdout):
                    if pipe is not None:
                        pipe.close()
        until(lambda: not self.processes(), 3.0, f"for these to end: {self.processes()}")
        pids = {program.pid for program in self.programs}
        folders = (Path("/dev/shm"), Path(tempfile.gettempdir()))
        found = [path for folder in folders for path in folder.glob("impasto-*") if NAMED.fullmatch(path.name)]
        named = [path for path in found if int(path.name.split("-")[1]) in pids]
        assert not named, f"segments are left: {named}"
        if alive:
            assert not list(self.run.glob("*.sock")), "sockets are left"
        assert not temporary_files(self.root), f"temporary files are left: {temporary_files(self.root)}"


def temporary_files(folder: Path) -> list[str]:
    """Temporary files of results, anywhere below."""
    return [str(path) for path in folder.rglob(".*.part*")]


@contextmanager
def new_sandbox(styles: Sequence[str] = STYLES) -> Iterator[Sandbox]:
    """A sandbox for the length of a block, without a server."""
    made = Sandbox(short_folder(styles))
    try:
        yield made
        made.close()
    finally:
        for process in made.processes():
            process.kill()
        for program in made.programs:
            program.process.poll()
        shutil.rmtree(made.root, ignore_errors=True)
