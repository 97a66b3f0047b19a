"""A trained network as a style."""

from __future__ import annotations

import base64
import itertools
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from impasto.core.card import Card, Training
from impasto.core.generators.unet import UNet
from impasto.core.guides import Guide
from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.style_file import Style, save_style
from impasto.training.networks import generator_name
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe
from impasto.training.task import Trained

PREVIEW_SIDE = 160


@dataclass(frozen=True, slots=True)
class Label:
    """The texts on a style's card that a person writes."""

    name: str
    title: str = ""
    description: str = ""
    licence: str = "unstated"
    credits: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """Names of the styles in the network, where it holds several by code."""


def write_style(
    trained: Trained,
    recipe: Recipe,
    output: Path,
    label: Label,
    *,
    pictures: int,
    shown: Tensor,
    keys: Keys | None = None,
    guides: tuple[Guide, ...] = (),
) -> Style:
    """Write the network with its card, whole or not at all; the network may still be in training.

    `pictures` counts the training pictures. `shown` is a plate (3, H, W), working space, whose painted thumbnail stands
    for the style in lists; its guide planes follow it where the network sees `guides`. `keys` are stored in the file.
    """
    card = Card(
        name=label.name,
        title=label.title or label.name.replace("_", " ").replace("-", " ").capitalize(),
        description=label.description,
        generator=generator_name(trained.net),
        config={},
        size=recipe.size,
        halo=1,
        stride=1,
        licence=label.licence,
        credits=label.credits,
        codes=label.codes,
        guides=guides,
        weights_sha256="-",
        canary=(0.0, 0.0),
        training=Training(
            recipe=json.loads(recipe.as_json()),
            data_sha256=trained.data_digest,
            pictures=pictures,
            steps=trained.steps,
            seconds=round(trained.seconds, 1),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            metrics={name: round(value, 5) for name, value in trained.figures.items() if math.isfinite(value)},
        ),
        preview=thumbnail(trained, shown),
    )
    return save_style(output, card, trained.net, keys)


def thumbnail(trained: Trained, plate: Tensor) -> str:
    """A plate (3, H, W), working space, painted; at most `PREVIEW_SIDE` pixels wide or high, as PNG in base64.

    Each style of a network that holds several paints a strip of it.
    """
    device = next(trained.net.parameters()).device
    with torch.inference_mode():
        painted = side_by_side(trained.net, plate.to(device)).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    scale = PREVIEW_SIDE / max(painted.shape[:2])
    small = cv2.resize(painted, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, png = cv2.imencode(".png", np.rint(small[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return base64.b64encode(png.tobytes()).decode("ascii")


def side_by_side(net: UNet, plate: Tensor) -> Tensor:
    """A plate (3, H, W) painted, in upright strips by each style of the network."""
    styles = max(1, net.config.styles)
    edges = [round(index * plate.shape[2] / styles) for index in range(styles + 1)]
    strips = [
        stylize(net, plate, style)[..., left:right] for style, (left, right) in enumerate(itertools.pairwise(edges))
    ]
    return torch.cat(strips, dim=2)
