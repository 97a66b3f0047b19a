# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bake does: who reads the strip, which frames Blender renders first, and what the server then paints."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.core.errors import UsageError

from ..frame_files import file_of, pattern_of, slug_of
from ..look.look import Look
from ..look.strip_look import follows_curves, with_curves
from ..shot_job import LINEAR
from ..strips.cover import Cover, cover_of
from ..strips.digest import strip_digest
from ..strips.facts import facts_of, require_media
from ..strips.media import SourcePlan, StripFacts, picture_path, source_mode
from ..versions import all_strips_of
from .folders import look_folder, rendered_folder, source_folder
from .server_run import BakeRequest


@dataclass(frozen=True, slots=True)
class BakeOptions:
    """What decides about a bake beside the look."""

    wanted: range | None = None
    """Frames of the timeline; None for all that a strip shows."""
    handles: int = 0
    """Hidden frames before and after, where the strip has some."""
    rendered: bool = False
    """Blender renders the strip even where the server can read its media."""
    matte_strip: str = ""


@dataclass(frozen=True, slots=True)
class FrameToRender:
    """A frame that Blender renders."""

    strip: str
    frame: int
    path: Path
    matte: bool = False


@dataclass(frozen=True, slots=True)
class BakePlan:
    """Everything that is decided before a bake begins."""

    facts: StripFacts
    cover: Cover
    request: BakeRequest
    reason: str = ""
    """Why Blender renders the strip; '' where the server reads its media."""
    to_render: tuple[FrameToRender, ...] = ()
    digest: str = ""
    """Of a strip that Blender renders."""

    @property
    def steps(self) -> int:
        """Frames of the first phase."""
        return len(self.to_render) or len(self.cover.pictures)


def options_of(scene: Any, *, handles: int = 0, rendered: bool = False) -> BakeOptions:
    """The options as the panel has them. Raises UsageError for a range that cannot be."""
    settings = scene.impasto
    return BakeOptions(
        _wanted(scene, settings), handles, rendered, settings.matte_strip if settings.matte == "STRIP" else ""
    )


def plan_bake(scene: Any, strip: Any, look: Look, options: BakeOptions, root: Path, reason: str = "") -> BakePlan:
    """Plan a bake into folders below `root`. Where a reason is given Blender renders the strip in any case.

    Raises UsageError, UnreadableMedia.
    """
    facts = facts_of(scene, strip)
    source: SourcePlan | str = reason or source_mode(facts)
    if options.rendered:
        source = "that was asked for"
    elif options.matte_strip:
        source = "its matte is another strip"
    cover = cover_of(facts, None if isinstance(source, str) else source, options.wanted, options.handles)
    if not isinstance(source, str) and cover.holds and follows_curves(scene, strip):
        source = "its parameters change while it holds a picture"
        cover = cover_of(facts, None, options.wanted, options.handles)
    if not cover.numbers:
        raise UsageError(
            f"expected a range in which '{facts.name}' is shown ({facts.shown_first} to {facts.shown_end - 1}),"
            f" got {options.wanted.start} to {options.wanted.stop - 1}"
            if options.wanted
            else f"'{facts.name}' is empty"
        )
    look = with_curves(look, scene, strip, cover.frame_of_number)
    if isinstance(source, str):
        request, frames, digest = _rendered_request(scene, strip, look, options.matte_strip, cover, root)
        return BakePlan(facts, cover, request, source, tuple(frames), digest)
    return BakePlan(facts, cover, _source_request(source, look, root, facts, cover))


def _rendered_request(
    scene: Any, strip: Any, look: Look, matte: str, cover: Cover, root: Path
) -> tuple[BakeRequest, list[FrameToRender], str]:
    """What the server paints of a strip that Blender renders, what Blender renders, and the strip's digest."""
    digest, sure = strip_digest(scene, strip)
    parent, slug = rendered_folder(root, strip.name, digest), slug_of(strip.name)
    frames = _frames_to_render(strip.name, cover, parent / "plates", slug, sure=sure)
    if matte:
        folder, mattes = _mattes_to_render(scene, strip, matte, cover, parent, slug)
        look, frames = replace(look, matte=pattern_of(folder, slug, ".png")), frames + mattes
    request = BakeRequest(
        input=pattern_of(parent / "plates", slug),
        folder=look_folder(parent, look, cover.pictures),
        slug=slug,
        numbers=cover.pictures,
        look=look,
        space=LINEAR,
    )
    return request, frames, digest


def _source_request(source: SourcePlan, look: Look, root: Path, facts: StripFacts, cover: Cover) -> BakeRequest:
    sequence = facts.kind == "image" and not source.still
    gaps = [each for each in cover.pictures if sequence and not os.path.isfile(picture_path(source.input, each))]
    return BakeRequest(
        input=source.input,
        folder=look_folder(source_folder(root, source), look, cover.pictures),
        slug=slug_of(Path(source.input).stem.split("#")[0]),
        numbers=cover.pictures,
        look=look,
        space=source.space,
        still=source.still,
        size=facts.size if all(facts.size) else None,
        missing=tuple(gaps),
    )


def _mattes_to_render(
    scene: Any, strip: Any, name: str, cover: Cover, parent: Path, slug: str
) -> tuple[Path, list[FrameToRender]]:
    """The folder for the frames of a matte strip, and those to render. Raises UsageError, UnreadableMedia."""
    other = all_strips_of(scene.sequence_editor).get(name)
    if other is None or other == strip:
        raise UsageError(f"expected another strip as the matte of '{strip.name}', got '{name}'; choose one")
    require_media(other)
    digest, sure = strip_digest(scene, other)
    shift = int(other.frame_start) - int(strip.frame_start)
    folder = parent / f"matte-{slug_of(other.name)}-{digest}-{shift}"
    return folder, _frames_to_render(other.name, cover, folder, slug, sure=sure, matte=True)


def _frames_to_render(
    strip: str, cover: Cover, folder: Path, slug: str, *, sure: bool, matte: bool = False
) -> list[FrameToRender]:
    """The frames of the cover that were not rendered yet; all where it is not sure that old ones are still good."""
    places = enumerate(cover.numbers, start=cover.first)
    paths = ((frame, folder / file_of(slug, number, ".png" if matte else ".exr")) for frame, number in places)
    return [FrameToRender(strip, frame, path, matte) for frame, path in paths if not sure or not path.is_file()]


def _wanted(scene: Any, settings: Any) -> range | None:
    if settings.range == "PREVIEW":
        if not scene.use_preview_range:
            raise UsageError("expected a preview range, the scene has none; set one with P in the timeline")
        return range(scene.frame_preview_start, scene.frame_preview_end + 1)
    if settings.range == "CUSTOM":
        if settings.last < settings.first:
            raise UsageError(f"expected the first frame before the last, got {settings.first} to {settings.last}")
        return range(settings.first, settings.last + 1)
    return None
