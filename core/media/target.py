"""What a result wants to be given, so that colour can be converted before it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from impasto.core.frame import Frame
from impasto.core.media.formats import picture_format
from impasto.core.media.open import picture_target
from impasto.core.media.shot import ShotInfo

StoredType = Literal["half", "float", "uint8", "uint10", "uint12", "uint14", "uint16"]


@dataclass(frozen=True, slots=True)
class OutputTraits:
    """The custom of a result: which colours it is read in, which samples it stores, what it can carry."""

    space_default: Literal["scene_linear", "display"]
    """How players and hosts read a file of this kind where it says nothing."""
    samples: StoredType
    """The stored type of colour for this source."""
    layers: bool
    """Whether all parts and channels go along, or the colour layer and its alpha alone."""
    provenance: bool
    """Whether the file can bear provenance, so that a resumed run can compare it."""


def target_of(path: str, shot: ShotInfo, first: Frame | None = None) -> OutputTraits:
    """What the result at `path` wants, for frames like `first` (by default: like those the shot's facts imply).

    Raises UsageError for a path that no writer takes.
    """
    own = _samples_of(shot, first)
    files = picture_target(path, shot)
    if files is None:
        from impasto.core.media.movie_codec import container_of

        container_of(path)
        return OutputTraits("display", "uint8" if own == "uint8" else "uint10", layers=False, provenance=True)
    kind = picture_format(str(files))
    assert kind is not None
    samples = own if own in kind.samples else _nearest(own, kind.samples)
    linear = kind.linear or samples in ("half", "float")
    return OutputTraits(
        "scene_linear" if linear else "display",
        samples,
        layers=kind.name == "openexr",
        provenance=kind.notes != "none",
    )


def _samples_of(shot: ShotInfo, first: Frame | None) -> StoredType:
    if first is not None:
        own = first.part.formats[first.layer.colour[0]]
        return own if own in _KNOWN else "float"  # type: ignore[return-value]
    if shot.movie is not None:
        from impasto.core.media.movie_pixels import Layout

        bits = Layout.of(shot.movie.pixel_format).bits
        return {8: "uint8", 10: "uint10", 12: "uint12"}.get(bits, "uint16" if bits > 8 else "uint8")  # type: ignore[return-value]
    kind = picture_format(shot.path)
    if kind is None:
        return "uint8"
    return (
        "half"
        if kind.name == "openexr"
        else "float"
        if kind.name == "hdr"
        else "uint10"
        if kind.name == "dpx"
        else "uint8"
    )


_KNOWN = ("half", "float", "uint8", "uint10", "uint12", "uint14", "uint16")


def _nearest(own: StoredType, offered: tuple[str, ...]) -> StoredType:
    """As the picture writer chooses: half for up to 10 bits and float above in EXR, the format's first integer else."""
    if "half" in offered and not {"uint8", "uint16"} & set(offered):
        return "float" if own in ("uint12", "uint14", "uint16") else "half"
    integers = [each for each in offered if each.startswith("uint") and each != "uint"]
    return integers[0] if integers else "float"  # type: ignore[return-value]
