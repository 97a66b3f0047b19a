"""Guide layers to train with: find the channels of a `--guides` option, how each is read, and its planes per frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frame import Frame, Part, Pixels, find_channel
from impasto.core.guide_planes import planes_of
from impasto.core.guides import READINGS, Guide, Reading
from impasto.core.media.guide_files import GuideFiles, find_guides

NO_END = 1e9
"""Distances from here on mean that nothing is there: Blender writes 1e10."""
READ_BY_NAME: tuple[tuple[Reading, str], ...] = (
    ("normal", r"normal|(^|\.)nn?\."),
    ("depth", r"depth|^z$|(^|\.)z\.|mist\.z"),
    ("id", r"crypto|index(ob|ma)|(^|[._ ]|object|material)ids?(\.|$)"),
    ("vector", r"position|motion|vector|velocity|disparity|(^|\.)(forward|backward|p)\.|\.[uv]$"),
    ("mask", r"occlusion|(^|\.)ao(\.|$)|mask|matte|shadow|mist|(^|\.)a$"),
    ("colour", r"albedo|diff|colou?r|\.[rgb]$|^[rgb]$"),
    ("depth", r"\.z$"),
)
"""How to read a channel, by a pattern of its name in lower case; the first that fits counts."""
NATURAL_ORDER = "xyzwrgbuv"


@dataclass(frozen=True, slots=True)
class GuideSpec:
    """What one `--guides PATH:LAYER,…` asks for; no path is the plate itself. A layer may be 'NAME=READING'."""

    path: str
    layers: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> GuideSpec:
        """'aov.%04d.exr:normal,depth=depth' or ':albedo' as a spec; UsageError for anything else."""
        path, colon, named = text.rpartition(":")
        layers = tuple(each.strip() for each in named.split(","))
        if not colon or not all(layers) or "/" in named:
            raise UsageError(
                f"expected guides as PATH:LAYER,LAYER, got '{text}'; give for example aov.%04d.exr:normal,depth, or "
                ":albedo for a layer of the plate"
            )
        return cls(path, layers)


@dataclass(frozen=True, slots=True)
class GuideSource:
    """The guides that a style will see, and the files beside the plates that hold them."""

    guides: tuple[Guide, ...] = ()
    files: tuple[GuideFiles, ...] = ()

    def planes(self, frame: Frame) -> Tensor | None:
        """The planes of a frame, (planes, H, W) float16, None for none. Raises what `planes_of` and the files raise."""
        parts = tuple(part for each in self.files for part in each.parts_of(frame.number))
        planes = planes_of(replace(frame, guides=parts), self.guides)
        if planes is None:
            return None
        return torch.from_numpy(planes.astype(np.float16)).permute(2, 0, 1).contiguous()


def resolve_guides(specs: Sequence[GuideSpec], frames: Iterable[Frame]) -> GuideSource:
    """Find the layers of these specs in the first frame, and fix their scales by all frames.

    Raises UnknownName for a layer that is not there, UsageError for one with an unknown reading, and what
    the files raise.
    """
    if not specs:
        return GuideSource()
    files = {spec.path: find_guides(spec.path) for spec in specs if spec.path}
    guides: tuple[Guide, ...] = ()
    values: dict[str, list[Pixels]] = {}
    for frame in frames:
        parts = {path: each.parts_of(frame.number) for path, each in files.items()}
        if not guides:
            found = [guide for spec in specs for guide in guides_in(parts.get(spec.path, frame.parts), spec)]
            guides = tuple(dict.fromkeys(found))
        everything = tuple(part for each in parts.values() for part in each) + frame.parts
        for guide in guides:
            located = find_channel(everything, guide.channel)
            if located is not None:
                part, position = located
                values.setdefault(guide.channel, []).append(part.pixels[..., position])
    scaled = tuple(replace(guide, scale=scale_of(guide.reading, values.get(guide.channel, []))) for guide in guides)
    return GuideSource(scaled, tuple(files.values()))


def guides_in(parts: Sequence[Part], spec: GuideSpec) -> list[Guide]:
    """The channels of a picture that a spec means, without scales."""
    found = []
    for layer in spec.layers:
        name, _, asked = layer.partition("=")
        if asked and asked not in READINGS:
            raise UnknownName("reading of a guide", asked, READINGS)
        for channel in channels_of(parts, name):
            reading = next((each for each in READINGS if each == asked), None) or reading_of(channel)
            found.append(Guide(channel, reading))
    return found


def channels_of(parts: Sequence[Part], layer: str) -> list[str]:
    """The channels of a layer, X before Y and R before G; alpha beside colour is left out.

    A layer is one channel by its whole name, or all channels below a prefix or in a part of this name, in either case
    and with or without what stands before it ('Normal' for 'ViewLayer.Normal'). Raises UnknownName with the nearest.
    """
    wanted = layer.lower()
    layers: dict[str, list[str]] = {}
    for part in parts:
        prefix = part.name
        for channel in part.channels:
            own = find_channel(parts, channel)
            name = channel if own is not None and own[0] is part else f"{prefix}.{channel}"
            if wanted in (channel.lower(), f"{prefix}.{channel}".lower()):
                return [name]
            whole = channel if "." in channel or not prefix else f"{prefix}.{channel}"
            layers.setdefault(whole.rpartition(".")[0], []).append(name)
    by_name = {each.lower(): channels for each, channels in reversed(layers.items()) if each}
    by_end = {each.rpartition(".")[2]: channels for each, channels in by_name.items()}
    for meant in (by_name, by_end):
        if wanted in meant:
            leaves = {channel.rpartition(".")[2].lower(): channel for channel in meant[wanted]}
            if {"r", "g", "b"} <= leaves.keys():
                leaves.pop("a", None)
            return [leaves[leaf] for leaf in sorted(leaves, key=lambda leaf: (NATURAL_ORDER + leaf).index(leaf))]
    known = [each for each in layers if each] + [channel for channels in layers.values() for channel in channels]
    raise UnknownName("guide layer", layer, known)


def reading_of(channel: str) -> Reading:
    """How a channel of this name is read; UsageError where the name does not show it."""
    for reading, pattern in READ_BY_NAME:
        if re.search(pattern, channel.lower()):
            return reading
    raise UsageError(
        f"expected a guide whose name says what it is, got '{channel}'; say how to read it, one of "
        f"{', '.join(READINGS)}: for example {channel}=mask"
    )


def scale_of(reading: Reading, samples: Sequence[Pixels]) -> float:
    """The median size of all valid samples, to three digits; 1 where the reading has no scale or there are none."""
    if reading not in ("depth", "vector"):
        return 1.0
    sizes = [np.abs(each.astype(np.float64, copy=False)).ravel() for each in samples]
    every = np.concatenate(sizes) if sizes else np.zeros(0)
    if samples and samples[0].dtype.kind == "u":
        every = every / np.iinfo(samples[0].dtype).max
    there = every[np.isfinite(every) & (every > 0) & (every < NO_END)]
    return float(f"{np.median(there):.3g}") if there.size else 1.0


def with_guides(picture: Tensor, guides: Tensor | None) -> Tensor:
    """What a network takes: a picture (…, 3, H, W) float32 with its guide planes (…, planes, H, W) behind it."""
    return picture if guides is None else torch.cat((picture, guides.to(picture)), dim=-3)
