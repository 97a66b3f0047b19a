"""A shot to be painted, as the arguments of `impasto render`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from impasto.hosts.bridge.ranges import FrameRange


@dataclass(frozen=True)
class RenderOrder:
    """What is painted, with what, and to where. Empty texts are left to the command."""

    input: str
    output: str
    style: str
    frames: FrameRange | None = None
    params: Mapping[str, float] = field(default_factory=dict)
    """Name -> value, the same for every frame."""
    animation: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Name -> frame -> value, for what changes over the shot."""
    matte: str = ""
    input_space: str = ""
    output_space: str = ""
    server: str = ""
    overwrite: bool = False
    resume: bool = True
    """Keep frames that were painted of the same plate with the same settings."""


def arguments_of(order: RenderOrder, animation_file: Path | None = None) -> list[str]:
    """The words behind `impasto`; `animation_file` bears the animation where there is one (see `store_animation`)."""
    words = ["render", order.input, order.output]
    words += _option("--style", order.style)
    if order.frames is not None:
        words += _option("--frames", order.frames.text())
    for name, value in sorted(order.params.items()):
        words += _option("--" + name.replace("_", "-"), repr(float(value)))
    if animation_file is not None:
        words += _option("--animate", str(animation_file))
    words += _option("--matte", order.matte)
    words += _option("--input-space", order.input_space)
    words += _option("--output-space", order.output_space)
    words += _option("--server", order.server)
    if order.overwrite:
        words.append("--overwrite")
    if order.resume:
        words.append("--resume")
    return words


def store_animation(order: RenderOrder, path: Path) -> Path | None:
    """Write what changes over the shot as the file that `--animate` takes; None where nothing does."""
    if not order.animation:
        return None
    values = {
        name: {str(frame): float(value) for frame, value in sorted(curve.items())}
        for name, curve in sorted(order.animation.items())
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=1), encoding="utf-8")
    return path


def _option(name: str, value: str) -> list[str]:
    # One word: a value may begin with '-'.
    return [name + "=" + value] if value else []
