"""Freed memory is used again, by every thread of the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import resource, sys, threading
    import numpy as np
    from impasto.core.malloc_settings import keep_freed_pages

    kept = keep_freed_pages()
    counts = []

    def paint() -> None:
        for size in (24 << 20, 96 << 20):  # within what a thread's own store would hold, and beyond
            for _ in range(3):
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
                np.ones(size, np.uint8)
                counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    thread = threading.Thread(target=paint)
    thread.start()
    thread.join()
    print(kept, *counts)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has the settings")
def test_what_a_thread_frees_comes_back_without_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, timeout=60, check=True
    )
    kept, *counts = done.stdout.split()
    if kept != "True":
        pytest.skip("this C library keeps to itself how it keeps memory")
    small, large = [int(each) for each in counts[:3]], [int(each) for each in counts[3:]]
    assert max(small[1:]) < 16
    assert max(large[1:]) < 16
