"""Which package may import which: the contracts of pyproject.toml, no circle anywhere, and modules without torch."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("core", "hosts", "server", "training")
CONTRACT_TYPES = {"forbidden": ForbiddenContract, "independence": IndependenceContract}

# One forbidden import for each contract and direction: (contract, file, module that it must not import).
FORBIDDEN = [
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
    ("front", "server/front/shots.py", "impasto.server.shots"),
    ("front", "server/front/frames.py", "impasto.server.worker"),
    ("server", "server/__init__.py", "impasto.hosts.terminal"),
    ("server", "server/protocol/__init__.py", "impasto.training.losses"),
    ("training", "training/data/__init__.py", "impasto.server.protocol"),
    ("training", "training/__init__.py", "impasto.hosts"),
    ("training", "training/losses/__init__.py", "zmq"),
    ("training-data", "training/data/augmentation.py", "impasto.core.device.colour"),
    ("blender", "hosts/blender/versions.py", "torch"),
    ("blender", "hosts/blender/connection.py", "impasto.core.engine"),
    ("blender", "hosts/blender/ui/panel.py", "impasto.hosts.terminal.report"),
    ("blender", "hosts/blender/connection.py", "impasto.server.front"),
    ("values", "core/preset.py", "torch"),
    ("live", "hosts/live/pump.py", "torch"),
    ("live", "hosts/live/session.py", "starlette"),
    ("live", "hosts/live/session.py", "impasto.server.front"),
    ("live", "hosts/live/sources.py", "impasto.hosts.web.app"),
    ("web", "hosts/web/app.py", "torch"),
    ("web", "hosts/web/app.py", "impasto.training"),
    ("web", "hosts/web/guard.py", "impasto.server.front"),
    ("web", "hosts/web/settings.py", "impasto.hosts.terminal.report"),
    ("adapters", "hosts/bridge/runner.py", "impasto.server.runtime_dir"),
    ("adapters", "hosts/events.py", "impasto.core.params"),
    ("adapters", "hosts/nuke/__init__.py", "impasto.core.params"),
    ("adapters", "hosts/nuke/__init__.py", "numpy"),
    ("adapters", "hosts/resolve/__init__.py", "impasto.hosts.terminal.report"),
    ("farm", "hosts/farm/__init__.py", "torch"),
    ("farm", "hosts/farm/job_file.py", "impasto.hosts.terminal.report"),
    ("independent-adapters", "hosts/nuke/__init__.py", "impasto.hosts.resolve"),
    ("bridge", "hosts/bridge/runner.py", "impasto.hosts.nuke"),
]

# Imports that a contract permits on purpose.
PERMITTED = [
    ("wire", "server/protocol/__init__.py", "impasto.core.frame"),
    ("wire", "server/client/client.py", "impasto.core.params"),
    ("blender", "hosts/blender/connection.py", "impasto.server.launcher"),
    ("server", "server/__init__.py", "impasto.core.generators.unet"),
    ("adapters", "hosts/nuke/__init__.py", "impasto.hosts.events"),
    ("training", "training/__init__.py", "impasto.core.frame"),
    ("training-data", "training/data/augmentation.py", "impasto.core.colour"),
]

# A file of the design, there or to come -> what some contract must forbid it from the day it exists.
REQUIRED = {
    "core/card.py": {"torch"},
    "server/shared_memory.py": {"torch", "impasto.core"},
    "server/auth.py": {"torch", "impasto.core"},
    "server/protocol/__init__.py": {"torch", "impasto.core"},
    "server/runtime_dir.py": {"torch", "impasto.core"},
    "server/client/__init__.py": {"torch", "impasto.core"},
    "server/launcher.py": {"torch", "impasto.core"},
    "server/scheduler/__init__.py": {"torch", "zmq", "threading", "time"},
    "hosts/blender/__init__.py": {"torch", "impasto.training", "impasto.hosts.terminal"},
    "hosts/events.py": {"torch", "numpy", "impasto.core", "impasto.server", "impasto.training"},
    "hosts/live/__init__.py": {"torch", "impasto.training"},
    "hosts/web/__init__.py": {"torch", "impasto.training"},
    "hosts/farm/__init__.py": {"torch"},
    "hosts/nuke/__init__.py": {"torch", "numpy", "impasto.core", "impasto.server", "impasto.training"},
    "hosts/resolve/__init__.py": {"torch", "numpy", "impasto.core", "impasto.server", "impasto.training"},
}

# Modules that import where torch is not installed.
LIGHT = (
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
    "hosts/web/*.py",
    "hosts/live/**/*.py",
    "server/front/*.py",
    "server/scheduler/*.py",
    "hosts/terminal/**/*.py",
)

IMPORT_WITHOUT_TORCH = """
import importlib, json, sys, traceback
sys.modules["torch"] = None  # makes `import torch` fail as if it were not installed
failures = {}
for module in sys.argv[1:]:
    for name in [name for name in sys.modules if name.startswith("impasto")]:
        del sys.modules[name]  # each module is the first of ours to be imported
    try:
        importlib.import_module(module)
    except BaseException:
        failures[module] = traceback.format_exc(limit=-2)
print(json.dumps(failures))
"""


@pytest.fixture(scope="session")
def graph() -> grimp.ImportGraph:
    """Every import of the product, inside functions and for type checking too."""
    configuration.configure()
    packages = [f"impasto.{folder}" for folder in FOLDERS]
    return grimp.build_graph(*packages, include_external_packages=True, cache_dir=None)


def dotted(file: str) -> str:
    """'core/colour/__init__.py' -> 'impasto.core.colour'."""
    return f"impasto.{file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"


def contracts() -> dict[str, dict[str, Any]]:
    """The contracts of pyproject.toml by id."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {each["id"]: each for each in settings["tool"]["importlinter"]["contracts"]}


def is_kept(contract: str, graph: grimp.ImportGraph) -> bool:
    """Whether a graph keeps a contract, by import-linter's own check."""
    options = contracts()[contract]
    session = {"root_packages": [f"impasto.{folder}" for folder in FOLDERS], "include_external_packages": True}
    checked = CONTRACT_TYPES[options["type"]](options["name"], session, options)
    return checked.check(deepcopy(graph), verbose=False).kept


def with_import(graph: grimp.ImportGraph, file: str, module: str) -> grimp.ImportGraph:
    """The graph with one more import, as if the file had it."""
    assert dotted(file) in graph.modules, f"no file {file}"
    changed = deepcopy(graph)
    if module not in changed.modules:
        assert not module.startswith("impasto."), f"no module {module}"
        changed.add_module(module, is_squashed=True)
    changed.add_import(importer=dotted(file), imported=module)
    return changed


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """The strongly connected components of more than one module, each sorted."""
    found = set()
    for module in graph.modules:
        circle = graph.find_upstream_modules(module) & graph.find_downstream_modules(module)
        if circle:
            found.add(tuple(sorted(circle | {module})))
    return [list(circle) for circle in sorted(found)]


def test_no_imports_run_in_a_circle(graph: grimp.ImportGraph) -> None:
    found = circles(graph)
    assert found == [], "\n".join(" <-> ".join(circle) for circle in found)


def test_a_circle_is_found_inside_functions_and_for_type_checking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "circular"
    package.mkdir()
    texts = {
        "__init__": "",
        "one": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from circular.two import anything\n",
        "two": "def anything():\n    from circular import three\n",
        "three": "import circular.one\n",
        "outside": "import circular.one\n",
    }
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    graph = grimp.build_graph("circular", cache_dir=None)
    assert circles(graph) == [["circular.one", "circular.three", "circular.two"]]


def test_every_contract_is_kept(graph: grimp.ImportGraph) -> None:
    assert [name for name in contracts() if not is_kept(name, graph)] == []


def test_the_contracts_see_every_file(graph: grimp.ImportGraph) -> None:
    files = [file.relative_to(ROOT).as_posix() for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    assert {module for module in graph.modules if module.startswith("impasto.")} == {dotted(file) for file in files}


@pytest.mark.parametrize(("contract", "file", "module"), FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(
    contract: str, file: str, module: str, graph: grimp.ImportGraph
) -> None:
    assert not is_kept(contract, with_import(graph, file, module))


@pytest.mark.parametrize(("contract", "file", "module"), PERMITTED)
def test_a_permitted_import_keeps_its_contract(contract: str, file: str, module: str, graph: grimp.ImportGraph) -> None:
    assert is_kept(contract, with_import(graph, file, module))


def test_every_contract_is_tried() -> None:
    assert {contract for contract, _, _ in FORBIDDEN} == contracts().keys()


def test_the_command_reports_an_import_in_a_file(tmp_path: Path) -> None:
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / "impasto" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, text in (("core/frame.py", "def late():\n    import zmq\n"), ("training/__init__.py", "import zmq\n")):
        with (tmp_path / "impasto" / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\n{text}")
    program = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--no-cache", "--contract", "core", "--contract", "training"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "0 kept, 2 broken" in done.stdout


def test_every_file_with_a_rule_has_a_contract() -> None:
    gaps: dict[str, set[str]] = {}
    for file, rule in REQUIRED.items():
        bound = [contract for contract in contracts().values() if dotted(file) in contract.get("source_modules", [])]
        gaps[file] = rule - {name for contract in bound for name in contract["forbidden_modules"]}
    assert {file: gap for file, gap in gaps.items() if gap and (ROOT / file).exists()} == {}


def test_light_modules_import_without_torch() -> None:
    files = [file.relative_to(ROOT).as_posix() for pattern in LIGHT for file in sorted(ROOT.glob(pattern))]
    modules = [dotted(file) for file in files if not file.endswith("__main__.py")]  # a program, not a module to import
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT_TORCH, *modules], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    failures = json.loads(done.stdout)
    assert failures == {}, "\n".join(f"{module}:\n{trace}" for module, trace in failures.items())


def test_a_public_class_name_stands_in_one_file() -> None:
    """One word for one thing: the same name in two files is the same thing twice, or two things."""
    found: dict[str, list[str]] = {}
    for package in ("core", "hosts", "server", "training"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: files for name, files in found.items() if len(files) > 1} == {}
