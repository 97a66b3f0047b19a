# SPDX-License-Identifier: GPL-3.0-or-later
"""One strip on its way to its painted pictures, step by step in the main thread; no step waits for anything."""

from __future__ import annotations

import filecmp
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import bpy

from impasto.core.errors import ImpastoError, UsageError

from ..connection import current
from ..failure import remember
from ..look.look import Wish, look_of
from ..main_thread import drain
from ..strips.digest import digest_of
from ..strips.facts import facts_of, require_media
from ..strips.media import SourcePlan, StripFacts, picture_path, source_mode
from ..strips.result import Painted, place_result
from ..ui.windows import in_a_window
from ..versions import all_strips_of
from .job_state import JOBS, Job
from .plan import (
    Cover,
    cover_of,
    file_of,
    holds,
    look_folder,
    pattern_of,
    rendered_folder,
    shown_pictures,
    slug_of,
    source_folder,
    title_of,
)
from .scratch import scratch_root
from .server_run import Account, Order, Painting
from .strip_render import Stage

PACE_S: Final = 0.02
NAMED: Final = 3
"""Pictures that failed and are named; of more the number is told."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A frame that Blender is to render."""

    strip: str
    frame: int
    path: Path
    matte: bool = False


class Baking:
    """A strip that is being painted. `begin` refuses what cannot work; `step` goes on until it says that it is done."""

    def __init__(self, scene: Any, strip: Any, wish: Wish, *, place: bool = True) -> None:
        """Without `place` the pictures are painted, and `painted` says where they are, but no strip is made."""
        self.scene, self.strip, self.wish, self._place = scene.name, strip.name, wish, place
        self.reason = ""
        """Why Blender rendered the strip; '' where the server reads its media."""
        self.notes: list[str] = []
        self.result = ""
        """The name of the strip that was placed."""
        self.painted: Painted | None = None
        self._pointer = strip.as_pointer()
        self._plates: deque[Plate] = deque()
        self._plates_in_all = 0
        self._stage: Stage | None = None
        self._staged = ("", False)
        """The strip that the stage shows, and whether as a matte."""
        self._stop = threading.Event()
        self._moved = 0
        self._painting: Painting | None = None
        self._digest = ""
        root, note = scratch_root()
        if note:
            self.notes.append(note)
        require_media(strip)
        self._root = root
        self._facts = facts_of(scene, strip)
        self._plan(scene, strip, source_mode(self._facts))
        frames = self._plates_in_all or len(self._cover.pictures)
        job = Job(strip.name, title_of(wish.style), frames, phase="rendering" if self._plates else "waiting")
        try:
            JOBS.begin(job)
        except ValueError:
            raise UsageError(
                f"expected one job for each strip, '{strip.name}' is being painted; cancel it or wait for its end"
            ) from None

    @property
    def job(self) -> Job:
        """How far it is."""
        found = JOBS.of(self.strip)
        assert found is not None
        return found

    @property
    def stage_name(self) -> str:
        """The copy of the scene that is in use, '' where none is."""
        return self._stage.name if self._stage is not None else ""

    def step(self) -> bool:
        """Do the next bit of work; whether all is done. What goes wrong ends the job, with its sentence."""
        if not self.job.running:
            return True
        try:
            self._step()
        except Exception as error:  # noqa: BLE001  # whatever it was, the job has ended and the user is told
            self.end("failed", remember(error))
        return not self.job.running

    def pause(self) -> None:
        """Take the copy of the scene away; the next step makes another one."""
        if self._stage is not None:
            self._stage.remove()
            self._stage = None

    def end(self, phase: str, sentence: str = "") -> None:
        """End the job here and now."""
        self._stop.set()
        self.pause()
        JOBS.change(self.strip, phase=phase, sentence=sentence)

    def run(self, timeout_s: float | None = None) -> Job:
        """Go on to the end, for background renders and tests alone: this waits."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.step():
            drain()
            if self._painting is not None:
                self._painting.join(PACE_S)
            if until is not None and time.monotonic() > until:
                self.end("failed", f"expected an end within {timeout_s:g} s")
        return self.job

    def _plan(self, scene: Any, strip: Any, source: SourcePlan | str) -> None:
        """Decide who reads the strip, and which frames there are to render or to paint."""
        facts, wish = self._facts, self.wish
        if wish.rendered:
            source = "that was asked for"
        elif wish.matte_strip:
            source = "its matte is another strip"
        cover = cover_of(facts, None if isinstance(source, str) else source, wish.wanted, wish.handles)
        if not isinstance(source, str) and wish.look_at is not None and holds(cover):
            source = "its parameters change while it holds a picture"
        if isinstance(source, str):
            cover = cover_of(facts, None, wish.wanted, wish.handles)
        if not cover.numbers:
            raise UsageError(
                f"expected a range in which '{facts.name}' is shown ({facts.shown_first} to {facts.shown_end - 1}),"
                f" got {wish.wanted.start} to {wish.wanted.stop - 1}"
                if wish.wanted
                else f"'{facts.name}' is empty"
            )
        self._cover = cover
        if isinstance(source, str):
            self.reason = source
            self._order = self._rendered_order(scene, strip, cover)
        else:
            self._order = self._source_order(source, cover)

    def _source_order(self, source: SourcePlan, cover: Cover) -> Order:
        look = look_of(self.wish, cover, self.wish.matte_files)
        parent = source_folder(self._root, source)
        sequence = self._facts.kind == "image" and not source.still
        gaps = [each for each in cover.pictures if sequence and not os.path.isfile(picture_path(source.input, each))]
        return Order(
            input=source.input,
            folder=look_folder(parent, look, cover.pictures),
            slug=slug_of(Path(source.input).stem.split("#")[0]),
            numbers=cover.pictures,
            look=look,
            space=source.space,
            still=source.still,
            size=self._facts.size if all(self._facts.size) else None,
            missing=tuple(gaps),
        )

    def _rendered_order(self, scene: Any, strip: Any, cover: Cover) -> Order:
        self._digest, sure = digest_of(scene, strip)
        parent = rendered_folder(self._root, strip.name, self._digest)
        slug, matte = slug_of(strip.name), self.wish.matte_files
        self._plates.clear()
        plates = Path(pattern_of(parent / "plates", slug))
        frames = list(zip(range(cover.first, cover.end), cover.numbers, strict=True))
        self._wanted_plates(strip.name, frames, plates.parent, slug, sure=sure, matte=False)
        if self.wish.matte_strip:
            other = all_strips_of(scene.sequence_editor).get(self.wish.matte_strip)
            if other is None or other == strip:
                raise UsageError(
                    f"expected another strip as the matte of '{strip.name}', got '{self.wish.matte_strip}'; choose one"
                )
            require_media(other)
            digest, sure = digest_of(scene, other)
            shift = int(other.frame_start) - int(strip.frame_start)
            folder = parent / f"matte-{slug_of(other.name)}-{digest}-{shift}"
            self._wanted_plates(other.name, frames, folder, slug, sure=sure, matte=True)
            matte = pattern_of(folder, slug, ".png")
        self._plates_in_all = len(self._plates)
        look = look_of(self.wish, cover, matte)
        return Order(
            input=str(plates),
            folder=look_folder(parent, look, cover.pictures),
            slug=slug,
            numbers=cover.pictures,
            look=look,
            space="lin_rec709",
        )

    def _wanted_plates(
        self, strip: str, frames: list[tuple[int, int]], folder: Path, slug: str, *, sure: bool, matte: bool
    ) -> None:
        for frame, number in frames:
            path = folder / file_of(slug, number, ".png" if matte else ".exr")
            if not sure or not path.is_file():
                self._plates.append(Plate(strip, frame, path, matte))

    def _step(self) -> None:
        if self.job.cancel_asked and self._painting is None:
            self.end("cancelled")
        elif self._plates:
            self._render(self._plates[0])
        elif self._painting is None:
            self._begin_painting()
        else:
            self._follow(self._painting.account)

    def _render(self, plate: Plate) -> None:
        """Render one frame, unless Blender renders something else just now."""
        if bpy.app.is_job_running("RENDER"):
            return
        if self._stage is None or not self._stage.there or self._staged != (plate.strip, plate.matte):
            self.pause()
            self._stage = self._new_stage(plate)
            self._staged = (plate.strip, plate.matte)
        if plate.path.is_file():
            fresh = plate.path.with_name(f".fresh_{plate.path.name}")
            self._stage.render(plate.frame, fresh)
            # The same picture again stays the file that it was, and what was painted from it stays good.
            if filecmp.cmp(fresh, plate.path, shallow=False):
                fresh.unlink()
            else:
                os.replace(fresh, plate.path)
        else:
            self._stage.render(plate.frame, plate.path)
        self._plates.popleft()
        JOBS.change(self.strip, done=self._plates_in_all - len(self._plates))
        if not self._plates:
            self.pause()

    def _new_stage(self, plate: Plate) -> Stage:
        scene, strip = self._find()
        if self._digest != digest_of(scene, strip)[0]:
            raise UsageError(f"expected '{self.strip}' as it was when it was begun, it was changed; stylize it again")
        other = strip if plate.strip == strip.name else all_strips_of(scene.sequence_editor).get(plate.strip)
        if other is None:
            raise UsageError(f"expected the strip '{plate.strip}' for the matte, it was deleted; choose another one")
        frames = [each.frame for each in self._plates if (each.strip, each.matte) == (plate.strip, plate.matte)]
        return Stage(scene, other, range(min(frames), max(frames) + 1), matte=plate.matte)

    def _begin_painting(self) -> None:
        there = current()
        there.connect(start=True)
        JOBS.change(self.strip, phase="waiting", done=0, frames=len(self._cover.pictures))
        self._painting = Painting(self._order, there, lambda: self._stop.is_set() or JOBS.cancelled(self.strip))
        self._painting.begin()

    def _follow(self, account: Account) -> None:
        if account.done and not account.end:
            JOBS.change(self.strip, phase="painting", done=account.done, fps=account.fps)
        if account.end == "unlike":
            self._turn_to_rendering(account.sentence)
        elif account.end == "cancelled":
            self.end("cancelled")
        elif account.end == "failed":
            raise _Ended(account.sentence)
        elif account.end == "finished":
            self._finish(account)

    def _turn_to_rendering(self, reason: str) -> None:
        """The server cannot read the media as Blender does after all: have Blender render them."""
        scene, strip = self._find()
        self._painting = None
        self._plan(scene, strip, reason)
        JOBS.change(self.strip, phase="rendering", done=0, frames=self._plates_in_all or len(self._cover.pictures))

    def _finish(self, account: Account) -> None:
        """Place what was painted over the strip as it stands now."""
        scene, strip = self._find()
        self.notes += [*account.notes, *_failures(account)]
        pictures = shown_pictures(self._cover, account.painted)
        elements = tuple(self._order.path_of(number).name for number in pictures)
        cover, whole = self._cover_now(scene, strip)
        painted = Painted(
            title_of(self.wish.style),
            "rendered" if self.reason else "source",
            self._order.folder,
            elements[:1] if self._order.still else elements,
            cover,
            whole,
        )
        self.painted = painted
        if self._place:
            result, notes = place_result(scene, strip, painted)
            self.result = result.name
            self.notes += notes
            with in_a_window():
                bpy.ops.ed.undo_push(message=f"Stylize {self.strip}")
        JOBS.change(self.strip, done=len(self._cover.pictures))
        self.end("finished", self.account())

    def _cover_now(self, scene: Any, strip: Any) -> tuple[Cover, bool]:
        """The cover where the strip is by now, cut where it was cut; whether it covers all that is shown."""
        before, now = self._facts, facts_of(scene, strip)
        self._moved = now.content_first - before.content_first
        if _pictures_of(now) != _pictures_of(before):
            raise UsageError(
                f"expected '{self.strip}' to show what it showed when it was begun, it shows other pictures now;"
                " stylize it again (the painted frames are kept)"
            )
        cover = self._cover
        first, end = cover.first + self._moved, cover.end + self._moved
        asked = self.wish.wanted
        shown_first, shown_end = now.shown_first, now.shown_end
        if asked is not None:
            shown_first = max(shown_first, cover.shown_first + self._moved)
            shown_end = min(shown_end, cover.shown_end + self._moved)
        shown_first, shown_end = max(shown_first, first), min(shown_end, end)
        if shown_first >= shown_end:
            raise UsageError(
                f"expected '{self.strip}' to show frames that were painted, it was trimmed to others; stylize it again"
            )
        whole = shown_first <= now.shown_first and shown_end >= now.shown_end
        if not whole and asked is None:
            self.notes.append(f"'{self.strip}' was made longer while it was painted; stylize it again for the rest")
        return replace(cover, first=first, shown_first=shown_first, shown_end=shown_end), whole

    def _find(self) -> tuple[Any, Any]:
        """Scene and strip, wherever undoing has put them. UsageError where they are gone."""
        scene = bpy.data.scenes.get(self.scene)
        if scene is not None and scene.sequence_editor is not None:
            strips = all_strips_of(scene.sequence_editor)
            found = strips.get(self.strip)
            if found is None:
                found = next((each for each in strips if each.as_pointer() == self._pointer), None)
            if found is not None:
                return scene, found
        raise UsageError(
            f"expected the strip '{self.strip}', it was deleted while it was painted; undo that and stylize it again"
            " (the painted frames are kept)"
        )

    def account(self) -> str:
        """What was done, in words."""
        how = f"rendered, because {self.reason}" if self.reason else "read from its own files"
        return "; ".join(
            [f"{len(self._cover.pictures)} frames of '{self.strip}' in {title_of(self.wish.style)}, {how}", *self.notes]
        )


class _Ended(ImpastoError):
    """The painting ended with this sentence."""


def _pictures_of(facts: StripFacts) -> StripFacts:
    """The facts that say which pictures are shown, wherever the strip is and however it is trimmed."""
    return replace(facts, name="", content_first=0, shown_first=0, shown_end=0)


def _failures(account: Account) -> list[str]:
    """The pictures that could not be painted, in words."""
    said = [f"frame {number} could not be painted and shows its neighbour: {why}" for number, why in account.failed]
    if len(said) > NAMED:
        numbers = ", ".join(str(number) for number, _ in account.failed)
        return [f"frames {numbers} could not be painted and show their neighbours: {account.failed[0][1]}"]
    return said
