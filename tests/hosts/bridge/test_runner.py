"""A process is read, cancelled, outlived by nobody and never waited for without end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import process_runs
from impasto.hosts.bridge.runner import WAITING_LINES, Run, follow
from impasto.hosts.events import Event, FrameDone, RunCancelled, RunFailed, RunFinished, RunStarted
from tests.hosts.bridge.conftest import Scripted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def never() -> bool:
    return False


def gone(pid: int) -> None:
    """Wait until a process is no more."""
    end = time.monotonic() + 20
    while process_runs(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.01)


def test_every_event_comes_in_order(scripted: Scripted) -> None:
    command = scripted("say('started', frames=2)\nsay('frame', number=1)\nsay('frame', number=2)\nsay('finished')")
    heard: list[Event] = []
    with Run([], command=command) as run:
        end = follow(run, heard.append, never)
    assert [type(event) for event in heard] == [RunStarted, FrameDone, FrameDone, RunFinished]
    assert end == heard[-1] == run.ended


def test_the_command_is_asked_for_json_lines(scripted: Scripted) -> None:
    with Run(["render", "a b"], command=scripted("say('finished', output=repr(sys.argv[1:]))")) as run:
        end = follow(run, lambda event: None, never)
    assert end == RunFinished(output="['render', 'a b', '--json']")


def test_lines_that_are_no_events_are_passed_over(scripted: Scripted) -> None:
    command = scripted("print('hello'); print('{\"a\": 1}'); say('weather', sun=True); say('finished', moon=1)")
    with Run([], command=command) as run:
        assert follow(run, lambda event: None, never) == RunFinished()


def test_a_newer_contract_is_refused_with_a_sentence(scripted: Scripted) -> None:
    with Run([], command=scripted("print(json.dumps({'impasto': 2, 'event': 'started'}), flush=True)")) as run:
        end = follow(run, lambda event: None, never)
    assert isinstance(end, RunFailed)
    assert "expected lines of version 1 from the `impasto` command, got version 2" in end.message


def test_a_process_that_dies_without_an_event_fails_with_its_standard_error(scripted: Scripted) -> None:
    with Run([], command=scripted("say('started')\nprint('no such library', file=sys.stderr)\nos._exit(7)")) as run:
        end = follow(run, lambda event: None, never)
    assert isinstance(end, RunFailed)
    assert (end.code, end.exit_code) == ("died", 7)
    assert "ended with code 7 instead (no such library)" in end.message


def test_a_process_that_falls_silent_is_ended(scripted: Scripted) -> None:
    with Run([], command=scripted("say('started')\ntime.sleep(600)"), silence_s=0.5) as run:
        end = follow(run, lambda event: None, never)
    assert isinstance(end, RunFailed)
    assert "no line came for 0.5 s; `impasto status` shows whether the server is busy" in end.message
    gone(run.pid)


def test_a_cancel_lets_the_process_end_in_order(scripted: Scripted) -> None:
    program = (
        "asked = []\nsignal.signal(signal.SIGINT, lambda *_: asked.append(1))\nsay('started')\n"
        "while not asked: time.sleep(0.01)\nsay('cancelled', frames=3)"
    )
    started = threading.Event()
    with Run([], command=scripted(program)) as run:
        end = follow(run, lambda event: started.set(), started.is_set)
    assert end == RunCancelled(frames=3)


def test_a_process_that_does_not_heed_a_cancel_is_killed(scripted: Scripted) -> None:
    program = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nsay('started')\ntime.sleep(600)"
    started = threading.Event()
    with Run([], command=scripted(program), grace_s=0.3) as run:
        end = follow(run, lambda event: started.set(), started.is_set)
    assert end == RunCancelled()
    gone(run.pid)


def test_leaving_ends_a_process_that_still_runs(scripted: Scripted) -> None:
    with Run([], command=scripted("say('started')\ntime.sleep(600)"), grace_s=5) as run:
        assert run.next_event(20) == RunStarted()
    assert not process_runs(run.pid)


def test_lines_that_nobody_reads_make_the_process_wait(scripted: Scripted) -> None:
    program = "say('started')\nfor number in range(20000): say('frame', number=number, path='x' * 200)\nsay('finished')"
    with Run([], command=scripted(program)) as run:
        end = time.monotonic() + 20
        while run._lines.qsize() < WAITING_LINES:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert run._lines.qsize() == WAITING_LINES
        assert process_runs(run.pid)
        heard: list[Event] = []
        assert follow(run, heard.append, never) == RunFinished()
    assert len(heard) == 20002


def test_a_command_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(BridgeError, match=r"expected to start '/nowhere/impasto', which failed: .*; run `impasto doc"):
        Run([], command=Command(("/nowhere/impasto",)))


def test_when_the_host_is_killed_the_command_ends_by_itself(tmp_path: Path, scripted: Scripted) -> None:
    program = "while True:\n    say('frame', number=1)\n    time.sleep(0.05)"
    words = scripted(program).words
    host = (
        "import sys, time\nfrom impasto.hosts.bridge.runner import Run\n"
        "from impasto.hosts.bridge.command import Command\n"
        f"run = Run([], command=Command({words!r}))\nrun.next_event(20)\nprint(run.pid, flush=True)\ntime.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process_runs(pid)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        gone(pid)
    finally:
        process.kill()
        process.communicate()
