"""The colour space that a picture's own metadata states, as opposed to what its format is usually held to mean."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from impasto.core.frame import Attribute

_CICP_TRANSFERS = {1: "rec709", 13: "srgb", 16: "pq2020", 18: "hlg2020"}
"""ITU-T H.273 transfer characteristics, where the primaries are the usual ones for each."""
LOG_TRANSFERS = ("printing density", "logarithmic")
"""What DPX headers say of film log, in small letters."""


def stated_colour_space(path: str, format_name: str, attributes: Mapping[str, Attribute]) -> str | None:
    """The name of the colour space that the metadata states, or None where it is silent.

    Names: 'srgb', 'rec709', 'pq2020', 'hlg2020', 'lin_rec709', 'aces2065_1', 'cineon_log', or
    the value of a 'colorInteropID' as it stands. Chromaticities of an EXR remain attributes.
    """
    aces = attributes.get("acesImageContainerFlag")
    if aces is not None and aces.value == 1:
        return "aces2065_1"
    interop = attributes.get("colorInteropID")
    if interop is not None and str(interop.value) not in ("", "unknown"):
        return str(interop.value)
    if format_name == "dpx":
        transfer = attributes.get("dpx:Transfer")
        return "cineon_log" if transfer is not None and str(transfer.value).lower() in LOG_TRANSFERS else None
    if format_name == "png":
        return _png_space(path)
    exif = attributes.get("Exif:ColorSpace")
    return "srgb" if exif is not None and exif.value == 1 else None


def _png_space(path: str) -> str | None:
    """What the cICP, sRGB or gAMA chunk says, in the order of precedence of the PNG specification, third edition."""
    found: dict[bytes, bytes] = {}
    with open(path, "rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind in (b"IDAT", b"IEND") or length > 1 << 24:
                break
            found[kind] = stream.read(length)
            stream.seek(4, 1)
    if len(coding := found.get(b"cICP", b"")) == 4:
        wide = coding[0] == 9
        name = _CICP_TRANSFERS.get(coding[1])
        return name if name is not None and wide == name.endswith("2020") else None
    if b"iCCP" in found:
        return None
    if b"sRGB" in found:
        return "srgb"
    if len(gamma := found.get(b"gAMA", b"")) == 4:
        value = struct.unpack(">I", gamma)[0]
        return {45455: "srgb", 100000: "lin_rec709"}.get(value)
    return None
