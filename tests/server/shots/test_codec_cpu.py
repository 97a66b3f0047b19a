"""Processor time of codecs in threads of their own."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from impasto.server.shots.codec_cpu import CodecCpu


def work(seconds: float) -> None:
    """Use the processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def measured(spend_own: float, spend_behind: float, elsewhere: threading.Thread | None = None) -> float:
    """What a thread that works, and has another work for it, finds."""
    found: list[float] = []

    def run() -> None:
        cpu = CodecCpu("impasto-test")
        behind = threading.Thread(target=lambda: (work(spend_behind), seen.wait(30)))
        seen = threading.Event()
        behind.start()
        work(spend_own)
        while elsewhere is not None and elsewhere.is_alive():
            time.sleep(0.01)
        until = time.monotonic() + 30
        while cpu.seconds(now=True) < spend_own + spend_behind and time.monotonic() < until:
            time.sleep(0.01)
        seen.set()
        behind.join()
        found.append(cpu.seconds(now=True))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    return found[0]


@pytest.mark.skipif(sys.platform != "linux", reason="threads do not hand on their names here")
def test_the_threads_that_a_thread_starts_count_with_it_also_when_they_have_ended() -> None:
    assert measured(0.05, 0.2) >= 0.25


def test_the_threads_of_others_do_not_count() -> None:
    other = threading.Thread(target=work, args=(0.5,))
    other.start()
    assert measured(0.0, 0.0, other) < 0.4
