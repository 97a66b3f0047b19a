"""The distribution: what it declares, what the wheel carries, and what works without the extras."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOMS = ("core", "hosts", "server", "training")
EXTRAS = ("server", "training", "web", "tune", "export", "farm", "timeline", "cluster", "dev")
NOT_INSTALLED = {"cluster": "ray"}
"""Extras that the tests do without, and what each is pinned for: Ray is 200 MB."""
INSTALLED = tuple(each for each in EXTRAS if each not in NOT_INSTALLED)
NOT_IN_THE_BASE = (
    *("Imath", "OpenEXR", "OpenImageIO", "PyOpenColorIO", "av", "cv2"),
    *("blosc2", "prometheus_client", "psutil", "rich", "safetensors", "tensorboard", "torch", "typer"),
)
OF_ONE_TORCH_BUILD = re.compile(r"nvidia-|cuda-|triton|pytorch-triton")


@pytest.fixture(scope="session")
def settings(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that no leftover of an earlier build can be in it."""
    source = tmp_path_factory.mktemp("source")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for room in ROOMS:
        shutil.copytree(repository / room, source / room, ignore=skip)
    for path in repository.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (source / "dist").glob("*.whl")
    return built


def sources(repository: Path) -> list[Path]:
    return [path.relative_to(repository) for room in ROOMS for path in sorted((repository / room).rglob("*.py"))]


def test_the_package_list_is_the_tree(repository: Path, settings: dict[str, Any]) -> None:
    tree = {".".join(("impasto", *path.parent.parts)) for path in sources(repository)}
    assert set(settings["tool"]["setuptools"]["packages"]) == tree


def test_four_lines_map_the_packages(settings: dict[str, Any]) -> None:
    assert settings["tool"]["setuptools"]["package-dir"] == {f"impasto.{room}": room for room in ROOMS}


def test_impasto_is_a_namespace(repository: Path) -> None:
    assert not (repository / "__init__.py").exists()
    assert not (repository / "impasto").exists()


def test_every_package_has_its_init_file(repository: Path) -> None:
    bare = {str(path.parent) for path in sources(repository) if not (repository / path.parent / "__init__.py").exists()}
    assert bare == set()


def test_the_version_is_written_once(repository: Path, settings: dict[str, Any]) -> None:
    version = settings["project"]["version"]
    again = [path for path in sources(repository) if f'"{version}"' in (repository / path).read_text(encoding="utf-8")]
    assert again == []
    assert metadata.version("impasto") == version


def test_the_base_install_needs_three_packages(settings: dict[str, Any]) -> None:
    assert {Requirement(text).name for text in settings["project"]["dependencies"]} == {"numpy", "pyzmq", "msgpack"}


def test_every_requirement_of_every_extra_is_pinned(repository: Path) -> None:
    missing = (needed_by("impasto", INSTALLED) | {*NOT_INSTALLED.values()}) - pins(repository).keys()
    assert {name for name in missing if not OF_ONE_TORCH_BUILD.match(name)} == set()


def test_every_pin_is_needed(repository: Path) -> None:
    assert pins(repository).keys() - needed_by("impasto", INSTALLED) == {*NOT_INSTALLED.values()}


def test_constraints_are_exact_and_name_no_build_of_a_machine(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)]
    assert odd == []


@pytest.mark.slow
def test_the_wheel_carries_every_source_and_every_style(repository: Path, wheel: Path) -> None:
    carried = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"impasto/{path.as_posix()}" for path in sources(repository)}
    wanted |= {f"impasto/core/styles/{path.name}" for path in (repository / "core/styles").glob("*.safetensors")}
    wanted |= {"impasto/hosts/blender/blender_manifest.toml", "impasto/hosts/blender/LICENSE"}
    wanted |= {f"impasto/hosts/web/static/{path.name}" for path in (repository / "hosts/web/static").iterdir()}
    endings = (".py", ".safetensors", ".toml", "LICENSE", ".html", ".css", ".js", ".svg")
    ours = {name for name in carried if name.startswith("impasto/") and name.endswith(endings)}
    assert ours == wanted


@pytest.mark.slow
def test_the_wheel_states_its_facts(wheel: Path, settings: dict[str, Any]) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    facts = archive.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {settings['project']['version']}\n" in facts
    assert "\nRequires-Python: >=3.11\n" in facts
    assert "\nLicense-Expression: Apache-2.0 AND GPL-3.0-or-later\n" in facts
    assert re.findall(r"^Provides-Extra: (.+)$", facts, re.MULTILINE) == list(EXTRAS)
    assert "impasto = impasto.hosts.terminal.app:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert "Apache License" in archive.read(f"{info}/licenses/LICENSE").decode()
    assert "GNU GENERAL PUBLIC LICENSE" in archive.read(f"{info}/licenses/hosts/blender/LICENSE").decode()


@pytest.mark.parametrize("arguments", [["--help"], ["render", "plate.exr", "out.exr", "--style", "identity"]])
def test_without_extras_the_command_says_what_to_install(arguments: list[str], repository: Path) -> None:
    if not (repository / "hosts/terminal/app.py").exists():
        pytest.skip("the command line is not there yet")
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in NOT_IN_THE_BASE)
    program = f"import sys\n{blocked}from impasto.hosts.terminal.app import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode != 0 or arguments == ["--help"]
    assert done.returncode == 0 or "impasto[server]" in done.stderr


def pins(repository: Path) -> dict[str, str]:
    """Name -> version, as constraints.txt has it."""
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def needed_by(name: str, extras: tuple[str, ...]) -> set[str]:
    """Every distribution that an installed one pulls in on this machine, with the given extras."""
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for extra in ("", *extras)]
    while todo:
        distribution, extra = todo.pop()
        if (distribution, extra) in seen:
            continue
        seen.add((distribution, extra))
        for requirement in map(Requirement, metadata.requires(distribution) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(requirement.name), wanted) for wanted in ("", *requirement.extras)]
    return {distribution for distribution, _ in seen} - {name}
