"""What one press of Stylize asks for, as a value, and the folders of its files."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Mapping

from impasto.hosts.bridge.digest import digest_of
from impasto.hosts.bridge.patterns import for_view
from impasto.hosts.bridge.ranges import FrameList
from impasto.hosts.bridge.render_arguments import RenderArguments
from impasto.hosts.bridge.server_paths import SharedFolder

LIVE = ("strength",)
"""Parameters that the node applies itself, after the painted picture: a change of them paints nothing anew."""


@dataclass(frozen=True)
class Folders:
    """Where a node keeps its pictures."""

    root: Path

    @property
    def incoming(self) -> str:
        """Where the Write puts plates, as a pattern with %V."""
        return self._pattern("incoming", "plate")

    @property
    def plates(self) -> str:
        """Where the server reads plates."""
        return self._pattern("plates", "plate")

    @property
    def painted(self) -> str:
        """What the node shows."""
        return self._pattern("painted", "painted")

    def _pattern(self, folder: str, name: str) -> str:
        # Nuke wants forward slashes on every system.
        return (self.root / folder / "%V" / (name + ".%04d.exr")).as_posix()


@dataclass(frozen=True)
class Plan:
    """All that a job needs, read from the node once, on the main thread."""

    identity: str
    """Of the node, for as long as it lives; a pasted node has another."""
    name: str
    """Of the node, for people."""
    folders: Folders
    views: tuple[str, ...]
    render: RenderArguments
    """With %V in input and output."""
    style_digest: str = ""
    """SHA-256 of the style's weights, where the catalogue knows them."""
    shared: SharedFolder | None = None
    """The folder shared with a server on another machine."""
    alpha: bool = True
    """Whether the plate has its alpha, by which it is premultiplied."""
    graph: str = ""
    """Fingerprint of everything above the node."""

    @property
    def frames(self) -> FrameList:
        """The frames to be painted."""
        return self.render.frames

    def key(self) -> str:
        """A fingerprint of the settings and the input: equal keys paint equal frames."""
        render = self.render
        curves = {
            name: {str(frame): value for frame, value in curve.items()} for name, curve in render.animation.items()
        }
        settings = [render.frames.text(), list(self.views), render.style, dict(render.params), curves]
        return digest_of([*settings, render.input_space, self.alpha, self.graph])

    def render_arguments(self, view: str) -> RenderArguments:
        """The arguments for one view. BridgeError where the server cannot reach the files."""
        plates, painted = (for_view(pattern, view) for pattern in (self.render.input, self.render.output))
        if self.shared is not None:
            plates, painted = self.shared.name_of(plates), self.shared.name_of(painted)
        return replace(self.render, input=plates, output=painted)


def folder_of_node(scratch: str, script: str, identity: str, temporary: str = "") -> Path:
    """The folder of a node: below `scratch`, else beside the script, else (before it is saved) among temporary files.

    The script's name is part of it, so that the next version of the script leaves the frames of this one alone.
    """
    if scratch:
        base = Path(scratch)
    elif script:
        base = Path(script).parent / "impasto"
    else:
        base = Path(temporary or tempfile.gettempdir()) / "impasto"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", os.path.splitext(os.path.basename(script))[0]) or "unsaved"
    return base / stem / identity


def constant_or_curve(values: Mapping[int, float]) -> tuple[float, bool]:
    """The first value, and whether it changes over the frames."""
    numbers = list(values.values())
    return numbers[0], any(number != numbers[0] for number in numbers)
