"""The library of styles."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, ClassVar

from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.server.protocol.field_types import Amount, Count, Id, Many, Name, Settings, Text, Words


@frozen_dataclass
class StyleFacts:
    """One style of the library."""

    name: Name
    title: Words
    description: Words
    size: Name
    sha256: Annotated[str, Text(64)]
    halo: Count
    megabytes: Amount
    licence: Words
    credits: Annotated[tuple[Words, ...], Many(32)] = ()
    guides: Annotated[tuple[Name, ...], Many(32)] = ()
    codes: Annotated[tuple[Name, ...], Many(64)] = ()
    defaults: Settings = field(default_factory=dict)
    has_preview: bool = False
    problem: Words = ""
    """Why the newest file of this name is not used; the one before it is."""


@frozen_dataclass
class ListStyles:
    """Answer: `StyleList`, from this place of the list on."""

    TYPE: ClassVar = "list_styles"

    id: Id
    offset: Count = 0


@frozen_dataclass
class StyleList:
    """A page of the library, sorted by name."""

    TYPE: ClassVar = "style_list"

    id: Id
    revision: Count
    """Changes with the library; pages of differing revisions do not belong together."""
    total: Count
    offset: Count
    styles: Annotated[tuple[StyleFacts, ...], Many(64)]


@frozen_dataclass
class StylesChanged:
    """The library changed; sent to every session."""

    TYPE: ClassVar = "styles_changed"

    revision: Count


@frozen_dataclass
class ShowPreview:
    """Answer: `PreviewFound` with a PNG in part 2, or `Failed`."""

    TYPE: ClassVar = "show_preview"

    id: Id
    style: Name


@frozen_dataclass
class PreviewFound:
    """The preview is in part 2, a PNG."""

    TYPE: ClassVar = "preview_found"

    id: Id
