"""The card of a style: all facts about it, as one JSON object inside its weights file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from typing import Any, Literal

from impasto.core.errors import StyleError, UsageError
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.guides import READINGS, Guide
from impasto.core.params import Params

SCHEMA = 4
"""Version of the card's layout. Raise it with every change that an older reader would misread."""


def _without_keys(facts: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had no painted keys."""
    return {**facts, "keys": None}


def _guides_as_they_are(facts: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 had only the names of guide channels, and the network saw their samples unchanged."""
    guides = [{"channel": name, "reading": "plain", "scale": 1.0} for name in facts["guides"]]
    return {**facts, "guides": guides}


def _matched_keys(facts: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 had only keys by hand, whose paint is used where a frame matches them in place."""
    keys = facts["keys"]
    return {**facts, "keys": None if keys is None else {**keys, "carried": False, "made": []}}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _without_keys,
    2: _guides_as_they_are,
    3: _matched_keys,
}
"""Schema version -> function that turns a card of it into one of the next version."""

DEEPEST = 6
"""Levels of lists and objects in a card; the deepest that was ever written has four."""
MOST_PIXELS = 4096
"""Of a halo and a stride."""
COLOUR_CONTRACT = "sRGB-encoded Rec.709, [0, 1]"
"""Input and output space of every network of this schema."""


UNCHANGED = "identity"
"""The style that gives back every plate as it was: codes, fields, profiles."""


@frozen_dataclass
class Training:
    """How the weights were trained."""

    recipe: Mapping[str, Any]
    data_sha256: str
    pictures: int
    steps: int
    seconds: float
    date: str
    """ISO 8601, UTC."""
    metrics: Mapping[str, float] = field(default_factory=dict)


@frozen_dataclass
class KeyFacts:
    """The painted keys in a style's file: see `impasto.core.keyframe_paint`.

    `frames` are the frame numbers of the keys in their shot, `height` and `width` their stored size, `samples`
    the type of plates and paints. `noise` is the standard deviation of the plates' noise in 1/255. `follow` means
    that the camera moves, so that keys are matched along optical flow. `carried` means that their paint is no filter
    that the network learned, but a hand's, which is carried to wherever its surfaces are; then `made` are the frames of
    further keys, which training made from these.
    """

    frames: tuple[int, ...]
    height: int
    width: int
    samples: Literal["uint8", "float16"]
    noise: float = 0.0
    follow: bool = False
    carried: bool = False
    made: tuple[int, ...] = ()

    @property
    def stored(self) -> tuple[int, ...]:
        """The frames of all keys in the file, those by hand first."""
        return (*self.frames, *self.made)


@frozen_dataclass
class Card:
    """The facts of a style.

    `generator` and `config` name and configure the network (see `impasto.core.generators`);
    `halo` and `stride` are pixels. `tileable` says whether a tile with its halo equals the full
    frame. `guides` are the channels beside colour that it needs, in order: see `impasto.core.guide_planes`. `codes`
    are the names of the styles that the network holds (empty: one). `canary` is mean and root mean square of the
    result on a fixed test picture. `preview` is a small PNG in base64, or empty. `keys` are the painted keys in the
    file; the hash of the weights covers them too.
    """

    name: str
    title: str
    description: str
    generator: str
    config: Mapping[str, Any]
    size: str
    halo: int
    stride: int
    licence: str
    weights_sha256: str
    canary: tuple[float, float]
    credits: tuple[str, ...] = ()
    version: str = "1"
    tileable: bool = True
    colour: str = COLOUR_CONTRACT
    guides: tuple[Guide, ...] = ()
    codes: tuple[str, ...] = ()
    defaults: Params = field(default_factory=Params)
    training: Training | None = None
    preview: str = ""
    keys: KeyFacts | None = None

    def to_json(self) -> str:
        """The card as it is stored, sorted and compact."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def card_from_json(text: str, source: str) -> Card:
    """Read a card of this or an older schema; StyleError, naming `source`, for everything else."""
    try:
        facts = json.loads(text, object_pairs_hook=without_duplicates)
        _require_plain(facts)
    except (TypeError, ValueError, RecursionError) as error:
        raise StyleError(
            f"expected a style's card in '{source}', got damaged JSON ({error}); fetch the file again"
        ) from error
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), int):
        raise StyleError(
            f"expected a style's card in '{source}', got JSON without a schema number; it is no impasto style"
        )
    schema = facts.pop("schema")
    if schema < 1:
        raise StyleError(f"expected a card of schema 1 or newer, got {schema} in '{source}'; fetch the file again")
    if schema > SCHEMA:
        raise StyleError(
            f"expected a card of schema {SCHEMA} or older, got {schema} in '{source}'; this style needs a newer impasto"
        )
    for version in range(schema, SCHEMA):
        facts = UPGRADES[version](facts)
    try:
        for name in ("credits", "codes", "canary"):
            facts[name] = tuple(facts[name])
        facts["guides"] = tuple(_guide(each) for each in facts["guides"])
        facts["defaults"] = Params(**facts["defaults"])
        if facts["training"] is not None:
            facts["training"] = _training(facts["training"])
        if facts["keys"] is not None:
            facts["keys"] = _key_facts(facts["keys"])
        card = Card(**facts)
        _require_types(card)
    except (LookupError, AttributeError, TypeError, ValueError, ArithmeticError, UsageError) as error:
        raise StyleError(
            f"expected a complete card in '{source}', it does not fit: {error}; fetch the file again"
        ) from error
    if card.colour != COLOUR_CONTRACT:
        raise StyleError(
            f"expected a style for {COLOUR_CONTRACT}, '{source}' wants {card.colour}; it needs a newer impasto"
        )
    return card


def _require_plain(value: Any, depth: int = 0) -> None:
    """ValueError for what JSON may hold and no card: deep nesting, and half a surrogate pair, which has no UTF-8."""
    if depth > DEEPEST:
        raise ValueError(f"more than {DEEPEST} levels")
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for name, each in value.items():
            name.encode()
            _require_plain(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _require_plain(each, depth + 1)


def _require_types(card: Card) -> None:
    """ValueError where a field is empty, absurd or of another kind than the class says."""
    required = (card.name, card.title, card.generator, card.weights_sha256, card.colour)
    texts = (*card.credits, *card.codes, card.description, card.size, card.licence, card.preview, card.version)
    if not all(isinstance(text, str) and text for text in required):
        raise ValueError("a name, title, generator, hash or colour is empty or no text")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a description, size, licence, version, preview, credit or code is no text")
    if not all(type(number) is int and 0 < number <= MOST_PIXELS for number in (card.halo, card.stride)):
        raise ValueError(f"halo {card.halo!r} and stride {card.stride!r}")
    if type(card.tileable) is not bool or not isinstance(card.config, dict):
        raise ValueError("tileable or the configuration is of another kind")
    if len(card.canary) != 2 or not all(is_number(value) and math.isfinite(value) for value in card.canary):
        raise ValueError(f"test picture {card.canary}")


def _training(facts: dict[str, Any]) -> Training:
    """The training from a card; ValueError or TypeError for an impossible one."""
    training = Training(**facts)
    if not isinstance(training.recipe, dict) or not isinstance(training.metrics, dict):
        raise TypeError("the recipe or the figures are no names and values")
    if not all(is_number(value) for value in (*training.metrics.values(), training.seconds)):
        raise ValueError("a figure of the training is no number")
    if not all(type(number) is int for number in (training.pictures, training.steps)):
        raise ValueError("the pictures or steps of the training are no number")
    if not all(isinstance(text, str) for text in (training.data_sha256, training.date)):
        raise ValueError("the date or the data of the training is no text")
    return training


def is_number(value: object) -> bool:
    """Whether a value from JSON is a number; true and false are none."""
    return type(value) in (int, float)


def _guide(facts: dict[str, Any]) -> Guide:
    """A guide from a card; ValueError or TypeError for an impossible one."""
    guide = Guide(**facts)
    named = isinstance(guide.channel, str) and guide.channel and guide.reading in (*READINGS, "plain")
    if not named or type(guide.scale) not in (int, float) or not 0 < guide.scale < math.inf:
        raise ValueError(f"guide '{guide.channel}' read as {guide.reading} with scale {guide.scale}")
    return guide


def _key_facts(facts: dict[str, Any]) -> KeyFacts:
    """The facts of painted keys from a card; ValueError or TypeError for impossible ones."""
    keys = KeyFacts(**{**facts, "frames": tuple(facts["frames"]), "made": tuple(facts["made"])})
    numbers = (keys.height, keys.width, *keys.stored)
    if not (keys.frames and all(type(number) is int for number in numbers) and min(keys.height, keys.width) > 0):
        raise ValueError(f"keys of frames {keys.frames}, {keys.width}x{keys.height}")
    switches = (keys.follow, keys.carried)
    if keys.samples not in ("uint8", "float16") or not 0 <= keys.noise <= 255 or {*map(type, switches)} != {bool}:
        raise ValueError(f"keys of {keys.samples}, noise {keys.noise}, follow {keys.follow}")
    return keys


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dictionary; ValueError for a key that appears twice (hook for json.loads)."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result
