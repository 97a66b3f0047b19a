"""The styles that a server offers: which names there are, and which file stands behind each.

The folders are looked at, not listened to: a look is a `scandir` of each, which behaves the same on every file system.
A file that is new or changed is left alone until a further look finds it unchanged, because somebody may be writing it
still. Then its card is read, and a worker is asked to load and verify it. Only a file that passed takes the place of
the one before it; one that did not leaves the old entry as it was, with the problem beside it. Torch is never imported.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.core.card import Card
from impasto.core.errors import NotPermitted, StyleError, UnknownName, UsageError
from impasto.core.mix import chosen_card, chosen_sha256, joined, mix_from, split_reference
from impasto.core.style import BUILT_IN, ENDING, PICKLES, read_card
from impasto.server.protocol.limits import NAME_BYTES
from impasto.server.protocol.link import CheckStyle, StyleChecked
from impasto.server.protocol.messages import StyleFacts
from impasto.server.protocol.text import cleaned

LOOK_S = 0.5
"""Between two looks at the folders."""
CARDS_A_LOOK = 8
"""Cards that one look reads, so that a hundred styles copied at once do not keep the front from its sockets."""
ANSWER_S = 120.0
"""A check that is not answered for so long is asked for again."""
CHECKS = 2
"""Checks without an answer after which a file is given up: it may be what the workers die of."""
PAGE_BYTES = 48 << 10
"""Of style facts in one message, whose header holds 64 KiB."""
LARGEST_PREVIEW = 512 << 10
_NAMES = re.compile(r"[A-Za-z0-9 ._-]{1,64}")
_PNG = b"\x89PNG\r\n\x1a\n"
_PATHS_KEPT = 64


@dataclass(frozen=True, slots=True)
class Found:
    """The file behind a style that a client named, and the SHA-256 of its weights as its card says.

    Where one of the styles in a file was chosen, or a blend, all three say so (`impasto.core.mix`).
    """

    name: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Signature:
    """By which two states of one file are told apart without reading it."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class _Version:
    """One state of a file, and what its card says."""

    signature: Signature
    facts: StyleFacts
    preview: bytes
    choices: tuple[StyleFacts, ...] = ()
    """Each of several styles in the file, so that a host that knows nothing of choices can offer them."""


@dataclass(slots=True)
class _File:
    """What is known of one path: the version that is offered, and the newer one that is on its way."""

    path: Path
    seen: Signature
    judged: Signature | None = None
    """The state whose card was read last."""
    good: _Version | None = None
    candidate: _Version | None = None
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
        self._entries: dict[str, tuple[_File, _Version]] = {}
        self._facts: tuple[StyleFacts, ...] = ()
        self._folder_problems: tuple[str, ...] = ()
        self._paths: dict[Path, tuple[Signature, Card]] = {}
        for path, signature in self._scan().items():
            file = self._files[path] = _File(path, signature, judged=signature)
            try:
                file.good = _read(path, signature)
            except StyleError as error:
                file.problem = cleaned(str(error))
        self._settle()
        self.next_look = clock() + LOOK_S
        """When `poll` does something again."""

    def facts(self) -> tuple[StyleFacts, ...]:
        """Every style, sorted by name."""
        return self._facts

    def page(self, offset: int) -> tuple[StyleFacts, ...]:
        """The styles from this place of the list on, as many as one message holds; at least one where there is one."""
        page: list[StyleFacts] = []
        room = PAGE_BYTES
        for facts in self._facts[offset : offset + 64]:
            room -= _weight(facts)
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

    def find(self, style: str, *, paths_allowed: bool) -> Found:
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
            found, codes = Found(style, file.path, version.facts.sha256), version.facts.codes
        if not choice:
            return found
        mix = mix_from(cleaned(choice, 500), codes, cleaned(style, 80))
        path = Path(joined(str(found.path), str(mix)))
        return Found(joined(found.name, str(mix)), path, chosen_sha256(found.sha256, mix))

    def poll(self, now: float) -> list[CheckStyle]:
        """Look at the folders, unless the last look was just now; return what a worker is to be asked.

        Call it when a worker is there: a check that goes unanswered for `ANSWER_S` counts as failed.
        """
        if now < self.next_look:
            return []
        self.next_look = now + LOOK_S
        checks: list[CheckStyle] = []
        files: dict[Path, _File] = {}
        taken: set[str] = set()
        cards = CARDS_A_LOOK
        for path, signature in self._scan().items():
            file = files[path] = self._files.get(path) or _File(path, signature)
            if path not in self._files or file.seen != signature:
                file.seen, file.candidate = signature, None
            elif path.stem not in taken:
                if file.judged != signature and cards:
                    cards -= 1
                    _judge(file)
                if _is_to_be_checked(file, now):
                    checks.append(CheckStyle(path.stem, str(path)))
            if file.good is not None:
                taken.add(path.stem)
        self._files = files
        self._settle()
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
        self._settle()

    def unanswered(self, check: CheckStyle) -> None:
        """The worker that was asked is lost: the file is asked for again, or given up where that happened before."""
        file = self._files.get(Path(check.path))
        if file is not None:
            file.asked_s = -math.inf

    def _find_path(self, style: str, paths_allowed: bool) -> tuple[Found, tuple[str, ...]]:
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
        signature = None if facts is None else _signature(facts)
        kept = self._paths.pop(path, None)
        if kept is None or kept[0] != signature:
            kept = None if signature is None else (signature, _card(path))
        if kept is None:
            _card(path)
            raise StyleError(f"expected '{shown}' to stay as it is while it is read; try again")
        self._paths[path] = kept
        while len(self._paths) > _PATHS_KEPT:
            del self._paths[next(iter(self._paths))]
        return Found(name, path, kept[1].weights_sha256), kept[1].codes

    def _scan(self) -> dict[Path, Signature]:
        """Every style file of the folders, in their order, sorted by name within each."""
        found: dict[Path, Signature] = {}
        problems: list[str] = []
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    here = sorted(_style_files(entries))
            except FileNotFoundError:
                problems.append(f"expected a folder of styles at '{cleaned(str(folder))}', there is none; make it")
                continue
            except OSError as error:
                # A share that does not answer for a while has not lost its files.
                found |= {path: file.seen for path, file in self._files.items() if path.parent == folder}
                problems.append(
                    f"could not look for styles in '{cleaned(str(folder))}': {error.strerror}; check its permissions"
                )
                continue
            for name, signature in here:
                if _NAMES.fullmatch(name.removesuffix(ENDING)):
                    found[folder / name] = signature
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

    def _settle(self) -> None:
        """Work out what is offered, and raise the revision if that is not what was offered before."""
        entries: dict[str, tuple[_File, _Version]] = {}
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
        offered = [(file.path, version.signature) for file, version in entries.values()]
        before = [(file.path, version.signature) for file, version in self._entries.values()]
        if facts != self._facts or offered != before:
            self.revision += 1
        self._entries, self._facts = entries, facts


def _judge(file: _File) -> None:
    """Read the card of a file that has settled, and say what to do with it."""
    file.judged, file.candidate, file.problem = file.seen, None, ""
    file.asked = 0
    if file.good is not None and file.good.signature == file.seen:
        return  # put back as it was
    try:
        file.candidate = _read(file.path, file.seen)
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


def _style_files(entries: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, Signature]]:
    """Name and state of the style files among a folder's entries: no hidden ones, no folders, no pipes."""
    for entry in entries:
        if entry.name.startswith(".") or not entry.name.endswith(ENDING):
            continue
        try:
            facts = entry.stat()
        except OSError:
            continue  # gone since, or a link to nothing
        if stat.S_ISREG(facts.st_mode):
            yield entry.name, _signature(facts)


def _signature(facts: os.stat_result) -> Signature:
    return Signature(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def _read(path: Path, signature: Signature) -> _Version:
    """The facts of a style file, from its card alone; StyleError where there is none that could be offered."""
    card = _card(path)
    preview = _preview(card)
    try:
        facts = StyleFacts(
            name=path.stem,
            title=cleaned(card.title, 255),
            description=cleaned(card.description, 1000),
            size=cleaned(card.size, 64) or "unknown",
            sha256=cleaned(card.weights_sha256, 64),
            halo=int(card.halo),
            megabytes=signature.size / 1e6,
            licence=cleaned(card.licence, 255),
            credits=tuple(cleaned(text, 500) for text in card.credits[:32]),
            guides=tuple(cleaned(each.channel, 64) or "unnamed" for each in card.guides[:32]),
            codes=tuple(cleaned(text, 64) or "unnamed" for text in card.codes[:64]),
            defaults=card.defaults.as_dict(),
            has_preview=bool(preview),
        )
    except (TypeError, AttributeError) as error:
        raise StyleError(f"expected text on the card in '{path}', got something else; fetch the file again") from error
    return _Version(signature, facts, preview, _choices(facts, card))


def _choices(facts: StyleFacts, card: Card) -> tuple[StyleFacts, ...]:
    """Every style in a file that holds several, as facts of its own; those whose name the wire cannot hold are not."""
    if len(card.codes) < 2:
        return ()
    cards = [(code, chosen_card(card, mix_from(code, card.codes, card.name))) for code in card.codes[:64]]
    chosen = [
        replace(facts, name=joined(facts.name, code), title=cleaned(each.title, 255), sha256=each.weights_sha256)
        for code, each in cards
    ]
    return tuple(replace(each, codes=()) for each in chosen if len(each.name.encode()) <= NAME_BYTES)


def _card(path: Path) -> Card:
    """The card of any file whatever: what a reader of sound files need not expect is a StyleError too."""
    try:
        return read_card(path)
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise StyleError(f"expected a style's card in '{path}', could not read it; fetch the file again") from error


def _preview(card: Card) -> bytes:
    """The picture on a card, or nothing: a preview that is none is no reason to refuse a style."""
    if not isinstance(card.preview, str) or len(card.preview) > LARGEST_PREVIEW:
        return b""
    try:
        picture = base64.b64decode(card.preview, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return picture if picture.startswith(_PNG) else b""


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


def _weight(facts: StyleFacts) -> int:
    """About how many bytes the facts take in a message, rather more than fewer."""
    texts = (
        *(facts.name, facts.title, facts.description, facts.size, facts.licence, facts.problem),
        *(*facts.credits, *facts.guides, *facts.codes, *facts.defaults),
    )
    return 300 + sum(len(text.encode()) + 16 for text in texts)
