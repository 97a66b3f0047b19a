"""The options that all ways of training share, and the recipe and label that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from impasto.core.errors import UsageError
from impasto.hosts.terminal.shared_options import Json

if TYPE_CHECKING:
    from impasto.training.export import Label
    from impasto.training.recipe import Recipe

Output: TypeAlias = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="The style: a .safetensors file.")
]
Size: TypeAlias = Annotated[
    str | None, typer.Option("--size", metavar="draft|standard|fine", help="How large a network.")
]
Minutes: TypeAlias = Annotated[float | None, typer.Option("--minutes", help="How long to train.")]
Steps: TypeAlias = Annotated[int | None, typer.Option("--steps", help="How many steps to train, instead of minutes.")]
Crop: TypeAlias = Annotated[
    int | None, typer.Option("--crop", help="Side of the crops that it learns from, in pixels.")
]
Batch: TypeAlias = Annotated[int | None, typer.Option("--batch", help="Crops in a step.")]
Seed: TypeAlias = Annotated[int | None, typer.Option("--seed", help="Where chance begins.")]
RecipeFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", help="Settings in TOML, as a card lists them; options go before it."),
]
Device: TypeAlias = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda:N|mps", help="Where it trains.")]
Resume: TypeAlias = Annotated[bool, typer.Option("--resume", help="Go on where the run beside FILE stopped.")]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace a style and a run that are there.")]
Name: TypeAlias = Annotated[str | None, typer.Option("--name", help="Name of the style; by default that of the file.")]
Title: TypeAlias = Annotated[str, typer.Option("--title", help="What artists read in lists.")]
Description: TypeAlias = Annotated[str, typer.Option("--description", help="One sentence on how it paints.")]
Licence: TypeAlias = Annotated[str, typer.Option("--licence", help="Licence of the style, as an SPDX name.")]
Credit: TypeAlias = Annotated[
    list[str] | None, typer.Option("--credit", help="Whose pictures it learned from; repeatable.")
]
DistilFrom: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--distil-from",
        metavar="STYLE",
        help="Learn what this style paints, instead of painted pictures. Several, or a file that holds several, go "
        "into one network, to be blended.",
    ),
]
Adapt: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--adapt",
        metavar="STYLE",
        help="Begin with a style that holds several by code, and train only what tells them apart: minutes.",
    ),
]
InputSpace: TypeAlias = Annotated[
    str | None,
    typer.Option("--input-space", metavar="NAME", help="Colour space of float pictures that do not say."),
]
Frames: TypeAlias = Annotated[
    int | None,
    typer.Option("--frames", metavar="N", min=1, help="Frames taken from each movie or sequence, spread over it."),
]
Masks: TypeAlias = Annotated[
    str | None,
    typer.Option("--masks", metavar="PATH", help="Masks of the same names or numbers: what is black is not judged."),
]
Guides: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--guides",
        metavar="PATH:LAYERS",
        help="Layers that the renderer knows, by frame number: aov.%04d.exr:normal,depth, or :albedo for one of "
        "the plate itself; repeatable. LAYER=READING says how to read one whose name does not: normal, depth, "
        "colour, mask, vector or id.",
    ),
]
Wandb: TypeAlias = Annotated[
    str | None, typer.Option("--wandb", metavar="PROJECT", help="Follow the run in Weights & Biases as well.")
]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of every way of training a style; `shared_options.flattened` makes an option of each field."""

    output: Output
    size: Size = None
    minutes: Minutes = None
    steps: Steps = None
    crop: Crop = None
    batch: Batch = None
    seed: Seed = None
    recipe_file: RecipeFile = None
    device: Device = "auto"
    resume: Resume = False
    overwrite: Overwrite = False
    name: Name = None
    title: Title = ""
    description: Description = ""
    licence: Licence = "unstated"
    credit: Credit = None
    wandb: Wandb = None
    json: Json = False

    @property
    def style_name(self) -> str:
        """The given name, or the name of the file."""
        return self.name or self.output.stem

    def recipe(self, base: Recipe, **more: object) -> Recipe:
        """The base as `recipe_of` changes it; `more` are options of one way of training."""
        asked = {"size": self.size, "minutes": self.minutes, "steps": self.steps, "crop": self.crop}
        return recipe_of(base, self.recipe_file, asked | {"batch": self.batch, "seed": self.seed} | more)

    def label(self, codes: tuple[str, ...] = ()) -> Label:
        """The texts of the style's card; `codes` name the styles in a network that holds several."""
        from impasto.training.export import Label

        credits_given = tuple(self.credit or ())
        return Label(self.style_name, self.title, self.description, self.licence, credits_given, codes)


def recipe_of(base: Recipe, file: Path | None, options: Mapping[str, object]) -> Recipe:
    """The base, changed by the settings of a recipe file, changed by the given options.

    Raises UsageError for minutes and steps together, and what `recipe_from` and `read_recipe` raise.
    """
    from impasto.training.recipe import read_recipe, recipe_from

    given = {name: value for name, value in options.items() if value is not None}
    if "minutes" in given and "steps" in given:
        raise UsageError("expected --minutes or --steps, got both; give one of them")
    settings = (read_recipe(file) if file is not None else {}) | given
    if "steps" in given or ("steps" in settings and "minutes" not in settings):
        settings["minutes"] = 0.0
    return recipe_from(settings, base)
