"""`impasto blender`: the extension for Blender, packed into one file, or installed into Blender."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.install.blender_extension import installing
from impasto.hosts.terminal.install.blender_extension.archive import sources, write_extension
from impasto.hosts.terminal.install.blender_extension.client_wheel import client_wheel
from impasto.hosts.terminal.install.blender_extension.user_folders import (
    UserFolder,
    folder_at,
    found_folders,
    program_at,
)
from impasto.hosts.terminal.install.blender_extension.wheels import PLATFORMS, cache_folder, fetch
from impasto.hosts.terminal.printer import say

Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platform",
        help=f"Only for this system, for a smaller file; may be given again. There is: {', '.join(PLATFORMS)}.",
        metavar="SYSTEM",
    ),
]
Blender = Annotated[
    str | None,
    typer.Option(
        "--blender",
        help="Blender's program, the folder it is in, or a user folder such as ~/.config/blender/4.5. Without it:"
        " every Blender that was ever started here.",
        metavar="PATH",
    ),
]
ENABLE = "enable it in Blender under Edit > Preferences > Add-ons (tick 'Impasto')"
FIND = "then open the sidebar of the Video Sequencer (N) and its tab 'Impasto'"


def package(
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The file to write; impasto-VERSION.zip by default.")
    ] = None,
    platform: Platforms = None,
) -> None:
    """Pack the extension into one zip, which any Blender from 4.2 takes by drag and drop.

    It carries the wheels that it needs, for every system unless --platform says otherwise; they are fetched from the
    package index once and kept.
    """
    path = Path(output or f"impasto-{version('impasto')}.zip")
    build(path, platform or list(PLATFORMS))
    say(f"{path}: {path.stat().st_size / 1e6:.1f} MB; drag it into Blender's window, or run `impasto blender install`")


def install(blender: Blender = None, platform: Platforms = None) -> None:
    """Put the extension into Blender, and tell it where this `impasto` is.

    Into the user folder of every Blender that was ever started here, or of the named one. Blender does not run for
    that, and the extension is then enabled in its preferences; but where its program is named, it installs and enables
    the extension itself.
    """
    program, folders = _blenders(blender)
    with tempfile.TemporaryDirectory(prefix="impasto-") as scratch:
        extension = Path(scratch) / "impasto.zip"
        build(extension, platform or [_own_platform()])
        if program is not None:
            installing.install_by(program, extension)
            say(f"{program}: installed and enabled; {FIND}")
            known = [folder for folder in found_folders() if folder.extension.exists()]
            for folder in known:
                installing.record_command(folder, installing.own_command())
            if not known:  # a Blender that keeps its files somewhere else
                command = " ".join(installing.own_command())
                say(f"name the command in the extension's preferences, if it is not on the PATH: {command}")
            return
        for folder in folders:
            replaced = installing.install(folder, extension)
            installing.record_command(folder, installing.own_command())
            done = "updated; restart Blender if it runs" if replaced else f"installed; {ENABLE}, {FIND}"
            say(f"{folder.title}: {done}")


def uninstall(blender: Blender = None) -> None:
    """Take the extension out of Blender."""
    program, folders = _blenders(blender)
    if program is not None:
        installing.uninstall_by(program)
        say(f"{program}: removed")
        return
    for folder in folders:
        removed = installing.uninstall(folder)
        say(f"{folder.title}: {'removed; restart Blender if it runs' if removed else 'was not installed'}")


def build(path: Path, platforms: Sequence[str]) -> None:
    """Write the extension's zip for these systems."""
    with tempfile.TemporaryDirectory(prefix="impasto-") as scratch:
        client = client_wheel(Path(scratch), sources())
        write_extension(path, [client, *fetch(platforms, cache_folder())], platforms)


def _blenders(named: str | None) -> tuple[Path | None, list[UserFolder]]:
    """Blender's program, or the user folders to work in. Raises UsageError where there is neither."""
    if named is None:
        if folders := found_folders():
            return None, folders
        found = shutil.which("blender")
        if found is None:
            raise UsageError(
                "expected a Blender that was started here at least once, found none; start it, or name its program or"
                " user folder with --blender"
            )
        return Path(found), []
    path = Path(named).expanduser()
    if not path.exists():
        raise UsageError(f"expected Blender's program or user folder at '{path}', found nothing; check the path")
    program = program_at(path)
    if program is not None:
        return program, []
    if path.is_file():
        raise UsageError(
            f"expected a program or a folder, got the file '{path}'; name Blender's program or user folder"
        )
    return None, [folder_at(path.absolute())]


def _own_platform() -> str:
    """Blender's name of this system. Raises UsageError where there are no wheels for it."""
    import platform
    import sys

    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if (name := f"{system}-{machine}") not in PLATFORMS:
        raise UsageError(f"expected one of {', '.join(PLATFORMS)}, this is {name}; name one with --platform")
    return name
