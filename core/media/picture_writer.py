"""A Frame as one picture file: everything that the format can hold, as the frame says it was stored."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import OpenImageIO as oiio

from impasto.core.errors import MediaError, OutputError, UnsupportedMedia
from impasto.core.frame import AlphaKind, Attribute, Frame, Part, Pixels
from impasto.core.icc import IN_PROFILE, PROFILE, profile_for, space_of_profile
from impasto.core.media.commit import refuse_if_full, require_room
from impasto.core.media.flatten import LEVELS, clipped_away, flatten, flattened_away, quantise, unclipped, unit_float
from impasto.core.media.formats import PictureFormat, picture_format
from impasto.core.media.frame_rate import NOTE, stated_rate
from impasto.core.media.held_folder import name_to_open
from impasto.core.media.immersive_facts import SPHERES, picture_attributes
from impasto.core.media.oiio import open_input, reason, set_attribute, set_limits
from impasto.core.media.orientation import is_across, orientation_of, upright_part
from impasto.core.media.picture_reader import PROVENANCE
from impasto.core.media.stated_space import LOG_TRANSFERS
from impasto.core.media.timecode import timecode_to_words

_FORMAT_PREFIXES = ("openexr:", "tiff:", "dpx:", "png:", "jpeg:", "pnm:", "hdr:", "cineon:")
_TAGGED_SPACES = {
    "srgb": "srgb_rec709_scene", "lin_rec709": "lin_rec709_scene", "srgb_p3d65_scene": "srgb_p3d65_scene",
}  # fmt: skip
"""Our names of the spaces that a PNG, JPEG or TIFF can state -> OpenImageIO's."""
_LOG_DPX = "Printing density"
"""What a DPX file says of its transfer where it holds film log."""
_DPX_ORIENTATIONS = {1: 1, 2: 2, 3: 4, 4: 3}
"""What OpenImageIO is told so that it writes the code of SMPTE ST 268 that it reads as the key: it writes one less.
Transposed pictures it reads in another size than it writes them."""
_STRUCTURE = ("tile_width", "tile_height")
_TIMECODE, _TIMED = "smpte:TimeCode", ("openexr", "dpx")
"""The attribute of a timecode, and the formats that have a place for it."""


def write_picture(path: str, final: str, frame: Frame) -> list[str]:
    """Write a frame to `path` and prove that it can be opened and read to its end; `final` is named in errors.

    Returns, in words, what of the frame is not in the file: channels, parts and attributes that the format has no
    place for.

    EXR and TIFF keep every part, channel, type, window and attribute; the other formats take the
    colour layer and alpha over the display window (`flatten`). Integer samples go into an EXR as
    half in [0, 1], as float where they have more than 10 bits, and with their excess. Float samples go into an integer
    format clipped to [0, 1] and rounded (`quantise`). EXR takes associated alpha, PNG unassociated: a frame
    of the other kind is converted. A picture that another format states to lie on its side is turned where programs
    do not look for that (EXR, DPX, HDR, PNM). Of mip levels the base is written alone. Where the file came
    from another format, attributes that belong to that format are left out.

    OpenImageIO adds 'DateTime' where there is none. Raises OutputError, NoSpace.
    """
    kind = picture_format(final)
    if kind is None:
        raise UnsupportedMedia(f"expected a picture to write, got the name '{final}'; end it in .exr, .png or .tif")
    set_limits()
    clips = stored_as(frame.part, kind)[frame.layer.colour[0]].startswith("uint")
    excess = frame.excess or (clipped_away(frame.colour) if clips else None)
    frame = frame if clips else unclipped(frame)
    transposed = any(is_across(part) for part in frame.parts)
    if not kind.orients and (picture_format(frame.source) is not kind or (kind.name == "dpx" and transposed)):
        frame = replace(frame, parts=tuple(upright_part(part) for part in frame.parts))
    parts = _parts_for(frame, kind)
    if kind.name == "jpeg":
        require_room(path, final, sum(part.pixels.nbytes for part in parts) + (1 << 20))
    specs = [_spec_of(part, frame, kind) for part in parts]
    with name_to_open(path, write=True) as name:
        _write_parts(name, final, parts, specs)
    if kind.name == "openexr" and any("uint" in part.formats and len(set(part.formats)) > 1 for part in parts):
        from impasto.core.media.exact_exr import restore_exact_samples

        restore_exact_samples(path, final, parts)
    held = _check_written(path, final, parts)
    lost = [] if _keeps_layers(frame, kind) else flattened_away(frame, kind.alpha)
    if clips and excess is not None and excess.is_seen(frame.height * frame.width):
        lost.append(LEVELS)
    if frame.timecode and kind.name not in _TIMED and not any(_TIMECODE in part.attributes for part in frame.parts):
        lost.append("timecode")
    if frame.projection and kind.name not in SPHERES:
        lost.append("that it is a sphere")
    if frame.stereo in ("sbs", "ou"):
        lost.append("where its two eyes are")
    if frame.part.pixel_aspect != 1.0 and "PixelAspectRatio" not in held:
        lost.append("pixel aspect")
    names = dict.fromkeys(name for part in frame.parts for name in part.attributes)
    return lost + [f"attribute {name}" for name in names if name not in held and _is_content(name)]


def _keeps_layers(frame: Frame, kind: PictureFormat) -> bool:
    return kind.windows and (kind.name == "openexr" or _fits_tiff(frame))


def _is_content(name: str) -> bool:
    """Whether an attribute says something of the picture, and not how its file is made."""
    return not name.startswith((*_FORMAT_PREFIXES, PROVENANCE, "oiio:", "ICCProfile:")) and name not in _OF_THE_FILE


_OF_THE_FILE = frozenset(
    {
        "compression", "planarconfig", "textureformat", "tile_width", "tile_height", "Orientation", "PixelAspectRatio",
        "name", "Software", "screenWindowCenter", "screenWindowWidth", "FramesPerSecond", "DateTime", "XResolution",
        "YResolution",
        "ResolutionUnit", "Exif:ColorSpace", "Exif:PixelXDimension", "Exif:PixelYDimension", "CICP", "ICCProfile",
        "colorInteropID", "chromaticities", "adoptedNeutral", "acesImageContainerFlag",
    }
)  # fmt: skip
"""Attributes of structure, and those that are set from the frame's own facts."""


def stored_as(part: Part, kind: PictureFormat) -> tuple[str, ...]:
    """The type in which each channel of a part is stored in a format: its own where the format has it."""
    dtype = part.pixels.dtype
    return tuple(_stored(each, dtype, kind) for each in part.formats)


def _stored(own: str, dtype: np.dtype[np.generic], kind: PictureFormat) -> str:
    if own in kind.samples and (dtype.kind == "u" or own in ("half", "float", "uint") or kind.name == "dpx"):
        return own
    integers = [name for name in kind.samples if name.startswith("uint") and name != "uint"]
    if not integers:
        deep = own in ("uint12", "uint14", "uint16") or (own == "float")
        return "float" if deep or "half" not in kind.samples else "half"
    if own in integers:
        return own
    return "uint8" if own == "uint8" and "uint8" in kind.samples else integers[0]


def _parts_for(frame: Frame, kind: PictureFormat) -> list[Part]:
    """The parts of the frame as the format takes them, samples in a dtype that stores exactly as asked."""
    if _keeps_layers(frame, kind):
        parts = [_with_alpha_of(part, frame, index, kind) for index, part in enumerate(frame.parts)]
    else:
        flat = flatten(frame, kind.alpha)
        source = frame.part
        chosen = [*frame.layer.colour, *([frame.layer.alpha] if frame.layer.alpha is not None else [])]
        chosen = chosen[: flat.shape[2]]
        window = source.display_window
        names = {1: ("Y",), 2: ("Y", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}[flat.shape[2]]
        formats = tuple(source.formats[position] for position in chosen)
        parts = [replace(source, pixels=flat, channels=names, formats=formats, data_window=window)]
    return [_in_stored_samples(part, kind) for part in parts]


def _fits_tiff(frame: Frame) -> bool:
    """Whether TIFF can hold the parts as they are: one type a part, names that TIFF implies anyway."""
    return all(len(set(part.formats)) == 1 and _named_as_tiff(part.channels) for part in frame.parts)


def _named_as_tiff(channels: tuple[str, ...]) -> bool:
    """Whether the channels are those that OpenImageIO calls so again when it reads the file: TIFF holds no names."""
    plain = next((each for each in reversed(_TIFF_CHANNELS) if channels[: len(each)] == each), ())
    rest = channels[len(plain) :]
    return bool(plain) and rest == tuple(f"channel{number}" for number in range(len(plain), len(channels)))


_TIFF_CHANNELS = (("Y",), ("Y", "A"), ("R", "G", "B"), ("R", "G", "B", "A"))


def _with_alpha_of(part: Part, frame: Frame, index: int, kind: PictureFormat) -> Part:
    """The part with associated colour, where the format wants it and the frame has it straight."""
    straight = frame.alpha_kind is AlphaKind.UNASSOCIATED and frame.layer.alpha is not None
    if kind.alpha != "associated" or not straight or index != frame.layer.part:
        return part
    pixels = part.pixels.astype(np.float32) if part.pixels.dtype.kind != "u" else unit_float(part.pixels)
    assert frame.layer.alpha is not None
    colour = list(frame.layer.colour)
    pixels[..., colour] *= pixels[..., frame.layer.alpha, None]
    return replace(part, pixels=pixels)


def _in_stored_samples(part: Part, kind: PictureFormat) -> Part:
    formats = stored_as(part, kind)
    pixels = part.pixels
    if formats[0].startswith("uint") and formats[0] != "uint":
        deepest = "uint8" if set(formats) == {"uint8"} else next(each for each in formats if each != "uint8")
        return replace(part, pixels=quantise(pixels, deepest), formats=(deepest,) * len(formats))
    if pixels.dtype in (np.uint8, np.uint16):
        pixels = unit_float(pixels)
    return replace(part, pixels=pixels, formats=formats)


def _spec_of(part: Part, frame: Frame, kind: PictureFormat) -> oiio.ImageSpec:
    data, display = part.data_window, part.display_window
    native = ["uint16" if each in ("uint10", "uint12", "uint14") else each for each in part.formats]
    uniform = len(set(native)) == 1
    spec = oiio.ImageSpec(data.width, data.height, len(part.channels), native[0] if uniform else "float")
    if not uniform:
        spec.channelformats = tuple(oiio.TypeDesc(each) for each in native)
    spec.channelnames = part.channels
    spec.alpha_channel = part.channels.index("A") if "A" in part.channels else -1
    spec.x, spec.y = data.x, data.y
    spec.full_x, spec.full_y, spec.full_width, spec.full_height = display.x, display.y, display.width, display.height
    own = picture_format(frame.source) is kind
    for name, attribute in part.attributes.items():
        if name not in _STRUCTURE and _belongs(name, attribute, kind, own):
            # An EXR holds no bytes beside its pixels.
            widened = kind.name == "openexr" and attribute.type == "uint8"
            set_attribute(spec, name, replace(attribute, type="int") if widened else attribute)
    if kind.compressions and (not own or "compression" not in part.attributes):
        spec.attribute("compression", kind.compressions[0])
    if kind.name == "jpeg" and not own:
        spec.attribute("jpeg:subsampling", "4:4:4")
    if kind.windows and "tile_width" in part.attributes:
        spec.tile_width = part.attributes["tile_width"].value
        spec.tile_height = part.attributes["tile_height"].value
    if part.formats[0] in ("uint10", "uint12", "uint14"):
        spec.attribute("oiio:BitsPerSample", int(part.formats[0].removeprefix("uint")))
    if kind.name == "dpx":
        spec.attribute("Orientation", _DPX_ORIENTATIONS[orientation_of(part)])
        _state_transfer(spec, frame.colour_space)
    if part.pixel_aspect != 1.0:
        spec.attribute("PixelAspectRatio", part.pixel_aspect)
    for name, value in picture_attributes(frame, kind.name, display.width, display.height).items():
        spec.attribute(name, value)
    stated = any(_TIMECODE in each.attributes for each in frame.parts)
    if frame.timecode and not stated and kind.name in _TIMED:
        words = timecode_to_words(frame.timecode)
        if words is not None:
            spec.attribute(_TIMECODE, oiio.TypeDesc("timecode"), words)
    # Also set for PNG when the frame is straight: otherwise OpenImageIO divides by alpha once more.
    if (frame.alpha_kind is AlphaKind.UNASSOCIATED and kind.alpha == "either") or kind.alpha == "unassociated":
        spec.attribute("oiio:UnassociatedAlpha", 1)
    if kind.name in ("png", "jpeg", "tiff"):
        # OpenImageIO tags a PNG as sRGB unless it is told that nothing is known.
        spec.attribute("oiio:ColorSpace", _TAGGED_SPACES.get(frame.colour_space or "", "unknown"))
        _state_profile(spec, part, frame.colour_space)
    _note(spec, frame.provenance, stated_rate(part.attributes, {}), kind)
    return spec


def _state_transfer(spec: oiio.ImageSpec, space: str | None) -> None:
    """Let a DPX header say film log where the samples are film log, and only there."""
    stated = str(spec.get_string_attribute("dpx:Transfer")).lower()
    if (space or "").lower() == "cineon_log":
        if stated not in LOG_TRANSFERS:
            spec.attribute("dpx:Transfer", _LOG_DPX)
    elif stated in LOG_TRANSFERS:
        spec.erase_attribute("dpx:Transfer")


def _state_profile(spec: oiio.ImageSpec, part: Part, space: str | None) -> None:
    """Let the profile go along while the samples are in its space; else one that says theirs, or none."""
    held = part.attributes.get(PROFILE)
    profile = None if held is None else bytes(held.value)
    if profile is None or (space_of_profile(profile) != space and space != IN_PROFILE):
        plain = space in (None, "srgb", "lin_rec709")
        profile = None if plain else profile_for(str(space))
    spec.erase_attribute(PROFILE)
    if profile is not None:
        spec.attribute(PROFILE, oiio.TypeDesc(f"uint8[{len(profile)}]"), profile)
    if space != "srgb":
        return
    for name in ("Exif:ColorSpace", "Exif:InteroperabilityIndex", "CICP"):
        spec.erase_attribute(name)


def _belongs(name: str, attribute: Attribute, kind: PictureFormat, own: bool) -> bool:
    """Whether an attribute means something in the format: all do in their own, none of another format's elsewhere."""
    if name.startswith(PROVENANCE):
        return False
    if own:
        return True
    if name in ("compression", "planarconfig", "textureformat") or name.startswith(_FORMAT_PREFIXES):
        return False
    return kind.notes == "free" or attribute.type == "string" or name == "Orientation"


def _note(spec: oiio.ImageSpec, provenance: Mapping[str, str], rate: Fraction | None, kind: PictureFormat) -> None:
    """Provenance, and the frame rate where the format has no place of its own for it."""
    notes = dict(provenance)
    if rate is not None and kind.name == "dpx":
        spec.attribute("dpx:FrameRate", float(rate))
        spec.attribute("dpx:TemporalFrameRate", float(rate))
    elif rate is not None and kind.name != "openexr":
        notes[NOTE] = str(rate)
    if kind.notes == "free":
        for key, value in notes.items():
            spec.attribute(PROVENANCE + key, value)
    elif kind.notes == "software" and (provenance or (notes and _is_nobodys(spec.get_string_attribute("Software")))):
        spec.attribute("Software", "impasto " + json.dumps(notes, ensure_ascii=False, sort_keys=True))


def _is_nobodys(software: str) -> bool:
    """Whether the field names no program that the artist used, so that it can be written over."""
    return not software or software.startswith(("OpenImageIO", "impasto {"))


def _write_parts(path: str, final: str, parts: list[Part], specs: list[oiio.ImageSpec]) -> None:
    output = oiio.ImageOutput.create(final)
    if output is None:
        raise OutputError(f"expected to write '{final}', got: {reason()}; choose another format")
    declared = specs if output.format_name() == "openexr" else specs[:1]
    try:
        opened = output.open(path, tuple(declared))
        if not opened and "ACES Container" in (said := reason(output)):
            # The flag promises no compression, half RGB and more; where that is not so, it is left out.
            for spec in specs:
                spec.erase_attribute("acesImageContainerFlag")
            opened = output.open(path, tuple(declared))
        for index, part in enumerate(parts):
            if not opened:
                break
            if index:
                opened = output.open(path, specs[index], "AppendSubimage")
            opened = opened and output.write_image(np.ascontiguousarray(part.pixels))
        said = "" if opened else reason(output)
    finally:
        closed = output.close()
    if not opened or not closed:
        if os.path.exists(path):
            refuse_if_full(path, final)
        raise OutputError(f"expected to write '{final}', got: {said or reason(output)}; check the disk and the name")


def _check_written(path: str, final: str, parts: list[Part]) -> set[str]:
    """Open the result and read its last row: a full disk lets `close` succeed on a file that stops short.

    Returns the names of the attributes that it holds.
    """
    held: set[str] = set()
    sound = True
    try:
        with open_input(path) as opened:
            for index, part in enumerate(parts):
                sound = sound and opened.seek_subimage(index, 0) and _last_row_reads(opened, part.pixels)
                held.update(each.name for each in opened.spec().extra_attribs)
            said = "" if sound else reason(opened)
    except MediaError as error:
        sound, said = False, str(error)
    if not sound:
        if os.path.exists(path):
            refuse_if_full(path, final)
        raise OutputError(f"expected '{final}' to read back whole, got: {said}; check the disk and write it again")
    return held


def _last_row_reads(opened: oiio.ImageInput, pixels: Pixels) -> bool:
    spec = opened.spec()
    if (spec.height, spec.width, spec.nchannels) != pixels.shape:
        return False
    y = spec.y + spec.height - 1
    if spec.tile_width:
        row = spec.y + (spec.height - 1) // spec.tile_height * spec.tile_height
        last = opened.read_tiles(spec.x, spec.x + spec.width, row, y + 1, 0, 1, 0, spec.nchannels, "float")
    else:
        last = opened.read_scanlines(y, y + 1, 0, 0, spec.nchannels, "float")
    return last is not None and not opened.has_error
