"""`impasto sheet`: a contact sheet, plate above and result below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.printer import say

if TYPE_CHECKING:
    from impasto.core.animation import Track
    from impasto.core.frame import Samples
    from impasto.core.media import ShotInfo

WIDTH = 1920
GAP = 6
"""Pixels between the pictures, and around them."""
GROUND = 0.08
CURVE_HEIGHT = 90
"""Pixels of the strip above the pictures in which an animated parameter is drawn."""
CURVE, MARK, TEXT = (255, 184, 64), (90, 90, 90), (204, 204, 204)


def sheet(
    before: Annotated[
        str, typer.Argument(metavar="BEFORE", help="The plate: a movie, a sequence, a folder or a still.")
    ],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The result.")],
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="The sheet: a .png, .jpg or .tif.")],
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Columns, spread evenly over the result.")] = 5,
    animate: Annotated[
        str | None,
        typer.Option("--animate", metavar="FILE.json", help="Draw the parameters of this animation file above."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Draw a contact sheet of a shot: the plate above, the result below."""
    import numpy as np

    from impasto.core.frame import Frame
    from impasto.core.media import ShotInfo, open_reader, open_writer
    from impasto.hosts.terminal.render.animation_file import read_animation

    if not 1 <= frames <= 50:
        raise UsageError(f"expected 1 to 50 columns, got {frames}; give for example --frames 5")
    with open_reader(before) as plate, open_reader(after) as result:
        plate_info, result_info = plate.info, result.info
    chosen = numbers_to_show(plate_info, result_info, frames)
    width = (WIDTH - GAP * (len(chosen) + 1)) // len(chosen)
    columns = [
        (picture_at(before, plate_info, first, width), picture_at(after, result_info, second, width))
        for first, second in chosen
    ]
    page = laid_out(columns, width)
    if animate is not None:
        shown = [first for first, _ in chosen]
        strips = [curve_strip(track, shown, page.shape[1], width) for track in read_animation(animate).tracks]
        page = np.concatenate((*strips, page))
    pixels = np.rint(page * 255).astype(np.uint8)
    facts = ShotInfo("", "still", 1, 1, pixels.shape[1], pixels.shape[0])
    with open_writer(output, facts, overwrite=overwrite) as writer:
        path = writer.write(Frame.from_pixels(pixels))
    say(f"{path}: {len(columns)} frames, plate above, result below")


def numbers_to_show(plate: ShotInfo, result: ShotInfo, count: int) -> list[tuple[int, int]]:
    """Frame numbers of plate and result, side by side, spread evenly from the first frame to the last.

    Where both are of one length they go in step; otherwise frames of the same number belong together.
    Raises UsageError where no frame of the result has a plate, or where a length is not known.
    """
    if plate.frame_count is None or result.frame_count is None:
        raise UsageError("expected shots of known length, got a camera or stream; record it first")
    if plate.frame_count == result.frame_count:
        pairs = [(plate.first + index, result.first + index) for index in range(plate.frame_count)]
    else:
        of_plate = range(plate.first, plate.first + plate.frame_count)
        of_result = range(result.first, result.first + result.frame_count)
        pairs = [(number, number) for number in of_result if number in of_plate]
    if not pairs:
        raise UsageError(
            f"expected frames of the same numbers in '{plate.path}' and '{result.path}', found none; "
            "name a plate and its own result"
        )
    if len(pairs) <= count:
        return pairs
    if count == 1:
        return [pairs[len(pairs) // 2]]
    return [pairs[round(index * (len(pairs) - 1) / (count - 1))] for index in range(count)]


def picture_at(path: str, info: ShotInfo, number: int, width: int) -> Samples:
    """One frame as a person sees it, `width` pixels wide, upright: (H, W, 3) float32, sRGB-encoded, in [0, 1]."""
    import cv2
    import numpy as np

    from impasto.core.display_picture import to_viewer
    from impasto.core.media import FrameRange, open_reader

    wanted = None if info.kind == "still" else FrameRange(number, number)
    with open_reader(path, frames=wanted) as reader:
        frame = next(iter(reader))
    shown, aspect = to_viewer(frame)
    size = width, min(max(1, round(width / aspect)), 4 * width)
    method = cv2.INTER_AREA if size[0] <= shown.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(shown, size, interpolation=method), np.float32)


def laid_out(columns: list[tuple[Samples, Samples]], width: int) -> Samples:
    """Pairs of pictures of this width as one: the first of each pair above, the second below."""
    import numpy as np

    height = max(picture.shape[0] for pair in columns for picture in pair)
    page = np.full((2 * height + 3 * GAP, len(columns) * (width + GAP) + GAP, 3), GROUND, np.float32)
    for column, pair in enumerate(columns):
        left = GAP + column * (width + GAP)
        for row, picture in enumerate(pair):
            top = GAP + row * (height + GAP) + (height - picture.shape[0]) // 2
            page[top : top + picture.shape[0], left : left + width] = picture
    return page


def curve_strip(track: Track, shown: list[int], width: int, column: int) -> Samples:
    """A parameter over the frames of a sheet, (CURVE_HEIGHT, width, 3), with its name and range.

    The frames in `shown` are above the middle of their columns, and marked; between two columns time goes evenly. Above
    one column alone it is the frames around that one.
    """
    import cv2
    import numpy as np

    strip = np.full((CURVE_HEIGHT, width, 3), round(255 * GROUND), np.uint8)
    middles = [GAP + index * (column + GAP) + column / 2 for index in range(len(shown))]
    if len(shown) > 1:
        pace = (shown[-1] - shown[0]) / (middles[-1] - middles[0])
        frames = shown[0] + (np.arange(width) - middles[0]) * pace
    else:
        frames = shown[0] + (np.arange(width) - middles[0]) * (48 / width)
    values = np.interp(frames, track.frames, track.values)
    low, high = min(track.values), max(track.values)
    margin = 12
    height = (values - low) / ((high - low) or 1)
    rows = CURVE_HEIGHT - margin - height * (CURVE_HEIGHT - 2 * margin)
    for middle in middles:
        strip[:, round(middle)] = MARK
    points = np.stack((np.arange(width), rows), axis=1).round().astype(np.int32)
    cv2.polylines(strip, [points], False, CURVE, 1, cv2.LINE_AA)
    cv2.putText(
        strip, f"{track.name}  {low:g} - {high:g}", (GAP, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, TEXT, 1,
        cv2.LINE_AA,
    )  # fmt: skip
    return np.asarray(strip / np.float32(255), np.float32)
