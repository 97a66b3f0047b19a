"""Style files: the only place that reads or writes weights.

A style is one safetensors file with its card in the metadata. Nothing in it is executed. What is
loaded has been checked: no duplicate key, names, shapes and types exactly as the generator wants,
every value finite, the hash as the card says, and a test picture that comes out as recorded. A style of one shot
may carry the keys that it was trained on, which its card announces.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.core.card import Card, card_from_json, without_duplicates
from impasto.core.errors import OutputError, StyleError, UnknownName
from impasto.core.frozen_dataclass import frozen_dataclass
from impasto.core.guides import planes_in
from impasto.core.keyframe_paint.stored_keys import Keys, take_keys, tensors_of
from impasto.core.style_reference import (
    FILE_ENDINGS,
    Mix,
    chosen_card,
    joined,
    parse_choice,
    require_codes,
    split_reference,
)

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.core.generators.unet import UNet

BUILT_IN = Path(__file__).parent / "styles"
ENDING, PICKLES = FILE_ENDINGS[0], FILE_ENDINGS[1:]
LARGEST_HEADER = 4 << 20
"""Bytes; no style has a larger header."""
CANARY_TOLERANCE = 0.02


@frozen_dataclass
class Style:
    """A loaded style: its card, the network as it was trained (fold it to render), and the keys that it carries."""

    card: Card
    generator: UNet
    path: Path | None = None
    keys: Keys | None = None


def style_files(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Name -> file of every style in these folders and of the built-in styles; the first file of a name wins."""
    found: dict[str, Path] = {}
    for folder in (*folders, BUILT_IN):
        for path in sorted(folder.glob(f"*{ENDING}")):
            found.setdefault(path.stem, path)
    return found


def find_style(name: str | Path, folders: Sequence[Path] = ()) -> Path:
    """The file of a style, given its name or its path, with its choice, if any.

    Raises UnknownName with the nearest name.
    """
    style, choice = split_reference(str(name))
    if choice and str(name) in style_files(folders):
        style, choice = str(name), ""  # an '@' in the file's name
    path = Path(style)
    if path.suffix.lower() not in (ENDING, *PICKLES) and not path.is_file():
        known = style_files(folders)
        if style not in known:
            raise UnknownName("style", style, known, "(or give the path of a .safetensors file)")
        path = known[style]
    return Path(joined(str(path), choice))


def offered_by(path: Path) -> list[tuple[Path, Card]]:
    """The styles that a file offers, with their cards: itself and, if it holds several, each of them.

    Raises StyleError for a file that is no style.
    """
    card = read_card(path)
    choices = [Path(joined(str(path), code)) for code in card.codes] if len(card.codes) > 1 else []
    return [(path, card), *((choice, read_card(choice)) for choice in choices)]


def file_of(reference: Path) -> Path:
    """The file of a reference, without the choice of a style in it."""
    return Path(split_reference(str(reference))[0])


def read_card(path: Path) -> Card:
    """Read the card alone, without weights and torch; for a path with a choice, the card of that choice.

    Raises StyleError where there is no card, and what `parse_choice` raises.
    """
    name, choice = split_reference(str(path))
    card = card_from_json(_header(Path(name))["__metadata__"]["card"], name)
    return chosen_card(card, parse_choice(choice, card.codes, name)) if choice else card


def load_style(path: Path) -> Style:
    """Read and check a style; for a path with a choice, that choice as a style of its own.

    Raises StyleError, which names the failed check, and what `parse_choice` raises.
    """
    name, choice = split_reference(str(path))
    style = _load_file(Path(name))
    return choose(style, parse_choice(choice, style.card.codes, name)) if choice else style


def choose(style: Style, mix: Mix) -> Style:
    """One or a blend of the styles in a file, folded into a network of its own."""
    import torch

    codes = style.generator.codes
    assert codes is not None
    with torch.no_grad():
        code = torch.tensor(mix.weights)[None] @ codes
        generator = style.generator.fold(code)
    return Style(chosen_card(style.card, mix), generator, style.path, style.keys)


def _load_file(path: Path) -> Style:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from impasto.core.generators import GENERATORS

    card = read_card(path)
    if card.generator not in GENERATORS:
        raise StyleError(
            f"expected a generator among {', '.join(GENERATORS)}, '{path}' names '{card.generator}'; "
            "it needs a newer impasto"
        )
    try:
        generator = GENERATORS[card.generator].build(card.config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise StyleError(
            f"expected a configuration of '{card.generator}' in '{path}', got {str(dict(card.config))[:200]}"
        ) from error
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise StyleError(f"expected weights in '{path}', could not read them: {error}; fetch the file again") from error
    stored = dict(weights)
    if planes_in(card.guides) != generator.config.guides:
        raise StyleError(
            f"expected {generator.config.guides} guide planes on the card of '{path}', got {planes_in(card.guides)}; "
            "fetch the file again"
        )
    keys = take_keys(weights, card.keys, str(path), generator.config.guides)
    wanted = generator.state_dict()
    if weights.keys() != wanted.keys():
        odd = min(weights.keys() ^ wanted.keys())
        raise StyleError(f"expected the weights of a '{card.generator}' in '{path}', '{odd}' is missing or too much")
    for name, tensor in weights.items():
        if tensor.shape != wanted[name].shape or tensor.dtype not in (torch.float16, torch.float32):
            raise StyleError(
                f"expected {tuple(wanted[name].shape)} float16 or float32 for '{name}' in '{path}', "
                f"got {tuple(tensor.shape)} {tensor.dtype}"
            )
        if not torch.isfinite(tensor).all():
            raise StyleError(
                f"expected finite weights in '{path}', '{name}' holds NaN or infinity; fetch or train it again"
            )
    digest = weights_sha256(stored)
    if digest != card.weights_sha256:
        raise StyleError(
            f"expected weights with SHA-256 {card.weights_sha256[:12]}… in '{path}', got {digest[:12]}…; "
            "fetch the file again"
        )
    facts = (card.halo, card.stride, card.tileable)
    config = generator.config
    try:
        require_codes(card.codes, config.styles)
    except ValueError as error:
        raise StyleError(f"expected the names of the styles in '{path}': {error}; fetch the file again") from error
    if facts != (config.halo, config.stride, config.tileable):
        raise StyleError(
            f"expected halo, stride and tiling {config.halo, config.stride, config.tileable} on the card of "
            f"'{path}', got {facts}; fetch the file again"
        )
    generator.load_state_dict(weights)
    generator.eval().requires_grad_(False)
    seen = canary(generator)
    # A comparison with infinity or NaN would hold for any picture, or for none.
    if not all(map(math.isfinite, (*seen, *card.canary))) or not all(
        abs(now - then) <= CANARY_TOLERANCE * max(1, abs(then)) for now, then in zip(seen, card.canary, strict=True)
    ):
        raise StyleError(
            f"expected the test picture of '{path}' to come out as {card.canary}, got {seen}; fetch the file again"
        )
    return Style(card, generator, path, keys)


def save_style(path: Path, card: Card, generator: UNet, keys: Keys | None = None) -> Style:
    """Write weights as float16, and keys unchanged, with their card, whole or not at all.

    Facts that follow from weights and keys are filled in on the card. The codes of the card name the styles in the
    network.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    weights = {
        name: value.detach().to("cpu", torch.float16).contiguous() for name, value in generator.state_dict().items()
    }
    if not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        raise StyleError(f"expected weights that are finite in float16, some are not; '{path}' was not written")
    try:
        require_codes(card.codes, generator.config.styles)
    except ValueError as error:
        raise StyleError(f"expected names for the styles in the network: {error}; '{path}' was not written") from error
    stored = type(generator)(generator.config).eval()
    stored.load_state_dict(weights)
    config = generator.config
    if keys is not None:
        weights.update({name: tensor.contiguous() for name, tensor in tensors_of(keys).items()})
    card = replace(
        card,
        halo=config.halo,
        stride=config.stride,
        tileable=config.tileable,
        config=config.as_dict(),
        weights_sha256=weights_sha256(weights),
        canary=canary(stored),
        keys=None if keys is None else keys.facts,
    )
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"could not make the folder '{path.parent}': {error}; choose another") from error
    try:
        save_file(weights, partial, metadata={"card": card.to_json(), "format": "pt"})
        partial.chmod(0o644)  # the library writes files that only their owner may read
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:  # the library has an error of its own for a full disk
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"could not write the style '{path}': {error}; choose another folder or free space"
        ) from error
    return Style(card, stored, path, keys)


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values of the weights and keys, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()


def canary(generator: UNet) -> tuple[float, float]:
    """Mean and root mean square of the result on a fixed picture of ramps and stripes, on the CPU in float32."""
    import torch

    side = torch.arange(96) / 95
    ramp = side[None, :].expand(96, 96)
    stripes = 0.5 + 0.4 * torch.sin(40 * side)[:, None].expand(96, 96)
    picture = torch.stack((ramp, stripes, 1 - ramp * stripes))[None]
    guides = torch.full((1, generator.config.guides, 96, 96), 0.5)
    with torch.inference_mode():
        gain, bias = generator.float()(torch.cat((picture, guides), dim=1))
        result = gain * picture + bias
    return round(float(result.mean()), 5), round(float(result.pow(2).mean().sqrt()), 5)


def _header(path: Path) -> dict[str, dict[str, str]]:
    """The JSON header of a safetensors file, checked for size and for duplicate keys."""
    if path.suffix.lower() in PICKLES:
        raise StyleError(
            f"expected a .safetensors file, got '{path.name}'; pickled weights can run code when they are opened "
            "and are never read here. Train the style with impasto, or convert the weights where you trust them"
        )
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= LARGEST_HEADER:
                raise StyleError(f"expected a style (a .safetensors file), '{path}' is none; check the path")
            text = file.read(length)
    except FileNotFoundError as error:
        raise StyleError(
            f"expected a style file, there is none at '{path}'; `impasto styles` lists the built-in ones"
        ) from error
    except OSError as error:
        raise StyleError(f"could not read the style '{path}': {error}; check its permissions") from error
    try:
        header = json.loads(text, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise StyleError(
            f"expected a sound safetensors header in '{path}', got {error}; fetch the file again"
        ) from error
    if (
        not isinstance(header, dict)
        or not isinstance(header.get("__metadata__"), dict)
        or "card" not in header["__metadata__"]
    ):
        raise StyleError(
            f"expected a style with its card, '{path}' has none; only files that impasto trained are styles"
        )
    return header
