"""The colour space of a plate, and conversion to scene-linear Rec.709 and back, by OpenColorIO.

Names are those of the studio's configuration where `$OCIO` names one, and of OpenColorIO's built-in
ACES studio configuration always. The variable is read when a function is called; `configuration` takes its place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import PyOpenColorIO as ocio  # type: ignore[import-untyped]

from impasto.core.colour.srgb import CHUNK_ROWS, decode, encode
from impasto.core.errors import UnknownName, UnsupportedMedia, UsageError
from impasto.core.frame import Frame, Samples

BUILT_IN: Final = "ocio://studio-config-v5.0.0_aces-v2.1_ocio-v2.6"
"""Named in full and not as 'latest', so that another version of the library gives the same pixels."""

Chromaticities = tuple[float, ...]
"""x and y of red, green, blue and white: eight numbers, as in the OpenEXR attribute of that name."""

REC709: Final[Chromaticities] = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""ITU-R BT.709-6, items 1.3 and 1.4."""

_OCIO_ERRORS: Final = (ocio.Exception, ocio.ExceptionMissingFile)
"""The binding does not derive the second from the first."""

_XYZ_PRIMARIES: Final = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)

_CONTENT: Final = "\0sha256:"
"""Between the path of a configuration and the digest of its content, where the path alone does not tell."""

_LINEAR: Final = "lin_rec709_scene"
"""Scene-linear Rec.709 in the built-in configuration."""


@dataclass(frozen=True, slots=True)
class PlateSpace:
    """The colour space of a plate, as a value: equal spaces convert equally.

    Exactly one of three holds. With `config`, `name` is a space of that configuration. With
    `chromaticities`, samples are linear light of those primaries. With neither, samples are the
    working picture: sRGB-encoded Rec.709.
    """

    name: str
    config: str | None = None
    chromaticities: Chromaticities | None = None

    @property
    def is_working(self) -> bool:
        """Whether samples of this space are the working picture as they stand."""
        return self.config is None and self.chromaticities is None


WORKING: Final = PlateSpace("sRGB")
MOVIE: Final = PlateSpace("Rec.709 movie")
SCENE_LINEAR: Final = PlateSpace("scene-linear Rec.709", chromaticities=REC709)

CINEON: Final = PlateSpace("Cineon film log", config="(none: Kodak's own curve)")
"""Film densities, in no built-in configuration: 95 is black and 685 white of 1023, as hosts read log DPX files
(Kodak, Conversion of 10-bit Log Film Data to 8-bit Linear or Video Data, 1995)."""

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
    then one of impasto's own names, then of the built-in configuration); the tag of the file; the
    `chromaticities` of its header, for linear samples; else floats are scene-linear Rec.709 and
    integers sRGB. Names disregard case. Raises UnknownName with the nearest name.

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
    elif space == CINEON or space.config is None:
        return {}
    else:
        interop = _config(space.config).getColorSpace(space.name).getInteropID()
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
    return _through_processor(pixels, _processors(space)[0])


def from_linear(pixels: Samples, space: PlateSpace) -> Samples:
    """Scene-linear Rec.709 to the plate space: the inverse of `to_linear`, with the same guarantees.

    The pair agrees within 1e-6 of a pixel's largest channel (PQ and HLG: 1.2e-5, half a step of 15 bits);
    near black, where a log or power curve is steep, within more. `restore` corrects that.
    """
    if space.is_working:
        return encode(pixels)
    if space.chromaticities is not None:
        return _through_matrix(pixels, _matrix_from_rec709(space.chromaticities))
    return _through_processor(pixels, _processors(space)[1])


def spaces() -> tuple[str, ...]:
    """Every name that `--input-space` takes in this environment, without aliases, the studio's first."""
    names = [name for source in _sources() for name in _config(source).getColorSpaceNames()]
    return tuple(dict.fromkeys([*names, *_TAGS]))


def config_name() -> str:
    """The name of the configuration in use: the path in `$OCIO`, or the built-in one."""
    return _sources()[0].partition(_CONTENT)[0]


_chosen: ContextVar[str | None] = ContextVar("impasto_ocio", default=None)
_contents: dict[str, str] = {}
"""Path -> digest of what was there when it was named first. A path with other content is another source."""


@contextmanager
def configuration(source: str, sha256: str = "") -> Iterator[None]:
    """Within the block, look names up in this configuration in the place of the one in `$OCIO`; empty: none of it.

    `sha256` is the digest of its file: equal paths with other content are other configurations. It holds for the
    thread, and for threads that run in a copy of its context.
    """
    if sha256 and _contents.setdefault(source, sha256) != sha256:
        source = f"{source}{_CONTENT}{sha256}"
    token = _chosen.set(source)
    try:
        yield
    finally:
        _chosen.reset(token)


def _sources() -> tuple[str, ...]:
    """The configurations to look names up in, the studio's first."""
    chosen = _chosen.get()
    studio = os.environ.get("OCIO", "").strip() if chosen is None else chosen
    return (studio, BUILT_IN) if studio and studio != BUILT_IN else (BUILT_IN,)


@lru_cache(maxsize=8)
def _config(source: str) -> Any:
    try:
        return ocio.Config.CreateFromFile(source.partition(_CONTENT)[0])
    except _OCIO_ERRORS as error:
        shown = source.partition(_CONTENT)[0]
        raise UsageError(
            f"expected an OpenColorIO configuration in $OCIO, got '{shown}': {_first_line(error)}; "
            "correct the path, or unset OCIO to use the built-in one"
        ) from error


def _named(name: str, *, studio_first: bool, hint: str) -> PlateSpace:
    sources = _sources()
    in_studio = [space for source in sources[:-1] if (space := _space_of(source, name))]
    ours = [_TAGS[name.lower()]] if name.lower() in _TAGS else []
    built_in = [space for space in (_space_of(BUILT_IN, name),) if space]
    found = (*in_studio, *ours, *built_in) if studio_first else (*ours, *in_studio, *built_in)
    if not found:
        raise UnknownName("colour space", name, _known_names(), hint)
    return found[0]


def _space_of(source: str, name: str) -> PlateSpace | None:
    space = _config(source).getColorSpace(name)
    return None if space is None else PlateSpace(space.getName(), source)


def _known_names() -> Iterator[str]:
    yield from _TAGS
    for source in _sources():
        config = _config(source)
        yield from config.getRoleNames()
        for space in config.getColorSpaces():
            yield space.getName()
            yield from space.getAliases()


@lru_cache(maxsize=32)
def _processors(space: PlateSpace) -> tuple[Any, Any]:
    """Plate space to linear, and back, without OpenColorIO's quick logarithms, which are off by 3e-5.

    To linear, PQ and HLG are tables read backwards; the quick search is four times as fast and within 5e-6. From
    linear it would cost Canon's logs 2e-5, so it is not used there.
    """
    if space == CINEON:
        forth, back = (
            _cineon_curve(direction).getOptimizedCPUProcessor(
                ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, ocio.OPTIMIZATION_LOSSLESS
            )
            for direction in (ocio.TRANSFORM_DIR_INVERSE, ocio.TRANSFORM_DIR_FORWARD)
        )
        return forth, back
    lossless = ocio.OPTIMIZATION_LOSSLESS
    quick_search = ocio.OptimizationFlags(int(lossless) | int(ocio.OPTIMIZATION_LUT_INV_FAST))
    try:
        forth, back = (
            None if each.isNoOp() else each.getOptimizedCPUProcessor(ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_F32, flags)
            for each, flags in zip(ocio_processors(space), (quick_search, lossless), strict=True)
        )
    except _OCIO_ERRORS as error:
        raise _no_conversion(space, error) from error
    return forth, back


def ocio_processors(space: PlateSpace) -> tuple[Any, Any]:
    """OpenColorIO's processors from a space of a configuration to linear, and back."""
    assert space.config is not None
    plate, built_in = _config(space.config), _config(BUILT_IN)
    try:
        if space.config == BUILT_IN:
            return built_in.getProcessor(space.name, _LINEAR), built_in.getProcessor(_LINEAR, space.name)
        return (
            ocio.Config.GetProcessorFromConfigs(plate, space.name, built_in, _LINEAR),
            ocio.Config.GetProcessorFromConfigs(built_in, _LINEAR, plate, space.name),
        )
    except _OCIO_ERRORS as error:
        raise _no_conversion(space, error) from error


def _no_conversion(space: PlateSpace, error: BaseException) -> UsageError:
    path = (space.config or "").partition(_CONTENT)[0]
    return UsageError(
        f"expected a way from '{space.name}' to scene-linear and back in '{path}', got: {_first_line(error)}; choose "
        "another --input-space"
    )


def _cineon_curve(direction: Any) -> Any:
    """Linear light to film log: 0.002 density a code value, gamma 0.6, the film's black taken off."""
    black = 10 ** ((95 - 685) * 0.002 / 0.6)
    curve = ocio.LogAffineTransform(
        logSideSlope=[0.6 / 0.002 / 1023 * math.log10(2)] * 3,  # OpenColorIO's logarithm is that of base 2
        logSideOffset=[685 / 1023] * 3,
        linSideSlope=[1 - black] * 3,
        linSideOffset=[black] * 3,
        direction=direction,
    )
    return _config(BUILT_IN).getProcessor(curve)


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
    if not _span_a_space(numbers):
        raise UnsupportedMedia(
            f"expected chromaticities that span a colour space, got {numbers} in '{frame.source}'; "
            "name the plate's space with --input-space"
        )
    # Headers hold float32, and some writers round; four digits are what the standards print.
    if np.allclose(numbers, REC709, atol=1e-4):
        return SCENE_LINEAR
    shown = ", ".join(f"{number:.4g}" for number in numbers)
    return PlateSpace(f"linear light of chromaticities {shown}", chromaticities=numbers)


def _span_a_space(chromaticities: Chromaticities) -> bool:
    """Whether the primaries make a triangle with the white inside it, and the white has light."""
    if len(chromaticities) != 8 or not np.isfinite(chromaticities).all() or chromaticities[7] < 1e-3:
        return False
    corners = np.array(chromaticities).reshape(4, 2)
    sides = np.column_stack([corners, np.ones(4)])
    if abs(np.linalg.det(sides[:3])) < 1e-3:
        return False
    return bool((np.linalg.solve(sides[:3].T, sides[3]) > 0).all())


@lru_cache(maxsize=32)
def matrix_to_rec709(chromaticities: Chromaticities) -> npt.NDArray[np.float64]:
    """The 3x3 from linear light of these primaries to Rec.709, white to white by Bradford.

    Primaries of X, Y and Z mean that the samples are tristimulus values, of whatever white: these are
    not adapted, as OpenEXR's own display does (its test pictures Chromaticities/XYZ and Rec709 agree so).
    """
    if chromaticities == REC709:
        return np.eye(3)
    source, target = _rgb_to_xyz(chromaticities), _rgb_to_xyz(REC709)
    if np.allclose(chromaticities[:6], _XYZ_PRIMARIES, atol=1e-4):
        adaptation = np.eye(3)
    else:
        adaptation = _bradford(source.sum(axis=1), target.sum(axis=1))
    return _inverse(target) @ adaptation @ source


@lru_cache(maxsize=32)
def _matrix_from_rec709(chromaticities: Chromaticities) -> npt.NDArray[np.float64]:
    return _inverse(matrix_to_rec709(chromaticities))


def _rgb_to_xyz(chromaticities: Chromaticities) -> npt.NDArray[np.float64]:
    """SMPTE RP 177-1993, section 3.3: the normalised primary matrix."""
    red, green, blue, white = (
        (x, y, 1 - x - y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
    )
    primaries = np.array([red, green, blue]).T
    scale = np.linalg.solve(primaries, np.array(white) / white[1])
    return np.asarray(primaries * scale, np.float64)


def _bradford(source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Adaptation from one white (XYZ) to another (Lam 1985; the matrix as in ICC.1:2022, annex E.3)."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.asarray(_inverse(cone) @ np.diag((cone @ target) / (cone @ source)) @ cone, np.float64)


def _inverse(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.linalg.inv(matrix), np.float64)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
