# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the wheels that travel in the extension are there and can be loaded."""

from __future__ import annotations

import importlib
import sys
from typing import Final

NEEDED: Final = ("numpy", "msgpack", "zmq", "impasto.server.client")


def problem() -> str:
    """What is missing, and what to do, in one sentence; '' where nothing is."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  # a broken binary raises whatever it likes
            python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
            cause = " ".join(str(error).split())
            return (
                f"expected '{name.partition('.')[0]}' for {python} among the extension's wheels, got: {cause}; build "
                f"the extension for this system with `impasto blender package`, install it again and restart Blender"
            )
    return ""
