"""What the buttons of a node do. Nuke calls them on the main thread; painting runs on another."""

from __future__ import annotations

from contextlib import suppress
from typing import Callable, cast

import nuke

from impasto.hosts.bridge.catalogue import Catalogue, load_catalogue, read_catalogue, store_catalogue
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.bridge.jobs import elsewhere
from impasto.hosts.nuke import knobs
from impasto.hosts.nuke.graph import impasto_node
from impasto.hosts.nuke.group_nodes import inner_read
from impasto.hosts.nuke.jobs import JobHandle, job_runner
from impasto.hosts.nuke.main_thread import when_idle
from impasto.hosts.nuke.node import add_parameters, make_node
from impasto.hosts.nuke.pipeline import StylizeJob, StylizeOutcome, StylizeProgress
from impasto.hosts.nuke.plan import Plan
from impasto.hosts.nuke.state import state_of
from impasto.hosts.nuke.write_plates import write_plates


class NukeProgressBar:
    """Nuke's progress bar with its Cancel; may be used from any thread."""

    def __init__(self, title: str) -> None:
        self._task: nuke.ProgressTask | None = nuke.ProgressTask(title)

    def show(self, progress: StylizeProgress) -> None:
        """Show how far the job is."""
        if self._task is not None:
            self._task.setMessage(progress.text)
            self._task.setProgress(int(100 * progress.share))

    def cancelled(self) -> bool:
        """Whether Cancel was pressed."""
        return self._task is not None and bool(self._task.isCancelled())

    def close(self) -> None:
        """Remove the bar: Nuke does so when nothing refers to the task any more."""
        self._task = None


def create() -> nuke.Node:
    """Make a node; the entry in the toolbar."""
    return make_node(load_catalogue())


def stylize(node: nuke.Node) -> None:
    """Paint what the node asks for, on a thread; without a window at once, raising RuntimeError."""
    try:
        if nuke.executing():
            raise BridgeError("expected Nuke to be idle, it renders; press Stylize when the render is done")
        plan = knobs.plan_of(node)
        other = elsewhere(plan.folders.root)
        if other is not None:
            raise BridgeError(
                f"expected nobody else to paint {plan.name}, {other.owner} does; wait for it, or save the script under "
                "another name"
            )
        job = job_runner().reserve(plan.identity, plan.name)
    except BridgeError as error:
        _show_error(str(error))
        return
    refresh(node)
    if nuke.GUI:
        job_runner().start(job, lambda: _run_on_thread(plan, job))
        return
    try:
        outcome = StylizeJob(plan, lambda view: write_plates(plan, view), _print, job.cancelled).run()
    finally:
        job_runner().release(job)
    _finish(plan, outcome)


def cancel(node: nuke.Node) -> None:
    """Stop the node's job."""
    if not job_runner().cancel(node["identity"].value()):
        _show_error(f"expected {node.name()} to be painted, it is idle; there is nothing to cancel")


def reload(node: nuke.Node) -> None:
    """Read the painted files again, and the list of styles on a thread."""
    try:
        knobs.press(inner_read(node), "reload")
    except BridgeError as error:
        _show_error(str(error))
        return
    refresh(node)
    identity = node["identity"].value()
    if nuke.GUI:
        job_runner().start(JobHandle(identity, "styles"), lambda: _read_styles(identity))
    else:
        _read_styles(identity)


def refresh(node: nuke.Node) -> None:
    """Write into the panel whether the painted frames are those of the settings."""
    try:
        busy = job_runner().busy(node["identity"].value())
        state = state_of(knobs.plan_of(node), knobs.shown_frames(node), busy=busy)
    except BridgeError as error:
        state = str(error)
    knobs.set_state(node, state)


def _run_on_thread(plan: Plan, job: JobHandle) -> None:
    bar = NukeProgressBar(f"Impasto: {plan.name}")

    def cancelled() -> bool:
        if bar.cancelled():
            job.cancel()
        return job.cancelled()

    def write(view: str) -> None:
        with job_runner().writing(cancelled):
            when_idle(write_plates, (plan, view), cancelled)

    try:
        outcome = StylizeJob(plan, write, bar.show, cancelled).run()
    except Exception as error:  # noqa: BLE001  # the thread ends here, and the node must not stay at "being painted"
        outcome = StylizeOutcome("failed", f"expected to paint, got {type(error).__name__}: {error}; report this")
    finally:
        bar.close()
    job_runner().release(job)
    when_idle(_finish, (plan, outcome), lambda: False)


def _finish(plan: Plan, outcome: StylizeOutcome) -> None:
    node = impasto_node(plan.identity)
    if node is None:
        return
    try:
        if outcome.state == "done":
            knobs.show_painted(node, plan)
    except BridgeError as error:
        outcome = StylizeOutcome("failed", str(error), outcome.notes)
    refresh(node)
    if outcome.message:
        knobs.set_state(node, outcome.message)
    for note in outcome.notes:
        nuke.tprint(f"Impasto, {plan.name}: {note}")
    if outcome.state == "failed":
        _show_error(f"{plan.name}: {outcome.message}")


def _read_styles(identity: str) -> None:
    try:
        catalogue = read_catalogue()
    except BridgeError as error:
        message = str(error)
        _on_main(lambda: _show_error(message))
        return
    _on_main(lambda: _offer(identity, catalogue))


def _offer(identity: str, catalogue: Catalogue) -> None:
    # The folder may be read-only for the artist; the node gets the list in any case.
    with suppress(OSError):
        store_catalogue(catalogue)
    node = impasto_node(identity)
    if node is None:
        return
    style = node["style"].value()
    names = catalogue.style_names()
    knob = cast("nuke.Enumeration_Knob", node["style"])
    # A style that was removed stays in the list, so that the node still names what it was painted with.
    knob.setValues(names if style in names else [style, *names])
    knob.setValue(style)
    add_parameters(node, catalogue.parameters)
    refresh(node)


def _on_main(call: Callable[[], None]) -> None:
    if nuke.GUI:
        nuke.executeInMainThread(call)
    else:
        call()


def _show_error(message: str) -> None:
    """A message box; without a window RuntimeError, so that a script stops."""
    if not nuke.GUI:
        raise RuntimeError(message)
    nuke.message(message)


def _print(progress: StylizeProgress) -> None:
    nuke.tprint(f"Impasto: {100 * progress.share:.0f} %, {progress.text}")
