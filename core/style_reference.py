"""References to a style, by name or path, with an optional choice of the styles in its file after an '@'.

    masters                          the first style in the file
    masters@wave                     one of them
    masters@wave+wheat               both in equal parts
    masters@wave=0.7+wheat=0.3       by weight

A blend is one network again: codes are blended before they are folded into the weights, so it costs nothing per
frame.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from impasto.core.card import Card
from impasto.core.errors import StyleError, UnknownName, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass

MARK = "@"
FILE_ENDINGS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl")


@frozen_dataclass
class Mix:
    """The weight of every style in a file, in the order of its card; they sum to 1."""

    codes: tuple[str, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        """The shortest spelling; equal blends have equal spellings."""
        taken = [(code, weight) for code, weight in zip(self.codes, self.weights, strict=True) if weight > 0]
        if len(taken) == 1:
            return taken[0][0]
        return "+".join(f"{code}={weight:.4g}" for code, weight in taken)


def split_reference(reference: str) -> tuple[str, str]:
    """A style's name or path, and the choice after it, which may be empty.

    An '@' in a folder's or a file's name belongs to the path.
    """
    style, mark, choice = reference.rpartition(MARK)
    if not mark or not style or any(part in choice for part in "/\\") or choice.lower().endswith(FILE_ENDINGS):
        return reference, ""
    return style, choice


def name_of(reference: str) -> str:
    """The name of a style by its path: the file's stem, and the choice."""
    style, choice = split_reference(reference)
    return joined(PurePath(style).stem, choice)


def joined(style: str, choice: str) -> str:
    """A style's name or path with a choice after it, which may be empty."""
    return f"{style}{MARK}{choice}" if choice else style


def parse_choice(choice: str, codes: Sequence[str], style: str) -> Mix:
    """The weights that a choice gives to the styles `codes` of a file; `style` is the file's name for messages.

    Raises StyleError for a file that holds one style only, UnknownName with the nearest name, and UsageError for a
    bad weight.
    """
    if not codes:
        raise StyleError(f"expected several styles in '{style}' to choose '{choice}' from, it holds one; leave it out")
    weights = dict.fromkeys(codes, 0.0)
    for part in choice.split("+"):
        name, given, number = part.strip().partition("=")
        name = name.strip()
        if name not in weights:
            raise UnknownName(f"style in '{style}'", name, codes)
        try:
            weight = float(number) if given else 1.0
        except ValueError:
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(
                f"expected a weight of 0 or more for '{name}', got '{number}'; write for example {name}=0.7"
            )
        weights[name] += weight
    total = sum(weights.values())
    if total <= 0:
        raise UsageError(f"expected one weight above 0 in '{choice}', all are 0; give for example {codes[0]}=1")
    return Mix(tuple(weights), tuple(weight / total for weight in weights.values()))


def chosen_card(card: Card, mix: Mix) -> Card:
    """The card of a choice, as of a style of its own; its name and its digest include the choice."""
    name = joined(card.name, str(mix))
    title = f"{card.title}: {readable(str(mix))}"
    sha256 = chosen_sha256(card.weights_sha256, mix)
    description = f"{readable(str(mix))}, from the styles in {card.title or card.name}."
    return replace(card, name=name, title=title, description=description, codes=(), weights_sha256=sha256)


def chosen_sha256(weights_sha256: str, mix: Mix) -> str:
    """The digest of a choice: of the file's digest and the choice's weights."""
    return hashlib.sha256(joined(weights_sha256, str(mix)).encode()).hexdigest()


def readable(code: str) -> str:
    """A style's name for a user interface."""
    return code.replace("_", " ").replace("-", " ").replace("+", " + ").capitalize()


def require_codes(codes: Sequence[str], count: int) -> None:
    """Raise ValueError unless these are `count` distinct names without the letters that a choice reserves."""
    if len(codes) != count or len(set(codes)) != len(codes):
        raise ValueError(f"expected {count} names of styles, got {tuple(codes)}")
    for code in codes:
        if not code or code != code.strip() or any(letter in code for letter in f"{MARK}=+/\\"):
            raise ValueError(f"expected a name without @, =, + and slashes, got '{code}'")
