"""The client as a wheel of its own: exactly the modules of impasto that the extension imports, directly or not."""

from __future__ import annotations

import ast
import base64
import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from impasto.core.errors import UsageError
from impasto.hosts.terminal.install.blender_extension.archive import write_zip

NAME: Final = "impasto_client"
HOST: Final = "impasto.hosts.blender"


def client_wheel(folder: Path, extension: Path) -> Path:
    """Write the wheel for the extension whose sources are in a folder, and return its path.

    The version contains a digest of the contents, because Blender does not replace a wheel of the same version.
    """
    contents = closure_of(imports_of(extension.rglob("*.py")))
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(contents.items()))).hexdigest()[:12]
    return write_wheel(folder, f"{version('impasto')}+{digest}", contents)


def imports_of(files: Iterable[Path]) -> set[str]:
    """The modules of impasto that these files import absolutely, also inside functions, except hosts."""
    named: set[str] = set()
    for path in files:
        named |= _imports(path.read_bytes(), path.name)
    return {name for name in named if not name.startswith("impasto.hosts")}


def closure_of(modules: Iterable[str]) -> dict[str, bytes]:
    """The source files of modules and of all that they import of impasto: path inside a wheel -> contents."""
    contents: dict[str, bytes] = {}
    todo, seen = list(modules), set()
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        path = _source_of(module)
        if path is None:
            continue
        name = module.replace(".", "/") + ("/__init__.py" if path.name == "__init__.py" else ".py")
        contents[name] = path.read_bytes()
        todo += [*_imports(contents[name], str(path)), *_parents(module)]
    return contents


def write_wheel(folder: Path, wheel_version: str, contents: Mapping[str, bytes]) -> Path:
    """A pure wheel with these files, by PEP 427; the same contents give the same bytes."""
    info = f"{NAME}-{wheel_version}.dist-info"
    facts = {
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {NAME}\nVersion: {wheel_version}\n"
        "Summary: The way to an impasto render server\nLicense-Expression: Apache-2.0\n"
        "Requires-Python: >=3.11\nRequires-Dist: numpy\nRequires-Dist: pyzmq\nRequires-Dist: msgpack\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: impasto\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files = {**contents, **{name: text.encode() for name, text in facts.items()}}
    record = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in sorted(files.items())]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{NAME}-{wheel_version}-py3-none-any.whl"
    write_zip(path, files)
    return path


def _imports(source: bytes, name: str) -> set[str]:
    """Every module of impasto that a source imports; for `from a import b` both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source, name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in found if module.startswith("impasto.")}


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(2, len(parts))]


def _source_of(module: str) -> Path | None:
    """The file of a module; None for a name that is something inside one."""
    _, room, *rest = module.split(".")
    found = importlib.util.find_spec(f"impasto.{room}")
    if found is None or found.origin is None:
        raise UsageError(f"expected the package 'impasto.{room}' to be installed, found none; install impasto again")
    path = Path(found.origin).parent.joinpath(*rest)
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
