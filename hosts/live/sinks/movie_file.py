"""A movie file that a live session is recorded into."""

from __future__ import annotations

import contextlib
import os

import av

from impasto.core.errors import OutputError, OutputExists, UsageError
from impasto.core.media.commit import make_folder, publish, remove_abandoned, temporary_beside
from impasto.core.media.movie_container import write_failure
from impasto.hosts.live.pictures import ShownPicture, SoundChunk
from impasto.hosts.live.sinks.encoder import LiveEncoder, LiveEncoding

ENDINGS = (".mov", ".mp4", ".m4v", ".mkv")


class MovieFile:
    """A movie that has its name once the session ends. One that is cut off by an error keeps what there is of it."""

    def __init__(self, path: str, settings: LiveEncoding, *, overwrite: bool = False) -> None:
        """Make room for it. Raises UsageError for a kind of file, OutputExists, OutputError."""
        if os.path.splitext(path)[1].lower() not in ENDINGS:
            raise UsageError(f"expected a movie that ends in {', '.join(ENDINGS)}, got '{path}'; choose one of these")
        if os.path.lexists(path) and not overwrite:
            raise OutputExists(f"expected no file at '{path}', but there is one; give --overwrite or another name")
        make_folder(path)
        folder, name = os.path.split(path)
        remove_abandoned(folder, lambda final: final == name)
        self.name = path
        self._overwrite = overwrite
        self._temporary = temporary_beside(path)
        try:
            self._encoder = LiveEncoder(av.open(self._temporary, "w"), settings, self._failure)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def send(self, shown: ShownPicture) -> None:
        """See `Sink`."""
        self._encoder.send(shown)

    def hear(self, chunk: SoundChunk) -> None:
        """See `Sink`."""
        self._encoder.hear(chunk)

    def wait(self, now: float) -> None:
        """See `Sink`."""
        self._encoder.wait(now)

    def close(self, error: BaseException | None = None) -> None:
        """Give the movie its name; nothing stays of one without pictures."""
        try:
            self._encoder.finish()
            if self._encoder.frames:
                publish(self._temporary, self.name, replace=self._overwrite)
        except (av.FFmpegError, OSError) as failure:
            if error is None:
                raise self._failure(failure) from failure
        finally:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)

    def _failure(self, error: Exception) -> OutputError:
        return write_failure(error, self._temporary, self.name)
