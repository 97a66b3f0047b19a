"""`impasto watch`: shots that are rendered into a folder are painted beside it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from impasto.core.errors import (
    ImpastoError,
    InvalidRequest,
    NotPermitted,
    OutputError,
    OutputExists,
    ServerError,
    UnknownName,
    UsageError,
    WorkerLost,
)
from impasto.core.media.commit import make_folder
from impasto.core.media.open import is_movie
from impasto.hosts.events import (
    Event,
    RunCancelled,
    RunFinished,
    RunStarted,
    RunWarning,
    ShotPainted,
    ShotSkipped,
    WatchStarted,
)
from impasto.hosts.terminal.controls import with_controls
from impasto.hosts.terminal.exit_codes import INTERRUPTED
from impasto.hosts.terminal.failure import failure_of
from impasto.hosts.terminal.interrupts import Interrupts
from impasto.hosts.terminal.render.job import job_from
from impasto.hosts.terminal.report import reporter_for
from impasto.hosts.terminal.shared_options import EncoderSpeed, Fields, Rate
from impasto.hosts.terminal.watch.arrivals import Arrivals, ArrivedShot, listing_of
from impasto.hosts.terminal.watch.record import LOCK, RecordedShot, WatchRecord, held, read_record
from impasto.hosts.terminal.watch.trust import linked, require_private
from impasto.server.protocol.codec import fingerprint
from impasto.server.protocol.messages import ShotJob

CLIENT = "impasto watch"
INTO = "painted"
SETTLE_S = 5.0
LISTING_S = 1.0
"""Between two listings of the folder; longer where a listing takes long, so that a slow disk is not kept busy."""
LISTING_SHARE = 10
RETRY_S = 30.0
"""Until a shot is tried again that failed for no reason of its own."""

Show = Callable[[Event], None]
RenderShot = Callable[[ShotJob, Show, Callable[[], bool]], bool]
"""Render one shot and show its events; False where it was cancelled."""


@with_controls
def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where movies and sequences arrive.")],
    style: Annotated[
        str | None, typer.Option("--style", help="Name or .safetensors file; `impasto styles` lists the names.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help=f"Where results go; {INTO}/ in the folder.")
    ] = None,
    settle: Annotated[
        float, typer.Option("--settle", metavar="SECONDS", help="A file that rests for so long is complete.")
    ] = SETTLE_S,
    once: Annotated[bool, typer.Option("--once", help="Paint what is there and end.")] = False,
    input_space: Annotated[
        str | None, typer.Option("--input-space", metavar="NAME", help="Colour space of what arrives.")
    ] = None,
    output_space: Annotated[
        str | None, typer.Option("--output-space", metavar="NAME", help="Colour space of the results.")
    ] = None,
    rate: Rate = None,
    encoder_speed: EncoderSpeed = "auto",
    fields: Fields = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")] = False,
    **controls: Any,
) -> None:
    """Paint what is rendered into a folder.

    A movie or a sequence is painted once its writer has finished: when nothing of it changes any more and no
    frame is missing. The result goes under the same name into the folder of results. What was painted is
    remembered there, so that after a restart only new shots are done; a shot that is rendered anew is painted anew.
    Links in the folder are not followed, and nobody else may be able to write into the folder of results: where others
    put files into FOLDER, name one outside with --into.
    Ctrl-C ends it; a sequence that was cut off goes on with the next start.
    """
    with reporter_for(json=json) as reporter, Interrupts("" if json else "stopping after this frame") as interrupts:
        if not folder.is_dir():
            raise UsageError(f"expected a folder to watch, '{folder}' is none; make it, or correct the path")
        if settle <= 0:
            raise UsageError(f"expected --settle above 0 seconds, got {settle:g}; {SETTLE_S:g} suits most renders")
        source, target = os.path.abspath(folder), os.path.abspath(into or folder / INTO)
        if os.path.realpath(source) == os.path.realpath(target):
            raise UsageError(f"expected results in another folder than '{folder}'; name one with --into")
        job = job_from(
            style=_known_style(style),
            input_space=input_space,
            output_space=output_space,
            rate=rate,
            encoder_speed=encoder_speed,
            fields=fields,
            controls=controls,
        )
        make_folder(os.path.join(target, LOCK))
        require_private(target)
        reporter.show(WatchStarted(source, target, job.look.style))
        with held(target):
            record = read_record(target, source)
            watcher = FolderWatcher(source, target, job, record, reporter.show, interrupts.asked, settle)
            cut_off = watcher.run(once=once)
        seconds = round(time.monotonic() - watcher.begun, 3)
        if cut_off:
            reporter.show(RunCancelled(target, watcher.frames, seconds))
            raise typer.Exit(INTERRUPTED)
        reporter.show(RunFinished(target, watcher.frames, seconds=seconds))


def through_server(job: ShotJob, show: Show, cancelled: Callable[[], bool]) -> bool:
    """Paint one shot on the user's server, which is started where none runs."""
    from impasto.hosts.terminal.render.served import render_there
    from impasto.hosts.terminal.server.connect import connected

    with connected(CLIENT, start=True, lane="batch") as client:
        return render_there(client, job, show, cancelled, local=True)


@dataclass(slots=True)
class FolderWatcher:
    """Lists the folder and paints what is complete, one shot at a time."""

    source: str
    target: str
    job: ShotJob
    """What is the same for every shot."""
    record: WatchRecord
    show: Show
    asked: Callable[[], bool]
    """Whether the work is to stop."""
    settle_s: float = SETTLE_S
    render: RenderShot = through_server
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    frames: int = 0
    """Painted by this run."""
    begun: float = field(default=0.0, init=False)
    _again: list[tuple[float, ArrivedShot]] = field(default_factory=list, init=False)
    """Shots to be tried once more, and when."""
    _warned: set[str] = field(default_factory=set, init=False)
    _links: set[str] = field(default_factory=set, init=False)
    """Links that were named."""

    def run(self, *, once: bool) -> bool:
        """Watch until `asked`, or with `once` until all is done; returns whether a shot was cut off by that."""
        self.begun = self.clock()
        arrivals, settings = Arrivals(self.settle_s), settings_digest(self.job)
        besides = {os.path.realpath(self.target)}
        while not self.asked():
            start = self.clock()
            try:
                listing = listing_of(self.source, besides, self._leave_link)
            except OSError as error:
                self._warn(f"expected to list '{self.source}', got '{error.strerror}'; waiting for it")
                self._rest(RETRY_S)
                continue
            listed_s = self.clock() - start
            changes = arrivals.update(listing, self.clock())
            for shot in changes.broken_off:
                self.show(ShotSkipped(os.path.join(self.source, shot.name), "inconsistent_shot", *gap_text(shot)))
            due = [shot for at, shot in self._again if at <= self.clock()]
            self._again = [(at, shot) for at, shot in self._again if at > self.clock()]
            for shot in (*due, *changes.complete):
                if self.asked():
                    return False
                if not self.record.finished(shot.name, shot.digest, settings) and not self._painted(shot, settings):
                    return True
            if once and not changes.growing and not self._again and not changes.complete and not due:
                return False
            self._rest(max(min(self.settle_s, LISTING_S), LISTING_SHARE * listed_s))
        return False

    def _painted(self, shot: ArrivedShot, settings: str) -> bool:
        """Paint a shot, or report why it is left; False where it was cut off."""
        behind = linked(self.source, shot.files)
        if behind is not None:  # since the folder was listed
            self._leave_link(behind)
            return True
        job = self._job_for(shot)
        entry = RecordedShot(shot.digest, settings, os.path.relpath(job.output, self.target), "begun")
        ends: list[RunFinished | RunCancelled] = []

        def show(event: Event) -> None:
            if isinstance(event, RunStarted):
                # From here on the output is ours: it was found free, and nothing is written yet.
                self.record.note(shot.name, entry)
            if isinstance(event, RunFinished | RunCancelled):
                ends.append(event)
            else:
                self.show(event)

        try:
            done = self.render(job, show, self.asked)
            if done:
                self.record.finish(shot.name)
        except ImpastoError as error:
            failure = failure_of(error)
            if _passes(error):
                self._warn(f"{failure.message}; trying again in {RETRY_S:g} s")
                self._again.append((self.clock() + RETRY_S, shot))
            else:
                self.show(ShotSkipped(job.input, failure.code, failure.message, failure.hint))
            return True
        end = ends[-1]
        self.frames += end.frames
        if isinstance(end, RunCancelled):
            if end.output is not None and end.output != job.output and is_movie(end.output):
                # The next start begins it anew; half a movie is of no use.
                with contextlib.suppress(OSError):
                    os.unlink(end.output)
            return False
        self._warned.clear()
        self.show(ShotPainted(job.input, job.output, end.frames, end.skipped, end.seconds, end.fps))
        return True

    def _job_for(self, shot: ArrivedShot) -> ShotJob:
        """The job of a shot. The output of an earlier run of the same shot is replaced, any other file never."""
        source = os.path.join(self.source, shot.name)
        target = os.path.join(self.target, shot.name)
        stem, extension = os.path.splitext(target)
        movie = is_movie(source)
        if movie and not _is_written(extension):
            target = f"{stem}.mov"
        ours = self.record.owns(shot.name, os.path.relpath(target, self.target))
        rate = "" if movie else self.job.rate  # a movie has its own
        within = (self.source, self.target)  # what was looked at for links may be one when the server opens it
        return replace(
            self.job,
            input=source,
            output=target,
            overwrite=ours and movie,
            resume=ours and not movie,
            within=within,
            rate=rate,
        )

    def _leave_link(self, path: str) -> None:
        """Say once that a link is not followed."""
        if path not in self._links:
            self._links.add(path)
            hint = "copy what it leads to into the folder"
            message = f"expected a file or folder at '{path}', found a link, which is not followed; {hint}"
            self.show(ShotSkipped(os.path.join(self.source, path), "not_permitted", message, hint))

    def _warn(self, text: str) -> None:
        """Show a warning, once until something has been painted."""
        if text not in self._warned:
            self._warned.add(text)
            self.show(RunWarning(text))

    def _rest(self, seconds: float) -> None:
        """Wait, and stop waiting once `asked`."""
        until = self.clock() + seconds
        while not self.asked() and (left := until - self.clock()) > 0:
            self.pause(min(left, 0.1))


def _is_written(extension: str) -> bool:
    from impasto.core.media.movie_codec import CONTAINERS

    return extension.lower() in CONTAINERS


def gap_text(shot: ArrivedShot) -> tuple[str, str]:
    """Message and hint for a shot that came to rest with frames missing or empty."""
    if not shot.missing:
        hint = "it is painted once it is written"
        return f"expected whole files in '{shot.name}', '{shot.empty[0]}' is empty; {hint}", hint
    shown = ", ".join(str(number) for number in shot.missing[:6]) + (", …" if len(shot.missing) > 6 else "")
    hint = "it is painted once they are there"
    return f"expected an unbroken sequence in '{shot.name}', missing {shown}; {hint}", hint


def settings_digest(job: ShotJob) -> str:
    """A digest of everything but the shot that decides what a result looks like."""
    shared = replace(job, input="", output="", overwrite=False, resume=False)
    return fingerprint(shared, _style_hash(job.look.style)).hex()[:16]


def _passes(error: ImpastoError) -> bool:
    """Whether the same shot may succeed later: the server or the disk failed, not the shot."""
    if isinstance(error, InvalidRequest | NotPermitted | WorkerLost | OutputExists):
        return False
    return isinstance(error, ServerError | OutputError)


def _known_style(style: str | None) -> str:
    """The style by a name that will mean the same tomorrow; UnknownName where neither disk nor server knows it."""
    from impasto.core.style_file import find_style
    from impasto.hosts.terminal.style.listing import default_style

    if style is None:
        return default_style()
    try:
        path = find_style(style)
    except UnknownName:
        from impasto.hosts.terminal.server.connect import connected

        with connected(CLIENT, start=True) as client:
            if style in {facts.name for facts in client.styles()}:
                return style
        raise
    return os.path.abspath(path) if os.path.isfile(style) else style


def _style_hash(style: str) -> str:
    from impasto.core.style_file import find_style, read_card

    try:
        return read_card(find_style(style)).weights_sha256
    except ImpastoError:
        return ""  # only the server knows the name
