"""The run itself, on two tiny pairs: it learns, resumes, survives and exports."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from impasto.core.engine import Engine
from impasto.core.errors import TrainingError
from impasto.core.generators.unet import UNet
from impasto.core.style_file import load_style
from impasto.training import checkpoint, loop, run_log, state
from impasto.training.checkpoint import read_facts
from impasto.training.data.pairs import Pair
from impasto.training.data.pictures import as_float
from impasto.training.divergence_guard import IN_A_ROW, MOST_RETURNS
from impasto.training.export import Label, write_style
from impasto.training.loop import run
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.objectives.pairs import task_for
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe
from impasto.training.task import Schedule, StepLosses, Trained, TrainingProgress, TrainingTask
from tests.training.pictures import smooth_tensors, weights

pytestmark = pytest.mark.usefixtures("small_networks")

RECIPE = Recipe(
    generator="unet",
    size="draft",
    steps=6,
    batch=2,
    crop=48,
    rim=8,
    critic_from=1,
    consistency_every=2,
    mixed_precision=False,
    noise=0.0,
    gain=0.0,
)


@pytest.fixture
def pairs() -> list[Pair]:
    return [Pair(f"p{index}", plate, plate.flip(0)) for index, plate in enumerate(smooth_tensors(2))]


def train(pairs: list[Pair], recipe: Recipe, schedule: Schedule, **more: Any) -> Trained:
    return run(task_for(pairs, recipe), recipe, schedule, **more)


def test_a_hundred_steps_bring_the_result_a_quarter_nearer_to_the_target(pairs: list[Pair], tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    recipe = dataclasses.replace(RECIPE, steps=100, average=0.9, adversarial=0.0, warm_up=5, learning_rate=3e-3)
    trained = train(pairs, recipe, Schedule(tmp_path), on_progress=seen.append)
    assert seen[-1].step == 100
    plate, target = as_float(pairs[0].before), as_float(pairs[0].after)
    untouched = multi_scale_l1(plate[None], target[None])
    assert multi_scale_l1(stylize(trained.net, plate)[None], target[None]) < 0.75 * untouched
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_a_resumed_run_equals_an_undisturbed_one(pairs: list[Pair], tmp_path: Path) -> None:
    whole = train(pairs, RECIPE, Schedule(tmp_path / "whole"))
    asked = 0

    def after_three() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    first = train(pairs, RECIPE, Schedule(tmp_path / "parts"), stopped=after_three)
    assert first.steps == 3
    resumed = train(pairs, RECIPE, Schedule(tmp_path / "parts", resume=True))
    assert resumed.steps == whole.steps == 6
    assert torch.equal(weights(resumed.net), weights(whole.net))


def test_a_run_on_other_pictures_does_not_resume(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, RECIPE, Schedule(tmp_path))
    with pytest.raises(TrainingError, match="got others"):
        train(pairs[:1], RECIPE, Schedule(tmp_path, resume=True))


def test_a_damaged_checkpoint_is_one_sentence(pairs: list[Pair], tmp_path: Path) -> None:
    train(pairs, RECIPE, Schedule(tmp_path))
    (tmp_path / "checkpoint.safetensors").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="could not use it"):
        train(pairs, RECIPE, Schedule(tmp_path, resume=True))


def test_pictures_smaller_than_the_crop_are_refused(tmp_path: Path) -> None:
    tiny = torch.zeros(3, 20, 90, dtype=torch.uint8)
    with pytest.raises(TrainingError, match=r"at least 48 pixels .* has 20"):
        train([Pair("tiny", tiny, tiny)], RECIPE, Schedule(tmp_path))


def test_the_folder_holds_checkpoint_log_and_preview_and_nothing_half_written(
    pairs: list[Pair], tmp_path: Path
) -> None:
    train(pairs, RECIPE, Schedule(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "preview.png"]


def test_a_trained_network_becomes_a_style_that_renders(pairs: list[Pair], tmp_path: Path) -> None:
    trained = train(pairs, RECIPE, Schedule(tmp_path / "run"))
    label = Label("mine", licence="CC0-1.0", credits=("me",))
    plate = as_float(pairs[0].before)
    style = write_style(trained, RECIPE, tmp_path / "mine.safetensors", label, pictures=2, shown=plate)
    assert style.path is not None
    card = load_style(style.path).card
    assert (card.name, card.title, card.licence) == ("mine", "Mine", "CC0-1.0")
    assert card.training is not None
    assert card.training.steps == 6
    assert card.training.data_sha256 == trained.data_digest
    assert card.preview
    assert Engine(style.path, device="cpu").style.card == card


def spoil(task: TrainingTask, from_step: int, until: int) -> TrainingTask:
    """The same task, whose losses have no finite gradient for some steps."""

    def step(net: UNet, critic: torch.nn.Module, number: int, drawn: torch.Generator) -> StepLosses:
        losses = task.step(net, critic, number, drawn)
        wrong = from_step <= number < until
        return dataclasses.replace(losses, generator=losses.generator * torch.nan) if wrong else losses

    return dataclasses.replace(task, step=step)


def test_a_diverging_run_goes_back_to_its_last_good_weights_at_half_the_rate(pairs: list[Pair], tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    recipe = dataclasses.replace(RECIPE, steps=10)
    run(spoil(task_for(pairs, recipe), 3, 7), recipe, Schedule(tmp_path), on_progress=seen.append)
    assert [progress.note for progress in seen] == [
        "training diverged at step 7, where 4 steps in a row had no finite loss: back to the last good weights at half "
        "the learning rate (0.0005 at most)"
    ]
    assert read_facts(tmp_path / "checkpoint.safetensors")["guard"]["rate_factor"] == 0.5


def test_a_run_that_no_rate_helps_ends_with_its_last_good_weights_and_says_why(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "KEEP_EVERY", 4)
    seen: list[TrainingProgress] = []
    recipe = dataclasses.replace(RECIPE, steps=1000)
    trained = run(spoil(task_for(pairs, recipe), 4, 1000), recipe, Schedule(tmp_path), on_progress=seen.append)
    assert len(seen) == MOST_RETURNS
    assert trained.steps == 4 + IN_A_ROW * MOST_RETURNS
    assert "it ends here with its last good weights, since 6 lower learning rates did not help" in seen[-1].note
    assert torch.isfinite(weights(trained.net)).all()


def test_a_run_that_never_had_good_weights_gives_no_style(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, steps=1000)
    with pytest.raises(TrainingError, match="diverged 6 times before it had weights worth keeping"):
        run(spoil(task_for(pairs, recipe), 0, 1000), recipe, Schedule(tmp_path))


def test_results_that_collapse_send_a_run_back(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([{"variety": 0.9}, {"variety": 0.01}, {"variety": 0.9}])
    monkeypatch.setattr(loop, "KEEP_EVERY", 4)
    monkeypatch.setattr(state, "signs", lambda net, probe: next(looks))
    seen: list[TrainingProgress] = []
    train(pairs, dataclasses.replace(RECIPE, steps=14), Schedule(tmp_path), on_progress=seen.append)
    assert [progress.step for progress in seen] == [8]
    assert "results of different plates differ 0.01 times as much" in seen[0].note
    assert "at half the learning rate" in seen[0].note


def test_a_resumed_run_goes_back_as_an_undisturbed_one_does(pairs: list[Pair], tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, steps=10)
    task = spoil(task_for(pairs, recipe), 5, 9)
    whole = run(task, recipe, Schedule(tmp_path / "whole"))
    asked = iter([False] * 7 + [True])
    run(task, recipe, Schedule(tmp_path / "parts"), stopped=lambda: next(asked))
    resumed = run(task, recipe, Schedule(tmp_path / "parts", resume=True))
    assert torch.equal(weights(resumed.net), weights(whole.net))


@pytest.mark.parametrize("change", [{"generator": "resunet"}, {"size": "fine"}, {"adversarial_form": "lsgan"}])
def test_a_checkpoint_of_other_networks_is_refused_by_name(
    change: dict[str, Any], pairs: list[Pair], tmp_path: Path
) -> None:
    train(pairs, dataclasses.replace(RECIPE, steps=1), Schedule(tmp_path))
    ((name, value),) = change.items()
    with pytest.raises(TrainingError, match=f"expected the {name} '.*' with which .* got '{value}'; give the same"):
        train(pairs, dataclasses.replace(RECIPE, **change), Schedule(tmp_path, resume=True))


def test_a_checkpoint_of_the_first_version_goes_on(pairs: list[Pair], tmp_path: Path) -> None:
    whole = train(pairs, RECIPE, Schedule(tmp_path / "whole"))
    asked = iter([False] * 3 + [True])
    train(pairs, RECIPE, Schedule(tmp_path / "old"), stopped=lambda: next(asked))
    path = tmp_path / "old" / "checkpoint.safetensors"
    tensors = {name: value for name, value in load_file(path).items() if not name.startswith("good")}
    facts = read_facts(path)
    for name in ("monitor", "means"):
        del facts[name]
    guard = facts.pop("guard")
    facts |= {name: guard[name] for name in ("mean_norm", "rate_factor", "skipped", "rollbacks")}
    save_file(tensors, path, metadata={"version": "1", "facts": json.dumps(facts)})
    resumed = train(pairs, RECIPE, Schedule(tmp_path / "old", resume=True))
    assert torch.equal(weights(resumed.net), weights(whole.net))


def test_a_full_disk_leaves_the_last_checkpoint_and_the_run_its_style(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(pairs, dataclasses.replace(RECIPE, steps=3), Schedule(tmp_path))
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    seen: list[TrainingProgress] = []
    trained = train(pairs, RECIPE, Schedule(tmp_path, resume=True), on_progress=seen.append)
    assert trained.steps == 6
    assert "No space left on device" in seen[-1].note
    assert "--resume goes on from the checkpoint before" in seen[-1].note
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_new_log_has_the_contrast_of_two_folders(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    run_log.log_figures(path, 50, 2.0, {"loss": 1.0, "contrast": 0.25})
    header, row = (line.split(",") for line in path.read_text().splitlines())
    assert dict(zip(header, row, strict=True))["contrast"] == "0.25000"


def test_a_log_that_is_there_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,seconds,loss,held_out\n50,2.0,1.00000,0.50000\n")
    run_log.log_figures(path, 100, 4.0, {"loss": 0.5, "held_out": 0.25, "contrast": 0.125})
    assert path.read_text().splitlines()[1:] == ["50,2.0,1.00000,0.50000", "100,4.0,0.50000,0.25000"]


def test_a_full_disk_does_not_end_a_run_for_the_sake_of_its_log(pairs: list[Pair], tmp_path: Path) -> None:
    (tmp_path / "log.csv").mkdir()
    seen: list[TrainingProgress] = []
    recipe = dataclasses.replace(RECIPE, steps=50, adversarial=0.0, texture=0.0, consistency=0.0)
    assert train(pairs, recipe, Schedule(tmp_path), on_progress=seen.append).steps == 50
    assert "could not write the log" in seen[-1].note
