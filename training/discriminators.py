"""Critics that score patches, not pictures."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from impasto.training.losses.adversarial import ADVERSARIAL_FORMS


class PatchGAN(nn.Module):
    """Scores overlapping patches of 46 pixels (Isola et al. 2017, arXiv:1611.07004).

    Spectral norm (Miyato et al. 2018, arXiv:1802.05957) instead of batch norm, or none, for a form of the loss
    that bounds the critic by a penalty. `inputs` is 3, or 6 when the plate is shown beside the picture
    (conditional). Takes values around [0, 1]; returns (N, 1, H/8, W/8) scores.
    """

    def __init__(self, inputs: int = 6, width: int = 32, *, spectral: bool = True) -> None:
        super().__init__()

        def bounded(layer: nn.Module) -> nn.Module:
            return spectral_norm(layer) if spectral else layer

        def down(before: int, after: int) -> list[nn.Module]:
            return [bounded(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]

        self.layers = nn.Sequential(
            *down(inputs, width),
            *down(width, 2 * width),
            *down(2 * width, 4 * width),
            bounded(nn.Conv2d(4 * width, 1, 3, 1, 1)),
        )

    def forward(self, picture: Tensor) -> Tensor:
        scores: Tensor = self.layers(picture * 2 - 1)
        return scores


def new_critic(form: str, *, conditional: bool = True) -> PatchGAN:
    """An untrained critic for a form of the adversarial loss; `conditional` shows it the plate beside the picture."""
    return PatchGAN(6 if conditional else 3, spectral=ADVERSARIAL_FORMS[form].spectral_norm)
