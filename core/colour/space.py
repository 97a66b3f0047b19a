"""The colour space of a plate, and conversion to scene-linear Rec.709 and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.colour.configuration import BUILT_IN, config_at, sources
from impasto.core.colour.plate_spaces import CINEON, MOVIE, SCENE_LINEAR, WORKING, PlateSpace
from impasto.core.colour.primaries import REC709, Chromaticities, matrix_from_rec709, matrix_to_rec709, span_a_space
from impasto.core.colour.processors import processors
from impasto.core.colour.srgb import CHUNK_ROWS, decode, encode
from impasto.core.errors import UnknownName, UnsupportedMedia
from impasto.core.frame import Frame, Samples
from impasto.core.icc import IN_PROFILE, PROFILE, described
from impasto.core.icc_stages import stages_of

_TAGS: Final = {
    "cineon_log": CINEON,
    "srgb": WORKING,
    "rec709": MOVIE,
    "scene_linear": SCENE_LINEAR,
    "linear": SCENE_LINEAR,
    "lin_rec709": SCENE_LINEAR,
    "lin_rec709_scene": SCENE_LINEAR,
    "lin_srgb": SCENE_LINEAR,
    "srgb_rec709_scene": WORKING,
    "srgb_texture": WORKING,
    "pq2020": PlateSpace("rec2100_pq_display", BUILT_IN),
    "hlg2020": PlateSpace("rec2100_hlg_display", BUILT_IN),
}
"""impasto's own names of spaces, and the tags that readers put on a frame."""

_LINEAR_TAGS: Final = ("scene_linear", "linear")
"""Tags that mean linear light of unknown primaries."""

_SILENT_TAGS: Final = ("", "unknown", "data", "raw")
"""Tags that state no colour space."""


def plate_space(frame: Frame, override: str | None = None) -> PlateSpace:
    """The colour space of a frame's colour layer.

    In this order: `override` (from the user: a name, alias or role of the studio's configuration,
    then one of impasto's own names, then of the built-in configuration); the tag of the file, which may refer to the
    ICC profile among its attributes; the `chromaticities` of its header, for linear samples; else floats are
    scene-linear Rec.709 and integers sRGB. Names disregard case. Raises UnknownName with the nearest name.

    A Rec.709 movie is taken as sRGB, code value for code value, and not through the camera curve of
    BT.709 nor through the 2.4 gamma of BT.1886: desktop players show it so, stills of it are so, and
    the networks learned from such pictures. It is also exact, because no curve is applied in either
    direction. For another view, name it: 'Camera Rec.709', or 'Gamma 2.4 Encoded Rec.709' for BT.1886.
    """
    if override is not None:
        return _named(override, studio_first=True, hint="(impasto doctor lists them)")

    tag = (frame.colour_space or "").strip()
    is_float = np.issubdtype(frame.part.pixels.dtype, np.floating)
    if tag.lower() in _LINEAR_TAGS or (tag.lower() in _SILENT_TAGS and is_float):
        return _space_in_header(frame) or SCENE_LINEAR
    if tag.lower() in _SILENT_TAGS:
        return WORKING
    if tag == IN_PROFILE:
        return _space_of_profile(frame)
    return _named(tag, studio_first=False, hint="Name the plate's space with --input-space.")


_LINEAR_PRIMARIES: Final[dict[str, Chromaticities]] = {
    "lin_rec709_scene": REC709,
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767),
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767),
    "lin_rec2020_scene": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290),
}
"""Primaries and white of linear spaces by interop identifier (SMPTE ST 2065-1, ACES S-2014-004, ITU-R BT.2020-2)."""


def stated(space: PlateSpace) -> dict[str, str | Chromaticities]:
    """The header facts by which other programs read samples of this space correctly.

    'colorInteropID' (Color Interop Forum) where the space has one, and 'chromaticities' where it is
    linear light of known primaries; empty for a space of a studio's configuration alone.
    """
    if space.is_working or space == MOVIE:
        return {"colorInteropID": "srgb_rec709_scene"}
    if space == SCENE_LINEAR:
        interop = "lin_rec709_scene"
    elif space.chromaticities is not None:
        return {"chromaticities": space.chromaticities}
    elif space == CINEON or space.profile or space.config is None:
        return {}
    else:
        interop = config_at(space.config).getColorSpace(space.name).getInteropID()
    facts: dict[str, str | Chromaticities] = {"colorInteropID": interop} if interop else {}
    if interop in _LINEAR_PRIMARIES:
        facts["chromaticities"] = _LINEAR_PRIMARIES[interop]
    return facts


def to_linear(pixels: Samples, space: PlateSpace) -> Samples:
    """Plate space to scene-linear Rec.709, (H, W, 3) float32, unclamped; NaN and infinity pass.

    Never writes to its argument; returns it where the plate is scene-linear Rec.709 already. Display
    spaces convert without tone mapping: 1.0 is 100 cd/m² for PQ and HLG.
    """
    if space.is_working:
        return decode(pixels)
    if space.chromaticities is not None:
        return _through_matrix(pixels, matrix_to_rec709(space.chromaticities))
    return _through_processor(pixels, processors(space)[0])


def from_linear(pixels: Samples, space: PlateSpace) -> Samples:
    """Scene-linear Rec.709 to the plate space: the inverse of `to_linear`, with the same guarantees.

    The pair agrees within 1e-6 of a pixel's largest channel (PQ and HLG: 1.2e-5, half a step of 15 bits);
    near black, where a log or power curve is steep, within more. `restore` corrects that.
    """
    if space.is_working:
        return encode(pixels)
    if space.chromaticities is not None:
        return _through_matrix(pixels, matrix_from_rec709(space.chromaticities))
    return _through_processor(pixels, processors(space)[1])


def spaces() -> tuple[str, ...]:
    """Every name that `--input-space` takes in this environment, without aliases, the studio's first."""
    names = [name for source in sources() for name in config_at(source).getColorSpaceNames()]
    return tuple(dict.fromkeys([*names, *_TAGS]))


def _named(name: str, *, studio_first: bool, hint: str) -> PlateSpace:
    in_studio = [space for source in sources()[:-1] if (space := _space_of(source, name))]
    ours = [_TAGS[name.lower()]] if name.lower() in _TAGS else []
    built_in = [space for space in (_space_of(BUILT_IN, name),) if space]
    found = (*in_studio, *ours, *built_in) if studio_first else (*ours, *in_studio, *built_in)
    if not found:
        raise UnknownName("colour space", name, _known_names(), hint)
    return found[0]


def _space_of(source: str, name: str) -> PlateSpace | None:
    space = config_at(source).getColorSpace(name)
    return None if space is None else PlateSpace(space.getName(), source)


def _known_names() -> Iterator[str]:
    yield from _TAGS
    for source in sources():
        config = config_at(source)
        yield from config.getRoleNames()
        for space in config.getColorSpaces():
            yield space.getName()
            yield from space.getAliases()


def _through_processor(pixels: Samples, processor: Any) -> Samples:
    if processor is None:
        return pixels
    converted = np.array(pixels, np.float32, order="C")
    for top in range(0, len(converted), CHUNK_ROWS):
        processor.applyRGB(converted[top : top + CHUNK_ROWS])
    return converted


def _through_matrix(pixels: Samples, matrix: npt.NDArray[np.float64]) -> Samples:
    if np.array_equal(matrix, np.eye(3)):
        return pixels
    return np.asarray(cv2.transform(np.ascontiguousarray(pixels), matrix.astype(np.float32)), np.float32)


def _space_in_header(frame: Frame) -> PlateSpace | None:
    """Linear light of the header's chromaticities, None where there are none; UnsupportedMedia where impossible."""
    attribute = frame.part.attributes.get("chromaticities")
    if attribute is None:
        return None
    numbers = tuple(float(number) for number in attribute.value)
    if not span_a_space(numbers):
        raise UnsupportedMedia(
            f"expected chromaticities that span a colour space, got {numbers} in '{frame.source}'; "
            "name the plate's space with --input-space"
        )
    # Headers hold float32, and some writers round; four digits are what the standards print.
    if np.allclose(numbers, REC709, atol=1e-4):
        return SCENE_LINEAR
    shown = ", ".join(f"{number:.4g}" for number in numbers)
    return PlateSpace(f"linear light of chromaticities {shown}", chromaticities=numbers)


def _space_of_profile(frame: Frame) -> PlateSpace:
    """The space of the ICC profile of a frame. UnsupportedMedia where it has none that is understood."""
    held = frame.part.attributes.get(PROFILE)
    profile = b"" if held is None else bytes(held.value)
    if stages_of(profile) is None:
        raise UnsupportedMedia(
            f"expected an ICC profile of RGB in '{frame.source}', got none; name its space with --input-space"
        )
    return PlateSpace(f"ICC profile '{described(profile)}'", profile=profile)
