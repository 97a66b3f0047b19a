"""A shot rendered by the server: `impasto render`.

The server gets absolute paths; in what it reports they are shown again as the user typed them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.core.errors import ImpastoError, RequestCancelled, UnknownName
from impasto.core.media.open import is_live
from impasto.core.style_file import ENDING, PICKLES, read_card
from impasto.core.style_reference import joined, parse_choice, split_reference
from impasto.hosts.events import Event
from impasto.hosts.terminal.render.run_events import RunEvents
from impasto.hosts.terminal.style.listing import default_style_of
from impasto.server.client import Client
from impasto.server.client.futures import ShotFutureEvent
from impasto.server.protocol.messages import Cancelled, ShotJob, ShotProgress, ShotStarted, StyleFacts

PACE_S = 0.5
"""The server reports frames in batches, ten times a second, so that over less time the pace is chance."""


@dataclass(frozen=True, slots=True)
class ChosenStyle:
    """A style as the server gets it, and as the user reads it."""

    style: str
    title: str


class TypedPaths:
    """The paths of a job: absolute for the server of this machine, and again as they were typed for the user."""

    def __init__(self, job: ShotJob, *, local: bool, folder: str) -> None:
        self._local, self._prefix = local, os.path.join(folder, "")
        self._output_relative = local and not os.path.isabs(job.output)
        paths = (job.look.style, *(path for _, path in job.paths()))
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

    def in_text(self, text: str) -> str:
        """A sentence of the server with paths as the user knows them: each like the typed one whose folder it is in."""
        return re.sub(r"'(/[^']*)'", self._typed, text) if self._local else text

    def _typed(self, quoted: re.Match[str]) -> str:
        path = quoted[1]
        around = [folder for folder in self._folders if path.startswith(os.path.join(folder, ""))]
        relative = bool(around) and self._folders[max(around, key=len)]
        return f"'{path.removeprefix(self._prefix) if relative else path}'"


def render_there(
    client: Client,
    job: ShotJob,
    show: Callable[[Event], None],
    cancelled: Callable[[], bool],
    *,
    local: bool,
    notes: Sequence[str] = (),
) -> bool:
    """Render through a connected server and show what happens; whether it came to its end.

    `local` says that the server reads the files of this machine. `notes` are shown once the shot has begun. Raises what
    the shot raises, as if rendered here.
    """
    paths = TypedPaths(job, local=local, folder=os.getcwd())
    chosen = chosen_style(job.look.style, client.styles(), paths, local=local)
    run_events = RunEvents(job.input, chosen.title, show, least_s=PACE_S)
    stopped: list[Cancelled] = []

    def on_event(event: ShotFutureEvent) -> None:
        match event:
            case ShotStarted():
                run_events.on_event(replace(event, output=paths.shown(event.output)))
                for note in notes:
                    run_events.note(note)
            case ShotProgress():
                stored = tuple(replace(each, path=paths.shown(each.path)) for each in event.stored)
                run_events.on_event(replace(event, stored=stored, notes=tuple(map(paths.in_text, event.notes))))
            case Cancelled():
                stopped.append(event)

    sent = replace(job.with_paths(lambda name, path: paths.absolute(path)), look=replace(job.look, style=chosen.style))
    try:
        done = client.render_shot(sent, on_event=on_event, cancelled=cancelled)
    except RequestCancelled as error:
        last = stopped[-1] if stopped else Cancelled(b"")
        last = replace(last, path=paths.shown(last.path))
        # Cancelled by anything but the user, a server that ends among them, it is an error that says why.
        if not cancelled():
            if last.path:
                error.args = (f"{error}; what was finished is in '{last.path}'",)
            raise
        run_events.ended(last)
        return False
    except ImpastoError as error:
        error.args = (paths.in_text(str(error)),)
        raise
    run_events.ended(replace(done, path=paths.shown(done.path)))
    return True


def chosen_style(style: str, library: Sequence[StyleFacts], paths: TypedPaths, *, local: bool) -> ChosenStyle:
    """The style that was named, as the server has it; a file of this machine by its path, '' as the default one.

    Raises UnknownName for a name that the server does not know, StyleError for a file that is no style.
    """
    file, choice = split_reference(style)
    if file and local and (Path(file).suffix.lower() in (ENDING, *PICKLES) or Path(file).is_file()):
        return ChosenStyle(joined(paths.absolute(file), choice), read_card(Path(style)).name)
    known = {facts.name: facts for facts in library}
    name = file or default_style_of({name: facts.size for name, facts in known.items()})
    if name not in known:
        raise UnknownName("style", name, known, "(or give the path of a .safetensors file)" if local else "")
    chosen = joined(name, str(parse_choice(choice, known[name].codes, name))) if choice else name
    return ChosenStyle(chosen, chosen)
