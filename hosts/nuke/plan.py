"""What one press of Stylize asks for, as a value, and where its files lie."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping

from impasto.hosts.bridge.digest import digest_of
from impasto.hosts.bridge.patterns import for_view
from impasto.hosts.bridge.ranges import FrameRange
from impasto.hosts.bridge.render_arguments import RenderOrder
from impasto.hosts.bridge.server_paths import SharedFolder

LIVE = ("strength",)
"""Parameters that the node applies itself, behind the painted picture: turning them paints nothing anew."""


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
        """Where plates stay that the server reads."""
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
    """All that a job needs to know, read from the node on the main thread and never looked up again."""

    identity: str
    """Of the node, for as long as it lives; a pasted node has another."""
    name: str
    """Of the node, for people."""
    folders: Folders
    frames: FrameRange
    views: tuple[str, ...]
    style: str
    style_digest: str = ""
    """Of the weights, where the catalogue knows them."""
    params: Mapping[str, float] = field(default_factory=dict)
    animation: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Of the parameters that change over the range, a value for every frame."""
    space: str = ""
    server: str = ""
    shared: SharedFolder | None = None
    """Of a server elsewhere: the folder by which both name a file."""
    alpha: bool = True
    """Whether the plate goes with its alpha, by which it is premultiplied."""
    graph: str = ""
    """Fingerprint of everything above the node."""

    def key(self) -> str:
        """Equal keys paint equal frames: the mark of what the node shows."""
        curves = {name: {str(frame): value for frame, value in curve.items()} for name, curve in self.animation.items()}
        return digest_of(
            [
                self.frames.text(),
                list(self.views),
                self.style,
                dict(self.params),
                curves,
                self.space,
                self.alpha,
                self.graph,
            ]
        )

    def order(self, view: str) -> RenderOrder:
        """What the server is asked for one view. BridgeError where it cannot see the files."""
        plates, painted = (for_view(pattern, view) for pattern in (self.folders.plates, self.folders.painted))
        if self.shared is not None:
            plates, painted = self.shared.name_of(plates), self.shared.name_of(painted)
        return RenderOrder(
            input=plates,
            output=painted,
            style=self.style,
            frames=self.frames,
            params=self.params,
            animation=self.animation,
            input_space=self.space,
            server=self.server,
        )


def folder_of_node(scratch: str, script: str, identity: str, temporary: str = "") -> Path:
    """Below `scratch`, else beside the script, else (it was never saved) among the temporary files.

    The script's name is part of it, so that a next version of the script leaves this version's frames alone.
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
    """The value, and whether it changes over the frames."""
    numbers = list(values.values())
    return numbers[0], any(number != numbers[0] for number in numbers)
