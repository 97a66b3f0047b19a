"""Frames per second in the header of a still, where the format has no place for it also in its notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from impasto.core.errors import UsageError
from impasto.core.frame import Attribute, Frame

NAME = "FramesPerSecond"
"""The attribute that OpenEXR holds the rate in, a rational; every reader here gives it so."""
NOTE = "rate"
"""The key under which it stands in our own notes, as '30000/1001'."""
_FLOATS = ("dpx:FrameRate", "dpx:TemporalFrameRate", "nuke/input/frame_rate", "framesPerSecond")

_MOST = (1 << 31) - 1
"""OpenEXR and FFmpeg hold both numbers of a rational in 32 bits."""


def stated_rate(attributes: Mapping[str, Attribute], notes: Mapping[str, str]) -> Fraction | None:
    """The rate that a header states, or else our own notes, or else the fields of DPX and Nuke; None for none."""
    rational = attributes.get(NAME)
    if rational is not None and rational.type == "rational" and 0 not in rational.value:
        return Fraction(*rational.value)
    texts = [notes.get(NOTE), *(str(attributes[name].value) for name in _FLOATS if name in attributes)]
    return next((rate for text in texts if text is not None and (rate := parse_rate(text)) is not None), None)


def parse_rate(text: str) -> Fraction | None:
    """'25', '30000/1001' or '29.97' as a rate, the nearest that films and broadcasts have; None for anything else."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    if not Fraction(1, 1000) <= rate <= 10000:
        return None
    if "/" in text:
        return rate
    broadcast = Fraction(round(rate) * 1000, 1001)
    return broadcast if abs(rate - broadcast) < Fraction(1, 200) else rate.limit_denominator(1001)


def require_rate(text: str) -> Fraction | None:
    """A rate that was asked for, None for an empty text; UsageError for what is no rate."""
    rate = parse_rate(text)
    if text and (rate is None or max(rate.as_integer_ratio()) > _MOST):
        raise UsageError(f"expected frames per second as 24, 23.976 or 24000/1001, got '{text}'; change --rate")
    return rate


def rate_text(rate: Fraction) -> str:
    """A rate as a person writes it: '25', '23.976'."""
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def rate_attribute(rate: Fraction) -> Attribute:
    """The rate as OpenEXR holds it."""
    return Attribute("rational", (rate.numerator, rate.denominator))


def with_rate(frame: Frame, rate: Fraction) -> Frame:
    """The frame, its colour layer's part stating this rate."""
    index = frame.layer.part
    part = replace(frame.part, attributes={**frame.part.attributes, NAME: rate_attribute(rate)})
    return replace(frame, parts=(*frame.parts[:index], part, *frame.parts[index + 1 :]))
