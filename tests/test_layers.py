"""Who may import whom: the contracts of pyproject.toml, proven to bite, and the imports that stay light."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("core", "hosts", "server", "training")

# One forbidden import per contract and direction: (contract, file that must not, what it must not import).
TRESPASSES = [
    ("core", "core/frame.py", "impasto.server.protocol"),
    ("core", "core/media/shot.py", "impasto.training"),
    ("core", "core/params.py", "impasto.hosts.terminal"),
    ("core", "core/media/shot.py", "zmq"),
    ("core", "core/media/shot.py", "msgpack"),
    ("values", "core/errors.py", "torch"),
    ("values", "core/params.py", "impasto.core.generators.unet"),
    ("wire", "server/protocol/__init__.py", "torch"),
    ("wire", "server/protocol/__init__.py", "impasto.core.media.shot"),
    ("wire", "server/client/client.py", "torch"),
    ("wire", "server/client/transport.py", "impasto.core.media.shot"),
    ("wire", "server/launcher.py", "impasto.core.engine"),
    ("scheduler", "server/scheduler/scheduler.py", "zmq"),
    ("scheduler", "server/scheduler/events.py", "time"),
    ("scheduler", "server/scheduler/fair_queue.py", "threading"),
    ("scheduler", "server/scheduler/scheduler.py", "impasto.core.errors"),
    ("server", "server/__init__.py", "impasto.hosts.terminal"),
    ("server", "server/protocol/__init__.py", "impasto.training.losses"),
    ("training", "training/data/__init__.py", "impasto.server.protocol"),
    ("training", "training/__init__.py", "impasto.hosts"),
    ("training", "training/losses/__init__.py", "zmq"),
    ("blender", "hosts/blender/versions.py", "torch"),
    ("blender", "hosts/blender/connection.py", "impasto.core.engine"),
    ("blender", "hosts/blender/ui/panel.py", "impasto.hosts.terminal.report"),
    ("blender", "hosts/blender/connection.py", "impasto.server.front"),
    ("adapters", "hosts/bridge/runner.py", "impasto.server.runtime_dir"),
    ("adapters", "hosts/events.py", "impasto.core.params"),
    ("adapters", "hosts/nuke/__init__.py", "impasto.core.params"),
    ("adapters", "hosts/nuke/__init__.py", "numpy"),
    ("adapters", "hosts/resolve/__init__.py", "impasto.hosts.terminal.report"),
    ("strangers", "hosts/nuke/__init__.py", "impasto.hosts.resolve"),
    ("bridge", "hosts/bridge/runner.py", "impasto.hosts.nuke"),
]

# What each contract lets through on purpose.
PERMITTED = [
    ("wire", "server/protocol/__init__.py", "impasto.core.frame"),
    ("wire", "server/client/client.py", "impasto.core.params"),
    ("blender", "hosts/blender/connection.py", "impasto.server.launcher"),
    ("server", "server/__init__.py", "impasto.core.generators.unet"),
    ("adapters", "hosts/nuke/__init__.py", "impasto.hosts.events"),
    ("training", "training/__init__.py", "impasto.core.frame"),
]

# A room of the design that does not stand yet -> what some contract must forbid it from the day it does.
RULED = {
    "core/card.py": {"torch"},
    "server/shared_memory.py": {"torch", "impasto.core"},
    "server/auth.py": {"torch", "impasto.core"},
    "server/protocol/__init__.py": {"torch", "impasto.core"},
    "server/runtime_dir.py": {"torch", "impasto.core"},
    "server/client/__init__.py": {"torch", "impasto.core"},
    "server/launcher.py": {"torch", "impasto.core"},
    "server/scheduler/__init__.py": {"torch", "zmq", "threading", "time"},
    "hosts/blender/__init__.py": {"torch", "impasto.training", "impasto.hosts.terminal"},
    "hosts/nuke/__init__.py": {"torch", "numpy", "impasto.core", "impasto.server", "impasto.training"},
    "hosts/resolve/__init__.py": {"torch", "numpy", "impasto.core", "impasto.server", "impasto.training"},
}

LIGHT = [
    path
    for pattern in (
        "core/__init__.py",
        "core/errors.py",
        "core/frame.py",
        "core/card.py",
        "core/guides.py",
        "core/params.py",
        "server/__init__.py",
        "server/protocol/*.py",
        "server/shared_memory.py",
        "server/client/*.py",
        "server/auth.py",
        "server/launcher.py",
        "server/front/*.py",
        "server/scheduler/*.py",
        "hosts/terminal/*.py",
    )
    for path in sorted(ROOT.glob(pattern))
    if path.name != "__main__.py"  # a program, not a module to import
]


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """The sources under the names they are imported by, to be broken at will."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / "impasto" / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(tree: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python program that finds `impasto` in the given tree before any installed one."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lint(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command as lint; lint()"
    return run(tree, program, "--no-logo", "--no-cache", *arguments)


def dotted(file: str) -> str:
    """'impasto/core/__init__.py' -> 'impasto.core'."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def add_import(tree: Path, file: str, module: str) -> None:
    path = tree / "impasto" / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\nimport {module}\n", encoding="utf-8")


def test_every_contract_is_kept(copied_tree: Path) -> None:
    done = lint(copied_tree)
    assert done.returncode == 0, done.stdout
    assert f"{len(contracts())} kept, 0 broken" in done.stdout


def test_the_contracts_see_every_file(copied_tree: Path) -> None:
    files = {file.relative_to(copied_tree).as_posix() for file in (copied_tree / "impasto").rglob("*.py")}
    roots = ", ".join(f"'impasto.{room}'" for room in ROOMS)
    program = f"import grimp; print(*grimp.build_graph({roots}, cache_dir=None).modules)"
    done = run(copied_tree, program)
    assert set(done.stdout.split()) == {dotted(file) for file in files}


@pytest.mark.parametrize(("contract", "file", "module"), TRESPASSES)
def test_a_trespass_breaks_its_contract(contract: str, file: str, module: str, copied_tree: Path) -> None:
    add_import(copied_tree, file, module)
    done = lint(copied_tree, "--contract", contract)
    assert done.returncode == 1, done.stdout
    assert "0 kept, 1 broken" in done.stdout


@pytest.mark.parametrize(("contract", "file", "module"), PERMITTED)
def test_what_the_design_permits_keeps_its_contract(contract: str, file: str, module: str, copied_tree: Path) -> None:
    add_import(copied_tree, file, module)
    done = lint(copied_tree, "--contract", contract)
    assert done.returncode == 0, done.stdout


def test_every_contract_is_tried() -> None:
    assert {contract for contract, _, _ in TRESPASSES} == {str(contract["id"]) for contract in contracts()}


def test_a_room_with_a_rule_has_a_contract() -> None:
    gaps: dict[str, set[str]] = {}
    for file, rule in RULED.items():
        module = dotted(f"impasto/{file}")
        bound = [contract for contract in contracts() if module in contract.get("source_modules", [])]
        gaps[file] = rule - {name for contract in bound for name in contract["forbidden_modules"]}
    assert {file: gap for file, gap in gaps.items() if gap and (ROOT / file).exists()} == {}


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_light_module_imports_without_torch(path: Path) -> None:
    module = dotted(f"impasto/{path.relative_to(ROOT).as_posix()}")
    # None in sys.modules makes `import torch` fail as if it were not installed.
    program = f"import sys; sys.modules['torch'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def contracts() -> list[dict[str, list[str]]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, list[str]]] = settings["tool"]["importlinter"]["contracts"]
    return found
