"""`impasto doctor`: checks the installation, and says what to do where a check fails."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated

import typer

from impasto.core.errors import ImpastoError, ServerError, UnknownName
from impasto.hosts.terminal.events import CheckDone, Failed, Finished, line_of
from impasto.hosts.terminal.exit_codes import INTERNAL
from impasto.hosts.terminal.server.version_check import numbers_in, version_note
from impasto.hosts.terminal.shared_options import Json

OLDEST_PYTHON = (3, 11)
ENCODERS = {"libx264": "H.264", "libx265": "H.265", "prores_ks": "ProRes", "ffv1": "FFV1", "aac": "AAC sound"}
REINSTALL = "pip install --upgrade 'impasto[server]'"
ROOMY_BYTES = 800 << 20
"""Three pairs of slots for 4K frames of RGBA float32."""
OPEN_FILES = 1024
ANSWER_S = 5.0
"""How long a running server may take to answer."""
MARKS = {"ok": "ok     ", "warning": "note   ", "failed": "FAILED "}

Check = Callable[[], Iterator[CheckDone]]


def doctor(
    json: Json = False,
    host: Annotated[
        str | None, typer.Option("--host", metavar="nuke|resolve", help="Look at the adapter in this host too.")
    ] = None,
) -> None:
    """Check the installation and say what to do.

    With --host the report can be pasted into a question about that host's adapter.
    """
    failed = 0
    for check in (*CHECKS, *((host_check(host),) if host is not None else ())):
        for done in examined(check):
            failed += done.state == "failed"
            if json:
                print(line_of(done), flush=True)
            else:
                hint = f"\n{' ' * 9}→ {done.hint}" if done.hint else ""
                print(f"{MARKS[done.state]}  {done.name}: {done.found}{hint}", flush=True)
    if failed:
        message = f"{failed} of the checks failed; do what stands beside them"
        if json:
            print(line_of(Failed("doctor", message, "do what stands beside them", INTERNAL)), flush=True)
        else:
            print(message)
        raise typer.Exit(INTERNAL)
    if json:
        print(line_of(Finished()), flush=True)
    else:
        print("everything that is needed works")


def examined(check: Check) -> Iterator[CheckDone]:
    """The results of a check; an exception inside it is a failed check."""
    try:
        yield from check()
    except ModuleNotFoundError as error:
        yield CheckDone(_name(check), "failed", f"the package '{error.name}' is missing", REINSTALL)
    except ImpastoError as error:
        yield CheckDone(_name(check), "failed", str(error), "")
    except Exception as error:  # noqa: BLE001  # this command reports every error
        yield CheckDone(_name(check), "failed", f"{type(error).__name__}: {error}", REINSTALL)


def check_python() -> Iterator[CheckDone]:
    """The interpreter is new enough."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    old = sys.version_info < OLDEST_PYTHON
    hint = f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer" if old else ""
    yield CheckDone("python", "failed" if old else "ok", found, hint)


def check_packages() -> Iterator[CheckDone]:
    """Every package of the base and of the extra 'server' is installed and new enough; 'training' is optional."""
    yield CheckDone("impasto", "ok", version("impasto"), "")
    for name, oldest, extra in needed_packages():
        try:
            found = version(name)
        except PackageNotFoundError:
            state, hint = (
                ("failed", REINSTALL) if extra != "training" else ("warning", "pip install 'impasto[training]'")
            )
            yield CheckDone(name, state, "not installed", hint)  # type: ignore[arg-type]
            continue
        if numbers_in(found) < numbers_in(oldest):
            yield CheckDone(name, "failed", f"{found}, expected {oldest} or newer", f"pip install --upgrade {name}")
        else:
            yield CheckDone(name, "ok", found, "")


def needed_packages() -> list[tuple[str, str, str]]:
    """Name, oldest version and extra ('' for the base) of the packages that the distribution requires."""
    found = []
    for line in requires("impasto") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"](\w+)['\"]", marker)
        which = extra[1] if extra else ""
        name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
        oldest = re.search(r">=([\d.]+)", requirement)
        if name and which in ("", "server", "training") and not name[0].lower().startswith("impasto"):
            found.append((name[0], oldest[1] if oldest else "0", which))
    return found


def check_devices() -> Iterator[CheckDone]:
    """The devices that a network can run on."""
    import torch

    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield CheckDone(f"device cuda:{index}", "ok", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB", "")
    if torch.backends.mps.is_available():
        yield CheckDone("device mps", "ok", "Metal", "")
    capability = torch.backends.cpu.get_cpu_capability()
    found = f"{torch.get_num_threads()} threads, {capability}, {_bfloat16_text()}"
    yield CheckDone("device cpu", "ok", found, "")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        hint = "with a graphics card, install its driver and the torch build for it: https://pytorch.org/get-started"
        yield CheckDone("accelerator", "warning", "none, so the network runs on the processor", hint)


def _bfloat16_text() -> str:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return "bfloat16 unknown"
    fast = "amx_bf16" in flags or "avx512_bf16" in flags
    return "quick bfloat16" if fast else "no quick bfloat16"


def check_colour() -> Iterator[CheckDone]:
    """The OpenColorIO configuration opens; the names are those that `--input-space` takes."""
    from impasto.core import colour

    yield CheckDone("colour", "ok", f"{colour.config_name()}: {', '.join(colour.spaces())}", "")


def check_styles() -> Iterator[CheckDone]:
    """Every style loads, and its weights are those of its card."""
    from impasto.core.style import load_style, style_files

    files = style_files()
    for name, path in files.items():
        try:
            load_style(path)
        except ImpastoError as error:
            yield CheckDone(f"style {name}", "failed", str(error), f"fetch '{path}' again, or remove it")
        else:
            yield CheckDone(f"style {name}", "ok", "sound", "")
    if not files:
        yield CheckDone("styles", "failed", "none", REINSTALL)


def check_movies() -> Iterator[CheckDone]:
    """The encoders for movies exist."""
    import av

    for name, text in ENCODERS.items():
        there = name in av.codecs_available
        hint = "" if there else "install PyAV from PyPI (pip install --force-reinstall av); it brings all encoders"
        yield CheckDone(f"encoder {text}", "ok" if there else "warning", name if there else f"no {name}", hint)


def check_folders() -> Iterator[CheckDone]:
    """Temporary files can be written."""
    folder = tempfile.gettempdir()
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"impasto")
    except OSError as error:
        yield CheckDone(
            "temporary files", "failed", f"'{folder}': {error.strerror}", "set TMPDIR to a folder that takes files"
        )
    else:
        yield CheckDone("temporary files", "ok", folder, "")


def check_server() -> Iterator[CheckDone]:
    """The runtime folder is the user's alone; a server that runs there answers and is of this installation."""
    from impasto.server.client import Client
    from impasto.server.runtime_dir import prepare_folder, running, runtime_folder

    folder = prepare_folder(runtime_folder())
    owner = running(folder)
    if owner is None:
        yield CheckDone("server", "ok", f"none runs in '{folder}'; it is started when it is needed", "")
        return
    found = f"{owner.version} runs as process {owner.pid} in '{folder}'"
    try:
        with Client.connect(start=False, timeout_s=ANSWER_S, name="impasto doctor", control_only=True) as client:
            client.ping()
    except ServerError as error:
        hint = f"end it with: kill {owner.pid}; the next render starts one of this version"
        yield CheckDone("server", "failed", f"{found}, and cannot be used: {error}", hint)
        return
    note = version_note(owner.version, local=True)
    if note is None:
        yield CheckDone("server", "ok", found, "")
    else:
        text, _, hint = note.rpartition("; ")
        yield CheckDone("server", "warning", f"{text} (process {owner.pid})", hint)


def check_shared_memory() -> Iterator[CheckDone]:
    """There is enough shared memory for pixels between a host and the server."""
    if not hasattr(os, "statvfs"):
        return
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize
    hint = f"make more room in '{folder}'; in a container start it with --shm-size=2g" if free < ROOMY_BYTES else ""
    yield CheckDone("shared memory", "warning" if hint else "ok", f"{free / 2**20:.0f} MiB free in '{folder}'", hint)


def check_open_files() -> Iterator[CheckDone]:
    """A process may open enough files and sockets for many clients."""
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = allowed != resource.RLIM_INFINITY and allowed < OPEN_FILES
    hint = f"raise the limit before the server starts: ulimit -n {4 * OPEN_FILES}" if few else ""
    yield CheckDone("open files", "warning" if few else "ok", f"{allowed} at once", hint)


def check_render() -> Iterator[CheckDone]:
    """A small picture goes through the whole path: file, colour, network, file."""
    import numpy as np

    from impasto.core.engine import Engine
    from impasto.core.frame import Frame
    from impasto.core.media import ShotInfo, open_reader, open_writer
    from impasto.core.style import style_files
    from impasto.server.shots.render import ShotJob, render_shot

    names = list(style_files())
    if not names:
        return
    style = "identity" if "identity" in names else names[0]
    with tempfile.TemporaryDirectory(prefix="impasto-doctor-") as folder:
        plate, painted = os.path.join(folder, "plate.exr"), os.path.join(folder, "painted.exr")
        ramp = np.linspace(0, 1, 64 * 64 * 3, dtype=np.float16).reshape(64, 64, 3)
        with open_writer(plate, ShotInfo("", "still", 1, 1, 64, 64)) as writer:
            writer.write(Frame.from_pixels(ramp))
        engine = Engine(style)
        render_shot(ShotJob(plate, painted), engine)
        with open_reader(painted) as reader:
            result = next(iter(reader))
        if style == "identity" and not np.array_equal(result.colour, ramp):
            yield CheckDone("render", "failed", "the style 'identity' changed a picture", REINSTALL)
            return
    yield CheckDone("render", "ok", f"64x64 with '{style}' on {engine.device} in {engine.precision}", "")


def host_check(host: str) -> Check:
    """The check of a host's adapter. UnknownName for a host without one."""
    if host not in HOSTS:
        raise UnknownName("host", host, HOSTS)
    return HOSTS[host]


def check_nuke() -> Iterator[CheckDone]:
    """The node is in Nuke, and finds this installation."""
    from impasto.hosts.terminal.install.nuke import host_checks

    yield from host_checks()


def check_resolve() -> Iterator[CheckDone]:
    """The script is in Resolve, and finds this installation."""
    from impasto.hosts.terminal.install.resolve import host_checks

    yield from host_checks()


def _name(check: Check) -> str:
    return check.__name__.removeprefix("check_")


HOSTS: dict[str, Check] = {"nuke": check_nuke, "resolve": check_resolve}

CHECKS: tuple[Check, ...] = (
    check_python,
    check_packages,
    check_devices,
    check_colour,
    check_styles,
    check_movies,
    check_folders,
    check_server,
    check_shared_memory,
    check_open_files,
    check_render,
)
