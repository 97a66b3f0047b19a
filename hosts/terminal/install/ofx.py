"""`impasto ofx`: put the OpenFX plug-in where hosts look for it, take it away, and try it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from impasto.core.errors import OutputError, OutputExists, UsageError
from impasto.hosts.events import CheckDone
from impasto.hosts.ofx.build import BUILT, BUNDLE, build_here, this_target
from impasto.hosts.terminal.printer import say

SYSTEM_FOLDERS: Final = {"linux": Path("/usr/OFX/Plugins"), "darwin": Path("/Library/OFX/Plugins")}
"""Where every OpenFX host of a system looks."""
MARK: Final = b"org.impasto.stylize"
"""In the Info.plist of a bundle of ours."""
CHECK_S: Final = 120.0
MESSAGE: Final = re.compile(r"^message \w+: (.*)$", re.MULTILINE)

Dir = Annotated[
    Path | None,
    typer.Option(
        "--dir", metavar="FOLDER", help="Where the bundle goes; by default where every host looks, which needs root."
    ),
]


def install(dir: Dir = None) -> None:
    """Put the effect Impasto where OpenFX hosts look for it.

    It appears under Stylize in Nuke, Resolve, Fusion, Natron and other hosts after their next start. A folder that
    only you may write into is found by hosts that read OFX_PLUGIN_PATH. Run it again after an update of impasto, or
    when impasto has moved; some hosts keep a cache of plug-ins that has to be cleared then.
    """
    target = place(dir)
    with tempfile.TemporaryDirectory(prefix="impasto-ofx-") as scratch:
        made = complete_bundle(Path(scratch))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_bundle(target)
            shutil.copytree(made, target)
        except OSError as error:
            raise OutputError(
                f"expected to write '{target}', got: {error.strerror}; run it with sudo, or name a folder with --dir"
            ) from error
    say(f"{target}: the effect Impasto, in the group Stylize")
    if target.parent not in SYSTEM_FOLDERS.values():
        say(f"let hosts find it: add '{target.parent}' to OFX_PLUGIN_PATH")
    say("start the host again; `impasto ofx check` tries the plug-in without one")


def uninstall(dir: Dir = None) -> None:
    """Take the effect out of the hosts."""
    target = place(dir)
    if not target.exists():
        raise UsageError(f"expected the plug-in at '{target}', there is none; name its folder with --dir")
    remove_bundle(target)
    say(f"{target}: removed")


def check(dir: Dir = None) -> None:
    """Load the plug-in in a small host, paint a frame through the render server, and say what is wrong."""
    from impasto.hosts.terminal.server.connect import connected

    with tempfile.TemporaryDirectory(prefix="impasto-ofx-") as scratch:
        installed = place(dir)
        bundle = installed if installed.exists() else complete_bundle(Path(scratch))
        say(f"plug-in: {bundle if bundle == installed else 'not installed; the one of this installation is tried'}")
        with connected("impasto ofx check", start=True):
            for name, found in tried(bundle, Path(scratch)):
                say(f"{name}: {found}")
    say("the plug-in works")


def tried(bundle: Path, scratch: Path) -> Iterator[tuple[str, str]]:
    """What was tried with a bundle, and how it went. Raises OutputError where a frame is not what it must be."""
    plate, result = scratch / "plate", scratch / "result"
    plate.write_bytes(bytes(range(256)) * 48)  # 64 x 48 pixels, RGBA of 8 bits
    run_host(
        bundle, "--depth", "byte", "--set", "style=identity", "--read", plate, "--write", result, "--set", "noServer=0"
    )
    if result.read_bytes() != plate.read_bytes():
        raise OutputError("expected the style 'identity' to give the picture back, it changed it; report it")
    yield "identity, 64x48 in 8 bits", "every byte came back"
    said = run_host(bundle, "--size", "640x360", "--frames", "3", "--set", "noServer=0")
    times = [float(each) for each in re.findall(r"^frame .* ([0-9.]+) ms$", said, re.MULTILINE)]
    yield "the style by default, 640x360 in float", f"{min(times):.0f} ms a frame"


def run_host(bundle: Path, *options: str | Path) -> str:
    """What the mini host prints. Raises OutputError with the plug-in's own words where a render fails."""
    command = [str(mini_host()), str(plugin_in(bundle)), *map(str, options)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_S, check=False)
    except subprocess.TimeoutExpired:
        raise OutputError(f"expected the plug-in to answer within {CHECK_S:g} s, it hangs; report it") from None
    if done.returncode != 0:
        words = MESSAGE.findall(done.stdout) or [done.stderr.strip() or f"exit code {done.returncode}"]
        raise OutputError(f"expected the plug-in to paint, got: {words[-1]}")
    return done.stdout


def place(dir: Path | None) -> Path:
    """Where the bundle is, or is to be."""
    folder = SYSTEM_FOLDERS.get(sys.platform) if dir is None else dir.resolve()
    if folder is None:
        raise UsageError(f"expected Linux or macOS for the OpenFX plug-in, this is {sys.platform}")
    return folder / BUNDLE


def complete_bundle(scratch: Path) -> Path:
    """A bundle with what it must know of this installation: its command, and the styles for hosts without a server."""
    from impasto.hosts.terminal.style.listing import installed_styles

    shutil.copytree(built() / BUNDLE, scratch / BUNDLE)
    resources = scratch / BUNDLE / "Contents" / "Resources"
    resources.mkdir()
    (resources / "impasto").write_text(f"{command()}\n", encoding="utf-8")
    names = sorted(style.name for style in installed_styles()[0])
    (resources / "styles").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return scratch / BUNDLE


def built() -> Path:
    """Where bundle and mini host of this system are; from a checkout they are built when they are first needed."""
    if not (BUILT / BUNDLE / "Contents" / this_target().folder / "Impasto.ofx").exists():
        build_here(BUILT)
    return BUILT


def mini_host() -> Path:
    """The host that tries the plug-in."""
    path = built() / "mini_host" / this_target().folder / "mini_host"
    if not os.access(path, os.X_OK):  # a wheel may be unpacked without the permission
        path.chmod(0o755)
    return path


def plugin_in(bundle: Path) -> Path:
    """The library of this system in a bundle."""
    return bundle / "Contents" / this_target().folder / "Impasto.ofx"


def command() -> Path:
    """The `impasto` program of this installation, which the plug-in starts a server with."""
    beside = Path(sys.executable).with_name("impasto")
    found = str(beside) if beside.exists() else shutil.which("impasto")
    if found is None:
        raise UsageError("expected the program 'impasto' beside Python or on the PATH; install impasto with pip")
    return Path(found).absolute()


def remove_bundle(target: Path) -> None:
    """Remove a bundle of ours. Raises OutputExists for anything else of that name."""
    if not target.exists() and not target.is_symlink():
        return
    plist = target / "Contents" / "Info.plist"
    if target.is_symlink() or not plist.is_file() or MARK not in plist.read_bytes():
        raise OutputExists(f"expected a bundle of impasto at '{target}', found something else; move it away")
    try:
        shutil.rmtree(target)
    except OSError as error:
        raise OutputError(f"expected to remove '{target}', got: {error.strerror}; run it with sudo") from error


def host_checks() -> Iterator[CheckDone]:
    """The checks of `impasto doctor --host ofx`."""
    again = "run `impasto ofx install`"
    bundle = next((each / BUNDLE for each in search_path() if (each / BUNDLE).exists()), None)
    if bundle is None:
        looked = "', '".join(map(str, search_path()))
        yield CheckDone("ofx plug-in", "warning", f"not in '{looked}'", f"{again}, or set OFX_PLUGIN_PATH")
        return
    ours, theirs = plugin_in(built() / BUNDLE), plugin_in(bundle)
    same = theirs.is_file() and theirs.read_bytes() == ours.read_bytes()
    found = f"'{bundle}'{'' if same else ', of another version'}"
    yield CheckDone("ofx plug-in", "ok" if same else "warning", found, "" if same else again)
    noted = bundle / "Contents" / "Resources" / "impasto"
    words = noted.read_text(encoding="utf-8").strip() if noted.is_file() else ""
    there = os.access(words, os.X_OK) if words else False
    yield CheckDone("ofx command", "ok" if there else "failed", words or "none", "" if there else again)
    said = run_host(bundle, "--frames", "0")
    yield CheckDone("ofx load", "ok", said.splitlines()[0], "")


def search_path() -> Sequence[Path]:
    """The folders that hosts look into, the user's own first."""
    named = [Path(each) for each in os.environ.get("OFX_PLUGIN_PATH", "").split(os.pathsep) if each]
    system = SYSTEM_FOLDERS.get(sys.platform)
    return [*named, *([system] if system is not None else [])]
