"""The extension's zip: the sources of `impasto.hosts.blender`, its manifest, and the wheels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from impasto.core.errors import NoSpace, OutputError

MANIFEST: Final = "blender_manifest.toml"
WHEELS: Final = "wheels"
FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)
"""Zip files know no earlier; a fixed day makes the same contents the same bytes."""


def sources() -> Path:
    """The folder of the extension's sources, of this installation."""
    found = find_spec("impasto.hosts.blender")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def write_extension(path: Path, wheels: Sequence[Path], platforms: Sequence[str]) -> None:
    """Write the zip. Raises OutputError."""
    folder = sources()
    files = {
        each.relative_to(folder).as_posix(): each.read_bytes() for each in [*folder.rglob("*.py"), folder / "LICENSE"]
    }
    template = (folder / MANIFEST).read_text(encoding="utf-8")
    names = [each.name for each in wheels]
    files[MANIFEST] = manifest(template, version("impasto"), names, platforms).encode()
    files |= {f"{WHEELS}/{each.name}": each.read_bytes() for each in wheels}
    write_zip(path, files)


def manifest(template: str, own_version: str, wheels: Sequence[str], platforms: Sequence[str]) -> str:
    """The manifest with version, platforms and wheels in front of its first table."""
    head, table, tail = template.partition("\n[")
    facts = {
        "version": f'"{own_version}"',
        "platforms": _list(platforms),
        "wheels": _list(f"./{WHEELS}/{name}" for name in sorted(wheels)),
    }
    lines = "".join(f"{name} = {value}\n" for name, value in facts.items())
    return f"{head.rstrip()}\n{lines}{table}{tail}"


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a zip whole or not at all; the same files give the same bytes. Raises OutputError, NoSpace."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(files.items()):
                facts = zipfile.ZipInfo(name, FIRST_DAY)
                facts.external_attr = 0o644 << 16
                stored = name.endswith(".whl")  # a zip already
                archive.writestr(facts, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        kind = NoSpace if error.errno == 28 else OutputError
        raise kind(f"expected to write '{path}', got: {error.strerror}; name another file with --output") from error


def _list(values: object) -> str:
    assert not isinstance(values, str)
    return "[\n" + "".join(f'  "{value}",\n' for value in values) + "]"  # type: ignore[attr-defined]
