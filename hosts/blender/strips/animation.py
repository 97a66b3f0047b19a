# SPDX-License-Identifier: GPL-3.0-or-later
"""The animation of one strip, curves and drivers, copied to another strip of the same scene."""

from __future__ import annotations

from typing import Any, Final

from ..versions import animation_curves, new_curve, remove_curve

LAYING: Final = ("blend_alpha",)
PLACING: Final = ("blend_alpha", "transform.", "crop.")
"""Beginnings of the names of properties that a result may take over."""


def copy_animation(scene: Any, source: Any, target: Any, names: tuple[str, ...]) -> None:
    """Animate the target's properties as the source's are; its own animation is removed."""
    animation = scene.animation_data
    if animation is None:
        return
    own, other = f"{target.path_from_id()}.", f"{source.path_from_id()}."
    clear_animation(scene, target)
    if animation.action is not None:
        for curve in list(animation_curves(animation)):
            if curve.data_path.startswith(other) and curve.data_path.removeprefix(other).startswith(names):
                _copy(curve, new_curve(animation, own + curve.data_path.removeprefix(other), curve.array_index))
    for driver in list(animation.drivers):
        if driver.data_path.startswith(other) and driver.data_path.removeprefix(other).startswith(names):
            copied = animation.drivers.from_existing(src_driver=driver)
            copied.data_path = own + driver.data_path.removeprefix(other)


def clear_animation(scene: Any, strip: Any) -> None:
    """Remove everything that animates a strip."""
    animation, own = scene.animation_data, f"{strip.path_from_id()}."
    if animation is None:
        return
    for driver in [each for each in animation.drivers if each.data_path.startswith(own)]:
        animation.drivers.remove(driver)
    if animation.action is not None:
        for curve in [each for each in animation_curves(animation) if each.data_path.startswith(own)]:
            remove_curve(animation, curve)


def _copy(source: Any, target: Any) -> None:
    target.extrapolation = source.extrapolation
    target.keyframe_points.add(len(source.keyframe_points))
    for old, new in zip(source.keyframe_points, target.keyframe_points, strict=True):
        new.co = old.co
        new.interpolation, new.easing = old.interpolation, old.easing
        new.handle_left_type, new.handle_right_type = old.handle_left_type, old.handle_right_type
        new.handle_left, new.handle_right = old.handle_left, old.handle_right
        new.amplitude, new.back, new.period = old.amplitude, old.back, old.period
    target.update()
