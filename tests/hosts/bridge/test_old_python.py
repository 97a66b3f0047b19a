"""What runs inside hosts keeps to Python 3.7 and the standard library: in syntax, imports, and in the real thing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.hosts.bridge.old_python import VERSIONS, interpreters

PACKAGES = ("bridge", "nuke", "resolve")
FILES = [
    ROOT / "hosts" / "events.py",
    *(path for package in PACKAGES for path in sorted((ROOT / "hosts" / package).rglob("*.py"))),
]
OF_THE_HOST = {"nuke", "DaVinciResolveScript", "fusionscript"}
SINCE_3_8 = {"Literal", "Protocol", "TypedDict", "Final", "final", "runtime_checkable", "get_args", "get_origin"}
"""Names that `typing` got later; allowed where they are only looked at by type checkers."""

ids = [path.relative_to(ROOT / "hosts").as_posix() for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_the_syntax_is_that_of_3_7(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_only_the_standard_library_the_host_and_the_bridge_are_imported(path: Path) -> None:
    own = {"impasto.hosts.bridge", "impasto.hosts.events", f"impasto.hosts.{path.relative_to(ROOT / 'hosts').parts[0]}"}
    for module, names in runtime_imports(path):
        if module.startswith("impasto"):
            assert any(f"{module}.".startswith(f"{each}.") for each in own), f"{path} imports {module}"
        else:
            assert module.partition(".")[0] in sys.stdlib_module_names | OF_THE_HOST, f"{path} imports {module}"
        assert module != "typing" or not names & SINCE_3_8, f"{path} needs a newer typing"


def runtime_imports(path: Path) -> list[tuple[str, set[str]]]:
    """Modules and names that a file imports when it runs."""
    found = []
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found += [(alias.name, set[str]()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.append((node.module or "", {alias.name for alias in node.names}))
        waiting.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bridge_runs_a_command_in_an_old_interpreter(version: str, tmp_path: Path) -> None:
    python = next((each for each in interpreters() if each.endswith(version)), None)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    (tmp_path / "impasto").mkdir()
    (tmp_path / "impasto" / "hosts").symlink_to(ROOT / "hosts")
    scripted = tmp_path / "scripted.py"
    scripted.write_text("import json\nprint(json.dumps({'impasto': 1, 'event': 'finished', 'frames': 7}))\n")
    modules = [
        f"impasto.hosts.bridge.{path.stem}"
        for path in FILES
        if path.parent.name == "bridge" and path.stem != "__init__"
    ]
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.dont_write_bytecode = True\n"
        f"import {', '.join(modules)}\n"
        "from impasto.hosts.bridge.runner import Run, follow\nfrom impasto.hosts.bridge.command import Command\n"
        f"with Run([], command=Command(({sys.executable!r}, {str(scripted)!r}))) as run:\n"
        "    print(follow(run, lambda event: None, lambda: False))\n"
    )
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "Finished(output=None, frames=7" in done.stdout, done.stderr
