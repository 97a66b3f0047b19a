"""The keys of a run that paints them itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from impasto.hosts.events import RunCancelled
from impasto.hosts.terminal.paint.frame_choice import chosen_of
from impasto.hosts.terminal.paint.key_painting import KeyPlan, paint_into, shots_of
from impasto.hosts.terminal.paint.options import PainterWishes
from impasto.hosts.terminal.train.run import RunContext

PAINTING, PAINTED, STOPPED = 1.0, 2.0, 3.0
"""Messages of the process that paints to the others: after every key, and at the end."""


def painted_on_first(folder: Path, plates: str, count: int, wishes: PainterWishes, run: RunContext) -> bool:
    """Paint keys into a folder of the run, in the first of the processes that train together; False after Ctrl-C.

    Keys that a resumed run has painted stay; others in the folder are of an earlier run and give way.
    """
    from impasto.training.distributed import process_group

    group = process_group()
    if not group.is_main:
        while (heard := group.broadcast(PAINTING)) == PAINTING:
            pass
        return heard == PAINTED
    if run.resume and folder.is_dir() and any(folder.iterdir()):
        group.broadcast(PAINTED)
        return True
    begun = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    shots = shots_of([plates])
    plan = KeyPlan(folder, shots, chosen_of(shots, count, wishes.input_space), overwrite=True)
    done = paint_into(plan, wishes, run.reporter, run.interrupts, on_key=lambda: group.broadcast(PAINTING))
    stopped = run.interrupts.asked()
    group.broadcast(STOPPED if stopped else PAINTED)
    if stopped:
        run.reporter.show(RunCancelled(str(folder), len(done), round(time.monotonic() - begun, 1)))
    return not stopped
