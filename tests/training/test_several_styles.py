"""Several styles in one network, and a new one out of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from impasto.core.errors import TrainingError
from impasto.core.style_file import Style, load_style
from impasto.training.adapting import adapted, is_adapted, nearest_style, recipe_for
from impasto.training.data.pairs import Pair, draw_crops
from impasto.training.data.pictures import as_float
from impasto.training.export import Label, write_style
from impasto.training.loop import run
from impasto.training.losses.reconstruction import multi_scale_l1
from impasto.training.objectives.pairs import shown_of, task_for
from impasto.training.preview import stylize
from impasto.training.recipe import Recipe
from impasto.training.task import Schedule, Trained
from tests.training.pictures import smooth_tensors

pytestmark = pytest.mark.usefixtures("small_networks")

RECIPE = Recipe(
    size="draft", steps=120, batch=4, crop=48, rim=8, adversarial=0.0, consistency=0.0, texture=0.0, noise=0.0,
    gain=0.0, mixed_precision=False, average=0.9, warm_up=5, learning_rate=4e-3,
)  # fmt: skip


@pytest.fixture
def pairs() -> list[Pair]:
    """Two styles: one turns light into dark, one exchanges red and blue."""
    negatives = [Pair(f"n{index}", plate, 255 - plate, style=0) for index, plate in enumerate(smooth_tensors(2))]
    swapped = [Pair(f"s{index}", plate, plate.flip(0), style=1) for index, plate in enumerate(smooth_tensors(2))]
    return [*negatives, *swapped]


def trained_on(pairs: list[Pair], folder: Path, base: Style | None = None, steps: int = 120) -> Trained:
    recipe = dataclasses.replace(RECIPE, steps=steps)
    return run(task_for(pairs, recipe, base), recipe, Schedule(folder))


@pytest.fixture
def base(pairs: list[Pair], tmp_path: Path) -> Style:
    trained = trained_on(pairs, tmp_path / "base.run")
    label = Label("two", codes=("negative", "swapped"))
    write_style(trained, RECIPE, tmp_path / "two.safetensors", label, pictures=4, shown=as_float(pairs[0].before))
    return load_style(tmp_path / "two.safetensors")


def test_one_network_learns_two_styles_that_contradict_each_other(base: Style, pairs: list[Pair]) -> None:
    assert base.card.codes == ("negative", "swapped")
    for pair in (pairs[0], pairs[2]):
        plate, target = as_float(pair.before), as_float(pair.after)
        right, wrong = (stylize(base.generator, plate, style) for style in (pair.style, 1 - pair.style))
        assert multi_scale_l1(right[None], target[None]) < 0.6 * multi_scale_l1(wrong[None], target[None])


def test_every_crop_knows_its_style(pairs: list[Pair]) -> None:
    crops = draw_crops(pairs, 16, 48, 8, torch.Generator().manual_seed(2))
    assert crops.styles is not None
    for style, plate, target in zip(crops.styles, crops.before, crops.after, strict=True):
        assert torch.allclose(target, 1 - plate if style == 0 else plate.flip(0), atol=1e-6)


def test_adapting_trains_code_modulation_and_head_alone(base: Style, tmp_path: Path) -> None:
    darker = [Pair(f"d{index}", plate, plate // 2) for index, plate in enumerate(smooth_tensors(2))]
    trained = trained_on(darker, tmp_path / "dark.run", base, steps=60)
    before, after = base.generator.state_dict(), trained.net.state_dict()
    changed = {name for name in before if name != "codes" and not torch.equal(before[name], after[name])}
    assert changed
    assert all(is_adapted(name) for name in changed)
    plate, target = as_float(darker[0].before)[None], as_float(darker[0].after)[None]
    untrained = stylize(adapted(base, darker), plate[0])[None]
    assert multi_scale_l1(stylize(trained.net, plate[0])[None], target) < 0.5 * multi_scale_l1(untrained, target)
    label = Label("dark", codes=("dark",))
    write_style(trained, RECIPE, tmp_path / "dark.safetensors", label, pictures=2, shown=plate[0])
    assert load_style(tmp_path / "dark.safetensors").card.codes == ("dark",)


def test_a_new_style_begins_as_the_one_that_paints_most_like_it_whatever_its_colours(
    base: Style, pairs: list[Pair]
) -> None:
    generator = base.generator
    assert generator.codes is not None
    for style in (0, 1):
        paler = [
            dataclasses.replace(pair, after=0.3 + 0.5 * stylize(generator, as_float(pair.before), style).detach())
            for pair in pairs
        ]
        begun = adapted(base, [dataclasses.replace(pair, style=0) for pair in paler])
        assert begun.codes is not None
        assert torch.equal(begun.codes, generator.codes[style : style + 1])


def test_what_is_masked_has_no_say_in_how_a_new_style_begins(base: Style, pairs: list[Pair]) -> None:
    plate = as_float(pairs[0].before)
    ours, other = (stylize(base.generator, plate, style).detach() for style in (0, 1))
    loss_mask = torch.zeros(1, 72, 72, dtype=torch.bool)
    loss_mask[..., :16] = True
    target = torch.where(loss_mask, ours, other)
    assert nearest_style(base.generator, [Pair("masked", plate, target, loss_mask)]) == 0
    assert nearest_style(base.generator, [Pair("open", plate, target)]) == 1
    nothing = Pair("nothing", plate, target, torch.zeros_like(loss_mask))
    assert nearest_style(base.generator, [nothing, Pair("second", plate, other)]) == 1, "every one of a few is asked"


def test_an_adapted_run_resumes_only_with_the_base_that_it_began_with(base: Style, tmp_path: Path) -> None:
    darker = [Pair("d", smooth_tensors(1)[0], smooth_tensors(1)[0] // 2)]
    trained_on(darker, tmp_path / "run", base, steps=4)
    task = task_for(darker, RECIPE)
    with pytest.raises(TrainingError):
        run(task, RECIPE, Schedule(tmp_path / "run", resume=True))


def test_a_style_without_a_code_cannot_be_adapted(pairs: list[Pair], tmp_path: Path) -> None:
    trained = trained_on(pairs[:2], tmp_path / "one.run", steps=2)
    plate = as_float(pairs[0].before)
    write_style(trained, RECIPE, tmp_path / "one.safetensors", Label("one"), pictures=2, shown=plate)
    with pytest.raises(TrainingError, match="'one' has no style code"):
        recipe_for(load_style(tmp_path / "one.safetensors"), RECIPE)


def test_a_contact_sheet_shows_every_style_and_different_pictures() -> None:
    plate = smooth_tensors(1)[0]
    many = [Pair(f"{picture}", plate, plate, style=style) for style in range(6) for picture in range(12)]
    shown = shown_of(many)
    assert [pair.style for pair in shown] == [0, 1, 2, 3, 4, 5]
    assert len({pair.name for pair in shown}) == 6
    assert [pair.name for pair in shown_of(many[:12])] == ["0", "3", "6", "9"]
    assert [pair.style for pair in shown_of(many[:24])] == [0, 0, 1, 1]
    assert len(shown_of(many[:1])) == 1
