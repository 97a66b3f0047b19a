"""`impasto resolve`: installed and removed without a trace, run from a terminal, and what `doctor` says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from impasto.hosts.bridge import jobs
from impasto.hosts.bridge.command import Command
from impasto.hosts.resolve import menu
from impasto.hosts.resolve.connection import MODULE
from impasto.hosts.resolve.job_record import open_jobs
from impasto.hosts.resolve.request import Request
from impasto.hosts.resolve.ui import UserInterface
from impasto.hosts.terminal import app
from impasto.hosts.terminal.exit_codes import DONE, INTERRUPTED, USAGE
from impasto.hosts.terminal.install import resolve
from tests.hosts.bridge.old_python import interpreters
from tests.hosts.resolve.conftest import RecordingUi, made
from tests.hosts.resolve.fake import World
from tests.hosts.resolve.test_values import CATALOGUE

MENU = "Fusion/Scripts/Utility/Impasto.py"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, so that nothing of the machine's is seen or written."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE", "APPDATA"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("IMPASTO_RUNTIME", str(tmp_path / "run"))
    return folder


@pytest.fixture
def running(world: World, monkeypatch: pytest.MonkeyPatch, quick: Command) -> World:
    """A Resolve that lets programs in, and a painter that copies."""
    module = SimpleNamespace(scriptapp=lambda name: world.resolve if name == "Resolve" else None)
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(resolve, "OWN_COMMAND", quick)
    monkeypatch.setattr(resolve.time, "sleep", lambda seconds: None)
    return world


def run(*arguments: object) -> int:
    return app.run(["resolve", *map(str, arguments)])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("platform", "below"),
    [
        ("linux", ".local/share/DaVinciResolve"),
        ("darwin", "Library/Application Support/Blackmagic Design/DaVinci Resolve"),
        ("win32", "Blackmagic Design/DaVinci Resolve/Support"),
    ],
)
def test_scripts_go_where_resolve_looks(platform: str, below: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve.sys, "platform", platform)
    assert resolve.home_folder() == home / below


def test_what_is_installed_is_removed_without_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "Resolve"
    (folder / "Fusion/Scripts/Utility").mkdir(parents=True)
    (folder / "Fusion/Scripts/Utility/Mine.py").write_text("mine")
    before = tree(folder)
    assert run("install", "--dir", folder) == DONE
    once = tree(folder)
    assert run("install", "--dir", folder) == DONE
    assert tree(folder) == once
    entries = sorted(path.name for path in (folder / "Fusion").rglob("*.py"))
    assert entries == ["Impasto.py", "Mine.py"]
    assert run("uninstall", "--dir", folder) == DONE
    assert tree(folder) == before
    assert run("uninstall", "--dir", folder) == USAGE


def test_a_script_of_the_users_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "Resolve"
    (folder / MENU).parent.mkdir(parents=True)
    (folder / MENU).write_text("mine")
    assert run("install", "--dir", folder) == USAGE
    assert tree(folder) == {MENU: b"mine"}


@pytest.mark.parametrize("python", [sys.executable, *interpreters()], ids=str)
def test_the_installed_script_runs_in_the_hosts_python(python: str, tmp_path: Path) -> None:
    folder = tmp_path / "Resolve"
    assert run("install", "--dir", folder) == DONE
    imports = "; ".join(
        f"import impasto.hosts.resolve.{path.stem}"
        for path in sorted((folder / "impasto/impasto/hosts/resolve").glob("*.py"))
        if path.stem not in ("__init__", "dialog")
    )
    program = f"exec(open({str(folder / MENU)!r}).read().replace('main(', 'print(main, ')); {imports}; print('all')"
    done = subprocess.run([python, "-S", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.endswith("all\n"), done.stderr


def test_without_a_window_the_script_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "Resolve"
    assert run("install", "--dir", folder) == DONE
    program = f"import sys; sys.modules['tkinter'] = None; exec(open({str(folder / MENU)!r}).read())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "Workspace > Scripts" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_a_clip_is_painted_from_the_terminal(
    running: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    arguments = ("--style", "wheatfield", "--strength", "0.5", "--folder", tmp_path / "jobs", "--json")
    assert run("run", *arguments) == DONE
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (events[-1]["event"], Path(events[-1]["output"]).parent) == ("finished", tmp_path / "jobs")
    ((_, marker),) = running.project.timelines[0].markers.items()
    assert json.loads(marker["customData"])["params"] == {"strength": 0.5}
    assert json.loads((home / "Impasto/Resolve/impasto_resolve.json").read_text())["style"] == "wheatfield"


def test_a_job_that_failed_is_listed_continued_and_forgotten(
    running: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--folder", tmp_path / "jobs")
    running.render_fails_after = 3
    assert run("run", "--style", "identity", *where) == USAGE
    assert "The disk is full" in capsys.readouterr().err
    assert run("jobs", *where) == DONE
    listed = capsys.readouterr().out
    assert "The disk is full" in listed
    running.render_fails_after = None
    assert run("run", "--continue", *where) == DONE
    assert run("run", "--continue", *where) == USAGE
    running.render_fails_after = 3
    run("run", "--style", "identity", *where)
    (job,) = open_jobs(tmp_path / "jobs")
    assert run("jobs", "--forget", job.id, *where) == DONE
    assert open_jobs(tmp_path / "jobs") == []


def test_ctrl_c_ends_in_order(running: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        resolve.Interrupts, "asked", lambda self: running.calls.count("Project.IsRenderingInProgress") > 3
    )
    before = running.state()
    assert run("run", "--style", "identity", "--folder", tmp_path / "jobs") == INTERRUPTED
    assert running.state() == before
    (job,) = open_jobs(tmp_path / "jobs")
    assert job.state == "cancelled"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "--style"),
        (("run", "--style", "x", "--scope", "all"), "scope"),
        (("run", "--style", "x", "--handles", "-2"), "handles"),
        (("run", "--style", "x"), "RESOLVE_SCRIPT_API"),
        (("jobs", "--forget", "none"), "of the list"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)
    assert run(*arguments) == USAGE
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_doctor_looks_at_script_jobs_and_connection(
    running: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve.sys, "platform", "linux")

    def report() -> dict[str, tuple[str, str]]:
        return {check.name: (check.state, check.found) for check in resolve.host_checks()}

    assert report()["resolve script"][0] == "warning"
    assert run("install") == DONE
    assert report()["resolve script"][0] == "ok"
    assert report()["resolve"] == ("ok", "DaVinci Resolve Studio 21.0.0 answers")
    (resolve.home_folder() / "impasto/impasto/hosts/resolve/pipeline.py").write_text("older")
    assert "pipeline.py" in report()["resolve script"][1]
    job = jobs.HostJob("7", "resolve", "failed", "Reel 1", message="the disk was full")
    jobs.store(job, home / "Impasto/Resolve/7")
    assert "the disk was full" in report()["resolve jobs"][1]
    monkeypatch.setitem(sys.modules, MODULE, None)
    assert report()["resolve"][0] == "warning"


@pytest.mark.usefixtures("running")
def test_a_job_file_that_is_none_is_named_and_hides_no_other(
    world: World, ui: RecordingUi, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = home / "Impasto/Resolve"
    jobs.store(jobs.HostJob("7", "resolve", "failed", "Reel 1", message="the disk was full"), root / "7")
    for number, text in enumerate(('{"id": ' + "[" * 100_000, '{"id": "8", "host": "resolve", "touched": "x"}', "[]")):
        (root / f"odd{number}").mkdir()
        (root / f"odd{number}" / jobs.NAME).write_text(text)
    assert run("jobs") == DONE
    listed = capsys.readouterr()
    assert "the disk was full" in listed.out
    assert len([line for line in listed.err.splitlines() if line.startswith("note: expected a job of Impasto")]) == 3
    checks = [check.found for check in resolve.host_checks() if check.name == "resolve jobs"]
    assert len(checks) == 4
    monkeypatch.setattr(menu, "load_catalogue", lambda: CATALOGUE)
    assert menu.run(world.resolve, lambda *_: None, ui) is False
    assert len(ui.said) == 3


def test_the_menu_does_one_job_and_ends(
    world: World, ui: RecordingUi, quick: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_COMMAND", str(program_of(quick)))
    monkeypatch.setattr(menu, "load_catalogue", lambda: CATALOGUE)
    asked: list[Request] = []

    def ask(catalogue: Any, last: Request, open_ones: Any) -> Any:
        asked.append(last)
        return Request("identity"), None

    assert menu.run(world.resolve, ask, ui) is True
    assert menu.run(world.resolve, ask, ui) is True
    assert [request.style for request in asked] == ["", "identity"]
    assert ui.said[-1] == "done: A001.mov on the timeline"


def test_the_menu_reports_every_error(world: World, ui: RecordingUi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(menu, "load_catalogue", lambda: CATALOGUE)

    def ask(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    assert menu.run(made(product="DaVinci Resolve").resolve, ask, ui) is False
    assert menu.run(world.resolve, ask, ui) is False
    assert "impasto watch" in ui.said[0]
    assert "ZeroDivisionError" in ui.said[1]
    assert menu.run(world.resolve, lambda *_: None, ui) is False


def program_of(command: Command) -> Path:
    """The quick painter as one program."""
    path = Path(command.words[-1]).with_suffix(".sh")
    path.write_text(f'#!/bin/sh\nexec {" ".join(command.words)} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="no screen: run under xvfb-run to try the window")
def test_the_window_asks_and_shows_how_far_it_is(tmp_path: Path) -> None:
    dialog = pytest.importorskip("impasto.hosts.resolve.dialog")
    waiting = jobs.HostJob("7", "resolve", "painting", "Reel 1")
    with dialog.opened() as window:
        questions = dialog.Questions(window.root, CATALOGUE, Request("wheatfield"), (waiting,))
        questions.fields["strength"].set("7")
        questions.accept()
        window.root.update()
        questions.fields["strength"].set("0.5")
        window.root.after(1, questions.accept)
        request, job = questions.wait()
        assert (request.style, request.params, job) == ("wheatfield", {"strength": 0.5, "stroke": 1.0}, None)
        again = dialog.Questions(window.root, CATALOGUE, Request("wheatfield"), (waiting,))
        again.job.set(next(iter(again._jobs)))
        window.root.after(1, again.accept)
        assert again.wait()[1] == waiting
        window.open_bar()
        assert window.root.protocol("WM_DELETE_WINDOW").endswith("stop")
        window.show_progress(0.5, "painting")
        window.pause(0.01)
        assert not window.stop_requested()
        window.stop()
        assert window.stop_requested()


def test_a_silent_user_interface_is_enough() -> None:
    ui = UserInterface()
    ui.say("x")
    ui.show_progress(0.5, "x")
    ui.pause(0.0)
    assert ui.stop_requested() is False
