"""`impasto blender install` and `uninstall`: into folders, by a program, and what Blender then makes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from impasto.hosts.terminal.app import run
from impasto.hosts.terminal.install.blender_extension import wheels
from impasto.hosts.terminal.install.blender_extension.installing import own_command
from impasto.hosts.terminal.install.blender_extension.user_folders import (
    configuration,
    folder_at,
    found_folders,
    program_at,
)
from tests.hosts.blender.in_blender import environments, in_blender
from tests.hosts.blender.inside import extension

Impasto = Callable[..., tuple[int, str, str]]


@pytest.fixture
def impasto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Impasto:
    """The command in a home of its own, with the wheels that the other tests have fetched."""
    cache = tmp_path / "cache" / "impasto"
    cache.mkdir(parents=True)
    (cache / "wheels").symlink_to(environments() / "wheels")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("XDG_CONFIG_HOME", "BLENDER_USER_RESOURCES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched: the zip carries the client alone."""
    monkeypatch.setattr("impasto.hosts.terminal.install.blender.fetch", lambda platforms, cache: [])


def user_folder(tmp_path: Path, version: str) -> Path:
    folder = tmp_path / "home" / ".config" / "blender" / version
    folder.mkdir(parents=True)
    return folder


@pytest.mark.blender
@pytest.mark.usefixtures("archive")  # it fetches the wheels
def test_what_is_installed_without_blender_is_enabled_by_it_and_knows_the_command(
    blender_version: str, impasto: Impasto, tmp_path: Path
) -> None:
    user = tmp_path / "user"
    user.mkdir()
    code, said, complaint = impasto("blender", "install", "--blender", user, "--platform", "linux-x64")
    assert (code, complaint) == (0, "")
    assert "installed; enable it in Blender under Edit > Preferences > Add-ons" in said
    found = in_blender(blender_version, extension.enable_what_is_there, extension=False, leave=True, user=user)
    assert found == {"known": True, "panel": True, "settings": True, "files": True, "command": list(own_command())}
    assert impasto("blender", "uninstall", "--blender", user)[1].endswith("removed; restart Blender if it runs\n")
    assert not (user / "extensions" / "user_default" / "impasto").exists()


@pytest.mark.blender
def test_blenders_own_command_line_takes_what_it_is_told(blender_version: str, archive: Path) -> None:
    words = ["install-file", "--repo", "user_default", "--enable", str(archive)]
    found = in_blender(blender_version, extension.command_line, words, extension=False)
    assert found == {"code": 0, "known": True, "panel": True, "settings": True, "files": True}


@pytest.mark.usefixtures("no_wheels")
def test_every_blender_that_was_started_here_gets_it(impasto: Impasto, tmp_path: Path) -> None:
    for version in ("3.6", "4.1", "4.5", "5.0"):
        user_folder(tmp_path, version)
    code, said, _ = impasto("blender", "install", "--platform", "linux-x64")
    assert code == 0
    assert [line.partition(":")[0] for line in said.splitlines()] == ["Blender 5.0", "Blender 4.5"]
    there = sorted(path.parents[3].name for path in (tmp_path / "home").rglob("user_default/impasto/__init__.py"))
    assert there == ["4.5", "5.0"]


@pytest.mark.usefixtures("no_wheels")
def test_installing_again_replaces_every_file_and_keeps_nothing_old(impasto: Impasto, tmp_path: Path) -> None:
    folder = folder_at(user_folder(tmp_path, "4.5"))
    impasto("blender", "install", "--platform", "linux-x64")
    (folder.extension / "left_over.py").write_text("")
    _, said, _ = impasto("blender", "install", "--platform", "linux-x64")
    assert said == "Blender 4.5: updated; restart Blender if it runs\n"
    assert not (folder.extension / "left_over.py").exists()
    assert [path.name for path in folder.extension.parent.iterdir()] == ["impasto"]
    assert json.loads((folder.facts / "command.json").read_text()) == {"command": list(own_command())}


@pytest.mark.usefixtures("no_wheels")
def test_a_named_program_installs_and_enables_it_itself(impasto: Impasto, tmp_path: Path) -> None:
    program = fake_blender(tmp_path / "app" / "blender", tmp_path / "asked.txt")
    code, said, _ = impasto("blender", "install", "--blender", program.parent, "--platform", "linux-x64")
    asked = (tmp_path / "asked.txt").read_text().split()
    assert code == 0
    assert asked[:-1] == [
        "--background",
        "--command",
        "extension",
        "install-file",
        "--repo",
        "user_default",
        "--enable",
    ]
    assert asked[-1].endswith("impasto.zip")
    assert "installed and enabled" in said
    assert f"name the command in the extension's preferences, if it is not on the PATH: {own_command()[0]}" in said
    assert impasto("blender", "uninstall", "--blender", program)[0] == 0
    assert (tmp_path / "asked.txt").read_text().split()[-2:] == ["remove", "user_default.impasto"]


@pytest.mark.usefixtures("no_wheels")
def test_what_an_old_blender_complains_of_is_passed_on(impasto: Impasto, tmp_path: Path) -> None:
    program = tmp_path / "blender"
    program.write_text("#!/bin/sh\necho unknown argument --command >&2\nexit 1\n")
    program.chmod(0o755)
    code, _, complaint = impasto("blender", "install", "--blender", program, "--platform", "linux-x64")
    assert code == 2
    assert "it said: unknown argument --command; Blender 4.2 or newer is needed" in complaint


def test_without_any_blender_it_says_what_to_do(impasto: Impasto) -> None:
    code, _, complaint = impasto("blender", "install")
    assert code == 2
    assert complaint == (
        "impasto: expected a Blender that was started here at least once, found none; start it, or name its program or"
        " user folder with --blender\n"
    )


def test_a_path_that_is_not_there_is_said(impasto: Impasto, tmp_path: Path) -> None:
    code, _, complaint = impasto("blender", "install", "--blender", tmp_path / "nowhere")
    assert code == 2
    assert f"found nothing at '{tmp_path / 'nowhere'}'" in complaint or "found nothing; check the path" in complaint


def test_a_platform_that_is_unknown_is_told_the_nearest(impasto: Impasto) -> None:
    code, _, complaint = impasto("blender", "package", "--platform", "linux-x86")
    assert code == 2
    assert "no platform is called 'linux-x86'; did you mean 'linux-x64'?" in complaint


def test_without_a_network_one_sentence_says_what_was_wanted(
    impasto: Impasto, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    code, _, complaint = impasto("blender", "package", "--platform", "linux-x64")
    assert code == 4
    assert complaint.startswith("impasto: expected msgpack ")
    assert "for linux-x64, Python 3.11 from the package index, got: No matching distribution" in complaint
    assert "connect this machine once" in complaint
    assert not list(tmp_path.glob("*.zip"))


@pytest.mark.parametrize(
    ("system", "environ", "expected"),
    [
        ("linux", {"HOME": "/home/anna"}, "/home/anna/.config/blender"),
        ("linux", {"HOME": "/home/anna", "XDG_CONFIG_HOME": "/conf"}, "/conf/blender"),
        ("darwin", {"HOME": "/Users/anna"}, "/Users/anna/Library/Application Support/Blender"),
        ("win32", {"APPDATA": "/appdata"}, "/appdata/Blender Foundation/Blender"),
    ],
)
def test_user_folders_are_where_each_system_has_them(system: str, environ: dict[str, str], expected: str) -> None:
    assert configuration(environ, system) == Path(expected)


def test_the_folder_that_the_environment_names_is_the_only_one(tmp_path: Path) -> None:
    (found,) = found_folders({"BLENDER_USER_RESOURCES": str(tmp_path), "HOME": str(tmp_path)})
    assert found.extension == tmp_path / "extensions" / "user_default" / "impasto"


def test_the_program_of_an_application_folder_is_found(tmp_path: Path) -> None:
    inside = tmp_path / "Applications" / "Blender.app" / "Contents" / "MacOS"
    program = fake_blender(inside / "Blender", tmp_path / "asked.txt")
    assert program_at(tmp_path / "Applications") == program_at(tmp_path / "Applications" / "Blender.app") == program
    assert program_at(tmp_path) is None


def test_the_command_that_is_recorded_can_be_run(tmp_path: Path) -> None:
    assert own_command([str(tmp_path / "pytest")])[0].endswith(("impasto", Path(sys.executable).name))


def test_the_cache_is_where_the_system_has_caches() -> None:
    if sys.platform == "linux":
        assert wheels.cache_folder({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/impasto/wheels")


def fake_blender(path: Path, asked: Path) -> Path:
    """A program that writes down what it is asked."""
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\necho "$@" > "{asked}"\n')
    path.chmod(0o755)
    return path
