"""A session of the fake Nuke with the adapter in it, a real server behind it, and real EXR plates."""

from __future__ import annotations

import importlib
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import OpenImageIO as oiio
import pytest

from impasto.hosts.bridge import catalogue, command
from impasto.hosts.terminal.app import run
from impasto.hosts.terminal.install.host_files import adapter_files, install_files
from tests.hosts.nuke.fake_nuke import SHOWN, FakeNuke

IMPASTO = (sys.executable, "-c", "from impasto.hosts.terminal.app import main; main()")
FIRST, LAST = 1001, 1003
WIDTH, HEIGHT = 56, 40
STYLE = "wheatfield-draft"
LIMIT_S = 60.0
KEY = re.compile(r"'([^']{40})'")


@dataclass(frozen=True)
class Serving:
    """The server that the tests of this folder share."""

    runtime: Path
    """Its runtime folder, for programs of this machine."""
    address: str
    """Its address for other machines, which need the key files in `keys` and its `public_key`."""
    public_key: str
    keys: Path
    shared: Path
    """What the server calls 'work'."""


@pytest.fixture(scope="session")
def server() -> Iterator[Serving]:
    """A real server, for this machine and for another one."""
    with TemporaryDirectory(prefix="impasto-") as made, pytest.MonkeyPatch.context() as there:
        folder, said = Path(made), StringIO()
        (folder / "shared").mkdir()
        there.setenv("IMPASTO_KEYS", str(folder / "mine"))
        with redirect_stdout(said):
            run(["auth", "new"])
        there.setenv("IMPASTO_KEYS", str(folder / "theirs"))
        with redirect_stdout(said):
            run(["auth", "add", "anna", KEY.findall(said.getvalue())[0]])
        there.setenv("IMPASTO_RUNTIME", str(folder / "run"))
        address = f"tcp://127.0.0.1:{free_port()}"
        words = ["--device", "cpu", "--json", "--listen", address, "--root", f"work={folder / 'shared'}:rw"]
        process = subprocess.Popen([*IMPASTO, "serve", *words], stdout=subprocess.PIPE, text=True)
        there.undo()
        try:
            assert process.stdout is not None
            serving = json.loads(process.stdout.readline())
            yield Serving(folder / "run", address, serving["public_key"], folder / "mine", folder / "shared")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(LIMIT_S)
            finally:
                process.kill()
                process.communicate()


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def write_plate(path: str, number: int, tint: float = 1.0, alpha: float = 1.0, **attributes: str) -> None:
    """A half-float frame with colour above 1 and below 0, alpha, a depth layer and metadata."""
    ramp = np.linspace(-0.05, 1.5, HEIGHT * WIDTH * 3, dtype=np.float32).reshape(HEIGHT, WIDTH, 3)
    colour = np.roll(ramp, 5 * number, axis=1) * tint
    rest = np.stack([np.full((HEIGHT, WIDTH), alpha), np.full((HEIGHT, WIDTH), 1.0 + number % 7)], axis=-1)
    spec = oiio.ImageSpec(WIDTH, HEIGHT, 5, "half")
    spec.channelnames = ("R", "G", "B", "A", "depth.Z")
    spec["camera"] = "A001"
    spec["reelName"] = f"reel {number}"
    for name, value in attributes.items():
        spec[name] = value
    file = oiio.ImageOutput.create(path)
    assert file.open(path, spec), file.geterror()
    file.write_image(np.concatenate([colour, rest], axis=-1).astype(np.float32))
    file.close()


def exr(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Channels and attributes of a file."""
    file = oiio.ImageInput.open(str(path))
    spec, pixels = file.spec(), file.read_image("float")
    file.close()
    attributes = {each.name: each.value for each in spec.extra_attribs}
    return {name: pixels[..., index] for index, name in enumerate(spec.channelnames)}, attributes


def colour_of(path: str | Path) -> np.ndarray:
    """R, G and B of a file."""
    channels = exr(path)[0]
    return np.stack([channels[name] for name in "RGB"], axis=-1)


class Session:
    """Nuke with one plate and one Impasto node, and the actions of an artist."""

    expects_errors = False
    """Whether the test expects messages."""

    def __init__(self, nuke: FakeNuke, folder: Path) -> None:
        self.nuke, self.folder = nuke, folder
        self.panel = importlib.import_module("impasto.hosts.nuke.panel")
        self.knobs = importlib.import_module("impasto.hosts.nuke.knobs")
        self.render_check = importlib.import_module("impasto.hosts.nuke.render_check")
        self.recovery = importlib.import_module("impasto.hosts.nuke.recovery")
        self.graph = importlib.import_module("impasto.hosts.nuke.graph")
        root = nuke.root()
        root["name"].setValue(str(folder / "shot_v001.nk"))
        root["first_frame"].setValue(FIRST)
        root["last_frame"].setValue(LAST)
        self.plate = nuke.nodes.Read(
            file=str(folder / "in" / "plate.%04d.exr"), first=FIRST, last=LAST, on_error="error"
        )  # fmt: skip
        self.grade = nuke.nodes.Grade(white=1.0)
        self.grade.setInput(0, self.plate)

    def node(self, style: str = STYLE) -> Any:
        """A new Impasto node behind the plate."""
        node = self.panel.create()
        node.setInput(0, self.grade)
        node["style"].setValue(style)
        return node

    def press(self, node: Any, button: str = "stylize") -> None:
        """Press a button as the panel does."""
        node[button].execute()

    def paint(self, *nodes: Any) -> None:
        """Stylize nodes and wait for all of them."""
        for node in nodes:
            self.press(node)
        self.wait(*nodes)

    def wait(self, *nodes: Any) -> None:
        """Serve the main thread until no job runs and the states are up to date."""
        runner = importlib.import_module("impasto.hosts.nuke.jobs").job_runner()
        identities = [node["identity"].value() for node in nodes]
        self.nuke.pump(lambda: not any(map(runner.busy, identities)))
        self.nuke.pump(lambda: self.nuke._waiting.empty())
        self.nuke.pump(lambda: not any(node["impasto_state"].value() == "being painted" for node in nodes))
        assert not self.nuke.said or self.expects_errors, self.nuke.said

    def final(self, node: Any, name: str = "final", channels: str = "all") -> Any:
        """A Write behind a node."""
        write = self.nuke.nodes.Write(name=name, file=str(self.folder / name / "f.%04d.exr"))
        write.setInput(0, node)
        for knob, value in (
            ("file_type", "exr"), ("channels", channels), ("create_directories", True), ("metadata", "all metadata"),
        ):  # fmt: skip
            write[knob].setValue(value)
        return write

    def render(self, write: Any) -> list[Path]:
        """Render a Write over the shot; its files."""
        self.nuke.execute(write, FIRST, LAST)
        return sorted(Path(write["file"].value()).parent.glob("*.exr"))

    def painted(self, node: Any, view: str = "main") -> list[Path]:
        """The painted files of a node."""
        root = self.knobs.plan_of(node).folders.root
        return sorted((root / "painted" / view).glob("*.exr"))

    @property
    def bars(self) -> list[Any]:
        return SHOWN


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """Three frames from 1001."""
    (tmp_path / "in").mkdir()
    for number in range(FIRST, LAST + 1):
        write_plate(str(tmp_path / "in" / f"plate.{number}.exr"), number)
    return tmp_path / "in"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of an installation: the command, styles and parameters."""
    folder = tmp_path / "plugin"
    install_files(adapter_files("nuke"), folder)
    for module in (command, catalogue):
        monkeypatch.setattr(module, "installed_folder", lambda: folder)
    return folder


OpenNuke = Callable[..., Session]


@pytest.fixture
def open_nuke(plates: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenNuke:
    """Start Nuke, with or without a window, as its init.py and menu.py do."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def start(*, gui: bool = True, with_impasto: bool = True) -> Session:
        nuke = FakeNuke(gui=gui)
        monkeypatch.setitem(sys.modules, "nuke", nuke)
        # Our modules bind the name `nuke` at import, so each session imports them anew.
        for name in [name for name in sys.modules if name.startswith("impasto.hosts.nuke")]:
            monkeypatch.delitem(sys.modules, name)
        session = Session(nuke, tmp_path)
        if with_impasto:
            importlib.import_module("impasto.hosts.nuke.init")
            if gui:
                importlib.import_module("impasto.hosts.nuke.menu")
        return session

    return start


@pytest.fixture
def session(open_nuke: OpenNuke, server: Serving, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Nuke with its window, and a server."""
    monkeypatch.setenv("IMPASTO_RUNTIME", str(server.runtime))
    return open_nuke()


PRETEND = """\
#!{python}
import json, os, shutil, signal, sys, time

def say(event, **fields):
    print(json.dumps({{"impasto": 1, "event": event, **fields}}), flush=True)

if sys.argv[1] == "styles":
    os.execv(sys.executable, [{python!r}, "-c", "from impasto.hosts.terminal.app import main; main()", *sys.argv[1:]])

def arguments():
    return [word for word in sys.argv[2:] if not word.startswith("--")]

def paint(number, **fields):
    plate, painted = (pattern % number for pattern in arguments()[:2])
    os.makedirs(os.path.dirname(painted), exist_ok=True)
    shutil.copy(plate, painted)
    say("frame", number=number, path=painted, **fields)

"""
"""A stand-in for `impasto render`, for cases that a real server seldom has; it copies plates to paint them."""

Pretend = Callable[[str], None]
ALL_GOOD = "for number in range(1001, 1004): paint(number)\nsay('finished', frames=3)"


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Make the lines of a Python program the command, with `say(event, **fields)` and `paint(number)`."""

    def made(program: str) -> None:
        path = tmp_path / "pretended"
        path.write_text(PRETEND.format(python=sys.executable) + program, encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("IMPASTO_COMMAND", str(path))

    return made
