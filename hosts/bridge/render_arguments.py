"""A shot to be painted, as the arguments of `impasto render`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from impasto.hosts.bridge.ranges import FrameList


@dataclass(frozen=True)
class RenderArguments:
    """Input, output, style and settings. The command decides where a text is empty."""

    input: str
    output: str
    style: str
    frames: FrameList
    params: Mapping[str, float] = field(default_factory=dict)
    """Name -> value, the same for every frame."""
    animation: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Name -> frame -> value, for what changes over the shot."""
    input_space: str = ""
    output_space: str = ""
    server: str = ""

    def words(self, animation_file: Path | None = None) -> list[str]:
        """The words after `impasto`; `animation_file` is what `store_animation` wrote.

        With --resume, so that frames stay which an earlier run painted of the same plate with the same settings.
        """
        words = ["render", self.input, self.output]
        words += _option("--style", self.style)
        words += _option("--frames", self.frames.text())
        for name, value in sorted(self.params.items()):
            words += _option("--" + name.replace("_", "-"), repr(float(value)))
        words += _option("--animate", "" if animation_file is None else str(animation_file))
        words += _option("--input-space", self.input_space)
        words += _option("--output-space", self.output_space)
        words += _option("--server", self.server)
        return [*words, "--resume"]

    def store_animation(self, path: Path) -> Path | None:
        """Write the file for `--animate`; None where nothing changes over the shot."""
        if not self.animation:
            return None
        values = {
            name: {str(frame): float(value) for frame, value in sorted(curve.items())}
            for name, curve in sorted(self.animation.items())
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1), encoding="utf-8")
        return path


def _option(name: str, value: str) -> list[str]:
    # One word: a value may begin with '-'.
    return [name + "=" + value] if value else []
