"""Which of the styles in one file paints, or a blend of several: what stands behind the '@' of a style's name.

    masters                          the first style in the file
    masters@wave                     one of them
    masters@wave+wheat               both alike
    masters@wave=0.7+wheat=0.3       by weight

Wherever a style is named, by name or by path, a choice may follow. A blend is one network again: codes are blended
before they are folded into the weights, so it costs nothing per frame.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from impasto.core.card import Card
from impasto.core.errors import StyleError, UnknownName, UsageError

MARK = "@"
FILE_ENDINGS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl")


@dataclass(frozen=True, slots=True)
class Mix:
    """The weight of every style in a file, in the order of its card; they sum to 1."""

    codes: tuple[str, ...]
    weights: tuple[float, ...]

    def __str__(self) -> str:
        """The shortest spelling, the same for the same blend."""
        taken = [(code, weight) for code, weight in zip(self.codes, self.weights, strict=True) if weight > 0]
        if len(taken) == 1:
            return taken[0][0]
        return "+".join(f"{code}={weight:.4g}" for code, weight in taken)


def split_reference(reference: str) -> tuple[str, str]:
    """A style's name or path, and the choice behind it; an empty choice where there is none.

    An '@' in a folder's or a file's name belongs to the path.
    """
    style, mark, choice = reference.rpartition(MARK)
    if not mark or not style or any(part in choice for part in "/\\") or choice.lower().endswith(FILE_ENDINGS):
        return reference, ""
    return style, choice


def name_of(reference: str) -> str:
    """How a person calls the style of a path: the file's stem, and the choice."""
    style, choice = split_reference(reference)
    return joined(PurePath(style).stem, choice)


def joined(style: str, choice: str) -> str:
    """A style's name or path with a choice behind it; alone where the choice is empty."""
    return f"{style}{MARK}{choice}" if choice else style


def parse_choice(choice: str, codes: Sequence[str], style: str) -> Mix:
    """The weights that a choice gives to the styles `codes` of a file; `style` is how a person calls it.

    Raises StyleError for a file that holds one style only, UnknownName with the nearest name, and UsageError for a
    weight that is none.
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
    """The card of a choice, as if it were a style of its own: its name and its digest say what was chosen."""
    name = joined(card.name, str(mix))
    title = f"{card.title}: {readable(str(mix))}"
    sha256 = chosen_sha256(card.weights_sha256, mix)
    description = f"{readable(str(mix))}, from the styles in {card.title or card.name}."
    return replace(card, name=name, title=title, description=description, codes=(), weights_sha256=sha256)


def chosen_sha256(weights_sha256: str, mix: Mix) -> str:
    """The digest by which a choice is recognised: of the file's own and of the weights."""
    return hashlib.sha256(joined(weights_sha256, str(mix)).encode()).hexdigest()


def readable(code: str) -> str:
    """A style's name as artists read it."""
    return code.replace("_", " ").replace("-", " ").replace("+", " + ").capitalize()


def require_codes(codes: Sequence[str], count: int) -> None:
    """ValueError unless these name `count` styles apart, in letters that a choice can hold."""
    if len(codes) != count or len(set(codes)) != len(codes):
        raise ValueError(f"expected {count} names of styles, got {tuple(codes)}")
    for code in codes:
        if not code or code != code.strip() or any(letter in code for letter in f"{MARK}=+/\\"):
            raise ValueError(f"expected a name without @, =, + and slashes, got '{code}'")
