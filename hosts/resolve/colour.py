"""The colour space of a render of the timeline, from Resolve's settings. Nothing is guessed.

Deliver writes the picture as the viewer shows it: in the timeline's space without colour management, in the output
space with it, after the output transform in ACES. The EXR does not name its space, and values alone do not show
whether they are linear, so the space is read from the settings or asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Callable, Mapping

from impasto.hosts.bridge.errors import BridgeError

UNMANAGED = "davinciYRGB"
MANAGED = ("davinciYRGBColorManaged", "davinciYRGBColorManagedv2")
ACES = ("acescc", "acescct")

KEYS: tuple[str, ...] = (
    "colorScienceMode",
    "separateColorSpaceAndGamma",
    "colorSpaceTimeline",
    "colorSpaceTimelineGamma",
    "colorSpaceOutput",
    "colorSpaceOutputGamma",
    "colorAcesODT",
)
"""The settings that are read. The stubs list no names of settings; these are from public scripts."""

SPACES: dict[str, str] = {
    "rec709gamma24": "Gamma 2.4 Encoded Rec.709",
    "rec709gamma22": "Gamma 2.2 Encoded Rec.709",
    "rec709scene": "Camera Rec.709",
    "rec709srgb": "srgb",
    "rec709linear": "lin_rec709",
    "srgb": "srgb",
    "srgbsrgb": "srgb",
    "srgblinear": "lin_rec709",
    "p3d65gamma26": "Gamma 2.6 P3-D65 - Display",
    "p3d65srgb": "sRGB Encoded P3-D65",
    "p3d65linear": "Linear P3-D65",
    "p3d65st2084": "ST2084-P3-D65 - Display",
    "rec2020linear": "Linear Rec.2020",
    "rec2020st2084": "Rec.2100-PQ - Display",
    "rec2100st2084": "Rec.2100-PQ - Display",
    "rec2020hlg": "Rec.2100-HLG - Display",
    "rec2020rec2100hlg": "Rec.2100-HLG - Display",
    "rec2100hlg": "Rec.2100-HLG - Display",
    "davinciwgdavinciintermediate": "DaVinci Intermediate WideGamut",
    "davinciwgintermediate": "DaVinci Intermediate WideGamut",
    "davinciwglinear": "Linear DaVinci WideGamut",
    "acesap0linear": "ACES2065-1",
    "acesap1linear": "ACEScg",
    "acesap1acescc": "ACEScc",
    "acesap1acescct": "ACEScct",
    "acescc": "ACEScc",
    "acescct": "ACEScct",
    "arriwidegamut3logc3": "ARRI LogC3 (EI800)",
    "arriwidegamut4logc4": "ARRI LogC4",
    "sonysgamut3slog3": "S-Log3 S-Gamut3",
    "sonysgamut3cineslog3": "S-Log3 S-Gamut3.Cine",
}
"""Space and transfer as Resolve names them, letters and digits alone -> the name that the server knows."""

TRANSFORMS: dict[str, str] = {
    "rec709": "Gamma 2.4 Encoded Rec.709",
    "rec709bt1886": "Gamma 2.4 Encoded Rec.709",
    "srgb": "srgb",
    "srgbd65": "srgb",
    "rec2020st2084": "Rec.2100-PQ - Display",
    "rec2100st2084": "Rec.2100-PQ - Display",
    "rec2020hlg": "Rec.2100-HLG - Display",
    "p3d65st2084": "ST2084-P3-D65 - Display",
    "nooutputtransform": "ACES2065-1",
    "none": "ACES2065-1",
}
"""ACES output transforms. BT.1886 with a black of zero is a gamma of 2.4. Without a transform, AP0 is written."""

_NITS = re.compile(r"\s*\(?\d+ ?nits?\)?", re.IGNORECASE)
_SAME = "sameastimeline"


@dataclass(frozen=True)
class PictureColour:
    """The colour space of the timeline's picture."""

    space: str
    """As `--input-space` takes it; empty where it is unknown."""
    text: str
    """Resolve's own names, for a person."""
    clip_properties: Mapping[str, str] = field(default_factory=dict)
    """Properties by which Resolve reads a file in this space correctly."""


def picture_colour(setting: Callable[[str], object], chosen: str = "") -> PictureColour:
    """The colour space of a render, from a function that reads a setting by name; `chosen` overrides it.

    Raises BridgeError, asking for --input-space, for settings that impasto does not know.
    """
    found = _from_settings({key: str(setting(key) or "") for key in KEYS})
    if chosen:
        return PictureColour(chosen, f"{chosen} (chosen; Resolve says {found.text})", found.clip_properties)
    if not found.space:
        raise BridgeError(
            f"expected a colour space that impasto knows, Resolve's settings say {found.text}; name the space of "
            "the timeline's picture with --input-space (`impasto doctor` lists the names)"
        )
    return found


def _from_settings(settings: Mapping[str, str]) -> PictureColour:
    science = settings["colorScienceMode"]
    if science in ACES:
        transform = settings["colorAcesODT"]
        space = TRANSFORMS.get(_plain(transform), "")
        # The file is AP0 already; any other output transform has no input transform of the same name.
        clip = {"IDT": "No Input Transform"} if space == "ACES2065-1" else {}
        return PictureColour(space, f"{science} with output transform '{transform}'", clip)
    if science not in MANAGED and science != UNMANAGED:
        return PictureColour("", f"colour science '{science}'")
    words = _words(settings, "colorSpaceTimeline")
    if science in MANAGED:
        output = _words(settings, "colorSpaceOutput")
        words = words if _plain(output[0]) == _SAME else output
    text = " / ".join(each for each in words if each)
    space = SPACES.get(_plain("".join(words)), "")
    if science == UNMANAGED:
        return PictureColour(space, f"'{text}', unmanaged")
    clip = {"Input Color Space": words[0]}
    if words[1]:
        clip["Input Gamma"] = words[1]
    return PictureColour(space, f"'{text}', managed", clip)


def _words(settings: Mapping[str, str], name: str) -> tuple[str, str]:
    """Space and transfer; one name holds both unless they are separate settings."""
    apart = settings["separateColorSpaceAndGamma"] == "1"
    return settings[name], settings[name + "Gamma"] if apart else ""


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _NITS.sub("", word).lower())
