"""The extension's zip inside Blender: installed, enabled, disabled, uninstalled, as an artist would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

NAME = "bl_ext.user_default.impasto"


def whole_life(archive: str) -> dict[str, Any]:
    """Install by file, disable, enable, uninstall; what was there at each step."""
    import bpy

    installed = bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=archive, enable_on_install=True, overwrite=True
    )
    enabled = state()
    import msgpack
    import zmq

    import impasto.server.client

    places = {each.__name__: each.__file__ for each in (impasto.server.client, msgpack, zmq)}
    bpy.ops.preferences.addon_disable(module=NAME)
    disabled = state()
    bpy.ops.preferences.addon_enable(module=NAME)
    again = state()
    repositories = bpy.context.preferences.extensions.repos
    index = next(place for place, each in enumerate(repositories) if each.module == "user_default")
    bpy.ops.extensions.package_uninstall(repo_index=index, pkg_id="impasto")
    return {"installed": sorted(installed), "enabled": enabled, "places": places, "disabled": disabled,
            "again": again, "uninstalled": state()}  # fmt: skip


def enable_what_is_there() -> dict[str, Any]:
    """Enable what was put into the user folder without Blender; which command it would start a server with."""
    import importlib

    import bpy

    bpy.ops.preferences.addon_enable(module=NAME)
    preferences = importlib.import_module(f"{NAME}.preferences")
    return {**state(), "command": list(preferences.command())}


def enable_broken(archive: str) -> dict[str, Any]:
    """Install a zip whose wheels are missing; what the panel says."""
    import importlib

    import bpy

    bpy.ops.extensions.package_install_files(repo="user_default", filepath=archive, enable_on_install=True)
    missing = importlib.import_module(f"{NAME}.missing_wheels")
    found = {**state(), "absence": hasattr(bpy.types, "IMPASTO_PT_absence"), "sentence": missing.problem()}
    bpy.ops.preferences.addon_disable(module=NAME)
    return {**found, "left": hasattr(bpy.types, "IMPASTO_PT_absence")}


def frame_through_the_zip(archive: str, style: str) -> dict[str, Any]:
    """A frame there and back with nothing but what the zip brought."""
    import importlib

    import bpy
    import numpy as np

    bpy.ops.extensions.package_install_files(repo="user_default", filepath=archive, enable_on_install=True)
    connection = importlib.import_module(f"{NAME}.connection")
    plate = np.full((32, 48, 3), 0.25, np.float32)
    client = connection.current().wait_ready(30)
    with client.submit(plate, style=style).result(60) as painted:
        same = bool((painted.pixels == plate).all())
    bpy.ops.preferences.addon_disable(module=NAME)
    return {"same": same}


def command_line(words: list[str]) -> dict[str, Any]:
    """`blender --command extension …` as Blender itself runs it."""
    from bl_pkg import bl_extension_cli

    return {"code": bl_extension_cli.cli_extension_handler(words), **state()}


def state() -> dict[str, Any]:
    import bpy

    return {
        "known": NAME in bpy.context.preferences.addons,
        "panel": hasattr(bpy.types, "IMPASTO_PT_main"),
        "settings": hasattr(bpy.types.Scene, "impasto"),
        "files": (Path(bpy.utils.user_resource("EXTENSIONS")) / "user_default" / "impasto").is_dir(),
    }
