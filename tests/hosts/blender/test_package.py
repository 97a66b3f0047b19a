"""The zip that `impasto blender package` writes: what is in it, and its life in the real Blender."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from impasto.hosts.terminal.install.blender_extension.archive import sources, write_extension
from impasto.hosts.terminal.install.blender_extension.client_wheel import client_wheel, closure_of, imports_of
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import environments, in_blender, python_of
from tests.hosts.blender.inside import extension

pytestmark = pytest.mark.blender

ON = {"known": True, "panel": True, "settings": True, "files": True}
OFF = {"known": False, "panel": False, "settings": False, "files": True}


def test_blenders_own_validator_accepts_the_zip(blender_version: str, archive: Path) -> None:
    packages = environments() / blender_version / "lib" / "python3.11" / "site-packages"
    tool = packages / "bpy" / blender_version / "scripts" / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"
    command = [python_of(blender_version), tool, "validate", archive]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success" in done.stdout


def test_the_zip_is_installed_enabled_disabled_and_uninstalled_and_blender_ends_cleanly(
    blender_version: str, archive: Path
) -> None:
    found = in_blender(blender_version, extension.whole_life, archive, extension=False, leave=True)
    assert found["installed"] == ["FINISHED"]
    assert [found["enabled"], found["disabled"], found["again"]] == [ON, OFF, ON]
    assert found["uninstalled"] == {**OFF, "files": False}
    assert all(".local" in place for place in found["places"].values()), found["places"]


def test_what_the_zip_brings_is_enough_to_have_a_frame_painted(
    blender_version: str, archive: Path, render_server: RenderServer
) -> None:
    found = in_blender(
        blender_version, extension.frame_through_the_zip, archive, "identity",
        extension=False, leave=True, environment=render_server.environment,
    )  # fmt: skip
    assert found["same"]


def test_without_its_wheels_the_extension_says_so_in_one_sentence(blender_version: str, tmp_path: Path) -> None:
    bare = tmp_path / "bare.zip"
    write_extension(bare, [client_wheel(tmp_path, sources())], ["linux-x64"])
    found = in_blender(blender_version, extension.enable_broken, bare, extension=False, leave=True)
    assert found["known"]
    assert found["absence"]
    assert not found["panel"]
    assert not found["left"]
    assert found["sentence"].startswith("expected 'msgpack' for Python 3.11 among the extension's wheels, got: ")
    assert "impasto blender package" in found["sentence"]


def test_a_binary_that_cannot_be_loaded_is_said_in_one_sentence(
    blender_version: str, archive: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(archive) as sound, zipfile.ZipFile(damaged, "w") as copy:
        for name in sound.namelist():
            data = sound.read(name)
            copy.writestr(name, without_binaries(data) if "pyzmq" in name else data)
    found = in_blender(blender_version, extension.enable_broken, damaged, extension=False, leave=True)
    assert found["absence"]
    assert found["sentence"].startswith("expected 'zmq' for Python 3.11 among the extension's wheels, got: ")


def without_binaries(wheel: bytes) -> bytes:
    """The wheel, with every library in it cut off after some bytes."""
    copied = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(wheel)) as sound, zipfile.ZipFile(copied, "w") as copy:
        for name in sound.namelist():
            data = sound.read(name)
            copy.writestr(name, data[:100] if ".so" in name else data)
    return copied.getvalue()


def test_the_manifest_states_version_platforms_and_every_wheel(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        facts = tomllib.loads(packed.read("blender_manifest.toml").decode())
        names = set(packed.namelist())
    assert facts["version"] == version("impasto")
    assert facts["platforms"] == ["linux-x64"]
    assert {name.removeprefix("./") for name in facts["wheels"]} == {
        name for name in names if name.startswith("wheels/")
    }
    assert facts["license"] == ["SPDX:GPL-3.0-or-later"]
    assert set(facts["permissions"]) == {"network", "files"}


def test_the_zip_carries_the_extension_and_nothing_that_is_built(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = {name for name in packed.namelist() if not name.startswith("wheels/")}
    assert names == {str(path.relative_to(sources())) for path in sources().rglob("*.py")} | {
        "LICENSE",
        "blender_manifest.toml",
    }


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (client_wheel(tmp_path / name, sources()) for name in "ab")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_client_wheel_needs_nothing_but_numpy_msgpack_and_zmq(tmp_path: Path) -> None:
    with zipfile.ZipFile(client_wheel(tmp_path, sources())) as wheel:
        wheel.extractall(tmp_path / "alone")
    program = (
        "import sys; sys.meta_path[:] = [each for each in sys.meta_path if 'editable' not in repr(each).lower()];"
        "sys.modules['torch'] = sys.modules['cv2'] = None;"
        "import impasto.server.client, impasto.server.auth, impasto.core.params; print(impasto.server.client.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "alone")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "alone"))


def test_every_import_of_the_extension_is_in_the_client_wheel() -> None:
    named = imports_of(sources().rglob("*.py"))
    carried = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in closure_of(named)}
    assert {"impasto.server.client", "impasto.core.errors", "impasto.core.params"} <= carried
    assert not {name for name in carried if name.startswith(("impasto.server.front", "impasto.server.worker"))}
    assert not {name for name in carried if name.startswith("impasto.hosts")}


def test_unsound_wheels_of_the_cache_are_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.hosts.terminal.install.blender_extension import wheels

    fetched: list[str] = []

    def download(package: str, wanted: str, platform: str, python: str, folder: Path) -> None:
        fetched.append(f"{package} {python}")
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / f"{package}-{wanted}-cp{python.replace('.', '')}.whl", "w") as archive:
            archive.writestr("content", package)

    monkeypatch.setattr(wheels, "_download", download)
    found = wheels.fetch(["linux-x64"], tmp_path)
    assert len(found) == len(fetched) == 4
    found[0].write_bytes(found[0].read_bytes()[:20])
    fetched.clear()
    assert wheels.fetch(["linux-x64"], tmp_path) == found
    assert fetched == ["msgpack 3.11"]
