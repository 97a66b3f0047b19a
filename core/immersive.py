"""How a picture shows what is around the camera: as a sphere or flat, for one eye or for two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from impasto.core.errors import UsageError
from impasto.core.frame import ColourLayer, Frame, Samples, layers_of
from impasto.core.frozen_dataclass import frozen_dataclass

Projection = Literal["auto", "flat", "equirectangular"]
"""The map from directions to pixels; 'auto' is what the file says, and flat where it says nothing."""
Stereo = Literal["auto", "off", "sbs", "ou", "views"]
"""Where the eyes are: 'sbs' left and right halves, 'ou' upper (left eye) and lower, 'views' the two views of an EXR."""


@frozen_dataclass
class PictureLayout:
    """How one frame is to be taken."""

    projection: Literal["flat", "equirectangular"] = "flat"
    stereo: Literal["off", "sbs", "ou", "views"] = "off"

    @property
    def is_sphere(self) -> bool:
        """Whether each eye sees all directions."""
        return self.projection == "equirectangular"

    def eyes(self, picture: Samples) -> tuple[Samples, ...]:
        """The picture (H, W, C) of each eye, left first; views into the argument.

        Raises UsageError for a picture without two equal halves.
        """
        if self.stereo in ("sbs", "ou"):
            axis = 1 if self.stereo == "sbs" else 0
            if picture.shape[axis] % 2:
                raise UsageError(
                    f"expected two equal halves for --stereo {self.stereo}, got a picture of "
                    f"{picture.shape[1]}x{picture.shape[0]}; crop or scale it, or give --stereo off"
                )
            left, right = np.split(picture, 2, axis=axis)
            return left, right
        return (picture,)

    def joined(self, eyes: tuple[Samples, ...]) -> Samples:
        """The picture of which these are the eyes."""
        return eyes[0] if len(eyes) == 1 else np.concatenate(eyes, axis=1 if self.stereo == "sbs" else 0)

    def near(self, step: Callable[[Samples], Samples], picture: Samples, reach: int) -> Samples:
        """What a step makes that looks `reach` pixels around: not into the other eye, and around a sphere."""
        if self == FLAT:
            return step(picture)
        from impasto.core.panorama import wrapped_around

        return self.joined(
            tuple(wrapped_around(step, each, reach) if self.is_sphere else step(each) for each in self.eyes(picture))
        )


FLAT = PictureLayout()
LEAST_SPHERE = 512
"""Width from which a picture of a file that is twice as wide as high may well be a sphere."""


def layout_of(frame: Frame, projection: Projection, stereo: Stereo) -> tuple[PictureLayout, tuple[str, ...]]:
    """How a frame is taken where this is asked for, and notes for the artist.

    A picture twice as wide as high that says nothing is taken as flat, with a question. What a file states and its
    picture cannot have is named in a note and left; UsageError where it was asked for.
    """
    notes: list[str] = []
    eyes = (frame.stereo or "off") if stereo == "auto" else stereo
    if eyes == "views" and views_of(frame) is None:
        raise UsageError(
            f"expected a left and a right view in '{frame.source}' for --stereo views, got the layers "
            f"{', '.join(layers_of(frame.parts))}; give --stereo off, sbs or ou"
        )
    window, whole = frame.part.data_window, frame.part.display_window
    if stereo == "auto" and eyes in ("sbs", "ou") and (window.width if eyes == "sbs" else window.height) % 2:
        notes.append(f"'{frame.source}' states two eyes, but {window.width}x{window.height} has no two equal halves")
        eyes = "off"
    sphere = (frame.projection or "flat") if projection == "auto" else projection
    if sphere == "equirectangular" and window != whole:
        told = (
            f"a data window of {window.width}x{window.height} in a display window of {whole.width}x{whole.height} "
            "does not show the whole sphere"
        )
        if projection != "auto":
            raise UsageError(f"expected the whole sphere for --projection equirectangular, but {told}; fill the window")
        notes.append(f"{told}: painted flat")
        sphere = "flat"
    width, height = frame.width, frame.height
    silent = projection == "auto" and not frame.projection and eyes == "off"
    if silent and frame.source and width == 2 * height >= LEAST_SPHERE:
        notes.append(
            "the frame is twice as wide as high and its file does not say whether it is a sphere: painted flat; "
            "give --projection equirectangular where it is one"
        )
    return PictureLayout("equirectangular" if sphere == "equirectangular" else "flat", eyes), tuple(notes)


def views_of(frame: Frame) -> tuple[ColourLayer, ColourLayer] | None:
    """The layers of the two views of a multi-view EXR, that of the frame first; None for a frame without two.

    Views are parts with the attribute 'view' (OpenEXR 2.0), or layers of one part whose 'multiView' names them, the
    first without a prefix.
    """
    found: dict[str, ColourLayer] = {}
    for layer in layers_of(frame.parts).values():
        part = frame.parts[layer.part]
        if (view := part.attributes.get("view")) is not None:
            found.setdefault(str(view.value), layer)
        elif (names := part.attributes.get("multiView")) is not None:
            prefix = part.channels[layer.colour[0]].rpartition(".")[0]
            known = [str(each) for each in names.value]
            view_name = prefix.rpartition(".")[2] if prefix else known[0]
            if view_name in known:
                found.setdefault(view_name, layer)
    pair = tuple(layer for name, layer in found.items() if name in ("left", "right") and len(layer.colour) == 3)
    if len(pair) != 2 or frame.layer not in pair:
        return None
    return (pair[0], pair[1]) if pair[0] == frame.layer else (pair[1], pair[0])
