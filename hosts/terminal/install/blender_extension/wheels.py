"""The third-party wheels in the extension: fetched by pip, for other systems too, and cached."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from impasto.core.errors import OutputError, UnknownName, UsageError

PACKAGES: Final = ("msgpack", "pyzmq")
"""Numpy is Blender's own."""
PYTHONS: Final = ("3.11", "3.13")
"""The Pythons of Blender 4.2 to 5.0, and of 5.1 and later."""
PLATFORMS: Final[Mapping[str, Sequence[str]]] = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_26_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_10_15_universal2"),
    "macos-x64": ("macosx_11_0_x86_64", "macosx_10_15_universal2", "macosx_10_13_x86_64", "macosx_10_9_x86_64"),
    "windows-x64": ("win_amd64",),
}
"""Blender's name of a system -> the tags of wheels that the oldest Blender in question can load."""
LIMIT_S: Final = 180.0


def fetch(platforms: Iterable[str], cache: Path) -> list[Path]:
    """The wheels for these systems and every Python, from the cache or else from the package index.

    The versions are those of this installation. Raises UnknownName for a system, OutputError where a wheel cannot be
    fetched.
    """
    found: dict[str, Path] = {}
    for platform in platforms:
        if platform not in PLATFORMS:
            raise UnknownName("platform", platform, PLATFORMS)
        for python in PYTHONS:
            for package in PACKAGES:
                wheel = _wheel(package, version(package), platform, python, cache)
                found[wheel.name] = wheel  # both kinds of Mac use a universal2 wheel
    return sorted(found.values())


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder, where the system has it."""
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home()) / "impasto" / "cache" / "wheels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "impasto" / "wheels"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impasto" / "wheels"


def _wheel(package: str, wanted: str, platform: str, python: str, cache: Path) -> Path:
    folder = cache / f"{package}-{wanted}" / f"{platform}-{python}"
    kept = [each for each in folder.glob("*.whl") if _sound(each)]
    if len(kept) != 1:
        for each in folder.glob("*.whl"):
            each.unlink()
        _download(package, wanted, platform, python, folder)
        kept = [each for each in folder.glob("*.whl") if _sound(each)]
    if len(kept) != 1:
        raise OutputError(
            f"expected one sound wheel in '{folder}', found {len(kept)}; remove that folder and try again"
        )
    return kept[0]


def _sound(wheel: Path) -> bool:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _download(package: str, wanted: str, platform: str, python: str, folder: Path) -> None:
    named = f"{package} {wanted} for {platform}, Python {python}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    command += [word for tag in PLATFORMS[platform] for word in ("--platform", tag)]
    command += ["--dest", str(folder), f"{package}=={wanted}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise OutputError(
            f"expected {named} within {LIMIT_S:g} s, the package index did not send it; try again"
        ) from error
    if done.returncode == 0:
        return
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        raise UsageError(
            f"expected pip beside '{sys.executable}' to fetch the extension's wheels, found none; install it there"
            f" (`{sys.executable} -m ensurepip`)"
        )
    said = next((line.removeprefix("ERROR: ") for line in reversed(lines) if line.startswith("ERROR")), "nothing")
    raise OutputError(
        f"expected {named} from the package index, got: {said}; connect this machine once (what was fetched is kept in"
        f" '{folder.parents[1]}'), or build for fewer systems with --platform"
    )
