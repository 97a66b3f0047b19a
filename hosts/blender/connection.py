# SPDX-License-Identifier: GPL-3.0-or-later
"""The one connection of this Blender, to the server that the preferences name."""

from __future__ import annotations

import bpy

from impasto.core.errors import UsageError
from impasto.server.auth import auth_folder, client_auth

from . import preferences
from .server_connection import Connection, ServerTarget


def target() -> ServerTarget:
    """Where the preferences say that the server is. Raises UsageError where it must not, or cannot, be reached."""
    own = preferences.of_addon()
    address = own.address.strip() if own is not None else ""
    if not address:
        return ServerTarget(command=preferences.command())
    if not getattr(bpy.app, "online_access", True):
        raise UsageError(
            f"expected to reach '{address}', Blender is set to work offline; tick Allow Online Access under Preferences"
            f" > System, or leave the address empty for a server on this machine"
        )
    return ServerTarget(address, auth=client_auth(auth_folder(), address, None))


_current: Connection | None = None


def current() -> Connection:
    """The connection of this Blender. Opens nothing."""
    global _current
    if _current is None:
        _current = Connection(target)
    return _current


def _leave() -> None:
    current().leave()


def register() -> None:
    """Connect to a server that runs, without starting one."""
    preferences.on_server_changed.append(_leave)
    if not bpy.app.background:
        current().connect(start=False)


def unregister() -> None:
    """Leave the server."""
    global _current
    if _leave in preferences.on_server_changed:
        preferences.on_server_changed.remove(_leave)
    if _current is not None:
        _current.close()
        _current = None
