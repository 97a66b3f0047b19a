"""Facts from the card of a style file. Nothing on it is trusted: it becomes messages to every client."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.core.card import Card
from impasto.core.errors import StyleError
from impasto.core.style_file import ENDING, read_card
from impasto.core.style_reference import chosen_card, joined, parse_choice
from impasto.server.protocol.limits import NAME_BYTES
from impasto.server.protocol.messages import StyleFacts
from impasto.server.protocol.text import cleaned

LARGEST_PREVIEW = 512 << 10
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells two states of one file apart without reading it."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class StyleVersion:
    """One state of a file, and what its card says."""

    state: FileState
    facts: StyleFacts
    preview: bytes
    choices: tuple[StyleFacts, ...] = ()
    """Each of several styles in the file, so that a host that knows nothing of choices can offer them."""


def style_files(entries: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, FileState]]:
    """Name and state of the style files among a folder's entries: no hidden ones, no folders, no pipes."""
    for entry in entries:
        if entry.name.startswith(".") or not entry.name.endswith(ENDING):
            continue
        try:
            facts = entry.stat()
        except OSError:
            continue  # gone since, or a link to nothing
        if stat.S_ISREG(facts.st_mode):
            yield entry.name, state_of(facts)


def state_of(facts: os.stat_result) -> FileState:
    """The state of a file."""
    return FileState(facts.st_mtime_ns, facts.st_size, facts.st_ino)


def read_version(path: Path, state: FileState) -> StyleVersion:
    """The facts of a style file, from its card alone; StyleError where there is none that could be offered."""
    card = card_of(path)
    preview = _preview(card)
    try:
        facts = StyleFacts(
            name=path.stem,
            title=cleaned(card.title, 255),
            description=cleaned(card.description, 1000),
            size=cleaned(card.size, 64) or "unknown",
            sha256=cleaned(card.weights_sha256, 64),
            halo=int(card.halo),
            megabytes=state.size / 1e6,
            licence=cleaned(card.licence, 255),
            credits=tuple(cleaned(text, 500) for text in card.credits[:32]),
            guides=tuple(cleaned(each.channel, 64) or "unnamed" for each in card.guides[:32]),
            codes=tuple(cleaned(text, 64) or "unnamed" for text in card.codes[:64]),
            defaults=card.defaults.as_dict(),
            has_preview=bool(preview),
        )
    except (TypeError, AttributeError) as error:
        raise StyleError(f"expected text on the card in '{path}', got something else; fetch the file again") from error
    return StyleVersion(state, facts, preview, _choices(facts, card))


def _choices(facts: StyleFacts, card: Card) -> tuple[StyleFacts, ...]:
    """Every style in a file that holds several, as facts of its own; those whose name the wire cannot hold are not."""
    if len(card.codes) < 2:
        return ()
    cards = [(code, chosen_card(card, parse_choice(code, card.codes, card.name))) for code in card.codes[:64]]
    chosen = [
        replace(
            facts,
            name=joined(facts.name, code),
            title=cleaned(each.title, 255),
            description=cleaned(each.description, 1000),
            sha256=each.weights_sha256,
        )
        for code, each in cards
    ]
    return tuple(replace(each, codes=()) for each in chosen if len(each.name.encode()) <= NAME_BYTES)


def card_of(path: Path) -> Card:
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


def weight_of(facts: StyleFacts) -> int:
    """About how many bytes the facts take in a message, rather more than fewer."""
    texts = (
        *(facts.name, facts.title, facts.description, facts.size, facts.licence, facts.problem),
        *(*facts.credits, *facts.guides, *facts.codes, *facts.defaults),
    )
    return 300 + sum(len(text.encode()) + 16 for text in texts)
