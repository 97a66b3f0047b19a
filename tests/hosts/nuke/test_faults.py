"""What goes wrong is one sentence, costs no finished frame, and leaves Nuke as it was."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from impasto.hosts.bridge.jobs import HostJob, load, process_runs, store
from tests.hosts.nuke.conftest import ALL_GOOD, FIRST, STYLE, OpenNuke, Pretend, Session

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

FIRST_THEN_WAIT = (
    "asked = []\nsignal.signal(signal.SIGINT, lambda *_: asked.append(1))\npaint(1001, done=1)\n"
    "while not asked: time.sleep(0.01)\nsay('cancelled', frames=1)"
)


@pytest.fixture
def artist(open_nuke: OpenNuke) -> Session:
    """Nuke with its window; the test brings the command."""
    session = open_nuke()
    session.expects_errors = True
    return session


def state(node: Any) -> str:
    return str(node["impasto_state"].value())


def left_as_it_was(session: Session, node: Any) -> None:
    """Nothing of a job that failed stays switched."""
    assert node.node("PlateWrite")["disable"].value() is True
    assert session.nuke.root()["proxy"].value() is False
    assert session.nuke.script._recording == 1
    root = session.knobs.plan_of(node).folders.root
    assert not list((root / "incoming").glob("*/*"))


def test_a_command_that_is_not_there_is_one_sentence(artist: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_COMMAND", "/gone/impasto")
    node = artist.node()
    artist.paint(node)
    assert artist.nuke.said == [
        "Impasto1: expected a program at '/gone/impasto', which IMPASTO_COMMAND names, found none; "
        "correct the variable or unset it"
    ]
    left_as_it_was(artist, node)


def test_the_error_of_a_server_that_cannot_start_is_shown(
    artist: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMPASTO_RUNTIME", str(tmp_path / "file" / "run"))
    node = artist.node()
    artist.paint(node)
    (said,) = artist.nuke.said
    assert said.startswith("Impasto1: expected ")
    assert "(0 of 3 frames are kept, Stylize goes on behind them)" in said
    left_as_it_was(artist, node)


def test_the_error_of_a_busy_server_is_shown(artist: Session, pretend: Pretend) -> None:
    pretend("say('failed', code='busy', message='expected room, the queue is full; try again', exit_code=8)")
    node = artist.node()
    artist.paint(node)
    assert "expected room, the queue is full; try again" in artist.nuke.said[0]
    assert load(artist.knobs.plan_of(node).folders.root).state == "failed"  # type: ignore[union-attr]


def test_a_frame_that_failed_is_named_and_the_others_are_kept(session: Session) -> None:
    session.expects_errors = True
    node = session.node("identity")
    # A folder where a frame should go: the server cannot commit this one.
    in_the_way = session.knobs.plan_of(node).folders.root / "painted" / "main" / f"painted.{FIRST + 1}.exr"
    in_the_way.mkdir(parents=True)
    session.paint(node)
    (said,) = session.nuke.said
    assert f"painted.{FIRST + 1}.exr" in said
    assert (in_the_way.parent / f"painted.{FIRST}.exr").exists()
    in_the_way.rmdir()
    session.nuke.said.clear()
    session.paint(node)
    assert state(node).startswith("up to date")


def test_a_disk_that_is_full_while_plates_are_written(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()

    def full(number: int) -> None:
        if number == FIRST + 1:
            raise RuntimeError("PlateWrite: Write error: No space left on device")

    artist.nuke.script.on_frame = full
    artist.paint(node)
    assert (
        "expected Nuke to write the plates of 1001-1003, it says: PlateWrite: Write error: No space"
        in (artist.nuke.said[0])
    )
    left_as_it_was(artist, node)


def test_a_disk_that_is_full_beside_the_host(
    artist: Session, pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(ALL_GOOD)
    node = artist.node()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("impasto.hosts.nuke.reuse_plates.os.replace", full)
    artist.paint(node)
    assert "which failed: No space left on device; make room, or choose another scratch folder" in artist.nuke.said[0]


def test_a_frame_that_the_host_left_out_is_named(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()
    last = artist.nuke.script.execute

    def one_less(write: Any, start: int, end: int, incr: int, views: list[str]) -> None:
        last(write, start, end - 1, incr, views)

    artist.nuke.script.execute = one_less  # type: ignore[method-assign]
    artist.paint(node)
    assert "the host wrote none for 1003" in artist.nuke.said[0]


def test_a_frame_that_was_not_painted_although_all_went_well_is_named(artist: Session, pretend: Pretend) -> None:
    pretend("paint(1001)\npaint(1003)\nsay('finished', frames=2)")
    node = artist.node()
    artist.paint(node)
    assert "expected a painted frame for each of 1001-1003, found none for 1002" in artist.nuke.said[0]
    assert not artist.knobs.shown_frames(node).ready


def test_cancel_while_plates_are_written(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()

    def cancelled(number: int) -> None:
        raise RuntimeError("Cancelled")

    artist.nuke.script.on_frame = cancelled
    artist.paint(node)
    assert state(node).startswith("stopped; what is painted is kept")
    assert artist.nuke.said == []
    left_as_it_was(artist, node)


def test_a_path_that_contains_cancelled_is_no_cancel(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()

    def full(number: int) -> None:
        raise RuntimeError("PlateWrite: /show/cancelled_shots/a.exr: No space left on device")

    artist.nuke.script.on_frame = full
    artist.paint(node)
    assert "it says: PlateWrite: /show/cancelled_shots" in artist.nuke.said[0]


def test_a_render_of_the_artist_s_own_is_waited_for(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()
    mine = artist.final(artist.grade, "mine")
    served: list[int] = []

    def serve_others(number: int) -> None:
        served.append(number)
        artist.nuke._waiting.get(timeout=20)()

    artist.press(node)
    artist.nuke.script.on_frame = serve_others
    artist.nuke.execute(mine, FIRST, FIRST)
    artist.nuke.script.on_frame = lambda number: None
    assert served == [FIRST]
    assert {name for name, _, _ in artist.nuke.script.rendered} == {"mine"}
    artist.wait(node)
    assert state(node).startswith("up to date")


def test_an_unexpected_exception_is_shown_too(artist: Session, pretend: Pretend) -> None:
    pretend("say('frame', number=1001, remaining_s='soon')")
    node = artist.node()
    artist.paint(node)
    assert "expected to paint, got ValueError" in artist.nuke.said[0]
    assert state(node).startswith("expected to paint")


def test_a_node_without_its_inner_nodes_is_an_error(artist: Session) -> None:
    node = artist.node()
    artist.nuke.script.delete(node.node("Painted"))
    artist.press(node, "reload")
    assert artist.nuke.said[0].startswith("expected the node Painted inside Impasto1, it was removed")


@pytest.mark.parametrize("by", ["bar", "button"])
def test_cancel_while_frames_are_painted(artist: Session, pretend: Pretend, by: str) -> None:
    pretend(FIRST_THEN_WAIT)
    node = artist.node()
    artist.press(node)
    artist.nuke.pump(lambda: any("painted 1001" in message for message in artist.bars[0].messages))
    if by == "bar":
        artist.bars[0].pressed = True
    else:
        artist.press(node, "cancel")
    artist.wait(node)
    assert state(node).startswith("stopped")
    assert [path.name for path in artist.painted(node)] == ["painted.1001.exr"]
    left_as_it_was(artist, node)


def test_cancel_of_a_node_that_waits_for_its_turn(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    first, second = artist.node(), artist.node()
    artist.press(first)
    artist.press(second)
    artist.press(second, "cancel")
    artist.wait(first, second)
    assert state(first).startswith("up to date")
    assert state(second).startswith("stopped")
    assert {name for name, _, _ in artist.nuke.script.rendered} == {"Impasto1.PlateWrite"}


def test_reload_while_it_paints_leaves_the_job_its_place(artist: Session, pretend: Pretend) -> None:
    pretend(FIRST_THEN_WAIT)
    node = artist.node()
    node["style"].setValues([STYLE])
    artist.press(node)
    artist.nuke.pump(lambda: artist.bars and any("painted 1001" in message for message in artist.bars[0].messages))
    artist.press(node, "reload")
    artist.nuke.pump(lambda: len(node["style"].values()) > 1)
    assert artist.panel.job_runner().busy(node["identity"].value())
    artist.press(node, "cancel")
    artist.wait(node)


def test_cancel_of_an_idle_node_is_an_error(artist: Session) -> None:
    artist.press(artist.node(), "cancel")
    assert artist.nuke.said == ["expected Impasto1 to be painted, it is idle; there is nothing to cancel"]


def test_a_second_press_while_it_paints_is_refused(artist: Session, pretend: Pretend) -> None:
    pretend(FIRST_THEN_WAIT)
    node = artist.node()
    artist.press(node)
    artist.press(node)
    assert artist.nuke.said == ["expected Impasto1 to be idle, it is being painted; wait, or press Cancel first"]
    artist.press(node, "cancel")
    artist.wait(node)


def test_a_node_that_another_nuke_paints_is_left_to_it(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()
    root = artist.knobs.folders_of(node).root
    other = f"{os.uname().nodename}:{os.getppid()}"
    store(HostJob("a", "nuke", "painting", owner=other, touched=time.time()), root)
    artist.press(node)
    assert artist.nuke.said.pop().startswith(f"expected nobody else to paint Impasto1, {other} does; wait for it")
    # The same without a word for long: its number belongs to somebody else by now.
    store(HostJob("a", "nuke", "painting", owner=other, touched=time.time() - 3600), root)
    artist.paint(node)
    assert state(node).startswith("up to date")


def test_a_node_that_was_deleted_meanwhile_is_not_missed(artist: Session, pretend: Pretend) -> None:
    pretend("paint(1001, done=1)\ntime.sleep(0.3)\npaint(1002)\npaint(1003)\nsay('finished')")
    node = artist.node()
    artist.press(node)
    artist.nuke.pump(lambda: any("painted 1001" in message for message in artist.bars[0].messages))
    artist.nuke.script.delete(node)
    runner = artist.panel.job_runner()
    artist.nuke.pump(lambda: not runner.busy(node["identity"].value()))
    artist.nuke.pump(artist.nuke._waiting.empty)
    assert artist.nuke.said == []


def test_after_a_stopped_job_the_frames_are_old_even_with_the_old_settings(artist: Session, pretend: Pretend) -> None:
    pretend(ALL_GOOD)
    node = artist.node()
    artist.paint(node)
    pretend(FIRST_THEN_WAIT)
    node["detail"].setValue(0.5)
    artist.press(node)
    artist.nuke.pump(lambda: any("painted 1001" in message for message in artist.bars[1].messages))
    artist.press(node, "cancel")
    artist.wait(node)
    node["detail"].setValue(0.0)
    artist.panel.refresh(node)
    assert state(node).startswith("out of date")


def test_without_a_window_a_fault_is_an_error(open_nuke: OpenNuke, pretend: Pretend) -> None:
    pretend("say('failed', message='expected memory, there is none; use a smaller style')")
    session = open_nuke(gui=False)
    with pytest.raises(RuntimeError, match="expected memory, there is none"):
        session.panel.stylize(session.node())


HOST = """\
import sys
from pathlib import Path
import pytest
from tests.hosts.nuke.fake_nuke import FakeNuke
nuke = sys.modules["nuke"] = FakeNuke()
from impasto.hosts.bridge import command, catalogue
for module in (command, catalogue):
    module.installed_folder = lambda: Path({installed!r})
from tests.hosts.nuke.conftest import Session
session = Session(nuke, Path({folder!r}))
node = session.node()
node["identity"].setValue("0123456789ab")
session.press(node)
nuke.pump(lambda: any("painted 1001" in message for message in session.bars[0].messages))
print("painting", flush=True)
nuke.pump(lambda: False, 600)
"""


def test_a_nuke_that_was_closed_in_the_middle_offers_to_paint_on(
    artist: Session, pretend: Pretend, installed: Path, repository: Path
) -> None:
    pretend("paint(1001, done=1)\nwhile True:\n    time.sleep(0.05)\n    say('warning', message='still here')")
    program = HOST.format(installed=str(installed), folder=str(artist.folder))
    host = subprocess.Popen([sys.executable, "-c", program], cwd=repository, stdout=subprocess.PIPE, text=True)
    try:
        assert host.stdout is not None
        assert host.stdout.readline() == "painting\n"
        host.send_signal(signal.SIGKILL)
        host.wait(20)
    finally:
        host.kill()
        host.communicate()

    node = artist.node()
    node["identity"].setValue("0123456789ab")
    job = load(artist.knobs.plan_of(node).folders.root)
    assert job is not None
    assert (job.state, job.done) == ("painting", 1)
    assert not process_runs(int(job.owner.rpartition(":")[2]))
    (plate,) = artist.painted(node)
    before = plate.stat().st_mtime_ns

    pretend("paint(1002)\npaint(1003)\nsay('finished')")
    artist.nuke.script.call("onScriptLoad", artist.nuke.root())
    assert artist.nuke.asked == [
        "Nuke was closed while Impasto painted:\n\nImpasto1 (wheatfield-draft, frames 1001-1003): "
        "1 of 3 frames painted\n\nPaint on?"
    ]
    artist.wait(node)
    assert state(node).startswith("up to date")
    assert plate.stat().st_mtime_ns == before
    assert artist.recovery.jobs_cut_off() == []


def test_who_does_not_want_to_paint_on_is_asked_once(artist: Session) -> None:
    node = artist.node()
    node.setInput(0, None)
    root = artist.knobs.folders_of(node).root
    root.mkdir(parents=True)
    (root / "impasto_job.json").write_text(
        json.dumps({"id": "a", "host": "nuke", "state": "writing", "owner": "elsewhere:1", "touched": 1.0})
    )
    artist.nuke.answer = False
    for _ in range(2):
        artist.nuke.script.call("onScriptLoad", artist.nuke.root())
    assert len(artist.nuke.asked) == 1


def test_a_job_that_still_runs_in_another_nuke_is_not_offered(artist: Session) -> None:
    node = artist.node()
    root = artist.knobs.plan_of(node).folders.root
    root.mkdir(parents=True)
    (root / "impasto_job.json").write_text(
        json.dumps({"id": "a", "host": "nuke", "state": "painting", "owner": f"{os.uname().nodename}:{os.getpid()}"})
    )
    artist.nuke.script.call("onScriptLoad", artist.nuke.root())
    assert artist.nuke.asked == []


def test_a_job_file_that_is_none_is_named_and_hides_no_other(artist: Session) -> None:
    odd, good = artist.node(), artist.node()
    for node in (odd, good):
        node.setInput(0, None)
        artist.knobs.folders_of(node).root.mkdir(parents=True)
    (artist.knobs.folders_of(odd).root / "impasto_job.json").write_text('{"id": ' + "[" * 100_000)
    store(HostJob("a", "nuke", "writing", owner="elsewhere:1", touched=1.0), artist.knobs.folders_of(good).root)
    artist.nuke.answer = False
    artist.nuke.script.call("onScriptLoad", artist.nuke.root())
    assert len(artist.nuke.asked) == 1
    (said,) = artist.nuke.said
    assert said.startswith(f"Impasto, {odd.name()}: expected a job of Impasto in")
