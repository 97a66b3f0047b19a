"""What is painted live: a style and its parameters, changed by any page at any time."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from impasto.core.errors import UnknownName, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.params import PARAMETERS
from impasto.hosts.live.governor import Quality, Rung, ladder

FILE_ENDING = ".safetensors"
DRAFT = "-draft"
"""What the names of quick styles end in."""


@frozen_dataclass
class OfferedStyle:
    """A style as a page lists it."""

    name: str
    """Of the style itself; its draft is no style of its own here."""
    title: str
    description: str
    draft: str
    """The name of its quick network; empty where there is none."""
    defaults: Mapping[str, float]
    has_preview: bool


@frozen_dataclass
class LiveLook:
    """A style and the parameters that were set; those that were not are the style's own."""

    style: str
    params: Mapping[str, float]


def offered_styles(found: Sequence[tuple[str, str, str, Mapping[str, float], bool]]) -> dict[str, OfferedStyle]:
    """Name -> style, from name, title, description, defaults and 'has a preview' of each in the library.

    A draft goes with its style; one without is a style by itself. Those that keep time best, with a draft, come first.
    """
    names = {row[0] for row in found}
    offered = {}
    for name, title, description, defaults, has_preview in found:
        if name.endswith(DRAFT) and name.removesuffix(DRAFT) in names:
            continue
        draft = name + DRAFT if name + DRAFT in names else ""
        offered[name] = OfferedStyle(name, title, description, draft, defaults, has_preview)
    return dict(sorted(offered.items(), key=lambda each: (not each[1].draft, "@" in each[0], each[0])))


def with_reference(styles: Mapping[str, OfferedStyle], style: str) -> tuple[dict[str, OfferedStyle], str]:
    """The styles with the one that is asked for, and its name: a .safetensors file or a blend becomes one of them.

    Any other name is left to whoever looks it up. UsageError for a file that is not there.
    """
    base, mark, choice = style.partition("@")
    if style in styles:
        return dict(styles), style
    name, title = style, style
    if base.lower().endswith(FILE_ENDING):
        if not os.path.isfile(base):
            raise UsageError(f"expected a style file at '{base}', found none; check --style")
        name, title = f"{os.path.abspath(base)}{mark}{choice}", os.path.basename(style)
    elif not mark or base not in styles:
        return dict(styles), style
    return {name: OfferedStyle(name, title, "", "", {}, False), **styles}, name


class LookSetting:
    """The look of a session. Any thread may read and change it; a change counts from the next frame on."""

    def __init__(
        self,
        styles: Mapping[str, OfferedStyle],
        style: str,
        params: Mapping[str, float] | None = None,
        quality: Quality = "auto",
    ) -> None:
        """The first look. A draft's name means its style with the quality 'draft'. Raises UnknownName, UsageError."""
        self._lock = threading.Lock()
        self.styles = dict(styles)
        if style not in self.styles and (whole := style.removesuffix(DRAFT)) in self.styles and whole != style:
            style, quality = whole, "draft" if quality == "auto" else quality
        self._look = LiveLook(self._known(style), _checked(params or {}))
        self._quality = quality
        self.revision = 0
        """Counts the changes."""

    @property
    def look(self) -> LiveLook:
        """The look now."""
        return self._look

    @property
    def quality(self) -> Quality:
        """Whether the governor may choose, or which network it has."""
        return self._quality

    def choose_style(self, name: str) -> None:
        """Another style; parameters that were set stay set. Raises UnknownName."""
        with self._lock:
            self._look = LiveLook(self._known(name), self._look.params)
            self.revision += 1

    def set_params(self, values: Mapping[str, float | None]) -> None:
        """Set some parameters; None gives one back to the style. Raises UsageError, UnknownName."""
        with self._lock:
            params = {**self._look.params, **{name: value for name, value in values.items() if value is not None}}
            for name in (name for name, value in values.items() if value is None):
                params.pop(name, None)
            self._look = LiveLook(self._look.style, _checked(params))
            self.revision += 1

    def set_quality(self, quality: Quality) -> None:
        """Let the governor choose, or hold it to one network."""
        with self._lock:
            self._quality = quality
            self.revision += 1

    def rungs(self) -> tuple[Rung, ...]:
        """The ways in which this look can be painted."""
        return ladder(self._quality, has_draft=bool(self.styles[self._look.style].draft))

    def network(self, rung: Rung) -> str:
        """The name of the style's network on a rung."""
        offered = self.styles[self._look.style]
        return offered.draft if rung.draft else offered.name

    def values(self) -> dict[str, float]:
        """Every parameter as it is now: set here, or the style's own, or the usual one."""
        own = self.styles[self._look.style].defaults
        return {each.name: self._look.params.get(each.name, own.get(each.name, each.default)) for each in PARAMETERS}

    def _known(self, name: str) -> str:
        if name not in self.styles:
            raise UnknownName("style", name, self.styles)
        return name


def _checked(params: Mapping[str, float]) -> dict[str, float]:
    known = {each.name: each for each in PARAMETERS}
    for name, value in params.items():
        if name not in known:
            raise UnknownName("parameter", name, known)
        least, most = known[name].minimum, known[name].maximum
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise UsageError(f"expected {name} between {least:g} and {most:g}, got {value!r}")
    return {name: float(value) for name, value in params.items()}
