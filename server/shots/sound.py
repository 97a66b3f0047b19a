"""Sound for a movie that is made of pictures."""

from __future__ import annotations

import os
from dataclasses import replace

from impasto.core.errors import UsageError
from impasto.core.media import ShotInfo, open_reader
from impasto.core.media.movie_container import open_sound
from impasto.core.media.open import is_movie
from impasto.core.media.picture_reader import read_header
from impasto.server.shots.plates import source_of
from impasto.server.shots.provenance import SOURCE


def with_sound(info: ShotInfo, sound: str) -> ShotInfo:
    """The facts of pictures whose movie gets the sound of a file.

    Pictures that were painted from that very movie bear its frame numbers: theirs gets its rate, timecode, tags and
    codec too, and its sound where it was. Any other sound begins with the first picture. Raises UsageError for what is
    no sequence, and what `open_sound` raises.
    """
    if info.kind != "sequence":
        raise UsageError(
            f"expected numbered pictures for --sound, got '{info.path}', which keeps its own; leave it out"
        )
    made_of = read_header(source_of(info, info.first)).provenance.get(SOURCE, "")
    if not is_movie(sound) or os.path.basename(made_of) != os.path.basename(sound):
        open_sound(sound).close()
        return replace(info, sound=sound)
    with open_reader(sound) as movie:
        return replace(movie.info, first=info.first, frame_count=info.frame_count, width=info.width, height=info.height)
