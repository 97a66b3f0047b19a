"""`impasto train tune`: a search for the settings with which your pictures are learned best."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import OutputExists, TrainingError, UsageError
from impasto.hosts.terminal.events import Cancelled, Finished, Tried, Warned
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.report import counted
from impasto.hosts.terminal.train.options import (
    Device,
    Frames,
    Guides,
    InputSpace,
    Json,
    Masks,
    RecipeFile,
    Seed,
    Size,
    recipe_of,
)
from impasto.hosts.terminal.train.session import for_folder, for_pictures, stop_notice, training_reporter
from impasto.hosts.terminal.train.torchrun import place

JOURNAL = "trials.journal"

if TYPE_CHECKING:
    from impasto.training.recipe import Recipe
    from impasto.training.task import TrainingTask
    from impasto.training.tuning import Trial


def tune(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The recipe: a .toml file.")],
    before: Annotated[
        str | None, typer.Option("--before", metavar="PATH", help="Plates: a folder, a movie or a sequence.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="PATH", help="The same painted, by the same names or numbers.")
    ] = None,
    plates: Annotated[
        str | None, typer.Option("--plates", metavar="SHOT", help="Instead of pairs: the shot of painted keys.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="DIR", help="Painted frames of that shot, named by their numbers.")
    ] = None,
    masks: Masks = None,
    guides: Guides = None,
    frames: Frames = None,
    input_space: InputSpace = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", help="How many settings to try.")] = 20,
    minutes_each: Annotated[float, typer.Option("--minutes-each", metavar="M", help="How long each may train.")] = 5.0,
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search", metavar="SETTING", help="A setting to search; repeatable. By default all that matter."
        ),
    ] = None,
    size: Size = None,
    seed: Seed = None,
    recipe_file: RecipeFile = None,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search beside FILE.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a recipe and a search that are there.")
    ] = False,
    json: Json = False,
) -> None:
    """Search the settings with which your pictures are learned best, and write them as a recipe for --recipe.

    Every fourth pair is held out (of keys, some squares), and each trial is judged by how near its network comes to it;
    trials that fall behind are ended early. What was tried is kept in best.run/trials.journal beside best.toml, so that
    --resume goes on after Ctrl-C or worse; the best so far is in best.toml after every trial. Needs the extra
    impasto[tune].
    """
    here = place()
    with training_reporter(here, json=json) as reporter, Interrupts(stop_notice(json=json)) as interrupts:
        if here.size > 1:
            raise UsageError(
                f"expected one process for `impasto train tune`, got {here.size}, each of which would search alone; "
                "start it without torchrun"
            )
        if importlib.util.find_spec("optuna") is None:
            raise UsageError(
                "expected Optuna for `impasto train tune`, it is not installed; run: pip install 'impasto[tune]'"
            )
        folder = search_folder(output, resume=resume, overwrite=overwrite)
        prepare_process()
        begun = time.monotonic()

        def seconds() -> float:
            return round(time.monotonic() - begun, 1)

        from impasto.core.engine import choose_device
        from impasto.training import tuning

        given = Given(before, after, plates, keys, masks, tuple(guides or ()), frames, input_space)
        lesson = given.lesson(recipe_file, {"size": size, "seed": seed})
        base, names = tuning.fitted(lesson.base, lesson.room), tuple(search or tuning.SPACE)
        plan = tuning.Search(base, names, trials, minutes_each, folder, lesson.room, choose_device(device))
        reporter.show(Warned(f"{lesson.told} on {plan.device}; searching {', '.join(plan.names)}"))
        if base != lesson.base:
            reporter.show(
                Warned(f"crops of {base.crop} pixels, not {lesson.base.crop}: the smallest picture has {lesson.room}")
            )

        tried = 0

        def on_trial(trial: Trial, best: Trial | None) -> None:
            nonlocal tried
            tried += 1
            error = None if trial.error is None else round(trial.error, 6)
            least = None if best is None or best.error is None else round(best.error, 6)
            reporter.show(Tried(trial.number, trials, trial.settings, error, trial.ended, least))
            if best is not None:
                tuning.write_recipe(output, base, best)

        best = tuning.search(lesson.task_for, plan, on_trial=on_trial, stopped=interrupts.asked)
        if best is not None:
            tuning.write_recipe(output, base, best)
        if interrupts.asked():
            reporter.show(Cancelled(str(output) if best is not None else None, 0, seconds(), trials=tried))
        elif best is None:
            raise TrainingError(f"expected a trial that ran to its end, none of {trials} did; give more --trials")
        else:
            reporter.show(Warned(f"trial {best.number} was the best, with an error of {best.error:.5f}"))
            reporter.show(Finished(str(output), seconds=seconds(), trials=tried))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a search learns from: the task of each recipe, whose judge looks at what is held out."""

    task_for: Callable[[Recipe], TrainingTask]
    base: Recipe
    room: int
    told: str


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say that is to be learned from."""

    before: str | None
    after: str | None
    plates: str | None
    keys: Path | None
    masks: str | None = None
    guides: tuple[str, ...] = ()
    frames: int | None = None
    input_space: str | None = None

    def lesson(self, recipe_file: Path | None, options: Mapping[str, object]) -> Lesson:
        """Read the pictures; UsageError where neither pairs nor keys are given, or both."""
        if self.before is not None and self.after is not None and self.plates is None and self.keys is None:
            if self.guides:
                raise UsageError("expected --guides with --plates and --keys, got them with pairs; leave them out")
            return self._pairs(self.before, self.after, recipe_file, options)
        if self.plates is not None and self.keys is not None and self.before is None and self.after is None:
            if self.frames is not None:
                raise UsageError("expected --frames with --before and --after, got it with keys; leave it out")
            return self._keyframes(self.plates, self.keys, recipe_file, options)
        raise UsageError("expected --before and --after, or --plates and --keys; give one of the two")

    def _pairs(self, before: str, after: str, recipe_file: Path | None, options: Mapping[str, object]) -> Lesson:
        from impasto.training.data.pairs import load_pairs
        from impasto.training.data.shots import FRAMES
        from impasto.training.objectives.pairs import task_for
        from impasto.training.recipe import Recipe
        from impasto.training.tuning import error_on, split

        for path, option in ((before, "--before"), (after, "--after"), (self.masks or before, "--masks")):
            for_pictures(path, option)
        base = recipe_of(Recipe(), recipe_file, options)
        count = FRAMES if self.frames is None else self.frames
        learned, held = split(load_pairs(before, after, self.masks, frames=count, input_space=self.input_space))

        def judged(recipe: Recipe) -> TrainingTask:
            return dataclasses.replace(task_for(learned, recipe), validate=lambda net: error_on(net, held))

        told = f"{counted(len(learned), 'pair')} to learn from and {len(held)} held out"
        return Lesson(judged, base, min(min(pair.before.shape[1:]) for pair in learned), told)

    def _keyframes(self, plates: str, keys: Path, recipe_file: Path | None, options: Mapping[str, object]) -> Lesson:
        from impasto.training.data.guides import GuideSpec
        from impasto.training.data.keyframes import load_keyframes
        from impasto.training.export import Label
        from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for

        for path, option in ((keys, "--keys"), (Path(self.masks or keys), "--masks")):
            for_folder(path, option)
        base = recipe_of(RECIPE, recipe_file, options)
        masks, wishes = None if self.masks is None else Path(self.masks), [GuideSpec.parse(one) for one in self.guides]
        painted = load_keyframes(plates, keys, masks, input_space=self.input_space, guides=wishes)
        lesson = hold_out(painted, base.seed)
        if not any(held.any() for held in lesson.held_out):
            raise TrainingError("expected keys large enough to hold some squares out, they are not; use larger frames")

        def task(recipe: Recipe) -> TrainingTask:
            # A trial publishes nothing, so that this style is never written.
            return task_for(lesson, recipe, keys / "tuned.safetensors", Label("tuned"))

        told = f"{counted(len(painted.keys), 'key')}, some squares of which are held out,"
        return Lesson(task, base, min(painted.keys[0].plate.shape[1:]), told)


def search_folder(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """The folder of a search, fit for use; one that is not there is made only when the search begins.

    Raises UsageError, OutputExists, OutputError, and TrainingError where there is nothing to resume.
    """
    from impasto.core.media.commit import make_folder

    if resume and overwrite:
        raise UsageError("expected --overwrite or --resume, got both; give one of them")
    if output.suffix != ".toml":
        raise UsageError(f"expected a recipe that ends in .toml, got '{output}'; write {output.with_suffix('.toml')}")
    folder = output.with_suffix(".run")
    journal = folder / JOURNAL
    if resume and not journal.exists():
        raise TrainingError(f"expected a search to go on with in '{folder}', found none; start one without --resume")
    if not resume and not overwrite:
        taken = next((path for path in (output, journal) if path.exists()), None)
        if taken is not None:
            raise OutputExists(
                f"expected no file at '{taken}', but there is one; give --resume, --overwrite or another name"
            )
    make_folder(str(output))
    if folder.exists():
        make_folder(str(journal))
    if not resume:
        journal.unlink(missing_ok=True)
    return folder
