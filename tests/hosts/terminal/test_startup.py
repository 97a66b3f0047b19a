"""What a command loads: no library that it does not use. How long it takes is measured by `tests.bench startup`."""

from __future__ import annotations

import subprocess
import sys

import pytest

PICTURES = {"cv2", "av", "OpenImageIO", "OpenEXR", "PyOpenColorIO"}
NETWORKS = {"torch", "safetensors"}
WIRE = {"zmq", "msgpack"}

COMMAND = "import sys; from impasto.hosts.terminal.app import run; assert run({arguments!r}) == 0"
SERVED_RENDER = "import impasto.hosts.terminal.render.job, impasto.hosts.terminal.render.served"
"""What `impasto render` imports once it has read its options, before it connects."""
LIST = "; import sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"


def loaded_by(program: str) -> set[str]:
    """The packages that a process has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program + LIST], capture_output=True, text=True, timeout=120, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["render", "--help"], ["styles"]])
def test_a_command_that_shows_text_loads_no_library_of_pictures(arguments: list[str]) -> None:
    assert loaded_by(COMMAND.format(arguments=arguments)) & (PICTURES | NETWORKS | WIRE | {"numpy"}) == set()


@pytest.mark.parametrize("program", [SERVED_RENDER, "import impasto.hosts.terminal.watch.command"])
def test_what_the_server_renders_loads_no_library_of_pictures(program: str) -> None:
    assert loaded_by(program) & (PICTURES | NETWORKS) == set()
