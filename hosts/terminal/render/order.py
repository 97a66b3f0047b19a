"""What `impasto render` was asked for, checked as far as it can be before anything is opened."""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from impasto.core.animation import Animation
from impasto.core.errors import UsageError
from impasto.core.grade import After, Before
from impasto.core.media.shot import FrameRange
from impasto.core.motion.conventions import MotionSource
from impasto.core.params import PARAMETERS, Params
from impasto.hosts.terminal.controls import after_from, before_from, params_from
from impasto.hosts.terminal.render.animation_file import read_animation
from impasto.server.protocol.messages import Precision

Tile = Literal["auto", "off"] | int


@dataclass(frozen=True, slots=True)
class Order:
    """One shot to be painted, as the user typed it."""

    input: str
    output: str
    style: str | None
    """None: the one that is used where none is named."""
    frames: FrameRange | None
    matte: str | None
    guides: tuple[str, ...]
    """Pictures with guide layers."""
    motion: MotionSource | None
    """Pictures with motion vectors, and how they are read."""
    layer: str | None
    input_space: str | None
    output_space: str | None
    tile: Tile
    precision: Precision
    device: str
    overwrite: bool
    resume: bool
    animation: Animation | None
    """Parameters that change over the shot."""
    before: Before
    after: After
    controls: Mapping[str, Any]
    """The options of the tables, None where they were not given."""

    def params(self, defaults: Params) -> Params:
        """The parameters that were given, over those of the style."""
        return params_from(self.controls, defaults)

    @property
    def before_resize(self) -> str:
        """The size before the network, as it was typed; empty where it stays."""
        return self.controls.get("before_resize") or ""

    @property
    def after_resize(self) -> str:
        """The size after the network, as it was typed; empty where it stays."""
        return self.controls.get("after_resize") or ""


def order_from(
    *,
    frames: str | None,
    tile: str,
    precision: str,
    animate: str | None = None,
    guides: tuple[str, ...] = (),
    motion: str | None = None,
    controls: Mapping[str, Any],
    **plain: Any,
) -> Order:
    """An order from the options. UsageError for what cannot be meant."""
    for what in ("input", "output", "matte", "style"):
        require_utf8(what, plain.get(what) or "")
    for path in guides:
        require_utf8("guides", path)
    require_utf8("motion", motion or "")
    before, after = before_from(controls), after_from(controls)
    params_from(controls, Params(**{each.name: each.default for each in PARAMETERS}))
    known = typing.get_args(Precision)
    if precision not in known:
        raise UsageError(f"expected a precision among {', '.join(known)}, got '{precision}'")
    return Order(
        frames=None if frames is None else FrameRange.parse(frames),
        tile=parse_tile(tile),
        precision=typing.cast("Precision", precision),
        guides=guides,
        motion=None if motion is None else MotionSource.parse(motion),
        animation=None if animate is None else animation_from(animate, controls),
        before=before,
        after=after,
        controls=controls,
        **plain,
    )


def require_utf8(what: str, path: str) -> None:
    """Raise UsageError for a path that is not UTF-8, which no codec opens, no message carries and no note can name."""
    for each in (path, os.path.abspath(path)):
        try:
            each.encode()
        except UnicodeEncodeError:
            shown = each.encode(errors="surrogateescape").decode(errors="backslashreplace")
            raise UsageError(f"expected a path in UTF-8 as {what}, got '{shown}'; rename it") from None


def animation_from(path: str, controls: Mapping[str, Any]) -> Animation:
    """The keys of a file. UsageError for a parameter that is given beside it too."""
    animation = read_animation(path)
    for track in animation.tracks:
        if controls.get(track.name) is not None:
            raise UsageError(
                f"expected {track.name} as --{track.name} or among the keys of '{path}', got both; leave one out"
            )
    return animation


def parse_tile(text: str) -> Tile:
    """'auto', 'off' or a number of pixels; UsageError for anything else."""
    words: dict[str, Tile] = {"auto": "auto", "off": "off"}
    if text in words:
        return words[text]
    if not text.isdecimal() or not int(text):
        raise UsageError(f"expected --tile as auto, off or a number of pixels, got '{text}'; leave it at auto")
    return int(text)
