"""The picture formats that are read and written, and what each of them can hold.

Pure facts: nothing here opens a picture. The list is an allow-list; OpenImageIO knows more
formats than these, and some of their readers have a poor safety record.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from impasto.core.errors import UnreadableMedia, UnsupportedMedia
from impasto.core.media.held_folder import open_file

Notes = Literal["free", "software", "none"]
"""Where provenance goes: attributes of any name, the Software field as JSON, or nowhere."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What one file format holds."""

    name: str
    """OpenImageIO's name of it."""
    extensions: tuple[str, ...]
    magics: tuple[bytes, ...]
    samples: tuple[str, ...]
    """Types that samples may be stored as (OpenImageIO names), the preferred one for float sources first."""
    linear: bool
    """Whether pixels are scene-linear by custom; otherwise they are display-encoded."""
    alpha: Literal["associated", "unassociated", "either", "none"]
    notes: Notes = "none"
    compressions: tuple[str, ...] = ()
    """Values that its 'compression' attribute may take, the default first."""
    windows: bool = False
    """Whether data and display window may differ."""
    orients: bool = False
    """Whether programs look at its pictures the way up that it states; elsewhere pixels are turned."""


FORMATS: tuple[PictureFormat, ...] = (
    PictureFormat(
        "openexr",
        (".exr",),
        (b"\x76\x2f\x31\x01",),
        ("half", "float", "uint"),
        linear=True,
        alpha="associated",
        notes="free",
        compressions=("zip", "none", "rle", "zips", "piz", "pxr24", "b44", "b44a", "dwaa", "dwab"),
        windows=True,
    ),
    PictureFormat(
        "png",
        (".png",),
        (b"\x89PNG\r\n\x1a\n",),
        ("uint16", "uint8"),
        linear=False,
        alpha="unassociated",
        notes="free",
        orients=True,
    ),
    PictureFormat(
        "tiff",
        (".tif", ".tiff"),
        (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
        ("uint16", "half", "float", "uint8", "uint10", "uint12", "uint14"),
        linear=False,
        alpha="either",
        notes="software",
        compressions=("zip", "none", "lzw", "packbits"),
        windows=True,
        orients=True,
    ),
    PictureFormat(
        "dpx",
        (".dpx",),
        (b"SDPX", b"XPDS"),
        ("uint10", "uint16", "uint12", "uint8"),
        linear=False,
        alpha="either",
    ),
    PictureFormat(
        "jpeg",
        (".jpg", ".jpeg"),
        (b"\xff\xd8\xff",),
        ("uint8",),
        linear=False,
        alpha="none",
        notes="software",
        orients=True,
    ),
    PictureFormat("hdr", (".hdr", ".rgbe"), (b"#?RADIANCE", b"#?RGBE"), ("float",), linear=True, alpha="none"),
    PictureFormat(
        "pnm",
        (".ppm", ".pgm", ".pnm"),
        (b"P2", b"P3", b"P5", b"P6"),
        ("uint16", "uint8"),
        linear=False,
        alpha="none",
    ),
)

PICTURE_EXTENSIONS = frozenset(extension for entry in FORMATS for extension in entry.extensions)


def picture_format(path: str) -> PictureFormat | None:
    """The format that a path's extension stands for, None for anything that is no picture."""
    extension = os.path.splitext(path)[1].lower()
    return next((entry for entry in FORMATS if extension in entry.extensions), None)


def sniff_format(path: str) -> PictureFormat:
    """The format of a picture by its first bytes, which must agree with its extension.

    Raises UnreadableMedia for a file that is missing, empty, not permitted or of no known
    content, and for content that disagrees with the name; UnsupportedMedia for an extension
    outside the allow-list.
    """
    named = picture_format(path)
    if named is None:
        known = ", ".join(sorted(PICTURE_EXTENSIONS))
        raise UnsupportedMedia(f"expected a picture named {known}, got '{path}'; convert it to one of these")
    head = _first_bytes(path)
    found = next((entry for entry in FORMATS if head.startswith(entry.magics)), None)
    if found is None:
        raise UnreadableMedia(
            f"expected {named.name} content in '{path}', got a file that is no known picture; write it again"
        )
    if found is not named:
        raise UnreadableMedia(
            f"expected {named.name} content in '{path}', got {found.name};"
            f" rename the file to end in {found.extensions[0]}"
        )
    return found


def _first_bytes(path: str) -> bytes:
    try:
        with open(path, "rb", opener=open_file) as stream:
            head = stream.read(16)
    except FileNotFoundError:
        raise UnreadableMedia(f"expected a picture at '{path}', found no such file; check the path") from None
    except IsADirectoryError:
        raise UnreadableMedia(f"expected a picture at '{path}', found a folder; name a file or a sequence") from None
    except PermissionError:
        raise UnreadableMedia(f"expected to read '{path}', but it is not permitted; check its permissions") from None
    except OSError as error:
        raise UnreadableMedia(
            f"expected to read '{path}', got '{error.strerror}'; check the disk and the path"
        ) from error
    if not head:
        raise UnreadableMedia(f"expected a picture in '{path}', got an empty file; render or copy it again")
    return head
