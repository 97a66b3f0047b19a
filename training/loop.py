"""The training run: draw, step, guard, average, log, preview, checkpoint, until it is done or stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from impasto.core.errors import TrainingError
from impasto.training.checkpoint import read_facts
from impasto.training.cpu_pace import free_cores_for
from impasto.training.distributed import process_group
from impasto.training.divergence_guard import MOST_RETURNS
from impasto.training.recipe import Recipe, with_current_names
from impasto.training.run_log import RunLog
from impasto.training.state import TrainingState
from impasto.training.task import Schedule, Trained, TrainingProgress, TrainingTask

LOG_EVERY = 50
KEEP_EVERY = 100
"""Steps between two looks for signs of collapse; where there is none, the weights are remembered as good."""


def run(
    task: TrainingTask,
    recipe: Recipe,
    schedule: Schedule,
    *,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train until the recipe's end or until `stopped`; keeps checkpoint, log and previews in a folder.

    With `resume` the run continues from the folder's checkpoint, bit for bit as if it had not stopped (on one machine,
    when the recipe counts steps). A run that collapses or diverges goes back to its last good weights at a lower
    rate; where that does not help it ends with them. Of several processes that train together
    (`distributed.process_group`) only the first writes, previews and reports.
    """
    group = process_group()
    group.require_even(recipe.batch)
    group.require_same(task.digest)
    torch.manual_seed(recipe.seed)
    state = TrainingState(task.net(), task.critic(), recipe, schedule.device, validates=task.validate is not None)
    probe = task.probe() if task.probe is not None else None
    with group.main_file(schedule.checkpoint, wanted=schedule.resume) as stored:
        if stored is not None:
            require_fit(stored, schedule.checkpoint, task, recipe)
            state.load(stored)
    log = RunLog(task, state, schedule, on_progress)
    cores = free_cores_for(recipe, schedule.device, group.size)
    if cores is not None and (note := cores.adapt()):
        log.report(note)
    begun = clock() - state.seconds
    previewed = saved = clock()

    while True:
        state.seconds, stops = group.sums(clock() - begun if group.is_main else 0.0, float(stopped()))
        state.fraction = recipe.fraction_at(state.steps, state.seconds)
        if state.fraction >= 1 or stops or state.guard.exhausted():
            break
        task.on_fraction(state.fraction)

        # Draw a batch, compute its losses, take the step and move the averaged weights.
        losses = task.step(state.net, state.critic, state.steps, state.rng)
        state.step(losses, group)

        # Guard: go back to the last good weights where gradients, losses or results show that the run diverges.
        logs, alarm = state.steps % LOG_EVERY == 0, state.guard.alarm()
        if logs or alarm:
            state.figures.update(group.mean_figures(state.means))
        if not alarm and state.steps % KEEP_EVERY == 0:
            alarm = state.find_collapse(probe, group)
            if not alarm:
                state.keep_good_weights()
        if alarm:
            state.go_back()

        # Log, preview, checkpoint. A full disk stops nothing: each is tried again, and its last file stays.
        if not group.is_main:
            continue
        if logs or alarm:
            log.report(_return_note(alarm, state) if alarm else "")
            log.attempt(log.append_figures, "the log is written again in a while")
        if clock() - previewed > schedule.preview_s:
            previewed = clock()
            log.attempt(log.preview, "it is tried again")
            if cores is not None and (note := cores.adapt()):
                log.report(note)
        if clock() - saved > schedule.checkpoint_s:
            saved = clock()
            log.attempt(log.checkpoint, "it is tried again")

    if cores is not None:
        cores.restore()
    if state.guard.exhausted() and not state.has_good_weights:
        raise TrainingError(
            f"expected a run that learns, it diverged {MOST_RETURNS} times before it had weights worth keeping; give a "
            f"lower rate with --recipe, for example learning_rate = {recipe.learning_rate / 10:.1g}"
        )
    if group.is_main:
        try:
            log.preview()
        finally:
            log.attempt(log.checkpoint, "--resume goes on from the checkpoint before")
    return state.outcome(task.digest)


def require_fit(stored: Path, named: Path, task: TrainingTask, recipe: Recipe) -> None:
    """TrainingError where a checkpoint is of other data or networks; `named` is its path as the user knows it."""
    facts = read_facts(stored)
    if facts.get("data") != task.digest:
        raise TrainingError(
            f"expected the pictures that '{named}' was trained on, with the same styles, guides and --adapt, got "
            "others; start anew without --resume"
        )
    before = with_current_names(json.loads(facts["recipe"]))
    for name in ("generator", "size", "adversarial_form"):
        if before.get(name) != getattr(recipe, name):
            raise TrainingError(
                f"expected the {name} '{before.get(name)}' with which '{named}' was trained, got "
                f"'{getattr(recipe, name)}'; give the same, or start anew without --resume"
            )


def _return_note(alarm: str, state: TrainingState) -> str:
    """What a person reads when a run goes back to good weights."""
    note = f"training diverged at step {state.steps}, where {alarm}"
    if state.guard.exhausted():
        return (
            f"{note}: it ends here with its last good weights, since {MOST_RETURNS} lower learning rates did not help"
        )
    peak = state.recipe.learning_rate * state.guard.rate_factor
    return f"{note}: back to the last good weights at half the learning rate ({peak:.2g} at most)"
