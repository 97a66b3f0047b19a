# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's styles as a list with pictures, as Blender's menus want it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final, TypeAlias

import bpy
import bpy.utils.previews

from ..connection import current

Item: TypeAlias = tuple[str, str, str, int, int]

NO_STYLE: Final = ("", "No styles yet", "Start the render server to see its styles", 0, 0)

_pictures: dict[str, Any] = {}
"""'collection': Blender's previews."""
_names: list[str] = []
"""Style names; a style's place is its number while Blender runs, so that a choice outlives a reload."""
_items: list[Item] = [NO_STYLE]
"""Kept here, because Blender does not keep the strings of a menu."""
_made_of: list[int] = [-1]
"""The connection's revision for which `_items` was made."""


def items(settings: Any, context: Any) -> list[Item]:
    """The styles of the server, for the style menu of `scene.impasto`."""
    connection = current()
    chosen = getattr(settings, "style_name", "")
    if _made_of[0] != connection.revision or (chosen and chosen not in _names):
        _made_of[0] = connection.revision
        found = [
            (each.name, each.title, each.description, icon_of(each.name, each.sha256), _place_of(each.name))
            for each in connection.styles()
            if not each.guides
        ]
        if chosen and all(item[0] != chosen for item in found):
            # The style of a .blend file is not lost while no server runs, or when the style is deleted.
            found.append((chosen, chosen, "The server does not know this style, or is not there", 0, _place_of(chosen)))
        _items[:] = found or [NO_STYLE]
    return _items


def number_of(name: str) -> int:
    """A style's number in the menu; without a style that of the first item."""
    return _place_of(name) if name else _items[0][4]


def name_of(number: int) -> str:
    """The style of a number; '' where there is none."""
    return _names[number - 1] if 0 < number <= len(_names) else ""


def icon_of(name: str, sha256: str) -> int:
    """The icon of a style's preview; 0 where it has none."""
    collection = _pictures.get("collection")
    png = current().preview(name)
    if collection is None or not png:
        return 0
    key = f"{name} {sha256}"
    if key not in collection:
        with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
            path = Path(folder) / "preview.png"
            path.write_bytes(png)
            loaded = collection.load(key, str(path), "IMAGE")
            loaded.icon_size[:]  # read once: Blender loads it now, while the file is there
            loaded.image_size[:]
    return int(collection[key].icon_id)


def _place_of(name: str) -> int:
    if name not in _names:
        _names.append(name)
    return _names.index(name) + 1


def register() -> None:
    """Make a collection for the pictures."""
    _pictures["collection"] = bpy.utils.previews.new()


def unregister() -> None:
    """Free the pictures."""
    collection = _pictures.pop("collection", None)
    if collection is not None:
        bpy.utils.previews.remove(collection)
    _items[:] = [NO_STYLE]
    _made_of[0] = -1
