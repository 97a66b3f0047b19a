"""The colour space that a picture's own metadata states, as opposed to what its format is usually held to mean."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from impasto.core.frame import Attribute
from impasto.core.icc import (
    ADOBE_GAMMA,
    IN_PROFILE,
    PROFILE,
    REC709,
    Curve,
    DisplaySpace,
    Primaries,
    described,
    make_profile,
    space_of,
    space_of_profile,
)  # fmt: skip
from impasto.core.icc_stages import stages_of
from impasto.core.media.metadata_blocks import MetadataBlocks

_CICP_SPACES = {
    (1, 1): "rec709", (1, 13): "srgb", (12, 13): "srgb_p3d65_scene", (9, 16): "pq2020", (9, 18): "hlg2020",
    (1, 8): "lin_rec709", (12, 8): "lin_p3d65_scene", (9, 8): "lin_rec2020_scene",
}  # fmt: skip
"""Primaries and transfer (ITU-T H.273) -> colour space."""
LOG_TRANSFERS = ("printing density", "logarithmic")
"""What DPX headers say of film log, in small letters."""
_ADOBE = "g22_adobergb_scene"
_UNCALIBRATED = (65535, 4294967295)


@dataclass(frozen=True, slots=True)
class StatedSpace:
    """What metadata says of colour."""

    name: str | None = None
    """The colour space, None where the metadata is silent or says something that has no name here."""
    profile: bytes | None = None
    """A profile that says the same, where the file has none and no name tells it."""
    note: str | None = None
    """What an artist should know of it."""


def stated_colour_space(
    path: str, format_name: str, attributes: Mapping[str, Attribute], blocks: MetadataBlocks
) -> StatedSpace:
    """What the metadata of a picture states.

    Names: 'srgb', 'rec709', 'pq2020', 'hlg2020', 'lin_rec709', 'aces2065_1', 'cineon_log', those of `icc.SPACES`,
    `icc.IN_PROFILE`, or the value of a 'colorInteropID' as it stands. Chromaticities of an EXR remain attributes.
    """
    aces = attributes.get("acesImageContainerFlag")
    if aces is not None and aces.value == 1:
        return StatedSpace("aces2065_1")
    interop = attributes.get("colorInteropID")
    if interop is not None and str(interop.value) not in ("", "unknown"):
        return StatedSpace(str(interop.value))
    if format_name == "dpx":
        transfer = attributes.get("dpx:Transfer")
        log = transfer is not None and str(transfer.value).lower() in LOG_TRANSFERS
        return StatedSpace("cineon_log" if log else None)
    coding = (blocks.chunks or {}).get(b"cICP", b"")
    if len(coding) == 4:
        name = _CICP_SPACES.get((coding[0], coding[1]))
        said = f"the colour of '{path}' (cICP {coding[0]}/{coding[1]}) is not known here; it is taken as sRGB"
        return StatedSpace(name, note=None if name is not None else said)
    profile = attributes.get(PROFILE)
    if profile is not None and format_name != "openexr":
        return _of_profile(path, bytes(profile.value))
    if blocks.chunks is not None:
        return _of_chunks(blocks.chunks)
    return StatedSpace(_exif_space(attributes))


def _of_profile(path: str, profile: bytes) -> StatedSpace:
    name = space_of_profile(profile)
    if name is None and stages_of(profile) is not None:
        name = IN_PROFILE
    if name is not None:
        return StatedSpace(name)
    return StatedSpace(
        note=f"the profile '{described(profile)}' of '{path}' is none of RGB or grey that is known here: it goes along,"
        " and the colours are taken as sRGB; convert the picture to sRGB, Display P3 or Adobe RGB"
    )


def _of_chunks(chunks: Mapping[bytes, bytes]) -> StatedSpace:
    """What sRGB, or gAMA and cHRM say, in the order of precedence of the PNG specification, third edition."""
    if b"sRGB" in chunks:
        return StatedSpace("srgb")
    stored = chunks.get(b"gAMA", b"")
    gamma = struct.unpack(">I", stored)[0] if len(stored) == 4 else 0
    stored = chunks.get(b"cHRM", b"")
    white_first = [number / 100000 for number in struct.unpack(">8I", stored)] if len(stored) == 32 else None
    primaries: Primaries = REC709 if white_first is None else (*white_first[2:], *white_first[:2])
    if not gamma and (white_first is None or space_of(primaries, "sRGB") == "srgb"):
        return StatedSpace()
    # 45455 is how writers say sRGB for programs that know no more; without gAMA the curve is sRGB's as well.
    curve: Curve = "sRGB" if gamma in (0, 45455) else 100000 / gamma
    name = space_of(primaries, curve) or (space_of(primaries, ADOBE_GAMMA) if gamma == 45455 else None)
    if name is not None:
        return StatedSpace(name)
    if min(primaries[1::2]) <= 0 or not 0.2 <= gamma / 100000 <= 1.0:
        return StatedSpace()
    made = make_profile(DisplaySpace(primaries, curve), "cHRM and gAMA of a PNG")
    return StatedSpace(IN_PROFILE if stages_of(made) is not None else None, profile=made)


def _exif_space(attributes: Mapping[str, Attribute]) -> str | None:
    exif = attributes.get("Exif:ColorSpace")
    if exif is None:
        return None
    index = next((str(each.value) for name, each in attributes.items() if "nteroperabilityIndex" in name), "")
    if exif.value == 2 or (exif.value in _UNCALIBRATED and index.startswith("R03")):
        return _ADOBE
    return "srgb" if exif.value == 1 else None
