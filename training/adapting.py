"""A new style from a trained one: a run learns only what tells styles apart, in minutes instead of hours.

A network that holds several styles by code keeps what they have in common (edges, forms, how paint lies) in its
convolutions. Those are frozen; the code, the scales and shifts that follow from it, and the head are trained
(conditional instance normalisation did the same: Dumoulin et al. 2017, arXiv:1610.07629). A new style begins with the
code of the style in the base that already paints most like it, colours aside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from impasto.core.errors import TrainingError
from impasto.core.generators.unet import UNet
from impasto.core.style_file import Style
from impasto.training.data.pairs import Pair
from impasto.training.data.pictures import as_float
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe, recipe_from

HEADS = ("head", "refine", "last")
"""The layers that produce gain and bias, by their names in the generators."""
COMPARED, SIDE = 4, 256
"""Pictures of a new style on which the styles of the base are compared, and the side of the centre crop."""


def require_codes_to_adapt(base: Style) -> None:
    """TrainingError for a style that has no style code, or that sees guide layers, which pairs do not have."""
    if base.card.guides:
        raise TrainingError(
            f"expected a style that needs the plate alone to adapt, '{base.card.name}' needs guide layers as well; "
            "name another"
        )
    if base.generator.codes is None:
        raise TrainingError(
            f"expected a style that holds several by code to adapt, '{base.card.name}' has no style code; "
            "make one with `impasto train painting --styles`, or learn from its pictures with --distil-from"
        )


def recipe_for(base: Style, recipe: Recipe) -> Recipe:
    """The recipe with the generator and the size of the base.

    Raises TrainingError for a base that cannot be adapted, UnknownName for one of a size that has no name.
    """
    require_codes_to_adapt(base)
    return recipe_from({"generator": base.card.generator, "size": base.card.size}, recipe)


def adapted(base: Style, pairs: Sequence[Pair]) -> UNet:
    """The base's network for the styles of some pairs, each with the code of its nearest; most weights are frozen."""
    generator = base.generator
    assert generator.codes is not None
    styles = 1 + max(pair.style for pair in pairs)
    net = type(generator)(replace(generator.config, styles=styles))
    weights = generator.state_dict()
    own = [[pair for pair in pairs if pair.style == style] for style in range(styles)]
    weights["codes"] = torch.stack([generator.codes[nearest_style(generator, each)] for each in own])
    net.load_state_dict(weights)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(is_adapted(name))
    return net


@torch.no_grad()
def nearest_style(generator: UNet, pairs: Sequence[Pair]) -> int:
    """The style of a network whose results explain some painted pictures best, up to a colour grade."""
    count = min(COMPARED, len(pairs))
    some = [pairs[index * len(pairs) // count] for index in range(count)]
    errors = [0.0] * generator.config.styles
    for pair in some:
        plate, target = (_middle(as_float(picture)) for picture in (pair.before, pair.after))
        loss_mask = torch.ones_like(plate[:1], dtype=torch.bool) if pair.loss_mask is None else _middle(pair.loss_mask)
        if loss_mask.any():
            for style in range(len(errors)):
                errors[style] += _ungraded(stylize(generator, plate, style), target, loss_mask)
    return min(range(len(errors)), key=errors.__getitem__)


def _middle(picture: Tensor) -> Tensor:
    height, width = picture.shape[1:]
    top, left = max(0, (height - SIDE) // 2), max(0, (width - SIDE) // 2)
    return picture[:, top : top + SIDE, left : left + SIDE]


def _ungraded(result: Tensor, target: Tensor, loss_mask: Tensor) -> float:
    """Mean square of what the best 3x4 matrix over the result's colours leaves of the target, within the loss mask.

    Pictures are (3, H, W), `loss_mask` (1, H, W) bool.
    """
    x = torch.cat((result, torch.ones_like(result[:1])))[:, loss_mask[0]].T.double()
    y = target[:, loss_mask[0]].T.double()
    return float((x @ torch.linalg.lstsq(x, y).solution - y).square().mean())


def is_adapted(name: str) -> bool:
    """Whether the weights of this name are trained when a style is adapted."""
    parts = name.split(".")
    return name == "codes" or "modulation" in parts or parts[0] in HEADS


def digest_over(base: Style, digest: str) -> str:
    """The digest of a run's pictures and of the style that it began with."""
    return hashlib.sha256(f"{base.card.weights_sha256} {digest}".encode()).hexdigest()
