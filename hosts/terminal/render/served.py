"""A shot rendered by the server: `impasto render`.

The server gets absolute paths; whatever it tells is shown again as the user typed it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import ImpastoError, RequestCancelled, UnknownName
from impasto.core.grade import AFTER_CONTROLS, BEFORE_CONTROLS
from impasto.core.media.open import is_live
from impasto.core.params import Params
from impasto.core.style import ENDING, PICKLES, read_card
from impasto.core.style_reference import joined, parse_choice, split_reference
from impasto.hosts.terminal.events import Event
from impasto.hosts.terminal.render.order import Order
from impasto.hosts.terminal.render.progress import Outcome, Stored, Told
from impasto.hosts.terminal.style.listing import default_style_of
from impasto.server.client import Client
from impasto.server.client.futures import ShotEvent
from impasto.server.protocol.animation import animated_from
from impasto.server.protocol.messages import Cancelled, Look, ShotProgress, ShotStarted, StyleFacts, SubmitShot

PACE_S = 0.5
"""The server tells of frames in handfuls, ten times a second, so that over less time the pace is chance."""
TILES = {"auto": 0, "off": -1}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A style: what the server is told, what the user is told, and its own parameters."""

    style: str
    title: str
    defaults: Params


class Typed:
    """The paths of an order: absolute for the server of this machine, and again as they were typed for the user."""

    def __init__(self, order: Order, *, local: bool, folder: str) -> None:
        self._local, self._prefix = local, os.path.join(folder, "")
        self._output_relative = local and not os.path.isabs(order.output)
        motion = None if order.motion is None else order.motion.path
        paths = (order.input, order.output, order.matte, order.style, motion, *order.guides)
        named = [path for path in paths if path and not is_live(path)]
        self._folders = {os.path.dirname(self.absolute(path)): not os.path.isabs(path) for path in named}
        """Folder of each typed path -> whether it was typed relative."""

    def absolute(self, path: str) -> str:
        """A path for the server. A camera, a stream and 'ROOT:path' stay as they are."""
        if not self._local or not path or is_live(path) or os.path.isabs(path):
            return path
        return self._prefix + path

    def shown(self, path: str) -> str:
        """Where a result is, as the user named it."""
        return path.removeprefix(self._prefix) if self._output_relative else path

    def told(self, text: str) -> str:
        """A sentence of the server with paths as the user knows them: each like the typed one whose folder it is in."""
        return re.sub(r"'(/[^']*)'", self._typed, text) if self._local else text

    def _typed(self, quoted: re.Match[str]) -> str:
        path = quoted[1]
        around = [folder for folder in self._folders if path.startswith(os.path.join(folder, ""))]
        relative = bool(around) and self._folders[max(around, key=len)]
        return f"'{path.removeprefix(self._prefix) if relative else path}'"


def render_there(
    client: Client,
    order: Order,
    show: Callable[[Event], None],
    cancelled: Callable[[], bool],
    *,
    local: bool,
    notes: Sequence[str] = (),
) -> bool:
    """Render through a connected server and show what happens; whether it came to its end.

    `local` says that the server reads the files of this machine. `notes` are told once the shot has begun. Raises what
    the shot raises, as if rendered here.
    """
    typed = Typed(order, local=local, folder=os.getcwd())
    chosen = chosen_style(order.style, client.styles(), typed, local=local)
    account = Told(order.input, chosen.title, show, least_s=PACE_S)
    stopped: list[Cancelled] = []

    def on_event(event: ShotEvent) -> None:
        match event:
            case ShotStarted():
                account.started(
                    typed.shown(event.output),
                    event.first,
                    event.frames,
                    event.skipped,
                    event.width,
                    event.height,
                    event.rate,
                )
                for note in notes:
                    account.note(note)
            case ShotProgress():
                account.stored(
                    *(Stored(each.number, typed.shown(each.path), each.invalid_pixels) for each in event.stored)
                )
                for note in event.notes:
                    account.note(typed.told(note))
            case Cancelled():
                stopped.append(event)

    try:
        done = client.render_shot(request_of(order, chosen, typed), on_event=on_event, cancelled=cancelled)
    except RequestCancelled:
        # Taken back by somebody else, a server that ends among them, it is an error that says why.
        if not cancelled():
            raise
        last = stopped[-1] if stopped else Cancelled(b"")
        path = typed.shown(last.path) or None
        account.ended(Outcome(path, last.rendered, 0, 0, last.seconds, {}, cancelled=True))
        return False
    except ImpastoError as error:
        error.args = (typed.told(str(error)),)
        raise
    path = typed.shown(done.path) or None
    account.ended(
        Outcome(path, done.rendered, done.skipped, done.invalid_pixels, done.seconds, done.stages, cancelled=False)
    )
    return True


def request_of(order: Order, chosen: Chosen, typed: Typed) -> SubmitShot:
    """The order as the message that asks for it."""
    look = Look(
        style=chosen.style,
        params=order.params(chosen.defaults).as_dict(),
        before={control.name: getattr(order.before, control.name) for control in BEFORE_CONTROLS},
        after={control.name: getattr(order.after, control.name) for control in AFTER_CONTROLS},
        precision=order.precision,
        tile=TILES[order.tile] if isinstance(order.tile, str) else order.tile,
        device="" if order.device == "auto" else order.device,
    )
    return SubmitShot(
        id=os.urandom(16),
        look=look,
        input=typed.absolute(order.input),
        output=typed.absolute(order.output),
        first=None if order.frames is None else order.frames.first,
        last=None if order.frames is None else order.frames.last,
        layer=order.layer or "",
        matte=typed.absolute(order.matte or ""),
        guides=tuple(typed.absolute(path) for path in order.guides),
        motion="" if order.motion is None else typed.absolute(order.motion.path or order.input),
        motion_layer="" if order.motion is None else order.motion.named,
        input_space=order.input_space or "",
        output_space=order.output_space or "",
        before_resize=order.before_resize,
        after_resize=order.after_resize,
        overwrite=order.overwrite,
        resume=order.resume,
        animated=() if order.animation is None else animated_from(order.animation),
    )


def chosen_style(style: str | None, library: Sequence[StyleFacts], typed: Typed, *, local: bool) -> Chosen:
    """The style that was named, as the server has it; a file of this machine by its path.

    Raises UnknownName for a name that the server does not know, StyleError for a file that is no style.
    """
    file, choice = split_reference(style or "")
    if file and local and (Path(file).suffix.lower() in (ENDING, *PICKLES) or Path(file).is_file()):
        card = read_card(Path(style or ""))
        return Chosen(joined(typed.absolute(file), choice), card.name, card.defaults)
    known = {facts.name: facts for facts in library}
    name = file or default_style_of({name: facts.size for name, facts in known.items()})
    if name not in known:
        raise UnknownName("style", name, known, "(or give the path of a .safetensors file)" if local else "")
    if choice:
        chosen = joined(name, str(parse_choice(choice, known[name].codes, name)))
        return Chosen(chosen, chosen, Params(**known[name].defaults))
    return Chosen(name, name, Params(**known[name].defaults))
