"""Colour in numpy: plate spaces, the sRGB curve of the working picture, alpha, and the HDR residual.

The steps of a plate, with `space = plate_space(frame, override)`:

    colour = to_float(frame.colour)                    plate space, float32
    colour = unpremultiply(colour, alpha)              where alpha is associated
    linear = to_linear(colour, space)                  scene-linear Rec.709, unclamped
    linear = fill(linear, coverage(alpha))             no black under the matte
    linear, invalid = fill_invalid(linear)             no hole where a renderer left NaN
    residual = residual_of(linear)
    picture = without_residual(linear, residual)       sRGB-encoded, [0, 1]
    painted = add_residual(network(picture), residual) scene-linear Rec.709
    result = premultiply(from_linear(painted, space), alpha)
    result = restore(result, plate, changed(painted, linear) & (coverage(alpha) > 0))
    samples = to_samples(result, dtype)

A plate of integer samples whose space `is_working` needs neither `to_linear` nor a residual: its
samples, divided by the greatest integer, are the working picture already.
"""

from impasto.core.colour.alpha import coverage, premultiply, unpremultiply
from impasto.core.colour.configuration import config_name, configuration
from impasto.core.colour.fill import fill, fill_invalid
from impasto.core.colour.hdr_residual import Residual, add_residual, residual_of, without_residual
from impasto.core.colour.plate import LUMA, changed, keep_colour, put_back_detail, restore
from impasto.core.colour.plate_spaces import SCENE_LINEAR, PlateSpace
from impasto.core.colour.processors import assumption_on
from impasto.core.colour.samples import to_float, to_samples
from impasto.core.colour.space import from_linear, plate_space, spaces, stated, to_linear
from impasto.core.colour.srgb import decode, encode

__all__ = [
    "LUMA",
    "SCENE_LINEAR",
    "PlateSpace",
    "Residual",
    "add_residual",
    "assumption_on",
    "changed",
    "config_name",
    "configuration",
    "coverage",
    "decode",
    "encode",
    "fill",
    "fill_invalid",
    "from_linear",
    "keep_colour",
    "plate_space",
    "premultiply",
    "put_back_detail",
    "residual_of",
    "restore",
    "spaces",
    "stated",
    "to_float",
    "to_linear",
    "to_samples",
    "unpremultiply",
    "without_residual",
]
