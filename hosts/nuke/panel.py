"""What the buttons of a node do. Called by Nuke on the main thread; painting goes on beside it."""

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
from impasto.hosts.nuke.jobs import Ticket, desk
from impasto.hosts.nuke.main_thread import when_idle
from impasto.hosts.nuke.node import add_parameters, make_node
from impasto.hosts.nuke.pipeline import Outcome, Painting, Progress
from impasto.hosts.nuke.plan import Plan
from impasto.hosts.nuke.state import state_of
from impasto.hosts.nuke.write_plates import check, write_plates


class Bar:
    """Nuke's progress bar with its Cancel; may be used from any thread."""

    def __init__(self, title: str) -> None:
        self._task: nuke.ProgressTask | None = nuke.ProgressTask(title)

    def tell(self, progress: Progress) -> None:
        """Show how far it is."""
        if self._task is not None:
            self._task.setMessage(progress.text)
            self._task.setProgress(int(100 * progress.share))

    def cancelled(self) -> bool:
        """Whether Cancel was pressed."""
        return self._task is not None and bool(self._task.isCancelled())

    def close(self) -> None:
        """Take the bar away: Nuke does when nobody holds it any more."""
        self._task = None


def create() -> nuke.Node:
    """Make a node; the entry in the toolbar."""
    return make_node(load_catalogue())


def stylize(node: nuke.Node) -> None:
    """Paint what the node asks for, beside the artist's work; without a window at once, raising RuntimeError."""
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
        ticket = desk().take(plan.identity, plan.name)
    except BridgeError as error:
        _complain(str(error))
        return
    refresh(node)
    if nuke.GUI:
        desk().start(ticket, lambda: _paint_beside(plan, ticket))
        return
    try:
        outcome = Painting(plan, lambda view: check(write_plates(plan, view)), _print, ticket.cancelled).run()
    finally:
        desk().leave(ticket)
    _finish(plan, outcome)


def cancel(node: nuke.Node) -> None:
    """Stop the node's job."""
    if not desk().cancel(node["identity"].value()):
        _complain(f"expected {node.name()} to be painted, it is idle; there is nothing to cancel")


def reload(node: nuke.Node) -> None:
    """Read the painted files again, and the list of styles beside it."""
    try:
        knobs.press(inner_read(node), "reload")
    except BridgeError as error:
        _complain(str(error))
        return
    refresh(node)
    if nuke.GUI:
        ticket = Ticket(node["identity"].value(), "styles")
        desk().start(ticket, lambda: _read_styles(ticket.identity))
    else:
        _read_styles(node["identity"].value())


def refresh(node: nuke.Node) -> None:
    """Say in the panel whether the painted frames are those of the settings."""
    try:
        state = state_of(knobs.plan_of(node), knobs.shown_of(node), busy=desk().busy(node["identity"].value()))
    except BridgeError as error:
        state = str(error)
    knobs.say(node, state)


def _paint_beside(plan: Plan, ticket: Ticket) -> None:
    bar = Bar(f"Impasto: {plan.name}")

    def cancelled() -> bool:
        if bar.cancelled():
            ticket.cancel()
        return ticket.cancelled()

    def write(view: str) -> None:
        with desk().turn(cancelled):
            check(when_idle(write_plates, (plan, view), cancelled))

    try:
        outcome = Painting(plan, write, bar.tell, cancelled).run()
    except Exception as error:  # noqa: BLE001  # the thread ends here: untold, the node would say for ever that it paints
        outcome = Outcome("failed", f"expected to paint, got {type(error).__name__}: {error}; report this")
    finally:
        bar.close()
    desk().leave(ticket)
    when_idle(_finish, (plan, outcome), lambda: False)


def _finish(plan: Plan, outcome: Outcome) -> None:
    node = impasto_node(plan.identity)
    if node is None:
        return
    try:
        if outcome.state == "done":
            knobs.show(node, plan)
    except BridgeError as error:
        outcome = Outcome("failed", str(error), outcome.notes)
    refresh(node)
    if outcome.message:
        knobs.say(node, outcome.message)
    for note in outcome.notes:
        nuke.tprint(f"Impasto, {plan.name}: {note}")
    if outcome.state == "failed":
        _complain(f"{plan.name}: {outcome.message}")


def _read_styles(identity: str) -> None:
    try:
        catalogue = read_catalogue()
    except BridgeError as error:
        message = str(error)
        _on_main(lambda: _complain(message))
        return
    _on_main(lambda: _offer(identity, catalogue))


def _offer(identity: str, catalogue: Catalogue) -> None:
    # A studio's folder may be closed to an artist; the node has the list all the same.
    with suppress(OSError):
        store_catalogue(catalogue)
    node = impasto_node(identity)
    if node is None:
        return
    style = node["style"].value()
    names = catalogue.style_names()
    knob = cast("nuke.Enumeration_Knob", node["style"])
    # A style that is gone stays named, so that the node keeps saying what it was painted with.
    knob.setValues(names if style in names else [style, *names])
    knob.setValue(style)
    add_parameters(node, catalogue.parameters)
    refresh(node)


def _on_main(call: Callable[[], None]) -> None:
    if nuke.GUI:
        nuke.executeInMainThread(call)
    else:
        call()


def _complain(message: str) -> None:
    """A box in the window; without one an error, so that a script stops."""
    if not nuke.GUI:
        raise RuntimeError(message)
    nuke.message(message)


def _print(progress: Progress) -> None:
    nuke.tprint(f"Impasto: {100 * progress.share:.0f} %, {progress.text}")
