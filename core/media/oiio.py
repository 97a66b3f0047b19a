"""The manners of OpenImageIO in one place: its limits, its error texts, its exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import OpenImageIO as oiio

from impasto.core.errors import UnreadableMedia, UnsupportedMedia
from impasto.core.frame import Attribute
from impasto.core.media.held_folder import name_to_open

MAX_SIDE = 65536
"""Pixels along one side of a data or display window that are still taken seriously."""
MAX_CHANNELS = 1024
MAX_IMAGE_MB = 8192
"""Uncompressed size of one part beyond which a header is held to be damaged."""


class _Failing(Protocol):
    def geterror(self, clear: bool = True) -> str: ...


def set_limits() -> None:
    """Make OpenImageIO refuse absurd headers, and take pixels whose metadata is damaged; cheap, and safe to repeat.

    What is called strict there refuses a picture for an IPTC, EXIF or ICC block that it cannot parse, as Photoshop
    writes them. Damaged pixels are an error either way.
    """
    oiio.attribute("limits:imagesize_MB", MAX_IMAGE_MB)
    oiio.attribute("limits:channels", MAX_CHANNELS)
    oiio.attribute("limits:resolution", MAX_SIDE)
    oiio.attribute("imageinput:strict", 0)


def is_settable(kind: str) -> bool:
    """Whether the binding sets an attribute of this type; for the others it does nothing, without an error."""
    return re.sub(r"\[\d+\]$", "", kind) not in _NOT_SET


_NOT_SET = frozenset({"int8", "uint16", "int16", "uint64", "int64", "half", "double"})


def set_attribute(spec: oiio.ImageSpec, name: str, attribute: Attribute) -> bool:
    """Set an attribute of any type, and say whether it is there now.

    A type that the binding cannot set goes as the library's own record of it, where the attribute came with one; else
    integers as int and numbers as float.
    """
    if attribute.stored is not None:
        spec.erase_attribute(name)
        spec.extra_attribs.append(attribute.stored)
        return True
    kind, value = attribute.type, attribute.value
    if not is_settable(kind):
        kind = kind.replace("int8", "int") if kind.startswith("int8") else re.sub(r"^u?int(16|64)", "int", kind)
        kind = re.sub(r"^(half|double)", "float", kind)
        value = [item.item() for item in value] if hasattr(value, "dtype") else value
    elif hasattr(value, "dtype"):
        value = value.tobytes() if kind.startswith("uint8") else value.tolist()
    spec.attribute(name, oiio.TypeDesc(kind), value)
    return name in spec.extra_attribs


def reason(source: _Failing | None = None) -> str:
    """The first line of the pending error of an image, or the global one; cleared by reading it.

    A damaged file may put bytes into the text that are not UTF-8, on which the binding raises.
    """
    try:
        text = source.geterror() if source is not None else oiio.geterror()
    except UnicodeDecodeError:
        return "the header is damaged"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # OpenImageIO leads with the path, which the caller names anyway.
    said = re.sub(r"^EXR Error \(.*?\): ", "", lines[0]) if lines else "no reason given"
    return said.rstrip(".").replace("EXR_ERR_", "")


@contextmanager
def open_input(path: str, config: oiio.ImageSpec | None = None) -> Iterator[oiio.ImageInput]:
    """An opened picture. UnreadableMedia where OpenImageIO fails, whichever way it fails."""
    # The name must hold as long as the picture is open: some readers open it again.
    with ExitStack() as stack:
        try:
            name = stack.enter_context(name_to_open(path))
        except OSError as error:
            raise UnreadableMedia(
                f"expected to read '{path}', got '{error.strerror}'; check its permissions"
            ) from error
        opened = _opened(path, name, config)
        stack.callback(opened.close)
        yield opened


def _opened(path: str, name: str, config: oiio.ImageSpec | None) -> oiio.ImageInput:
    set_limits()
    try:
        opened = oiio.ImageInput.open(name, config) if config is not None else oiio.ImageInput.open(name)
    except (RuntimeError, UnicodeDecodeError, MemoryError) as error:
        raise UnreadableMedia(f"expected a sound picture in '{path}', got a damaged one; render it again") from error
    if opened is None:
        said = reason()
        if said.startswith("Subsampled channels"):
            raise UnsupportedMedia(
                f"expected every channel at full size, got subsampled chroma in '{path}'; convert it to RGB first"
            )
        raise UnreadableMedia(f"expected a sound picture in '{path}', got: {said}; render or copy it again")
    return opened
