"""A worker process as the front knows it, with the fake device: what it answers, when it stops, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from impasto.server.protocol.messages import Done, RenderSettings
from impasto.server.protocol.pixels import picture_of
from impasto.server.protocol.worker_messages import (
    CheckStyle,
    DropRing,
    FramePainted,
    Quit,
    Ready,
    StopWork,
    StyleChecked,
    WorkerNote,
    WorkFailed,
    WorkStopped,
)
from impasto.server.worker import loop
from impasto.server.worker.loop import work
from impasto.server.worker.painting_device import FrameTask
from impasto.server.worker_pipe import LinkClosed, link_pair, worker_end
from tests.server.fake_worker import COMMAND, SHA256, FakeDevice
from tests.server.worker_process import WorkerProcess, new_id, worker_process

PLATE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
PICTURE = picture_of(PLATE)


@pytest.fixture(scope="module")
def shared() -> Iterator[WorkerProcess]:
    """One worker for the tests that leave it as it was."""
    with worker_process(COMMAND) as worker:
        yield worker


def test_a_worker_says_what_it_is(shared: WorkerProcess) -> None:
    ready = shared.answer(Ready)
    assert (ready.device.device, ready.device.pid, ready.depth) == ("cpu", shared.process.pid, 2)


def test_the_result_is_in_the_out_slot_when_the_answer_comes(shared: WorkerProcess) -> None:
    id = shared.frame(PICTURE, PLATE, RenderSettings("invert"), pair=1)
    painted = shared.until(lambda each: isinstance(each, FramePainted) and each.done.id == id)
    assert isinstance(painted, FramePainted)
    assert set(painted.done.seconds) == {"upload", "before", "network", "after", "download"}
    assert np.array_equal(shared.result(PICTURE, pair=1), 255 - PLATE)


@pytest.mark.parametrize(("style", "code"), [("fail", "style"), ("oom", "out_of_memory"), ("bug", "server")])
def test_a_request_that_fails_leaves_the_worker_well(shared: WorkerProcess, style: str, code: str) -> None:
    id = shared.frame(PICTURE, PLATE, RenderSettings(style))
    assert shared.answer(WorkFailed, id=id).error.code == code
    id = shared.frame(PICTURE, PLATE, RenderSettings("echo"))
    assert shared.until(lambda each: isinstance(each, FramePainted) and each.done.id == id)


def test_a_bug_is_noted_with_its_traceback_under_an_incident(shared: WorkerProcess) -> None:
    id = shared.frame(PICTURE, PLATE, RenderSettings("bug"))
    incident = shared.answer(WorkFailed, id=id).error.incident
    note = shared.until(lambda each: isinstance(each, WorkerNote) and each.facts.get("incident") == incident)
    assert isinstance(note, WorkerNote)
    assert "a bug of the worker" in note.facts["what"]


def test_a_result_that_no_message_can_carry_is_answered_with_an_error() -> None:
    class Odd(FakeDevice):
        def paint(self, task: FrameTask, check: Callable[[], None]) -> Done:
            return replace(super().paint(task, check), notes=("half a letter: \ud800",))

    ours, theirs = link_pair()
    end = worker_end(theirs.detach())
    thread = threading.Thread(target=work, args=(end, Odd("cpu", -1)), kwargs={"leave": lambda status: None})
    thread.start()
    worker = WorkerProcess(ours, None)  # type: ignore[arg-type]  # it has no process
    try:
        id = worker.frame(PICTURE, PLATE, RenderSettings("echo"))
        assert worker.answer(WorkFailed, 10.0, id=id).error.code == "invalid_request"
    finally:
        worker.send(Quit())
        thread.join(10.0)
        ours.close()
        end.close()


def test_an_error_in_who_listens_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would beat any more, nor hear that what is painted is to stop."""
    ours, theirs = link_pair()
    end = worker_end(theirs.detach())
    left = threading.Event()
    status: list[int] = []

    def leave(code: int) -> None:
        status.append(code)
        left.set()

    stop = loop._Worker._stop

    def stumble(self: loop._Worker, id: bytes) -> None:
        stop(self, id)
        raise RuntimeError("a bug of the listener")

    monkeypatch.setattr(loop._Worker, "_stop", stumble)
    thread = threading.Thread(target=lambda: leave(work(end, FakeDevice("cpu", -1), leave=leave)), daemon=True)
    thread.start()
    worker = WorkerProcess(ours, None)  # type: ignore[arg-type]  # it has no process
    try:
        slow = worker.frame(PICTURE, PLATE, RenderSettings("delay-30000ms"))
        worker.listen_until(lambda: any(slow in beat.moved for beat in worker.beats), 10.0)
        worker.send(StopWork(slow))
        note = worker.until(lambda each: isinstance(each, WorkerNote) and each.event == "worker_bug", 10.0)
        assert isinstance(note, WorkerNote)
        assert "a bug of the listener" in note.facts["what"]
        assert left.wait(10.0)
        assert status[0] == 1
    finally:
        thread.join(10.0)
        ours.close()
        end.close()


def test_work_is_stopped_within_a_tile_and_answered_once(shared: WorkerProcess) -> None:
    id = shared.frame(PICTURE, PLATE, RenderSettings("delay-30000ms"))
    begun = time.monotonic()
    shared.send(StopWork(id))
    shared.send(StopWork(id))
    shared.answer(WorkStopped, id=id)
    assert time.monotonic() - begun < 5
    other = shared.frame(PICTURE, PLATE, RenderSettings("echo"))
    shared.until(lambda each: isinstance(each, FramePainted) and each.done.id == other)
    assert sum(isinstance(each, WorkStopped) and each.id == id for each in shared.heard) == 1


def test_stopping_what_has_ended_is_no_answer(shared: WorkerProcess) -> None:
    id = shared.frame(PICTURE, PLATE, RenderSettings("echo"))
    shared.until(lambda each: isinstance(each, FramePainted) and each.done.id == id)
    shared.send(StopWork(id))
    shared.send(StopWork(new_id()))
    other = shared.frame(PICTURE, PLATE, RenderSettings("echo"))
    shared.until(lambda each: isinstance(each, FramePainted) and each.done.id == other)
    assert not any(isinstance(each, WorkStopped) and each.id == id for each in shared.heard)


def test_two_frames_are_painted_at_once(shared: WorkerProcess) -> None:
    slow = shared.frame(PICTURE, PLATE, RenderSettings("delay-30000ms"), pair=0)
    quick = shared.frame(PICTURE, PLATE, RenderSettings("echo"), pair=1)
    shared.until(lambda each: isinstance(each, FramePainted) and each.done.id == quick, 5)
    shared.send(StopWork(slow))
    shared.answer(WorkStopped, id=slow)


def test_beats_go_on_and_name_what_moves(shared: WorkerProcess) -> None:
    moving = shared.frame(PICTURE, PLATE, RenderSettings("delay-30000ms"), pair=0)
    shared.listen_until(
        lambda: any(moving in each.moved and each.device.state == "busy" for each in shared.beats), 10.0
    )
    shared.send(StopWork(moving))
    shared.answer(WorkStopped, id=moving)


def test_what_hangs_does_not_move_and_the_worker_still_beats() -> None:
    with worker_process(COMMAND) as worker:
        id = worker.frame(PICTURE, PLATE, RenderSettings("hang"))
        worker.listen_until(lambda: any(id in beat.moved for beat in worker.beats), 10.0)
        worker.send(StopWork(id))
        worker.listen_until(lambda: sum(id not in beat.moved for beat in worker.beats) >= 3, 10.0)
        assert sum(id in beat.moved for beat in worker.beats) <= 1
        assert not any(isinstance(each, WorkStopped) for each in worker.heard)


def test_a_ring_that_is_not_mapped_fails_the_request_alone() -> None:
    with worker_process(COMMAND) as worker:
        worker.send(DropRing(1))
        id = worker.frame(PICTURE, PLATE, RenderSettings("echo"))
        assert worker.answer(WorkFailed, id=id).error.code == "invalid_request"


def test_a_style_is_checked(shared: WorkerProcess, tmp_path: Path) -> None:
    good, broken = tmp_path / "good.safetensors", tmp_path / "broken.safetensors"
    good.touch()
    broken.touch()
    shared.send(CheckStyle("good", str(good)))
    shared.send(CheckStyle("broken", str(broken)))
    assert shared.answer(StyleChecked, style="good").sha256 == SHA256
    failed = shared.answer(StyleChecked, style="broken").error
    assert failed is not None
    assert failed.code == "style"


def test_an_error_of_the_device_ends_the_process_with_86_and_without_an_answer() -> None:
    with worker_process(COMMAND) as worker:
        id = worker.frame(PICTURE, PLATE, RenderSettings("sticky"))
        assert worker.gone() == 86
        assert not any(isinstance(each, WorkFailed) and each.id == id for each in worker.heard)
        assert worker.answer(WorkerNote, event="device_failed").level == "error"


def test_a_device_that_is_not_there_is_said_before_the_worker_leaves() -> None:
    with worker_process(COMMAND, "not-ready", ready=False) as worker:
        assert worker.gone() == 1
        assert "expected a device" in worker.answer(WorkerNote, event="not_ready").facts["what"]


def test_garbage_on_the_link_is_noticed() -> None:
    with worker_process(COMMAND) as worker:
        worker.frame(PICTURE, PLATE, RenderSettings("garbage"))
        with pytest.raises(LinkClosed, match="at most"):
            worker.until(lambda each: False, 10)


def test_quit_ends_a_worker_in_the_middle_of_its_work() -> None:
    with worker_process(COMMAND) as worker:
        worker.frame(PICTURE, PLATE, RenderSettings("hang"))
        worker.send(Quit())
        assert worker.gone(5) == 0


def test_a_worker_ends_when_the_link_closes() -> None:
    with worker_process(COMMAND) as worker:
        worker.frame(PICTURE, PLATE, RenderSettings("hang"))
        worker.listen()
        worker.link.close()
        assert worker.process.wait(5) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_worker_at_once(number: int) -> None:
    with worker_process(COMMAND) as worker:
        worker.frame(PICTURE, PLATE, RenderSettings("hang"))
        worker.process.send_signal(number)
        assert worker.process.wait(5) == -number


def test_ctrl_c_is_the_fronts_to_answer() -> None:
    with worker_process(COMMAND) as worker:
        worker.process.send_signal(signal.SIGINT)
        id = worker.frame(PICTURE, PLATE, RenderSettings("echo"))
        worker.until(lambda each: isinstance(each, FramePainted) and each.done.id == id)


PARENT = """
    import subprocess, sys, time
    from impasto.server.worker_pipe import link_pair
    link, theirs = link_pair()
    inherited = theirs.dup() if sys.argv[1] == "leak" else None
    if inherited is not None:
        inherited.set_inheritable(True)
    files = [theirs.fileno()] + ([link.fileno()] if inherited is not None else [])
    worker = subprocess.Popen([*sys.argv[2:], "--fd", str(theirs.fileno())], pass_fds=files)
    theirs.close()
    link.wait(60)
    print(worker.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux alone")
@pytest.mark.parametrize("how", ["socket", "leak"])
def test_a_worker_dies_within_a_second_of_its_killed_parent(how: str) -> None:
    """'leak' keeps the front's end of the socket open in the worker itself, so that only the kernel's word is left."""
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), how, *COMMAND], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    _, alive = psutil.wait_procs([worker], timeout=1)
    left = [each for each in alive if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    for each in left:
        each.kill()
    assert left == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it")
def test_a_worker_is_the_first_to_go_when_memory_ends(shared: WorkerProcess) -> None:
    assert Path(f"/proc/{shared.process.pid}/oom_score_adj").read_text().strip() == "500"


def test_the_fake_worker_does_without_torch() -> None:
    program = "import sys; sys.modules['torch'] = sys.modules['OpenImageIO'] = sys.modules['cv2'] = None; "
    program += "import tests.server.fake_worker"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
