"""`impasto train tune`: searches the settings with which your pictures are learned best."""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.core.errors import TrainingError, UsageError
from impasto.hosts.events import RunCancelled, RunFinished, RunWarning, TrialDone
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.printer import counted
from impasto.hosts.terminal.process_setup import prepare_process
from impasto.hosts.terminal.shared_options import Json
from impasto.hosts.terminal.train.options import (
    Device,
    Frames,
    Guides,
    InputSpace,
    Masks,
    RecipeFile,
    Seed,
    Size,
    recipe_of,
)
from impasto.hosts.terminal.train.run import stop_notice, training_reporter
from impasto.hosts.terminal.train.run_folder import (
    check_files,
    check_options,
    held_output,
    require_folder,
    require_pictures,
)
from impasto.hosts.terminal.train.torchrun import process_rank, require_single

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
    process = process_rank()
    with (
        training_reporter(process, json=json) as reporter,
        Interrupts(stop_notice(json=json)) as interrupts,
        held_output(process, output),
    ):
        require_single(process, "train tune", "search alone")
        if importlib.util.find_spec("optuna") is None:
            raise UsageError(
                "expected Optuna for `impasto train tune`, it is not installed; run: pip install 'impasto[tune]'"
            )
        folder = search_folder(output, resume=resume, overwrite=overwrite)
        prepare_process()
        begun = time.monotonic()

        def seconds() -> float:
            return round(time.monotonic() - begun, 1)

        from impasto.core.device.choice import choose_device
        from impasto.training import tuning

        inputs = SearchInputs(before, after, plates, keys, masks, tuple(guides or ()), frames, input_space)
        data = inputs.load(recipe_file, {"size": size, "seed": seed})
        base, names = tuning.fitted(data.base, data.room), tuple(search or tuning.SPACE)
        plan = tuning.Search(base, names, trials, minutes_each, folder, data.room, choose_device(device))
        reporter.show(RunWarning(f"{data.text} on {plan.device}; searching {', '.join(plan.names)}"))
        if base != data.base:
            reporter.show(
                RunWarning(f"crops of {base.crop} pixels, not {data.base.crop}: the smallest picture has {data.room}")
            )

        tried = 0

        def on_trial(trial: Trial, best: Trial | None) -> None:
            nonlocal tried
            tried += 1
            error = None if trial.error is None else round(trial.error, 6)
            least = None if best is None or best.error is None else round(best.error, 6)
            reporter.show(TrialDone(trial.number, trials, trial.settings, error, trial.ended, least))
            if best is not None:
                tuning.write_recipe(output, base, best)

        best = tuning.search(data.task_for, plan, on_trial=on_trial, stopped=interrupts.asked)
        if best is not None:
            tuning.write_recipe(output, base, best)
        if interrupts.asked():
            reporter.show(RunCancelled(str(output) if best is not None else None, 0, seconds(), trials=tried))
        elif best is None:
            raise TrainingError(f"expected a trial that ran to its end, none of {trials} did; give more --trials")
        else:
            reporter.show(RunWarning(f"trial {best.number} was the best, with an error of {best.error:.5f}"))
            reporter.show(RunFinished(str(output), seconds=seconds(), trials=tried))
    if interrupts.asked():
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True, slots=True)
class SearchData:
    """What a search learns from: a task for each recipe, judged on pictures that are held out."""

    task_for: Callable[[Recipe], TrainingTask]
    base: Recipe
    room: int
    text: str


@dataclass(frozen=True, slots=True)
class SearchInputs:
    """The options that name the pictures."""

    before: str | None
    after: str | None
    plates: str | None
    keys: Path | None
    masks: str | None = None
    guides: tuple[str, ...] = ()
    frames: int | None = None
    input_space: str | None = None

    def load(self, recipe_file: Path | None, options: Mapping[str, object]) -> SearchData:
        """Read the pictures. UsageError where neither pairs nor keys are given, or both."""
        if self.before is not None and self.after is not None and self.plates is None and self.keys is None:
            if self.guides:
                raise UsageError("expected --guides with --plates and --keys, got them with pairs; leave them out")
            return self._pairs(self.before, self.after, recipe_file, options)
        if self.plates is not None and self.keys is not None and self.before is None and self.after is None:
            if self.frames is not None:
                raise UsageError("expected --frames with --before and --after, got it with keys; leave it out")
            return self._keyframes(self.plates, self.keys, recipe_file, options)
        raise UsageError("expected --before and --after, or --plates and --keys; give one of the two")

    def _pairs(self, before: str, after: str, recipe_file: Path | None, options: Mapping[str, object]) -> SearchData:
        from impasto.training.data.pairs import load_pairs
        from impasto.training.data.shots import FRAMES
        from impasto.training.objectives.pairs import task_for
        from impasto.training.recipe import Recipe
        from impasto.training.tuning import error_on, split

        for path, option in ((before, "--before"), (after, "--after"), (self.masks or before, "--masks")):
            require_pictures(path, option)
        base = recipe_of(Recipe(), recipe_file, options)
        count = FRAMES if self.frames is None else self.frames
        learned, held = split(load_pairs(before, after, self.masks, frames=count, input_space=self.input_space))

        def judged(recipe: Recipe) -> TrainingTask:
            return dataclasses.replace(task_for(learned, recipe), validate=lambda net: error_on(net, held))

        text = f"{counted(len(learned), 'pair')} to learn from and {len(held)} held out"
        return SearchData(judged, base, min(min(pair.before.shape[1:]) for pair in learned), text)

    def _keyframes(
        self, plates: str, keys: Path, recipe_file: Path | None, options: Mapping[str, object]
    ) -> SearchData:
        from impasto.training.data.guides import GuideSpec
        from impasto.training.data.keyframes import load_keyframes
        from impasto.training.export import Label
        from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for

        for path, option in ((keys, "--keys"), (Path(self.masks or keys), "--masks")):
            require_folder(path, option)
        base = recipe_of(RECIPE, recipe_file, options)
        masks, wishes = None if self.masks is None else Path(self.masks), [GuideSpec.parse(one) for one in self.guides]
        painted = load_keyframes(plates, keys, masks, input_space=self.input_space, guides=wishes)
        lesson = hold_out(painted, base.seed)
        if not any(held.any() for held in lesson.held_out):
            raise TrainingError("expected keys large enough to hold some squares out, they are not; use larger frames")

        def task(recipe: Recipe) -> TrainingTask:
            # A trial publishes nothing, so this style is never written.
            return task_for(lesson, recipe, keys / "tuned.safetensors", Label("tuned"))

        text = f"{counted(len(painted.keys), 'key')}, some squares of which are held out,"
        return SearchData(task, base, min(painted.keys[0].plate.shape[1:]), text)


def search_folder(output: Path, *, resume: bool, overwrite: bool) -> Path:
    """The folder of a search, checked; a new one is made only when the search begins.

    Raises UsageError, OutputExists, OutputError, and TrainingError where there is nothing to resume.
    """
    from impasto.core.media.commit import make_folder

    check_options(output, ".toml", "recipe", resume=resume, overwrite=overwrite)
    folder = output.with_suffix(".run")
    journal = folder / JOURNAL
    check_files(output, (journal,), "search", resume=resume, overwrite=overwrite)
    make_folder(str(output))
    if folder.exists():
        make_folder(str(journal))
    if not resume:
        journal.unlink(missing_ok=True)
    return folder
