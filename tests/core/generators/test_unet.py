"""The U-Net family: folding, radius, starts, codes, guides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from impasto.core.generators import GENERATORS
from impasto.core.generators.blocks import edge_padded
from impasto.core.generators.unet import SIZES, UNet, UNetConfig

SMALL = UNetConfig(widths=(8, 16), blocks=(1, 2))


def lively(config: UNetConfig) -> UNet:
    """A network whose result depends on all that it sees: as after training, not as at the start."""
    torch.manual_seed(7)
    net = UNet(config)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "head" in name or "refine" in name:
                parameter.normal_(std=0.1)
    return net.eval()


def styled(net: UNet, picture: Tensor, code: Tensor | None = None) -> Tensor:
    gain, bias = net(picture, code)
    return gain * picture[:, :3] + bias


@pytest.mark.parametrize("size", SIZES)
def test_a_new_network_keeps_the_plate_recognisable(size: str) -> None:
    torch.manual_seed(1)
    picture = torch.rand(1, 3, 64, 64)
    result = styled(UNet(SIZES[size]), picture)
    assert torch.corrcoef(torch.stack((picture.flatten(), result.flatten())))[0, 1] > 0.5


@pytest.mark.parametrize("size", SIZES)
def test_folding_changes_the_result_by_less_than_1e_4(size: str) -> None:
    net = lively(SIZES[size])
    picture = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        difference = (styled(net, picture) - styled(net.fold(), picture)).abs().max()
    assert difference < 1e-4


def test_folding_leaves_no_module_with_statistics_or_branches() -> None:
    kinds = {type(module).__name__ for module in lively(SIZES["standard"]).fold().modules()}
    assert kinds == {"UNet", "ModuleList", "FoldedConv", "Conv2d"}


@pytest.mark.parametrize(
    "config",
    [
        *SIZES.values(),
        replace(SMALL, residual=True),
        replace(SMALL, shuffle=2, widths=(8, 8, 16), blocks=(1, 1, 1), refine=4),
    ],
)
def test_radius_is_never_below_what_the_gradient_reaches(config: UNetConfig) -> None:
    net = lively(config)
    side = (2 * config.radius // config.stride + 6) * config.stride
    centre = side // 2
    reached = 0
    for phase in (0, config.stride // 2, config.stride - 1):
        picture = torch.rand(1, 3, side, side, requires_grad=True)
        at = centre + phase
        (touched,) = torch.autograd.grad(styled(net, picture)[0, :, at, at].sum(), picture)
        rows = touched.abs().sum((0, 1, 3)).nonzero().flatten()
        reached = max(reached, at - int(rows.min()), int(rows.max()) - at)
    assert 0 < reached <= config.radius
    assert reached > config.radius // 2, "a bound that is never approached wastes halo"


def test_attention_declares_that_it_breaks_tiles() -> None:
    config = replace(SMALL, attention=True)
    assert not config.tileable
    net = lively(config)
    with torch.no_grad():
        assert net.attention is not None
        net.attention.weight.fill_(0.5)
    picture = torch.rand(1, 3, 256, 64)
    changed = picture.clone()
    changed[..., -8:, :] = 0
    assert (styled(net, picture) - styled(net, changed)).abs()[..., :8, :].max() > 0


def test_a_head_without_weights_gives_back_the_plate_bit_for_bit() -> None:
    net = UNet(SIZES["draft"])
    with torch.no_grad():
        net.head.kernel.zero_()
        net.head.point.zero_()
    net = net.fold()
    picture = torch.rand(1, 3, 48, 40)
    with torch.inference_mode():
        assert torch.equal(styled(net, picture), picture)


def test_a_blend_of_codes_folds_to_what_the_live_network_shows() -> None:
    net = lively(replace(SMALL, styles=3, code_width=5))
    assert net.codes is not None
    blend = torch.tensor([[0.5, 0.2, 0.3]]) @ net.codes
    picture = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        live = styled(net, picture, blend)
        assert (live - styled(net.fold(blend), picture)).abs().max() < 1e-4
        assert (live - styled(net, picture, net.codes[:1])).abs().max() > 1e-3


def test_guides_are_further_input_channels_that_change_the_result() -> None:
    net = lively(replace(SMALL, guides=2))
    picture = torch.rand(1, 5, 32, 32)
    other = picture.clone()
    other[:, 3:] = 0
    assert (styled(net, picture) - styled(net, other)).abs().max() > 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_a_new_network_leaves_a_flat_plate_flat_up_to_the_edge(size: str) -> None:
    """Zero padding would show as a rim here, weights that differ within a cell as a pattern."""
    torch.manual_seed(2)
    net = UNet(SIZES[size]).fold()
    with torch.inference_mode():
        result = styled(net, torch.full((1, 3, 64, 96), 0.4))
    assert (result.amax((2, 3)) - result.amin((2, 3))).max() < 1e-5


def shift_error(net: UNet, picture: Tensor, pixels: int) -> float:
    """rms(f(shift x) - shift f(x)) over the spread of f(x), 40 pixels and more from the edge.

    `picture` is 8 pixels wider than a multiple of the stride; the two views of it differ by `pixels`.
    """
    width = picture.shape[-1] - 8
    with torch.inference_mode():
        still, moved = styled(net, picture[..., :width]), styled(net, picture[..., pixels : pixels + width])
    still, moved = still[..., 40:-40, 40 + pixels : -40], moved[..., 40:-40, 40 : -40 - pixels]
    return float((still - moved).pow(2).mean().sqrt() / still.std())


@pytest.mark.parametrize("size", SIZES)
def test_a_new_network_moves_with_the_plate(size: str) -> None:
    torch.manual_seed(3)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 20, 28), size=(160, 232), mode="bicubic")
    net = UNet(SIZES[size])
    with torch.no_grad():
        net.head.kernel.mul_(5)
    assert shift_error(net, smooth, 1) < 0.35


def test_a_config_survives_the_way_through_a_card() -> None:
    config = SIZES["fine"]
    assert GENERATORS["unet"].build(config.as_dict()).config == config


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (9, 17)])
def test_the_edge_padding_of_a_gpu_is_that_of_torch_with_channels_last(size: tuple[int, int]) -> None:
    x = torch.rand(2, 8, *size)
    padded = edge_padded(x)
    assert torch.equal(padded, torch.nn.functional.pad(x, (1, 1, 1, 1), mode="replicate"))
    assert padded.is_contiguous(memory_format=torch.channels_last)
