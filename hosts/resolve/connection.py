"""Connects to Resolve: its menu scripts are given the object, programs outside fetch it (Studio alone)."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

from impasto.hosts.bridge.errors import BridgeError

if TYPE_CHECKING:
    from fusionscript import Resolve

OLDEST = (18, 5)
MODULE = "DaVinciResolveScript"
STUDIO = "Studio"

PLACES: Mapping[str, tuple[str, str]] = {
    "darwin": (
        "/Library/Application Support/Blackmagic Design/DaVinci Resolve/Developer/Scripting",
        "/Applications/DaVinci Resolve/DaVinci Resolve.app/Contents/Libraries/Fusion/fusionscript.so",
    ),
    "win32": (
        "%PROGRAMDATA%\\Blackmagic Design\\DaVinci Resolve\\Support\\Developer\\Scripting",
        "C:\\Program Files\\Blackmagic Design\\DaVinci Resolve\\fusionscript.dll",
    ),
    "linux": ("/opt/resolve/Developer/Scripting", "/opt/resolve/libs/Fusion/fusionscript.so"),
}
"""System -> RESOLVE_SCRIPT_API and RESOLVE_SCRIPT_LIB, as Resolve's own scripting README has them."""


def places(environment: Mapping[str, str], platform: str) -> tuple[str, str]:
    """The folder of the scripting module and the library that it loads, from the environment or by system."""
    api, library = PLACES.get(platform, PLACES["linux"])
    program_data = environment.get("PROGRAMDATA", "C:\\ProgramData")
    return (
        environment.get("RESOLVE_SCRIPT_API") or api.replace("%PROGRAMDATA%", program_data),
        environment.get("RESOLVE_SCRIPT_LIB") or library,
    )


def connect(environment: Mapping[str, str] | None = None, platform: str = sys.platform) -> Resolve:
    """The Resolve that runs on this machine. BridgeError where none runs, or it refuses programs outside."""
    known = os.environ if environment is None else environment
    api, library = places(known, platform)
    modules = str(Path(api) / "Modules")
    if environment is None:
        os.environ.setdefault("RESOLVE_SCRIPT_API", api)
        os.environ.setdefault("RESOLVE_SCRIPT_LIB", library)
    if modules not in sys.path:
        sys.path.append(modules)
    try:
        module: Any = importlib.import_module(MODULE)
    except ImportError as error:
        raise BridgeError(
            f"expected Resolve's scripting module in '{modules}', got: {error}; install DaVinci Resolve Studio, or set "
            "RESOLVE_SCRIPT_API and RESOLVE_SCRIPT_LIB"
        ) from error
    resolve = module.scriptapp("Resolve")
    if resolve is None:
        raise BridgeError(
            "expected a running DaVinci Resolve Studio that lets programs in, none answered; start it, and set "
            "Preferences > System > General > External scripting using to Local"
        )
    return checked(resolve)


def checked(resolve: Any) -> Resolve:
    """The object, if this Resolve is new enough and Studio. BridgeError else."""
    if resolve is None:
        raise BridgeError(
            "expected the object `resolve` of Resolve's menu, there is none; start the script from Workspace > "
            "Scripts, or run `impasto resolve run` in a terminal"
        )
    version = tuple(int(each) for each in (resolve.GetVersion() or [])[:2])
    if version < OLDEST:
        raise BridgeError(
            "expected Resolve {}.{} or newer, got {}; update it, or use `impasto watch` on a folder of renders".format(
                *OLDEST, resolve.GetVersionString()
            )
        )
    product = str(resolve.GetProductName() or "")
    if STUDIO not in product:
        raise BridgeError(
            f"expected DaVinci Resolve Studio, got '{product}'; with the free edition render into a folder that "
            "`impasto watch` looks at, and import what comes out"
        )
    found: Resolve = resolve
    return found
