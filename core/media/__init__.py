"""Pictures in and out: image sequences, movies and cameras behind one reader and one writer.

`open_reader(path)` and `open_writer(path, shot)` choose by the path; see `impasto.core.media.shot`
for what they hand out and take. `target_of(path, shot)` says which colours and samples a result wants.
"""

from impasto.core.media.open import open_reader, open_writer
from impasto.core.media.shot import FrameRange, MovieFacts, Reader, ShotInfo, Writer
from impasto.core.media.target import OutputTraits, target_of

__all__ = [
    "FrameRange",
    "MovieFacts",
    "OutputTraits",
    "Reader",
    "ShotInfo",
    "Writer",
    "open_reader",
    "open_writer",
    "target_of",
]
