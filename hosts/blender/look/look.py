# SPDX-License-Identifier: GPL-3.0-or-later
"""What a strip is painted with: the style and its parameters, from the panel or pinned to the strip. No `bpy`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from ..fingerprints import fingerprint

Params: TypeAlias = Mapping[str, float]

DIGITS: Final = 5
"""Decimal places of a value that a slider can tell apart."""


@dataclass(frozen=True, slots=True)
class Look:
    """A style and how it is set; equal looks give equal pictures. What changes from frame to frame is in `animated`."""

    style: str
    """A name of the library, or the absolute path of a style file."""
    params: Params = field(default_factory=dict)
    style_state: str = ""
    """Changes with the style: SHA-256 of the weights, or of a file its stamp; '' where the server has not said yet."""
    animated: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """Parameter -> number of the picture -> value, of the parameters that change."""
    matte: str = ""
    """A picture or a sequence's pattern; '' for the style everywhere."""

    @property
    def sha256(self) -> str:
        """The digest that the server must find; '' where it is not known, as of a file."""
        return "" if os.path.isabs(self.style) else self.style_state

    @property
    def title(self) -> str:
        """What the style is called: its name, or that of its file."""
        return Path(self.style).stem if os.path.isabs(self.style) else self.style

    def params_at(self, number: int) -> dict[str, float]:
        """All parameters of one picture."""
        return {**self.params, **{name: track[number] for name, track in self.animated.items() if number in track}}

    def frame_key(self, number: int) -> str:
        """Letters that are the same for pictures that look the same."""
        return fingerprint(
            {"style": self.style, "state": self.style_state, "params": self.params_at(number), "matte": self.matte}
        )

    def at(self, number: int) -> Look:
        """The look of one picture, without what changes."""
        return replace(self, params=self.params_at(number), animated={})

    def animated_by(self, values: Mapping[int, Params]) -> Look:
        """The look with the values of every picture; what stays the same is among the constant ones."""
        first = next(iter(values.values()))
        tracks = {name: {number: each[name] for number, each in values.items()} for name in self.params}
        changing = {name: track for name, track in tracks.items() if len(set(track.values())) > 1}
        return replace(self, params={name: first[name] for name in self.params}, animated=changing)

    def at_full_strength(self) -> Look:
        """The look of live frames: Blender mixes the strength in, and values that a slider cannot tell apart agree."""
        params = {name: round(value, DIGITS) for name, value in self.params.items()} | {"strength": 1.0}
        tracks = {
            name: {number: round(value, DIGITS) for number, value in track.items()}
            for name, track in self.animated.items()
            if name != "strength"
        }
        return replace(self, params=params, animated={n: t for n, t in tracks.items() if len(set(t.values())) > 1})
