"""Keys in a style file: what is written comes back, what is wrong is refused, older files stay readable."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from impasto.core.card import card_from_json
from impasto.core.errors import StyleError
from impasto.core.keyframe_paint.stored_keys import tensors_of
from impasto.core.style_file import Style, load_style, read_card, save_style, weights_sha256
from tests.core.keyframe_paint.test_painted_frames import CARD, NET, PAINT, PLATE, keys_of


@pytest.fixture
def style(tmp_path: Path) -> Style:
    return save_style(tmp_path / "hero.safetensors", CARD, NET, keys_of((PLATE, PAINT), noise=1.5, follow=True))


def rewrite(path: Path, tensors: dict[str, torch.Tensor | None], facts: dict[str, Any]) -> None:
    """The file with other tensors (None: without) and other facts of its keys, and the hash that belongs to them."""
    stored = {**load_file(path), **tensors}
    stored = {name: tensor for name, tensor in stored.items() if tensor is not None}
    card = json.loads(read_card(path).to_json())
    card["keys"] = {**card["keys"], **facts}
    card["weights_sha256"] = weights_sha256(stored)  # type: ignore[arg-type]
    save_file(stored, path, metadata={"card": json.dumps(card)})  # type: ignore[arg-type]


def test_keys_come_back_as_they_were_saved(style: Style) -> None:
    assert style.path is not None
    loaded = load_style(style.path)
    assert loaded.card == style.card
    assert loaded.keys is not None
    assert style.keys is not None
    assert loaded.keys.facts == style.keys.facts == loaded.card.keys
    saved = tensors_of(style.keys)
    for name, tensor in tensors_of(loaded.keys).items():
        assert torch.equal(tensor, saved[name])


def test_a_style_without_keys_says_so(tmp_path: Path) -> None:
    loaded = load_style(save_style(tmp_path / "plain.safetensors", CARD, NET).path)  # type: ignore[arg-type]
    assert loaded.keys is None
    assert loaded.card.keys is None


def test_other_paint_is_another_style(style: Style, tmp_path: Path) -> None:
    """What a resumed shot and a server go by must differ where the pixels may."""
    other = save_style(tmp_path / "other.safetensors", CARD, NET, keys_of((PLATE, PLATE), noise=1.5, follow=True))
    assert other.card.weights_sha256 != style.card.weights_sha256


@pytest.mark.parametrize(
    ("tensors", "facts", "message"),
    [
        ({"keys.paints": torch.zeros(1, 3, 96, 159, dtype=torch.uint8)}, {}, r"expected \(1, 3, 96, 160\)"),
        ({"keys.paints": torch.zeros(1, 3, 96, 160)}, {}, "torch.uint8"),
        ({"keys.painted": None}, {}, "got nothing"),
        ({"keys.more": torch.zeros(1)}, {}, "'keys.more' is missing or too much"),
        ({}, {"frames": [1, 2]}, r"expected \(2, 3, 96, 160\)"),
        ({}, {"frames": []}, "does not fit"),
        ({}, {"height": 0}, "does not fit"),
        ({}, {"samples": "float64"}, "does not fit"),
        ({}, {"noise": float("nan")}, "does not fit"),
        ({}, {"follow": "yes"}, "does not fit"),
        ({}, {"wings": 2}, "does not fit"),
    ],
)
def test_keys_that_are_not_what_the_card_says_are_refused(
    style: Style, tensors: dict[str, torch.Tensor | None], facts: dict[str, Any], message: str
) -> None:
    assert style.path is not None
    rewrite(style.path, tensors, facts)
    with pytest.raises(StyleError, match=message):
        load_style(style.path)


def test_keys_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    keys = keys_of((PLATE.astype("float16") / 255, PAINT.astype("float16") / 255))
    keys.paints[0, 0, 5, 5] = torch.nan
    path = save_style(tmp_path / "hero.safetensors", CARD, NET, keys).path
    assert path is not None
    with pytest.raises(StyleError, match="finite keys"):
        load_style(path)


def test_a_changed_key_is_noticed(style: Style) -> None:
    assert style.path is not None
    stored = load_file(style.path)
    stored["keys.paints"][0, 0, 0, 0] += 1
    save_file(stored, style.path, metadata={"card": style.card.to_json()})
    with pytest.raises(StyleError, match="SHA-256"):
        load_style(style.path)


def test_a_card_of_schema_1_is_read_as_one_without_keys() -> None:
    facts = asdict(CARD)
    del facts["keys"]
    del facts["defaults"]["keys"]
    card = card_from_json(json.dumps({"schema": 1, **facts}), "old")
    assert card == CARD
    assert card.keys is None
    assert card.defaults.keys == 1.0
