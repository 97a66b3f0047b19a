"""Gradients that would ruin a run: which are skipped, and when that no longer helps."""

from __future__ import annotations

import math

import pytest
import torch

from impasto.training.divergence_guard import (
    FEW,
    FIRST,
    IN_A_ROW,
    MOST_RETURNS,
    TOO_MANY,
    WARM_UP,
    WINDOW,
    DivergenceGuard,
    finite_gradients,
)


def settled(norm: float = 1.0) -> DivergenceGuard:
    """A guard that has seen enough ordinary steps."""
    guard = DivergenceGuard()
    for step in range(FIRST):
        assert guard.admits(norm, step)
    return guard


def test_spikes_and_what_is_not_finite_are_skipped() -> None:
    guard = settled()
    taken = [guard.admits(norm, FIRST) for norm in (2.0, 100.0, math.nan, math.inf, 2.0)]
    assert taken == [True, False, False, False, True]
    assert guard.skipped == [FIRST] * 3
    assert guard.admits(1.0, FIRST + WINDOW)
    assert guard.skipped == [], "a spike long ago must not keep good weights from being remembered"


@pytest.mark.parametrize("norm", [0.001, 5.0, 400.0])
def test_what_is_usual_is_learned_from_the_first_steps_however_large_they_are(norm: float) -> None:
    guard = settled(norm)
    assert guard.mean_norm == pytest.approx(norm)
    assert guard.admits(2 * norm, FIRST)
    assert not guard.admits(9 * norm, FIRST)


def test_early_norms_may_grow_with_the_learning_rate_but_not_explode() -> None:
    guard = DivergenceGuard()
    for step in range(FEW):
        guard.admits(1.0, step)
    assert guard.admits(15.0, FEW)
    assert not guard.admits(500.0, FEW + 1)


def test_spikes_do_not_raise_what_counts_as_usual() -> None:
    guard = settled()
    for step in range(100):
        guard.admits(7.9 if step % 4 == 0 else 1000.0, FIRST + step)
    assert guard.mean_norm < 5


def test_a_few_spikes_in_a_row_are_an_alarm_and_scattered_ones_only_when_they_are_many() -> None:
    guard = settled()
    for step in range(FIRST, FIRST + IN_A_ROW):
        assert not guard.alarm()
        guard.admits(50.0, step)
    assert guard.alarm() == f"{IN_A_ROW} steps in a row had gradients far larger than usual"
    guard = settled()
    for step in range(FIRST, FIRST + 2 * TOO_MANY):
        assert not guard.alarm()
        guard.admits(50.0 if step % 2 else 1.0, step)
    assert guard.calm() is False
    guard.admits(50.0, FIRST + 2 * TOO_MANY)
    assert f"{TOO_MANY + 1} of the last {WINDOW} steps" in guard.alarm()


def test_a_loss_that_is_not_finite_is_named() -> None:
    guard = DivergenceGuard()
    for step in range(IN_A_ROW):
        guard.admits(math.nan, step)
    assert guard.alarm() == f"{IN_A_ROW} steps in a row had no finite loss"


def test_a_return_halves_the_rate_and_comes_back_to_it_slowly_and_returns_have_an_end() -> None:
    guard = settled()
    assert guard.rate_at(FIRST) == 1
    guard.note_return(1000)
    assert guard.rate_at(1000) == pytest.approx(0.5 / WARM_UP)
    assert guard.rate_at(1000 + WARM_UP) == 0.5
    assert guard.mean_norm == 1.0, "what is usual is no different after a return"
    for _ in range(MOST_RETURNS - 1):
        assert not guard.exhausted()
        guard.note_return(2000)
    assert guard.exhausted()


def test_a_guard_comes_back_from_its_facts() -> None:
    guard = settled()
    guard.admits(100.0, FIRST)
    guard.note_return(FIRST)
    assert DivergenceGuard(**guard.facts()) == guard


def test_one_gradient_that_is_not_finite_is_found() -> None:
    net = torch.nn.Linear(2, 1)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    assert finite_gradients(net)
    assert net.bias.grad is not None
    net.bias.grad[0] = math.nan
    assert not finite_gradients(net)
