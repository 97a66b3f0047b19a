"""The look that a page asks for: as it comes, as the server is asked for it, and as a command line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from impasto.core.errors import NotPermitted, UsageError
from impasto.core.preset import Preset, number_text
from impasto.core.style_reference import joined, split_reference
from impasto.hosts.web.pictures import PreviewPlate
from impasto.server.file_roots import resolve
from impasto.server.settings import Root

STYLE_ENDING: Final = ".safetensors"
DROPPED: Final = "PLATE"
"""Stands in a command for a picture that was dropped in, whose folder the page cannot know."""


def look_of(found: Mapping[str, Any]) -> Preset:
    """The look in the body of a request. Raises UsageError, and UnknownName for a parameter that does not exist."""
    style = found.get("style")
    if not isinstance(style, str) or not style:
        raise UsageError("expected a style, got none; choose one")
    sizes = [found.get(name) or "" for name in ("before_resize", "after_resize")]
    if not all(isinstance(size, str) for size in sizes):
        raise UsageError("expected a size as text, such as 50%; reload the page")
    params, before, after = (_numbers(found.get(name), name) for name in ("params", "before", "after"))
    return Preset(style, params, before, after, *sizes)


def style_for_server(style: str, runs: Mapping[str, Root], presets: Path) -> str:
    """The style as the server is asked for it: a name, or the path of a file below a root of runs.

    A path is taken from the user's own presets alone; whoever speaks to the page cannot name other files. Raises
    NotPermitted.
    """
    file, choice = split_reference(style)
    if ":" in file and not os.path.isabs(file):
        return joined(str(resolve(file, runs, write=False, endings=(STYLE_ENDING,))), choice)
    if any(part in file for part in "/\\") or file.lower().endswith(STYLE_ENDING):
        if style in _styles_of(presets):
            return style
        raise NotPermitted(
            f"expected the name of a style, got the path '{style}'; put the file into a folder of styles"
        )
    return style


def command_line(look: Preset, plate: PreviewPlate | None, style: str) -> str:
    """The `impasto render` that paints the whole shot of this plate with this look; `style` as the server knows it."""
    source = DROPPED if plate is None or not plate.path else plate.path
    words = ["impasto", "render", source, _result_of(source, plate), f"--style={style}"]
    for prefix, values in (("", look.params), ("before-", look.before), ("after-", look.after)):
        words += [f"--{prefix}{name}={number_text(value)}" for name, value in values.items()]
    for name, size in (("before", look.before_resize), ("after", look.after_resize)):
        words += [f"--{name}-resize={size}"] if size else []
    return shlex.join(words)


def _result_of(source: str, plate: PreviewPlate | None) -> str:
    """Where the result goes: a folder 'painted' where the command runs, under the plate's own name."""
    name = os.path.basename(source)
    if plate is None or not plate.path:
        return "painted.png"
    return "painted/" if plate.kind == "sequence" else f"painted/{name}"


def _styles_of(folder: Path) -> set[str]:
    """The styles of the user's presets."""
    from impasto.core.errors import ImpastoError
    from impasto.core.preset import preset_names, preset_path, read_preset

    found: set[str] = set()
    for name in preset_names(folder):
        try:
            found.add(read_preset(preset_path(name, folder)).style)
        except ImpastoError:
            continue
    return found


def _numbers(found: Any, what: str) -> dict[str, float]:
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(type(value) in (int, float) for value in found.values()):
        raise UsageError(f"expected numbers by name as {what}; reload the page")
    return {str(name): float(value) for name, value in found.items()}
