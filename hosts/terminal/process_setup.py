"""Settings of a process that renders or trains, made before the numerical libraries are loaded."""

from __future__ import annotations

import os


def prepare_process() -> None:
    """Let idle threads sleep instead of spinning, and keep freed memory for the next frame.

    Spinning threads of the network would take the cores from the threads that read and write pictures. Variables that
    are set already stay.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from impasto.core.malloc_settings import keep_freed_pages

    keep_freed_pages()
