"""Runs inside Blender's Python: one function of one file, as `in_blender` ordered it."""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

PACKAGE = "impasto.hosts.blender"


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text())
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(1.0, order["timeout_s"] - 2.0), exit=False)
    sys.path.append(order["root"])
    try:
        outcome: dict[str, Any] = {"value": _call(order)}
    except BaseException as error:  # noqa: BLE001  # whatever it was, the test is told
        outcome = {"error": "".join(traceback.format_exception(type(error), error, error.__traceback__))}
    Path(order["result"]).write_text(json.dumps(outcome, default=str))
    sys.stdout.flush()
    sys.stderr.flush()
    if not order["leave"]:
        os._exit(0)  # 4.5 hangs at its exit over anything that is still registered
    faulthandler.cancel_dump_traceback_later()


def _call(order: dict[str, Any]) -> Any:
    import bpy  # first: it sets Blender's own paths up

    if order["extension"]:
        import addon_utils

        def fail(error: Exception) -> None:
            raise error

        addon_utils.enable(PACKAGE, default_set=True, handle_error=fail)
        bpy.context.preferences.use_preferences_save = False
    spec = importlib.util.spec_from_file_location("inside_blender", order["file"])
    module = importlib.util.module_from_spec(spec)
    sys.modules["inside_blender"] = module
    spec.loader.exec_module(module)
    try:
        return getattr(module, order["name"])(*order["arguments"])
    finally:
        if order["extension"]:
            import addon_utils

            addon_utils.disable(PACKAGE, default_set=True)


if __name__ == "__main__":
    main()
