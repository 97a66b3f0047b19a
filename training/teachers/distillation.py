"""Distillation: a smaller style learns from the results of a trained one instead of from painted pictures.

Results are easier to learn from than the pictures, because a network paints similar things in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from impasto.core.errors import TrainingError
from impasto.core.style_file import find_style, load_style
from impasto.training.data.pairs import Pair
from impasto.training.data.pictures import as_float, no_note
from impasto.training.data.shots import FRAMES, pictures_of
from impasto.training.preview import stylize


def painted_by(style: str, plates: Sequence[Pair], *, device: str = "cpu", number: int = 0) -> Iterator[Pair]:
    """The pairs, each with the result of the style on its plate as the target.

    `style` is a name or a path, `number` its place among the styles of the network that learns. Raises the errors of
    `load_style`, and TrainingError for a style that needs guide layers.
    """
    generator = load_style(find_style(style)).generator
    if generator.config.guides:
        raise TrainingError(
            f"expected a style that needs the plate alone, '{style}' needs guide layers as well; use another"
        )
    net = generator.to(torch.device(device)).eval()
    for pair in plates:
        painted = stylize(net, as_float(pair.before).to(device)).clamp(0, 1)
        yield replace(pair, after=painted.to("cpu", torch.float16), style=number)


def plates_alone(
    source: str | Path,
    *,
    frames: int = FRAMES,
    input_space: str | None = None,
    on_note: Callable[[str], None] = no_note,
) -> list[Pair]:
    """Every picture of a folder, or frames of a movie or sequence, as pairs whose target is the plate itself."""
    plates = pictures_of(str(source), frames=frames, input_space=input_space, on_note=on_note)
    if not plates:
        raise TrainingError(f"expected pictures in '{source}', found none; name the folder with the plates")
    return [Pair(name, plate, plate) for name, plate in plates.items()]
