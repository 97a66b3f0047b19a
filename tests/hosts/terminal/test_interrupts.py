"""Ctrl-C: finished frames stay, nothing half-written bears a final name, the code is 130."""

from __future__ import annotations

import os
import signal
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from tests.hosts.terminal.conftest import HEIGHT, IMPASTO, WIDTH, names, outcome_with, picture, started

FRAMES = 400


@pytest.fixture(scope="module")
def long_movie(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("long") / "plate.mp4")
    with open_writer(path, ShotInfo("", "movie", 1, FRAMES, WIDTH, HEIGHT, rate=Fraction(24))) as writer:
        for number in range(1, FRAMES + 1):
            writer.write(picture(number, np.uint8))
    return path


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in the way of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("output", ["out/o.####.exr", "out/o.mp4"])
def test_an_interrupted_run_keeps_what_is_finished(sent: signal.Signals, output: str, long_movie: str) -> None:
    running = started("render", long_movie, output, "--style", "identity", "--local")
    outcome = outcome_with(running, 3, lambda: running.send_signal(sent))
    events = outcome.events
    assert (outcome.code, outcome.err) == (INTERRUPTED, "")
    last = events[-1]
    done = sum(event["event"] == "frame" for event in events)
    assert (last["event"], last["frames"]) == ("cancelled", done)
    assert 3 <= done < FRAMES
    if output.endswith(".exr"):
        assert names(Path("out")) == [f"o.{number:04}.exr" for number in range(1, done + 1)]
    else:
        assert names(Path("out")) == ["o.partial.mp4"]
        assert last["output"] == "out/o.partial.mp4"
        with open_reader(last["output"]) as reader:
            assert len(list(reader)) == done


def test_the_second_signal_ends_at_once() -> None:
    program = (
        "import os, signal, time\n"
        "from impasto.hosts.terminal.interrupts import Interrupts\n"
        "with Interrupts('stopping'):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('never said', flush=True)\n"
    )
    done = subprocess.run([IMPASTO[0], "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "still here\n", "\nstopping\n")


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        assert not interrupts.asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.asked()
    assert signal.getsignal(signal.SIGTERM) == before
