"""Signs of collapse: each alarm on what it is for, and silence on styles that are merely far from a plate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.training.collapse_monitor import BANDS, SETTLED, CollapseMonitor, Probe, signs
from impasto.training.data.pictures import as_float
from impasto.training.losses.adversarial import ADVERSARIAL_FORMS
from tests.training.pictures import smooth_tensors


class Painter(torch.nn.Module):
    """A network that makes of plates what a function says."""

    def __init__(self, paint: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.paint = paint
        self.device = torch.nn.Parameter(torch.zeros(1))

    def forward(self, plates: Tensor, code: None = None) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(plates), self.paint(plates)


def plates() -> Tensor:
    return torch.stack([as_float(each) for each in smooth_tensors(4, 64, 64)])


def cel(plates: Tensor) -> Tensor:
    return (plates * 3).round() / 3


def pencil(plates: Tensor) -> Tensor:
    lines = torch.nn.functional.pad(plates.diff(dim=3).abs(), (1, 0)).mean(1, keepdim=True)
    return (1 - 4 * lines).clamp(0, 1).expand_as(plates)


def white(plates: Tensor) -> Tensor:
    return torch.ones_like(plates)


def seen(paint: Callable[[Tensor], Tensor], wanted: Callable[[Tensor], Tensor]) -> dict[str, float]:
    net: Any = Painter(paint)
    return signs(net, Probe(plates(), wanted(plates()), torch.ones(4, 1, 64, 64)))


def alarm_after(good: dict[str, float], now: dict[str, float]) -> str:
    monitor = CollapseMonitor()
    assert not monitor.alarm(good, {}, 100, 5.0)
    return monitor.alarm(now, {}, 200, 5.0)


@pytest.mark.parametrize("style", [cel, pencil, white])
def test_a_style_that_is_met_exactly_shows_no_sign(style: Callable[[Tensor], Tensor]) -> None:
    assert all(value == pytest.approx(1, abs=1e-5) for value in seen(style, style).values())


@pytest.mark.parametrize("style", [cel, pencil, white])
def test_a_student_on_its_way_from_the_plate_to_a_style_alarms_nobody(style: Callable[[Tensor], Tensor]) -> None:
    monitor = CollapseMonitor()
    for step in range(11):
        share = step / 10
        now = seen(lambda plate, share=share: (1 - share) * plate + share * style(plate), style)  # type: ignore[misc]
        assert monitor.alarm(now, {}, 100 * step, 5.0) == ""


def lattice(plates: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    return cel(plates) + 0.05 * (1 - 2 * ((rows + columns) % 2))


@pytest.mark.parametrize(
    ("paint", "told"),
    [
        (lambda plates: cel(plates[:1]).expand_as(plates), "results of different plates differ"),
        (lambda plates: torch.nn.functional.avg_pool2d(plates, 33, 1, 16), "times"),
        (lambda plates: 4 * cel(plates) - 1.5, "times"),
        (lattice, "chequerboard of 2 pixels"),
        (lambda plates: cel(plates) + 0.2, "leave the range of a picture by"),
    ],
)
def test_each_kind_of_ruin_is_told(paint: Callable[[Tensor], Tensor], told: str) -> None:
    assert told in alarm_after(seen(cel, cel), seen(paint, cel))
    assert not alarm_after(seen(paint, cel), seen(paint, cel)), "what was never better is no loss"


def test_a_result_that_is_not_finite_is_told() -> None:
    assert "nan" in alarm_after(seen(cel, cel), dict.fromkeys(BANDS, float("nan")))


def test_a_critic_that_has_won_is_told() -> None:
    for form, gap, won in (("hinge", 4.0, False), ("hinge", 6.0, True), ("hinge", -2.0, True), ("lsgan", 3.0, True)):
        told = CollapseMonitor().alarm({}, {"critic_gap": gap}, 100, ADVERSARIAL_FORMS[form].widest_gap)
        assert bool(told) is won
    assert not CollapseMonitor().alarm({}, {"critic_gap": 400.0}, 100, ADVERSARIAL_FORMS["wgan-gp"].widest_gap)


def test_a_loss_that_rises_far_above_its_lowest_is_told_once_the_run_has_settled() -> None:
    monitor = CollapseMonitor()
    for step, loss in ((0, 0.01), (SETTLED, 0.3), (SETTLED + 100, 0.1), (SETTLED + 200, 0.25)):
        assert not monitor.alarm({}, {"reconstruction": loss}, step, 5.0)
    assert "0.31, it was 0.1" in monitor.alarm({}, {"reconstruction": 0.31}, SETTLED + 300, 5.0)
