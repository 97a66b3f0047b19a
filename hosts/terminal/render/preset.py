"""`--preset`: a look from its file, under the options that are given beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impasto.core.preset import preset_folder, preset_path, read_preset


def with_preset(
    preset: str | None, style: str | None, controls: Mapping[str, Any]
) -> tuple[str | None, Mapping[str, Any]]:
    """Style and options, each taken from the preset where it was not given; `preset` is its name or path.

    Raises UnknownName, UnreadableMedia and UsageError for a preset that is not there or not sound.
    """
    if preset is None:
        return style, controls
    found = read_preset(preset_path(preset, preset_folder()))
    looks: dict[str, Any] = dict(found.params)
    looks |= {f"before_{name}": value for name, value in found.before.items()}
    looks |= {f"after_{name}": value for name, value in found.after.items()}
    looks |= {"before_resize": found.before_resize or None, "after_resize": found.after_resize or None}
    given = {name: value for name, value in controls.items() if value is not None}
    return style or found.style, {**controls, **looks, **given}
