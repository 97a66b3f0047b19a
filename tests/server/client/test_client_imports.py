"""What a host loads with the client."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "cv2", "av", "OpenImageIO", "OpenEXR", "PyOpenColorIO", "blosc2", "safetensors", "asyncio", "psutil")
HEAVY_TOO = ("multiprocessing", "typer", "rich", "ssl", "http", "unittest")


def test_the_client_loads_nothing_that_is_heavy() -> None:
    # What numpy loads by itself is not the client's doing.
    program = (
        "import sys, numpy; before = set(sys.modules); import impasto.server.client;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(run.stdout.split())
    assert {"impasto", "zmq", "msgpack"} <= loaded
    assert not loaded & {*HEAVY, *HEAVY_TOO}


def test_the_client_knows_no_part_of_core_but_its_values() -> None:
    program = "import sys, impasto.server.client; print(*(name for name in sys.modules if 'impasto' in name))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    core = {name for name in run.stdout.split() if name.startswith("impasto.core.")}
    values = ("animation", "errors", "params", "frame", "card", "frozen_dataclass")
    assert core <= {f"impasto.core.{name}" for name in values}
