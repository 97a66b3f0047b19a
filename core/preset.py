"""Presets: a look in a small readable file, with a style, its parameters, and the grade before and after.

    # impasto preset
    style = "atelier@ink=0.6+pencil=0.4"

    [parameters]
    strength = 0.8
    stroke = 1.5

    [before]
    denoise = 0.2

    [after]
    saturation = 1.1
    resize = "50%"

TOML. What is not named stays as the style has it. A style's path is the file's own, or relative to the preset.
"""

from __future__ import annotations

import math
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from impasto.core.errors import UnknownName, UnreadableMedia, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.grade_settings import AFTER_CONTROLS, BEFORE_CONTROLS, After, Before, Resize
from impasto.core.params import PARAMETERS, Parameter, Params

ENDING: Final = ".preset.toml"
BYTES: Final = 64 << 10
TEXT: Final = 4096
_NAME = re.compile(r"[\w][\w .()+-]{0,79}")
_TABLES: Final[Mapping[str, tuple[Parameter, ...]]] = {
    "parameters": PARAMETERS,
    "before": BEFORE_CONTROLS,
    "after": AFTER_CONTROLS,
}


@frozen_dataclass
class Preset:
    """A look. Values that are not there are the style's own; a value outside its range raises UsageError."""

    style: str
    """A name of the library, or a path; either may have a choice of its styles behind an '@'."""
    params: Mapping[str, float] = field(default_factory=dict)
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    before_resize: str = ""
    after_resize: str = ""

    def __post_init__(self) -> None:
        for name, values in (("parameters", self.params), ("before", self.before), ("after", self.after)):
            _require_known(name, values)
        sizes = [Resize.parse(text) if text else None for text in (self.before_resize, self.after_resize)]
        given: tuple[dict[str, Any], ...] = tuple(map(dict, (self.params, self.before, self.after)))
        Params(**given[0]), Before(**given[1], resize=sizes[0]), After(**given[2], resize=sizes[1])


def preset_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's folder of presets, by the system's custom; it may not exist."""
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or Path.home()) / "impasto" / "presets"
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "impasto" / "presets"


def preset_path(text: str, folder: Path) -> Path:
    """The file of a preset by its path or its name in the folder. Raises UnknownName where there is none."""
    given = Path(text)
    if given.suffix.lower() == ".toml" or given.is_file():
        return given
    path = folder / f"{text}{ENDING}"
    if not _NAME.fullmatch(text) or not path.is_file():
        raise UnknownName("preset", text, preset_names(folder), "(or give the path of a preset)")
    return path


def preset_names(folder: Path) -> list[str]:
    """The names of the presets in a folder, sorted; none where there is no folder."""
    return sorted(path.name.removesuffix(ENDING) for path in folder.glob(f"*{ENDING}"))


def new_preset_path(name: str, folder: Path) -> Path:
    """Where a preset of this name is stored. UsageError for a name that no file may have."""
    if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
        raise UsageError(
            f"expected a name of letters, digits, spaces and ().+-_ for the preset, got '{name[:80]}'; choose another"
        )
    return folder / f"{name}{ENDING}"


def read_preset(path: Path) -> Preset:
    """A preset from its file. A relative path of a style is taken from the folder of the file.

    Raises UnreadableMedia for a file that cannot be read, UnknownName for a parameter or table that does not exist,
    UsageError for a value of another kind or range.
    """
    found = _parsed(path)
    known = {"style", *_TABLES}
    if odd := next((name for name in found if name not in known), None):
        raise UnknownName(f"entry of the preset '{path}'", odd, known)
    style = found.get("style")
    if not isinstance(style, str) or not style or len(style) > TEXT:
        raise UsageError(f"expected style = \"NAME\" in the preset '{path}', got {_shown(style)}; name its style")
    resizes: dict[str, str] = {}
    values: dict[str, dict[str, float]] = {}
    for table in _TABLES:
        values[table] = _numbers(path, table, found.get(table, {}), resizes)
    try:
        return Preset(_at_home(style, path), values["parameters"], values["before"], values["after"], **resizes)
    except UnknownName as error:
        raise UnknownName(f"parameter of the preset '{path}'", error.name, _known_names(found)) from error
    except UsageError as error:
        raise UsageError(f"{error}, in the preset '{path}'") from error


def preset_text(preset: Preset) -> str:
    """A preset as the text of its file; `read_preset` gives it back."""
    lines = ["# impasto preset: `impasto render --preset` paints with it", f"style = {_quoted(preset.style)}"]
    sizes = {"before": preset.before_resize, "after": preset.after_resize}
    for table, values in (("parameters", preset.params), ("before", preset.before), ("after", preset.after)):
        rows = [f"{name} = {number_text(value)}" for name, value in values.items()]
        if size := sizes.get(table):
            rows.append(f"resize = {_quoted(size)}")
        if rows:
            lines += ["", f"[{table}]", *rows]
    return "\n".join(lines) + "\n"


def _require_known(table: str, values: Iterable[str]) -> None:
    names = [each.name for each in _TABLES[table]]
    for name in values:
        if name not in names:
            raise UnknownName(f"parameter among '{table}'", name, names)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES + 1)
        if len(raw) > BYTES:
            raise UsageError(f"expected a preset of at most {BYTES >> 10} KiB, '{path}' has more; it is none")
        return tomllib.loads(raw.decode())
    except OSError as error:
        raise UnreadableMedia(f"expected a preset at '{path}', got: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"expected a preset in TOML at '{path}', got what is none ({said}); mend it") from error


def _numbers(path: Path, table: str, found: Any, resizes: dict[str, str]) -> dict[str, float]:
    if not isinstance(found, dict):
        raise UsageError(f"expected [{table}] with values in the preset '{path}', got {_shown(found)}; mend it")
    values: dict[str, float] = {}
    for name, value in found.items():
        if name == "resize" and table != "parameters":
            if not isinstance(value, str):
                raise UsageError(f"expected resize = \"50%\" in the preset '{path}', got {_shown(value)}; mend it")
            resizes[f"{table}_resize"] = value
        elif type(value) not in (int, float) or not math.isfinite(value):
            raise UsageError(f"expected a number for {name} in the preset '{path}', got {_shown(value)}; mend it")
        else:
            values[name] = float(value)
    return values


def _known_names(found: Mapping[str, Any]) -> list[str]:
    return [each.name for table in _TABLES if table in found for each in _TABLES[table]]


def _at_home(style: str, path: Path) -> str:
    """A style whose path is relative is beside the preset, not where the command runs."""
    if "/" not in style or os.path.isabs(style):
        return style
    return str(path.absolute().parent / style)


def _quoted(text: str) -> str:
    """A text as a basic string of TOML."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in plain) + '"'


def number_text(value: float) -> str:
    """A number as the shortest text that gives it back."""
    return f"{value:.6g}" if value == float(f"{value:.6g}") else repr(float(value))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
