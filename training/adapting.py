"""A new style out of one that is trained: only what tells styles apart is learned, in minutes instead of hours.

A network that holds several styles by code keeps what they have in common (edges, forms, how paint lies) in its
convolutions. Those stay as they are; the code, the scales and shifts that are worked out of it and the head are
trained (conditional instance normalisation did the same: Dumoulin et al. 2017, arXiv:1610.07629).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch

from impasto.core.errors import TrainingError
from impasto.core.generators.unet import UNet
from impasto.core.style import Style
from impasto.training.recipe import Recipe, recipe_from

HEADS = ("head", "refine", "last")
"""The layers that answer with gain and bias, by their names in the generators."""


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


def adapted(base: Style, styles: int = 1) -> UNet:
    """The base's network for new styles: their codes start as the mean of the base's, and most weights are frozen."""
    generator = base.generator
    assert generator.codes is not None
    net = type(generator)(replace(generator.config, styles=styles))
    weights = generator.state_dict()
    weights["codes"] = generator.codes.mean(dim=0, keepdim=True).repeat(styles, 1)
    if styles > 1:
        weights["codes"] = weights["codes"] + 0.1 * torch.randn_like(weights["codes"])
    net.load_state_dict(weights)
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(is_adapted(name))
    return net


def is_adapted(name: str) -> bool:
    """Whether the weights of this name are trained when a style is adapted."""
    parts = name.split(".")
    return name == "codes" or "modulation" in parts or parts[0] in HEADS


def digest_over(base: Style, digest: str) -> str:
    """The digest of a run's pictures and of the style that it began with."""
    return hashlib.sha256(f"{base.card.weights_sha256} {digest}".encode()).hexdigest()
