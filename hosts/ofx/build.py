"""Builds the OpenFX bundle: for this machine with its own C compiler, for all of them with ziglang.

    Impasto.ofx.bundle/Contents/Info.plist
    Impasto.ofx.bundle/Contents/Linux-x86-64/Impasto.ofx      glibc 2.17 and newer
    Impasto.ofx.bundle/Contents/Linux-aarch64/Impasto.ofx
    Impasto.ofx.bundle/Contents/MacOS/Impasto.ofx             macOS 11 and newer, both processors
    mini_host/<the same folders>/mini_host                    what `impasto ofx check` runs

`python -m impasto.hosts.ofx.build` builds all of them beside this file, from where the wheel takes them.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from impasto.core.errors import OutputError, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass

BUNDLE: Final = "Impasto.ofx.bundle"
BUILT: Final = Path(__file__).parent / "built"
"""Where the wheel has its builds."""
PLUGIN_SOURCES: Final = ("plugin.c", "wire.c", "zmtp.c", "msgpack.c", "server_start.c")
HOST_SOURCES: Final = ("mini_host.c",)
FLAGS: Final = (
    *("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-pthread"),
    *("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"),
)
LINUX: Final = ("-D_DEFAULT_SOURCE", "-D_POSIX_C_SOURCE=200809L")
MACOS: Final = ("-D_DARWIN_C_SOURCE",)
COMPILE_S: Final = 300.0

PLIST: Final = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>CFBundleExecutable</key><string>Impasto.ofx</string>
<key>CFBundleIdentifier</key><string>org.impasto.stylize</string>
<key>CFBundleInfoDictionaryVersion</key><string>6.0</string>
<key>CFBundlePackageType</key><string>BNDL</string>
<key>CFBundleVersion</key><string>{version}</string>
</dict></plist>
"""


@frozen_dataclass
class Target:
    """A system that is built for."""

    folder: str
    """As OpenFX names it inside a bundle."""
    triples: tuple[str, ...]
    """One for each processor, as zig names them."""
    flags: tuple[str, ...]


TARGETS: Final = (
    Target("Linux-x86-64", ("x86_64-linux-gnu.2.17",), LINUX),
    Target("Linux-aarch64", ("aarch64-linux-gnu.2.17",), LINUX),
    Target("MacOS", ("aarch64-macos.11.0", "x86_64-macos.11.0"), MACOS),
)


def this_target() -> Target:
    """The system that this process runs on. Raises UsageError on one without a build."""
    machine = platform.machine().lower()
    names = {"x86_64": "Linux-x86-64", "amd64": "Linux-x86-64", "aarch64": "Linux-aarch64", "arm64": "Linux-aarch64"}
    folder = "MacOS" if sys.platform == "darwin" else names.get(machine) if sys.platform == "linux" else None
    for target in TARGETS:
        if target.folder == folder:
            return target
    raise UsageError(
        f"expected Linux (x86-64, arm64) or macOS for the OpenFX plug-in, got {sys.platform} on {machine}; "
        f"the render server has no local route on other systems"
    )


def build_all(folder: Path = BUILT) -> list[Path]:
    """The bundle and the mini host for every system, with ziglang; the files that were made."""
    made: list[Path] = []
    for target in TARGETS:
        with ThreadPoolExecutor() as pool:
            builds = [
                pool.submit(_build, folder, target, [(triple, zig_command(triple)) for triple in target.triples], kind)
                for kind in KINDS
            ]
            made += [build.result() for build in builds]
    made.append(_write_plist(folder))
    return made


def build_here(folder: Path, flags: Sequence[str] = ("-s",)) -> list[Path]:
    """The bundle and the mini host for this system alone, with its C compiler, else with ziglang.

    `flags` are added to the compiler's; by default the symbols are left out. Raises UsageError where there is neither.
    """
    target = this_target()
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None and find_spec("ziglang") is None:
        raise UsageError(
            "expected a C compiler to build the OpenFX plug-in, found none; install gcc or clang, "
            "or run: pip install ziglang"
        )
    ways = [("", [compiler])] if compiler is not None else [(triple, zig_command(triple)) for triple in target.triples]
    return [*(_build(folder, target, ways, kind, flags) for kind in KINDS), _write_plist(folder)]


def zig_command(triple: str) -> list[str]:
    """The compiler for a system."""
    return [sys.executable, "-m", "ziglang", "cc", "-target", triple]


@frozen_dataclass
class Kind:
    """A file that is built: the plug-in, or the mini host."""

    sources: tuple[str, ...]
    path: str
    flags: tuple[str, ...]
    """Of the linker."""


KINDS: Final = (
    Kind(PLUGIN_SOURCES, BUNDLE + "/Contents/{}/Impasto.ofx", ("-shared",)),
    Kind(HOST_SOURCES, "mini_host/{}/mini_host", ()),
)


def _build(
    folder: Path, target: Target, ways: Sequence[tuple[str, list[str]]], kind: Kind, flags: Sequence[str] = ("-s",)
) -> Path:
    """One file for one system; one of several processors holds the code of each."""
    result = folder / kind.path.format(target.folder)
    with tempfile.TemporaryDirectory(prefix="impasto-ofx-") as scratch:
        parts = []
        for index, (triple, compiler) in enumerate(ways):
            part = Path(scratch) / f"{index}"
            libraries = ("-ldl",) if target.flags is LINUX and kind.sources is HOST_SOURCES else ()
            _compile([*compiler, *FLAGS, *target.flags, *flags, *kind.flags, *_version_flags()], kind, part, libraries)
            parts.append((triple, part.read_bytes()))
        result.parent.mkdir(parents=True, exist_ok=True)
        result.write_bytes(parts[0][1] if len(parts) == 1 else universal(parts))
    result.chmod(0o755)
    return result


def _compile(command: list[str], kind: Kind, output: Path, libraries: Sequence[str]) -> None:
    sources = [str(Path(__file__).parent / name) for name in kind.sources]
    done = subprocess.run(
        [*command, *sources, "-o", str(output), *libraries],
        capture_output=True,
        text=True,
        timeout=COMPILE_S,
        check=False,
    )
    if done.returncode != 0:
        raise OutputError(f"expected the OpenFX plug-in to compile, got: {done.stderr.strip()[-2000:]}")


def _version_flags() -> tuple[str, ...]:
    major, minor = version("impasto").split(".")[:2]
    return f"-DIMPASTO_VERSION_MAJOR={major}", f"-DIMPASTO_VERSION_MINOR={minor}"


def _write_plist(folder: Path) -> Path:
    path = folder / BUNDLE / "Contents" / "Info.plist"
    path.write_text(PLIST.format(version=version("impasto")), encoding="utf-8")
    return path


MACH_O_PROCESSORS: Final = {"x86_64": (0x0100_0007, 3), "aarch64": (0x0100_000C, 0)}
"""CPU type and subtype of mach/machine.h."""
FAT_ALIGNMENT: Final = 14
"""Each part begins at a multiple of 2 to this: the page of Apple's processors."""


def universal(parts: Sequence[tuple[str, bytes]]) -> bytes:
    """Mach-O files of several processors in one, as `lipo` joins them: a big-endian fat header, then the parts."""
    offset, table, body = 8 + 20 * len(parts), [], []
    for triple, contents in parts:
        begin = -(-offset // (1 << FAT_ALIGNMENT)) << FAT_ALIGNMENT
        processor, subtype = MACH_O_PROCESSORS[triple.partition("-")[0]]
        table.append(struct.pack(">5I", processor, subtype, begin, len(contents), FAT_ALIGNMENT))
        body.append(bytes(begin - offset) + contents)
        offset = begin + len(contents)
    return struct.pack(">2I", 0xCAFE_BABE, len(parts)) + b"".join(table) + b"".join(body)


if __name__ == "__main__":
    for made in build_all():
        sys.stdout.write(f"{made}: {made.stat().st_size} bytes\n")
