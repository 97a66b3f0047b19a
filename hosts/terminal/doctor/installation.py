"""Checks of the installation: Python, packages, devices, colours, styles, encoders, and a first render."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from impasto.core.errors import ImpastoError
from impasto.hosts.events import CheckDone
from impasto.hosts.terminal.server.version_check import numbers_in

OLDEST_PYTHON = (3, 11)
ENCODERS = {"libx264": "H.264", "libx265": "H.265", "prores_ks": "ProRes", "ffv1": "FFV1", "aac": "AAC sound"}
GPL_ENCODERS = ("libx264", "libx265")
OPTIONAL = ("training", "web")
"""Extras of single commands: the trainer, and the pages."""
REINSTALL = "pip install --upgrade 'impasto[server]'"


def check_python() -> Iterator[CheckDone]:
    """The interpreter is new enough."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    old = sys.version_info < OLDEST_PYTHON
    hint = f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer" if old else ""
    yield CheckDone("python", "failed" if old else "ok", found, hint)


def check_packages() -> Iterator[CheckDone]:
    """Every package of the base and of the extra 'server' is installed and new enough; `OPTIONAL` extras may lack."""
    yield CheckDone("impasto", "ok", version("impasto"), "")
    for name, oldest, extra in needed_packages():
        try:
            found = version(name)
        except PackageNotFoundError:
            state, hint = ("warning", f"pip install 'impasto[{extra}]'") if extra in OPTIONAL else ("failed", REINSTALL)
            yield CheckDone(name, state, "not installed", hint)
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
        if name and which in ("", "server", *OPTIONAL) and not name[0].lower().startswith("impasto"):
            found.append((name[0], oldest[1] if oldest else "0", which))
    return found


def check_devices() -> Iterator[CheckDone]:
    """The devices that a network can run on."""
    import torch

    from impasto.core.device.choice import has_bfloat16_units

    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield CheckDone(f"device cuda:{index}", "ok", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB", "")
    if torch.backends.mps.is_available():
        yield CheckDone("device mps", "ok", "Metal", "")
    capability = torch.backends.cpu.get_cpu_capability()
    bfloat16 = "quick bfloat16" if has_bfloat16_units() else "no quick bfloat16"
    found = f"{torch.get_num_threads()} threads, {capability}, {bfloat16}"
    yield CheckDone("device cpu", "ok", found, "")
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        hint = "with a graphics card, install its driver and the torch build for it: https://pytorch.org/get-started"
        yield CheckDone("accelerator", "warning", "none, so the network runs on the processor", hint)


def check_colour() -> Iterator[CheckDone]:
    """The OpenColorIO configuration opens; the names are those that `--input-space` takes."""
    from impasto.core import colour

    spaces = colour.spaces()
    yield CheckDone("colour", "ok", f"{colour.config_name()}, {len(spaces)} spaces: {', '.join(spaces)}", "")


def check_styles() -> Iterator[CheckDone]:
    """Every style loads, and its weights are those of its card."""
    from impasto.core.style_file import load_style, style_files

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
    """The encoders for movies exist. Two of them are GPL, which matters to whoever passes the installation on."""
    import av

    there_are = [name for name in GPL_ENCODERS if name in av.codecs_available]
    if there_are:
        found = f"PyAV {av.__version__} brings an FFmpeg with {' and '.join(there_are)}, which are under the GPL"
        yield CheckDone("codec licences", "ok", f"{found}; impasto itself is Apache-2.0 and does not contain it", "")
    for name, text in ENCODERS.items():
        there = name in av.codecs_available
        hint = "" if there else "install PyAV from PyPI (pip install --force-reinstall av); it brings all encoders"
        yield CheckDone(f"encoder {text}", "ok" if there else "warning", name if there else f"no {name}", hint)


def check_streams() -> Iterator[CheckDone]:
    """The protocols of network streams that FFmpeg was built with."""
    from impasto.core.media.protocols import PROTOCOLS, has_protocol

    there = [name for name in PROTOCOLS if has_protocol(name)]
    lacking = [name for name in PROTOCOLS if name not in there]
    yield CheckDone("streams", "ok", ", ".join(there) + (f"; not {', '.join(lacking)}" if lacking else ""), "")


def check_render() -> Iterator[CheckDone]:
    """A small picture goes through the whole path: file, colour, network, file."""
    import numpy as np

    from impasto.core.engine import Engine
    from impasto.core.frame import Frame
    from impasto.core.media import ShotInfo, open_reader, open_writer
    from impasto.core.style_file import style_files
    from impasto.server.protocol.messages import RenderSettings, ShotJob
    from impasto.server.shots.render import render_shot

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
        render_shot(ShotJob(RenderSettings(style), plate, painted), engine)
        with open_reader(painted) as reader:
            result = next(iter(reader))
        if style == "identity" and not np.array_equal(result.colour, ramp):
            yield CheckDone("render", "failed", "the style 'identity' changed a picture", REINSTALL)
            return
    yield CheckDone("render", "ok", f"64x64 with '{style}' on {engine.device} in {engine.precision}", "")
