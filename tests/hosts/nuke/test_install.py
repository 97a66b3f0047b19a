"""`impasto nuke install` and `uninstall`: nothing of the user's is lost, to the byte."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.hosts.bridge.catalogue import load_catalogue
from impasto.hosts.bridge.command import COMMAND_FILE, find_command
from impasto.hosts.terminal.app import run
from impasto.hosts.terminal.exit_codes import USAGE
from impasto.hosts.terminal.install.host_files import add_block, own_catalogue, remove_block
from impasto.hosts.terminal.install.nuke import host_checks
from tests.hosts.bridge.old_python import interpreters

TEXTS = {
    "none": None,
    "empty": b"",
    "plain": b"import nuke\nnuke.tprint('hello')\n",
    "no last line break": b"import nuke",
    "windows": b"import nuke\r\nimport os\r\n",
    "windows, no last line break": b"import nuke\r\nimport os",
    "latin-1": "# caf\xe9\nimport nuke\n".encode("latin-1"),
    "blank lines": b"\n\nimport nuke\n\n\n",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("NUKE_PATH", raising=False)
    return tmp_path


def nuke(*words: str) -> int:
    return run(["nuke", *words])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_uninstall_restores_the_user_s_folder_to_the_byte(home: Path, text: bytes | None) -> None:
    (home / ".nuke").mkdir()
    (home / ".nuke" / "menu.py").write_bytes(b"# mine")
    if text is not None:
        (home / ".nuke" / "init.py").write_bytes(text)
    before = contents(home)
    assert nuke("install") == 0
    assert nuke("install") == 0, "a second time is no fault"
    after = contents(home)
    assert after[".nuke/menu.py"] == b"# mine"
    assert after[".nuke/init.py"].count(b"pluginAddPath") == 1
    assert after[".nuke/init.py"].startswith((text or b"").rstrip(b"\r\n"))
    assert nuke("uninstall") == 0
    # A file that was empty is not told from one that was not there.
    before.pop(".nuke/init.py") if text == b"" else None
    assert contents(home) == before
    assert [path.name for path in (home / ".nuke").iterdir() if path.is_dir()] == []


def test_what_was_written_behind_our_lines_stays(home: Path) -> None:
    script = home / "init.py"
    script.write_bytes(b"before")
    add_block(script, "nuke", ["ours"])
    script.write_bytes(script.read_bytes() + b"after\n")
    assert remove_block(script, "nuke")
    assert script.read_bytes() == b"before\nafter\n"
    assert not remove_block(script, "nuke")


def test_the_lines_in_the_script_are_python_and_name_the_folder(home: Path) -> None:
    nuke("install")
    script = (home / ".nuke" / "init.py").read_text()
    calls = [each for each in ast.walk(ast.parse(script)) if isinstance(each, ast.Call)]
    assert [ast.literal_eval(call.args[0]) for call in calls] == [(home / ".nuke" / "impasto").as_posix()]


def test_a_file_of_somebody_else_s_is_never_overwritten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "studio"
    folder.mkdir()
    (folder / "menu.py").write_text("# the studio's own")
    assert nuke("install", "--dir", str(folder)) == USAGE
    assert "menu.py', or the one of an earlier installation, but it is another; move it away" in capsys.readouterr().err
    assert contents(folder) == {"menu.py": b"# the studio's own"}


def test_a_file_that_was_changed_since_is_kept_and_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nuke("install")
    changed = home / ".nuke" / "impasto" / "menu.py"
    changed.write_text(changed.read_text() + "# mine too\n")
    assert nuke("uninstall") == 0
    assert "kept, because it was changed" in capsys.readouterr().out
    assert contents(home / ".nuke" / "impasto").keys() == {"menu.py"}


def test_a_list_of_styles_that_the_node_refreshed_is_no_obstacle(home: Path) -> None:
    nuke("install")
    noted = home / ".nuke" / "impasto" / "python" / "impasto_catalogue.json"
    noted.write_text("{}")
    assert nuke("install") == 0
    assert load_catalogue(noted) == own_catalogue()
    noted.write_text("{}")
    assert nuke("uninstall") == 0
    assert contents(home) == {}


def test_a_studio_s_folder_takes_the_files_and_no_script_is_touched(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nuke("install", "--dir", str(home / "studio")) == 0
    assert "NUKE_PATH" in capsys.readouterr().out
    assert not (home / ".nuke").exists()
    assert {"init.py", "menu.py", "python/impasto/hosts/nuke/panel.py"} <= contents(home / "studio").keys()
    assert nuke("uninstall", "--dir", str(home / "studio")) == 0
    assert not (home / "studio").exists()


def test_uninstall_without_an_installation_is_an_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nuke("uninstall") == USAGE
    assert "expected an installation in" in capsys.readouterr().err


def test_the_installation_finds_the_command_that_made_it(home: Path) -> None:
    nuke("install")
    folder = home / ".nuke" / "impasto" / "python"
    words = find_command({"PATH": ""}, folder).words
    assert json.loads((folder / COMMAND_FILE).read_text())["command"] == list(words)
    said = subprocess.run([*words, "--version"], capture_output=True, text=True, check=False, cwd=home)
    assert said.stdout.startswith("impasto ")


def test_doctor_reports_whether_the_node_is_installed(home: Path) -> None:
    assert [(check.state, check.name) for check in host_checks()] == [("warning", "nuke node")]
    nuke("install")
    assert [check.state for check in host_checks()] == ["ok", "ok", "ok"]
    (home / ".nuke" / "init.py").unlink()
    panel = home / ".nuke" / "impasto" / "python" / "impasto" / "hosts" / "nuke" / "panel.py"
    panel.write_text("# of another version")
    states = {check.name: check.state for check in host_checks()}
    assert states == {"nuke node": "warning", "nuke start-up": "failed", "nuke command": "ok"}


def test_doctor_finds_the_node_of_a_studio(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nuke("install", "--dir", str(home / "studio"))
    assert [check.state for check in host_checks()] == ["warning"]
    monkeypatch.setenv("NUKE_PATH", os.pathsep.join([str(home / "gizmos"), str(home / "studio")]))
    assert [check.state for check in host_checks()] == ["ok", "ok", "ok"]


def test_doctor_refuses_a_host_that_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--host", "nuk"]) == USAGE
    assert "no host is called 'nuk'; did you mean 'nuke'?" in capsys.readouterr().err


SESSION = """\
import sys
sys.path.insert(0, sys.argv[1])

class Knows:
    def __getattr__(self, name):
        return lambda *words, **named: Knows()

nuke = sys.modules["nuke"] = Knows()
nuke.GUI = True
added = []
nuke.pluginAddPath = added.append
nuke.Group = nuke.Node = object
for name in ("init.py", "menu.py"):
    exec(compile(open(sys.argv[2] + "/" + name).read(), name, "exec"), {})
assert added == ["./python"]
import impasto.hosts.nuke.panel as panel
assert panel.__file__.startswith(sys.argv[1]), panel.__file__
from impasto.hosts.bridge.catalogue import load_catalogue, read_catalogue
assert load_catalogue().styles
assert read_catalogue() == load_catalogue()
print(sys.version_info[:2])
"""


def old_pythons() -> list[str]:
    """Interpreters of the versions that Nuke 13 to 17 bring, as far as this machine has them."""
    return [each for each in interpreters() if not each.endswith("3.8")]


@pytest.mark.parametrize("python", [*old_pythons(), sys.executable])
def test_what_is_installed_starts_in_the_python_of_nuke(home: Path, python: str) -> None:
    nuke("install")
    folder = home / ".nuke" / "impasto"
    done = subprocess.run(
        [python, "-I", "-c", SESSION, str(folder / "python"), str(folder)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
