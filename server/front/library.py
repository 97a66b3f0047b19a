"""The styles that a server offers: their names, and the file of each.

The folders are scanned, not watched by the system: a look is a `scandir` of each, which behaves the same on every file
system. A file that is new or changed is left alone until a further look finds it unchanged, because it may still be
written. Then its card is read, and a worker is asked to load and verify it. Only a file that passed replaces the one
before it; one that did not leaves the old entry as it was, with the problem beside it. Torch is never imported.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.core.card import Card
from impasto.core.controls import after_of, before_of, params_of
from impasto.core.errors import NotPermitted, StyleError, UnknownName, UsageError
from impasto.core.params import Params
from impasto.core.style_file import BUILT_IN, ENDING, PICKLES, file_of
from impasto.core.style_reference import chosen_sha256, joined, parse_choice, split_reference
from impasto.server.front.style_facts import (
    FileState,
    StyleVersion,
    card_of,
    read_version,
    state_of,
    style_files,
    weight_of,
)
from impasto.server.protocol.messages import ErrorFacts, RenderSettings, StyleFacts
from impasto.server.protocol.text import cleaned
from impasto.server.protocol.worker_messages import CheckStyle, StyleChecked

POLL_S = 0.5
"""Between two looks at the folders."""
CARDS_A_POLL = 8
"""Cards that one look reads, so that a hundred styles copied at once do not keep the front from its sockets."""
ANSWER_S = 120.0
"""A check that is not answered for so long is asked for again."""
CHECKS = 2
"""Checks without an answer after which a file is given up: it may be what the workers die of."""
PAGE_BYTES = 48 << 10
"""Of style facts in one message, whose header holds 64 KiB."""
_NAMES = re.compile(r"[A-Za-z0-9 ._-]{1,64}")
_PATHS_KEPT = 64


@dataclass(frozen=True, slots=True)
class StyleFile:
    """The file behind a style that a client named, and the SHA-256 of its weights as its card says.

    Where one of the styles in a file was chosen, or a blend, all three say so (`impasto.core.style_reference`).
    """

    name: str
    path: Path
    sha256: str


@dataclass(slots=True)
class _File:
    """One path: the version that is offered, and the newer one that is being checked."""

    path: Path
    state: FileState
    read_state: FileState | None = None
    """The state whose card was read last."""
    good: StyleVersion | None = None
    candidate: StyleVersion | None = None
    """Its card is sound; a worker has been asked about the weights."""
    asked: int = 0
    asked_s: float = 0.0
    problem: str = ""


class Library:
    """The styles of some folders and the built-in ones, the first of a name before the others.

    What is there at the start is offered from its cards alone: workers verify a file whenever they load it. One owner,
    one thread.
    """

    def __init__(self, folders: Sequence[Path] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.revision = 0
        """Changes with whatever `facts` returns."""
        self._folders = tuple(dict.fromkeys(folder.absolute() for folder in (*folders, BUILT_IN)))
        self._files: dict[Path, _File] = {}
        self._entries: dict[str, tuple[_File, StyleVersion]] = {}
        self._facts: tuple[StyleFacts, ...] = ()
        self._folder_problems: tuple[str, ...] = ()
        self._paths: dict[Path, tuple[FileState, Card]] = {}
        for path, state in self._scan().items():
            file = self._files[path] = _File(path, state, read_state=state)
            try:
                file.good = read_version(path, state)
            except StyleError as error:
                file.problem = cleaned(str(error))
        self._update_offer()
        self.next_poll = clock() + POLL_S
        """When `poll` does something again."""

    def facts(self) -> tuple[StyleFacts, ...]:
        """Every style, sorted by the names of their files."""
        return self._facts

    def page(self, offset: int) -> tuple[StyleFacts, ...]:
        """The styles from this place of the list on, as many as one message holds; at least one where there is one."""
        page: list[StyleFacts] = []
        room = PAGE_BYTES
        for facts in self._facts[offset : offset + 64]:
            room -= weight_of(facts)
            if page and room < 0:
                break
            page.append(facts)
        return tuple(page)

    def problems(self) -> tuple[str, ...]:
        """What is wrong with folders and files, for the status: one sentence each."""
        broken = (f"style '{cleaned(file.path.stem, 80)}': {file.problem}" for file in self._offered() if file.problem)
        return (*self._folder_problems, *broken)

    def preview(self, name: str) -> bytes | None:
        """The preview of a style as a PNG; None where it has none, or there is no such style."""
        name, _ = split_reference(name)
        if name not in self._entries:
            return None
        return self._entries[name][1].preview or None

    def find(self, style: str, *, paths_allowed: bool) -> StyleFile:
        """The file of a style, given its name or, where those are allowed, the absolute path of a file.

        Behind either, a choice among the styles in the file. Raises UnknownName with the nearest name, NotPermitted for
        a path that is not allowed, UsageError for a relative one or a choice that cannot be, StyleError for a file that
        is no style.
        """
        style, choice = split_reference(style)
        if _is_path(style):
            found, codes = self._find_path(style, paths_allowed)
        elif style not in self._entries:
            hint = "(or give the absolute path of a .safetensors file)" if paths_allowed else ""
            raise UnknownName("style", cleaned(style, 80), self._entries, hint)
        else:
            file, version = self._entries[style]
            found, codes = StyleFile(style, file.path, version.facts.sha256), version.facts.codes
        if not choice:
            return found
        mix = parse_choice(cleaned(choice, 500), codes, cleaned(style, 80))
        path = Path(joined(str(found.path), str(mix)))
        return StyleFile(joined(found.name, str(mix)), path, chosen_sha256(found.sha256, mix))

    def poll(self, now: float) -> list[CheckStyle]:
        """RenderSettings at the folders, unless the last look was just now; return what a worker is to be asked.

        Call it when a worker is there: a check that goes unanswered for `ANSWER_S` counts as failed.
        """
        if now < self.next_poll:
            return []
        self.next_poll = now + POLL_S
        checks: list[CheckStyle] = []
        files: dict[Path, _File] = {}
        taken: set[str] = set()
        cards = CARDS_A_POLL
        for path, state in self._scan().items():
            file = files[path] = self._files.get(path) or _File(path, state)
            if path not in self._files or file.state != state:
                file.state, file.candidate = state, None
            elif path.stem not in taken:
                if file.read_state != state and cards:
                    cards -= 1
                    _read_candidate(file)
                if _is_to_be_checked(file, now):
                    checks.append(CheckStyle(path.stem, str(path)))
            if file.good is not None:
                taken.add(path.stem)
        self._files = files
        self._update_offer()
        return checks

    def checked(self, answer: StyleChecked) -> None:
        """Take a worker's answer: a good file is offered from now on, a bad one leaves what there was, and its problem.

        An answer about a state of the file that is gone is passed over; the new state is asked for by itself.
        """
        file = self._files.get(Path(answer.path))
        if file is None or file.candidate is None:
            return
        if answer.error is not None:
            file.problem = cleaned(answer.error.message)
        elif answer.sha256 not in ("", file.candidate.facts.sha256):
            file.problem = f"expected '{cleaned(file.path.name)}' to stay as it is while it is checked; save it again"
        else:
            file.good, file.problem = file.candidate, ""
        file.candidate = None
        self._update_offer()

    def unanswered(self, check: CheckStyle) -> None:
        """The worker that was asked is lost: the file is asked for again, or given up where that happened before."""
        file = self._files.get(Path(check.path))
        if file is not None:
            file.asked_s = -math.inf

    def _find_path(self, style: str, paths_allowed: bool) -> tuple[StyleFile, tuple[str, ...]]:
        """The file at a path, and the names of the styles in it."""
        shown = cleaned(style, 500)
        if not paths_allowed:
            raise NotPermitted(
                f"expected the name of a style, got the path '{shown}'; paths are for clients of the same machine, "
                "so put the file into a folder that the server watches"
            )
        path = Path(style)
        if not path.is_absolute():
            raise UsageError(
                f"expected a style's name or an absolute path, got '{shown}'; the server runs in another folder "
                "than you, so give the whole path"
            )
        if path.suffix.lower() not in (ENDING, *PICKLES):
            raise StyleError(f"expected a style (a .safetensors file), got '{shown}'; check the path")
        name, path = path.stem, _resolved(path)
        try:
            facts = path.stat()
        except (OSError, ValueError):
            facts = None  # reading it below says what is wrong, in the words of every other reader
        if facts is not None and not stat.S_ISREG(facts.st_mode):
            raise StyleError(f"expected a style file, '{shown}' is a folder or a device; check the path")
        state = None if facts is None else state_of(facts)
        kept = self._paths.pop(path, None)
        if kept is None or kept[0] != state:
            kept = None if state is None else (state, card_of(path))
        if kept is None:
            card_of(path)
            raise StyleError(f"expected '{shown}' to stay as it is while it is read; try again")
        self._paths[path] = kept
        while len(self._paths) > _PATHS_KEPT:
            del self._paths[next(iter(self._paths))]
        return StyleFile(name, path, kept[1].weights_sha256), kept[1].codes

    def _scan(self) -> dict[Path, FileState]:
        """Every style file of the folders, in their order, sorted by name within each."""
        found: dict[Path, FileState] = {}
        problems: list[str] = []
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    here = sorted(style_files(entries))
            except FileNotFoundError:
                problems.append(f"expected a folder of styles at '{cleaned(str(folder))}', there is none; make it")
                continue
            except OSError as error:
                # A share that does not answer for a while has not lost its files.
                found |= {path: file.state for path, file in self._files.items() if path.parent == folder}
                problems.append(
                    f"could not look for styles in '{cleaned(str(folder))}': {error.strerror}; check its permissions"
                )
                continue
            for name, state in here:
                if _NAMES.fullmatch(name.removesuffix(ENDING)):
                    found[folder / name] = state
                else:
                    problems.append(
                        f"expected a style's file name of at most 64 letters, digits, spaces, '.', '_' and '-', got "
                        f"'{cleaned(name, 200)}' in '{cleaned(str(folder))}'; rename it"
                    )
        self._folder_problems = tuple(problems)
        return found

    def _offered(self) -> Iterator[_File]:
        """The files that matter, sorted by name: of each name the first that is good, and bad ones before it."""
        taken: set[str] = set()
        for file in sorted(
            self._files.values(), key=lambda file: file.path.stem
        ):  # stable: the folders keep their order
            if file.path.stem not in taken:
                yield file
            if file.good is not None:
                taken.add(file.path.stem)

    def _update_offer(self) -> None:
        """Work out what is offered, and raise the revision if that is not what was offered before."""
        entries: dict[str, tuple[_File, StyleVersion]] = {}
        problems: dict[str, str] = {}
        for file in self._offered():
            if file.problem:
                problems.setdefault(file.path.stem, file.problem)
            if file.good is not None:
                entries[file.path.stem] = (file, file.good)
        facts = tuple(
            each
            for name, (_, version) in entries.items()
            for each in (replace(version.facts, problem=problems.get(name, "")), *version.choices)
        )
        offered = [(file.path, version.state) for file, version in entries.values()]
        before = [(file.path, version.state) for file, version in self._entries.values()]
        if facts != self._facts or offered != before:
            self.revision += 1
        self._entries, self._facts = entries, facts


def _read_candidate(file: _File) -> None:
    """Read the card of a file that has settled, and say what to do with it."""
    file.read_state, file.candidate, file.problem = file.state, None, ""
    file.asked = 0
    if file.good is not None and file.good.state == file.state:
        return  # put back as it was
    try:
        file.candidate = read_version(file.path, file.state)
    except StyleError as error:
        file.problem = cleaned(str(error))


def _is_to_be_checked(file: _File, now: float) -> bool:
    """Whether a worker is to be asked about the file's candidate at this look; counts the times it was."""
    if file.candidate is None or (file.asked and now - file.asked_s < ANSWER_S):
        return False
    if file.asked == CHECKS:
        file.problem = (
            f"{CHECKS} workers that checked '{cleaned(file.path.name)}' did not answer; it may be too large for them. "
            "Save it again to have it checked again"
        )
        return False
    file.asked += 1
    file.asked_s = now
    return True


def _is_path(style: str) -> bool:
    """Whether a client means a file: a separator, or the ending of a weights file."""
    return "/" in style or "\\" in style or style.lower().endswith((ENDING, *PICKLES))


def _resolved(path: Path) -> Path:
    """The one path of a style file, by whatever way it was named: one file is one style, loaded once.

    A link to a file without our ending, as caches of downloads keep them, stays the name that it is read by.
    """
    try:
        real = path.resolve()
        return real if real.suffix.lower() == path.suffix.lower() else path.parent.resolve() / path.name
    except (OSError, ValueError, RuntimeError):
        return path  # reading it says what is wrong, in the words of every other reader


def style_of(library: Library, look: RenderSettings, *, local: bool) -> StyleFile:
    """The style of a look whose settings are checked here. Raises UnknownName, UsageError, StyleError."""
    if look.params:
        params_of(look.params, Params())
    if look.before:
        before_of(look.before)
    if look.after:
        after_of(look.after)
    found = library.find(look.style, paths_allowed=local)
    if look.sha256 and look.sha256 != found.sha256:
        raise StyleError(
            f"expected the style '{found.name}' with SHA-256 {look.sha256[:12]}…, the server has {found.sha256[:12]}…; "
            f"bring the same file there, or ask without a digest"
        )
    return found


def error_in_client_words(error: ErrorFacts, look: RenderSettings, style: StyleFile) -> ErrorFacts:
    """An error with the style as the client named it in place of its path: by its name, or by the path that it gave."""
    name = look.style if os.path.isabs(look.style) else style.name
    message = error.message.replace(str(style.path), name)
    return replace(error, message=message.replace(str(file_of(style.path)), split_reference(name)[0]))
