"""`impasto nuke`: put the node into Nuke, remove it, and make a style that NukeX runs by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from impasto.core.errors import OutputExists
from impasto.hosts.events import CheckDone
from impasto.hosts.terminal.install.host_files import (
    MANIFEST,
    adapter_files,
    add_block,
    install_files,
    remove_block,
    stale_files,
    uninstall_from,
    without_block,
)
from impasto.hosts.terminal.printer import say
from impasto.hosts.terminal.shared_options import Overwrite

ENTRIES = ("init.py", "menu.py")
"""Files that Nuke reads in a folder of its plug-in path."""

Dir = Annotated[
    Path | None,
    typer.Option("--dir", metavar="FOLDER", help="A folder of NUKE_PATH, for a whole studio; your own ~/.nuke else."),
]


def install(dir: Dir = None) -> None:
    """Put the Impasto node into Nuke 13 to 17.

    The files go into a folder of their own, ~/.nuke/impasto, and three marked lines into ~/.nuke/init.py name it to
    Nuke; what else is in that file stays as it is. With --dir the files go there, and no script is changed. Run it
    again after an update of impasto, or when impasto has moved.
    """
    folder = home_folder() if dir is None else dir.resolve()
    hosts = Path(__file__).resolve().parents[2]
    files = python_files()
    files |= {name: (hosts / "nuke" / name).read_bytes() for name in ENTRIES}
    placed = install_files(files, folder)
    say(f"{folder}: {len(placed)} files")
    if dir is None:
        add_block(init_file(), "nuke", ["import nuke", f"nuke.pluginAddPath({folder.as_posix()!r})"])
        say(f"{init_file()}: names the folder to Nuke")
    else:
        say(f"let Nuke find it: add '{folder}' to NUKE_PATH")
    say("start Nuke again; the node is in the toolbar under Impasto")


def uninstall(dir: Dir = None) -> None:
    """Take the Impasto node out of Nuke; scripts that hold one still open and render."""
    folder = home_folder() if dir is None else dir.resolve()
    named = dir is None and remove_block(init_file(), "nuke")
    uninstall_from(folder, must_exist=not named)


def live(
    style: Annotated[str, typer.Argument(metavar="STYLE", help="A style's name, or its .safetensors file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the two files go; a .cat joins them.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Make a style that NukeX runs live, without a server: a TorchScript file, and a script that builds the .cat of it.

    Open the script in NukeX 14 or newer, press "Create .cat file" in the CatFileCreator, and view the Inference node.
    It paints each frame at full strength while you look at it; the sliders of the Impasto node are not in it.
    """
    from impasto.core.export.exporting import check_target, export_to
    from impasto.core.style_file import find_style, load_style
    from impasto.hosts.terminal.install.nuke_live import live_script
    from impasto.hosts.terminal.process_setup import prepare_process

    prepare_process()
    path = find_style(style)
    network, script = output / f"{path.stem}.pt", output / f"{path.stem}.nk"
    if script.exists() and not overwrite:
        raise OutputExists(f"expected no file at '{script}', but there is one; give --overwrite or another folder")
    check_target("torchscript", network, overwrite=overwrite).backend()
    exported = export_to("torchscript", load_style(path), network, linear=True, overwrite=overwrite)
    script.write_text(live_script(exported.path.resolve(), exported.facts), encoding="utf-8")
    say(f"{network}: at most {exported.largest_difference:.1g} from the engine")
    say(f"{script}: open it in NukeX, press 'Create .cat file', view the Inference node")


def python_files() -> dict[str, bytes]:
    """Relative path -> contents of the adapter's files below a plug-in folder."""
    return {f"python/{name}": contents for name, contents in adapter_files("nuke").items()}


def home_folder() -> Path:
    """The plug-in folder for one user, on every system."""
    return Path.home() / ".nuke" / "impasto"


def plugin_folders() -> list[Path]:
    """Where the plug-in may be: the user's own folder, and those in NUKE_PATH."""
    return [home_folder(), *(Path(each) for each in os.environ.get("NUKE_PATH", "").split(os.pathsep) if each)]


def init_file() -> Path:
    """The user's script that Nuke reads at every start."""
    return Path.home() / ".nuke" / "init.py"


def host_checks() -> Iterator[CheckDone]:
    """The checks of `impasto doctor --host nuke`."""
    from impasto.hosts.bridge.command import COMMAND_FILE, recorded_command
    from impasto.hosts.bridge.errors import BridgeError

    again = "run `impasto nuke install`"
    folder = next((each for each in plugin_folders() if (each / MANIFEST).exists()), None)
    if folder is None:
        where = "', '".join(map(str, plugin_folders()))
        yield CheckDone("nuke node", "warning", f"not in '{where}'", f"{again}, or add its folder to NUKE_PATH")
        return
    stale = stale_files(python_files(), folder)
    found = f"'{folder}'" if not stale else f"'{folder}', of another version: {stale[0]} and {len(stale) - 1} more"
    yield CheckDone("nuke node", "ok" if not stale else "warning", found, "" if not stale else again)
    script = init_file()
    if folder == home_folder():
        named = script.is_file() and without_block(script.read_bytes(), "nuke") != script.read_bytes()
        found = f"'{script}' {'names the folder' if named else 'does not name the folder'}"
    else:
        named, found = True, "NUKE_PATH names the folder"
    yield CheckDone("nuke start-up", "ok" if named else "failed", found, "" if named else again)
    try:
        command = recorded_command(folder / "python" / COMMAND_FILE)
    except BridgeError as error:
        yield CheckDone("nuke command", "failed", str(error), again)
    else:
        yield CheckDone("nuke command", "ok", " ".join(command.words) if command else "none", "" if command else again)
