"""The search for settings: it finds, prunes, remembers, and writes what `--recipe` reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from impasto.core.errors import TrainingError, UnknownName, UsageError
from impasto.training import loop, tuning
from impasto.training.data.pairs import Pair
from impasto.training.recipe import Recipe, read_recipe, recipe_from
from impasto.training.task import Schedule
from impasto.training.tuning import SPACE, Search, Trial, fitted, search, split, write_recipe

BASE = Recipe(size="draft", steps=4)


class Trainer:
    """In the place of a run: the error falls to what the learning rate promises, in as many looks as a run has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks: list[int] = []
        monkeypatch.setattr(loop, "run", self.run)

    def run(self, task: Any, recipe: Recipe, schedule: Schedule, *, stopped: Any) -> None:
        self.looks.append(0)
        for _ in range(tuning.VALIDATIONS + 1):
            if stopped():
                break
            task.validate(recipe)
            self.looks[-1] += 1


def distance(recipe: Recipe) -> float:
    return abs(recipe.learning_rate - 1e-3) * 1e3


@dataclasses.dataclass(frozen=True)
class Validated:
    """As much of a task as a search looks at."""

    digest: str = "d"
    validate: Any = distance
    publish: Any = None


def plan(folder: Path, trials: int = 12, **more: Any) -> Search:
    return Search(BASE, ("learning_rate", "crop"), trials, 0.01, folder, 130, **more)


def task_for(recipe: Recipe) -> Any:
    return Validated()


def test_the_best_setting_is_found_and_trials_that_fall_behind_are_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainer = Trainer(monkeypatch)
    tried: list[Trial] = []
    best = search(task_for, plan(tmp_path), on_trial=lambda trial, best: tried.append(trial))
    assert len(tried) == len(trainer.looks) == 12
    whole = [trial for trial in tried if trial.ended == "whole"]
    assert best is not None
    assert best.error == min(trial.error for trial in whole if trial.error is not None)
    assert all(trial.settings["crop"] in (64, 96, 128) for trial in tried), "no crop is larger than the pictures"
    pruned = [number for number, trial in enumerate(tried) if trial.ended == "pruned"]
    assert pruned
    assert all(trainer.looks[number] <= tuning.VALIDATIONS for number in pruned)


def test_a_search_goes_on_where_it_stopped_and_only_with_what_it_began_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trainer = Trainer(monkeypatch)
    assert search(task_for, plan(tmp_path), stopped=lambda: len(trainer.looks) >= 5) is not None
    numbers: list[int] = []
    search(task_for, plan(tmp_path), on_trial=lambda trial, best: numbers.append(trial.number))
    assert numbers[0] == 6
    # The fifth was under way when it was stopped: it does not count.
    assert len(numbers) == 12 - 4
    with pytest.raises(TrainingError, match="its data differs"):
        search(lambda recipe: Validated("other"), plan(tmp_path))  # type: ignore[arg-type, return-value]


def test_a_search_that_goes_on_tries_nothing_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Trainer(monkeypatch)
    rates: list[Any] = []
    for trials in (2, 4, 6):
        search(
            task_for,
            plan(tmp_path, trials),
            on_trial=lambda trial, best: rates.append(trial.settings["learning_rate"]),
        )
    assert len(set(rates)) == len(rates) == 6


def test_trials_are_numbered_from_one_wherever_they_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Trainer(monkeypatch)
    told: list[int] = []
    best = search(task_for, plan(tmp_path, 1), on_trial=lambda trial, best: told.append(trial.number))
    assert best is not None
    write_recipe(tmp_path / "best.toml", BASE, best)
    assert told == [best.number] == [1]
    assert (tmp_path / "best.toml").read_text().startswith("# trial 1, ")


@pytest.mark.parametrize(
    ("room", "crop", "rim"), [(200, 128, 16), (128, 128, 16), (127, 120, 16), (72, 72, 16), (40, 40, 15), (16, 16, 3)]
)
def test_a_crop_and_its_rim_fit_into_small_pictures(room: int, crop: int, rim: int) -> None:
    base = fitted(BASE, room)
    assert base == dataclasses.replace(BASE, crop=crop, rim=rim)


def test_pictures_without_room_for_any_crop_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"at least 16 pixels .* has 15"):
        fitted(BASE, 15)


def test_no_crop_is_tried_that_the_rim_fills(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Trainer(monkeypatch)
    wide = dataclasses.replace(plan(tmp_path, 6), base=dataclasses.replace(BASE, rim=40))
    crops: list[Any] = []
    search(task_for, wide, on_trial=lambda trial, best: crops.append(trial.settings["crop"]))
    assert set(crops) <= {96, 128}


def test_runs_that_cannot_be_judged_end_the_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Trainer(monkeypatch)
    with pytest.raises(TrainingError, match="3 in a row could not"):
        search(lambda recipe: Validated(validate=lambda net: float("nan")), plan(tmp_path))  # type: ignore[arg-type, return-value]


def test_what_is_written_is_a_recipe(tmp_path: Path) -> None:
    base = recipe_from({"size": "fine", "steps": 9, "minutes": 2.0})
    write_recipe(tmp_path / "best.toml", base, Trial(3, {"learning_rate": 0.0012, "batch": 8}, 0.125, "whole"))
    assert read_recipe(tmp_path / "best.toml") == {"batch": 8, "learning_rate": 0.0012, "size": "fine"}
    recipe_from(read_recipe(tmp_path / "best.toml"))
    assert [path.name for path in tmp_path.iterdir()] == ["best.toml"]


def test_what_is_learned_from_is_not_judged_by() -> None:
    pairs = [Pair(str(number), torch.zeros(1), torch.zeros(1)) for number in range(9)]
    learned, held = split(pairs)
    assert [pair.name for pair in held] == ["1", "5"]
    assert len(learned) == 7
    with pytest.raises(TrainingError, match="at least two pairs"):
        split(pairs[:1])


def test_a_nearer_network_has_the_smaller_error_and_chance_is_left_alone() -> None:
    class Adds(torch.nn.Module):
        config, codes = SimpleNamespace(stride=8), None

        def __init__(self, amount: float) -> None:
            super().__init__()
            self.amount = torch.nn.Parameter(torch.tensor(amount))

        def forward(self, picture: torch.Tensor, code: None = None) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.ones_like(picture), self.amount.expand_as(picture)

    plate = torch.rand(3, 64, 64)
    pairs = [Pair("a", plate, plate + 0.2)]
    before = torch.get_rng_state()
    far, near = (tuning.error_on(Adds(amount), pairs) for amount in (0.0, 0.15))  # type: ignore[arg-type]
    assert near < 0.5 * far
    right_half = torch.zeros(1, 64, 64, dtype=torch.bool)
    right_half[..., 32:] = True
    left_wrong = torch.cat((plate[..., :32] + 0.6, plate[..., 32:] + 0.2), dim=2)
    assert tuning.error_on(Adds(0.2), [Pair("a", plate, left_wrong, right_half)]) < 1e-6  # type: ignore[arg-type]
    assert torch.equal(before, torch.get_rng_state())


def test_what_cannot_be_searched_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one trial"):
        plan(tmp_path, 0)
    with pytest.raises(UnknownName, match="did you mean 'learning_rate'"):
        Search(BASE, ("learning_rat",), 1, 1.0, tmp_path, 64)
    assert all(hasattr(BASE, name) for name in SPACE)
