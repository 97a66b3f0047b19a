"""Plates in memory: read once as 8-bit pictures for the screen, kept while they are used.

A preview is 8-bit sRGB. What a render makes of the same plate has the plate's own depth and colours.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from impasto.core.errors import ImpastoError, UnreadableMedia, UnsupportedMedia
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.media import open_reader
from impasto.core.media.formats import PICTURE_EXTENSIONS
from impasto.core.media.numbering import parse_numbered
from impasto.core.media.open import MOVIE_EXTENSIONS
from impasto.hosts.web.plates import frame_range

Picture8: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3), sRGB, top row first."""
KEPT_BYTES: Final = 256 << 20
"""Of all pictures together; the least used go first."""
MOST_PIXELS: Final = 64_000_000


@frozen_dataclass
class PreviewPlate:
    """A frame as it is previewed, and where it comes from."""

    id: str
    name: str
    pixels: Picture8
    path: str = ""
    """Of the file or pattern on this machine; empty for a picture that was dropped in."""
    kind: str = "still"
    number: int = 1
    first: int = 1
    frames: int | None = 1
    rate: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])


class PictureStore:
    """Plates by their id, and plates scaled down. Safe to use from several threads."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._reading = threading.Semaphore(2)
        """Large plates take gigabytes while they are read."""
        self._plates: OrderedDict[str, PreviewPlate] = OrderedDict()
        self._ids: dict[tuple[str, int | None, int], str] = {}
        self._scaled: OrderedDict[tuple[str, int], Picture8] = OrderedDict()

    def get(self, id: str) -> PreviewPlate:
        """A plate by its id. UnreadableMedia for one that is not kept any more."""
        with self._lock:
            plate = self._plates.get(id)
            if plate is None:
                raise UnreadableMedia("expected a plate that is open, this one was put away; choose it again")
            self._plates.move_to_end(id)
            return plate

    def read(self, path: Path, number: int | None) -> PreviewPlate:
        """Open a frame of a shot on this machine; one that is kept already is not read again.

        Raises whatever reading it raises.
        """
        key = str(path), number, _stamp(path, number)
        with self._lock:
            kept = self._plates.get(self._ids.get(key, ""))
        if kept is not None:
            return self.get(kept.id)
        with self._reading:
            plate = read_plate(path, number)
        self._keep(plate)
        with self._lock:
            self._ids[key] = plate.id
        return plate

    def take(self, data: bytes, name: str) -> PreviewPlate:
        """Open a picture that was sent, by the name that it has there. Raises UnsupportedMedia for a movie."""
        ending = Path(name).suffix.lower()
        if ending in MOVIE_EXTENSIONS:
            raise UnsupportedMedia(
                f"expected a picture, got the movie '{name}'; start `impasto web --plates FOLDER` with its folder and "
                "pick a frame of it"
            )
        if ending not in PICTURE_EXTENSIONS:
            known = ", ".join(sorted(PICTURE_EXTENSIONS))
            raise UnsupportedMedia(f"expected a picture ({known}), got '{name}'; convert it first")
        with tempfile.TemporaryDirectory(prefix="impasto-web-") as folder, self._reading:
            path = Path(folder) / f"dropped{ending}"
            path.write_bytes(data)
            try:
                plate = read_plate(path, None, name=name)
            except ImpastoError as error:
                raise type(error)(str(error).replace(str(path), name)) from error
        self._keep(plate)
        return plate

    def scaled(self, id: str, side: int) -> Picture8:
        """A plate whose longer side is at most this; the plate itself where it is no longer, or for 0."""
        plate = self.get(id)
        longer = max(plate.width, plate.height)
        if side <= 0 or longer <= side:
            return plate.pixels
        with self._lock:
            if (found := self._scaled.get((id, side))) is not None:
                self._scaled.move_to_end((id, side))
                return found
        size = max(1, round(plate.width * side / longer)), max(1, round(plate.height * side / longer))
        made = resized(plate.pixels, size)
        with self._lock:
            self._scaled[id, side] = made
            self._forget()
        return made

    def _keep(self, plate: PreviewPlate) -> None:
        with self._lock:
            self._plates[plate.id] = plate
            self._forget()

    def _forget(self) -> None:
        """Put away what was used longest ago, scaled pictures first."""
        while len(self._scaled) > 1 and self._bytes() > self._kept_bytes:
            self._scaled.popitem(last=False)
        while len(self._plates) > 1 and self._bytes() > self._kept_bytes:
            id, _ = self._plates.popitem(last=False)
            self._ids = {key: each for key, each in self._ids.items() if each != id}
            self._scaled = OrderedDict((key, each) for key, each in self._scaled.items() if key[0] != id)

    def _bytes(self) -> int:
        kept = [*(plate.pixels for plate in self._plates.values()), *self._scaled.values()]
        return sum(pixels.nbytes for pixels in kept)


def _stamp(path: Path, number: int | None) -> int:
    """When the file of a frame was written last, in ns; 0 where that is not known."""
    numbered = parse_numbered(str(path))
    try:
        return Path(path if numbered is None or number is None else numbered.path_of(number)).stat().st_mtime_ns
    except OSError:
        return 0


def read_plate(path: Path, number: int | None, *, name: str = "") -> PreviewPlate:
    """A frame of a shot, the first one where no number is given, upright and with square pixels.

    Raises UnreadableMedia, UnsupportedMedia and InconsistentShot, UnsupportedMedia above `MOST_PIXELS` too.
    """
    from impasto.core.display_picture import to_viewer

    with open_reader(str(path)) as reader:
        info = reader.info
    if info.width * info.height > MOST_PIXELS:
        raise UnsupportedMedia(
            f"expected at most {MOST_PIXELS // 1_000_000} megapixels for a preview, got {info.width}x{info.height} in "
            f"'{path}'; `impasto render` takes it"
        )
    chosen = info.first if number is None else number
    with open_reader(str(path), frames=frame_range(path, info.kind, chosen)) as reader:
        frame = next(iter(reader), None)
    if frame is None:
        raise UnreadableMedia(f"expected frame {chosen} in '{path}', found none; choose another")
    shown, aspect = to_viewer(frame)
    pixels: Picture8 = np.rint(shown * 255).astype(np.uint8)
    width = max(1, round(pixels.shape[0] * aspect))
    if width != pixels.shape[1]:
        pixels = resized(pixels, (width, pixels.shape[0]))
    rate = None if info.rate is None else float(info.rate)
    return PreviewPlate(
        secrets.token_hex(8), name or path.name, pixels, "" if name else str(path), info.kind, chosen, info.first,
        info.frame_count, rate, frame.notes,
    )  # fmt: skip


def resized(pixels: Picture8, size: tuple[int, int]) -> Picture8:
    """A picture in another size, width and height."""
    import cv2

    method = cv2.INTER_AREA if size[0] * size[1] < pixels.shape[0] * pixels.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def encoded(pixels: Picture8, kind: str) -> bytes:
    """A picture as 'jpeg' (quality 92, full colour resolution) or 'png'."""
    return _ENCODERS[kind](pixels)


def _jpeg(pixels: Picture8) -> bytes:
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return bytes(cv2.imencode(".jpg", pixels[..., ::-1], options)[1])


def _png(pixels: Picture8) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


_ENCODERS: Final[dict[str, Callable[[Picture8], bytes]]] = {"jpeg": _jpeg, "png": _png}
