"""What the first tests of the extension do inside Blender."""

from __future__ import annotations

from typing import Any


def what_it_is() -> dict[str, Any]:
    import bpy

    preferences = bpy.context.preferences.addons["impasto.hosts.blender"].preferences
    preferences.command = "/somewhere/impasto"
    return {"version": list(bpy.app.version), "command": preferences.command, "type": type(preferences).__name__}


def settings() -> dict[str, Any]:
    """The defaults of the sliders, and a curve on one of them."""
    import bpy

    from impasto.core.params import PARAMETERS
    from impasto.hosts.blender.look import parameters

    found = bpy.context.scene.impasto
    defaults = parameters.values_at(found)
    ranges = {
        each.name: [(rna := found.bl_rna.properties[each.name]).hard_min, rna.hard_max, rna.description]
        for each in PARAMETERS
    }
    found.strength = 0.0
    found.keyframe_insert("strength", frame=1)
    found.strength = 1.0
    found.keyframe_insert("strength", frame=11)
    halfway = parameters.values_at(found, 6)["strength"]
    return {"defaults": defaults, "ranges": ranges, "halfway": halfway, "frame": bpy.context.scene.frame_current,
            "animated": parameters.is_animated(found)}  # fmt: skip


def chosen_style(style: str) -> dict[str, Any]:
    """A style chosen in the menu: its name, its picture, and what became of the sliders."""
    import bpy

    from impasto.hosts.blender import connection
    from impasto.hosts.blender.ui import thumbnails

    there = connection.current()
    there.wait_ready(30)
    found = bpy.context.scene.impasto
    found.colour = 0.25
    items = thumbnails.items(found, bpy.context)
    found.style = style
    pictures = list(thumbnails._pictures["collection"].values())
    width, height = pictures[0].image_size if pictures else (0, 0)
    return {"name": found.style_name, "style": found.style, "names": [each[0] for each in items],
            "pictures": len(pictures), "colour": found.colour, "picture": [width, height]}  # fmt: skip


def painted_frame(style: str) -> dict[str, Any]:
    """A frame there and back from inside Blender."""
    import numpy as np

    from impasto.hosts.blender import connection

    there = connection.current()
    client = there.wait_ready(30)
    plate = np.random.default_rng(3).random((64, 96, 4), dtype=np.float32)
    plate[..., 3] = 1
    with client.submit(plate, style=style).result(60) as painted:
        pixels = painted.copy()
    return {"numpy": np.__version__, "pixels": pixels.tobytes().hex(), "state": there.state,
            "styles": [each.name for each in there.styles()], "transport": client.transport}  # fmt: skip
