"""The program of a worker process: `python -m impasto.server.worker --fd N --device NAME`.

It is started by the front, which holds the other end of socket N, and ends with it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NoReturn

from impasto.server.worker.parent_watch import die_with_parent
from impasto.server.worker_pipe import worker_end


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Serve the front until it is gone. Leaves with 0, 1 where the device is not there, or 86 where it failed."""
    parser = argparse.ArgumentParser(prog="impasto.server.worker", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="number of the open socket to the front")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:N or mps")
    parser.add_argument("--warm-bytes", type=int, default=None, help="bytes of styles to keep loaded")
    asked = parser.parse_args(arguments)
    die_with_parent(asked.fd)
    link = worker_end(asked.fd)
    # Before torch is loaded: waiting threads leave their core to those that read and write pictures.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from impasto.core.malloc_settings import keep_freed_pages

    keep_freed_pages()
    from impasto.server.worker.device import DeviceStudio
    from impasto.server.worker.loop import work

    # Not `sys.exit`: threads that paint are left in the middle of their work, as after a kill.
    os._exit(work(link, DeviceStudio(asked.device, asked.warm_bytes)))


if __name__ == "__main__":
    main()
