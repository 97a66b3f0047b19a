"""Style files: what is written comes back, what is wrong is refused with a sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from impasto.core.card import Card, card_from_json
from impasto.core.errors import ImpastoError, StyleError, UnknownName
from impasto.core.generators.unet import UNet, UNetConfig
from impasto.core.params import Params
from impasto.core.style_file import BUILT_IN, Style, find_style, load_style, read_card, save_style, style_files

CONFIG = UNetConfig(widths=(8, 16), blocks=(1, 1))
CARD = Card(
    name="mine", title="Mine", description="", generator="unet", config={}, size="draft", halo=1, stride=1,
    licence="Apache-2.0", weights_sha256="-", canary=(0.0, 0.0), credits=("nobody",), defaults=Params(stroke=2.0),
)  # fmt: skip


@pytest.fixture
def style(tmp_path: Path) -> Style:
    torch.manual_seed(1)
    return save_style(tmp_path / "mine.safetensors", CARD, UNet(CONFIG))


def rewrite(path: Path, *, tensors: dict[str, torch.Tensor] | None = None, card: dict[str, Any] | None = None) -> None:
    weights = load_file(path)
    weights.update(tensors or {})
    facts = json.loads(read_card(path).to_json())
    facts.update(card or {})
    save_file(weights, path, metadata={"card": json.dumps(facts)})


def test_what_is_saved_is_what_is_loaded(style: Style) -> None:
    assert style.path is not None
    loaded = load_style(style.path)
    assert loaded.card == style.card
    assert loaded.card.defaults.stroke == 2.0
    assert loaded.card.halo == CONFIG.halo
    picture = torch.rand(1, 3, 32, 32)
    for one, other in zip(style.generator(picture), loaded.generator(picture), strict=True):
        assert torch.equal(one, other)


def test_nothing_but_the_style_is_left_in_the_folder(style: Style) -> None:
    assert style.path is not None
    assert list(style.path.parent.iterdir()) == [style.path]


@pytest.mark.parametrize("name", sorted(style_files()))
def test_every_built_in_style_loads_and_bears_licence_and_facts(name: str) -> None:
    style = load_style(find_style(name))
    assert style.card.name == name
    assert style.card.licence not in ("", "unstated")
    assert style.card.description
    assert (BUILT_IN / f"{name}.safetensors").stat().st_size <= 4 << 20


def test_an_unknown_style_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'identity'"):
        find_style("identiti")


def test_a_folder_of_ones_own_comes_before_the_built_in_styles(style: Style) -> None:
    assert style.path is not None
    assert style_files([style.path.parent])["mine"] == style.path
    assert "identity" in style_files([style.path.parent])


@pytest.mark.parametrize("ending", [".pt", ".pth", ".ckpt"])
def test_pickled_weights_are_refused_unread_with_a_hint(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"style{ending}"
    with pytest.raises(StyleError, match="can run code"):
        load_style(path)


def test_a_changed_weight_is_noticed(style: Style) -> None:
    assert style.path is not None
    name = "head.bias"
    rewrite(style.path, tensors={name: load_file(style.path)[name] + 0.25})
    with pytest.raises(StyleError, match="SHA-256"):
        load_style(style.path)


@pytest.mark.parametrize(
    ("tensors", "card", "message"),
    [
        ({"head.bias": torch.full((96,), torch.nan, dtype=torch.float16)}, {}, "NaN"),
        ({"head.bias": torch.zeros(95, dtype=torch.float16)}, {}, r"expected \(96,\)"),
        ({"head.bias": torch.zeros(96, dtype=torch.int64)}, {}, "int64"),
        ({"more": torch.zeros(1)}, {}, "'more' is missing or too much"),
        ({}, {"generator": "unet9000"}, "newer impasto"),
        ({}, {"config": {"wings": 2}}, "configuration"),
        ({}, {"schema": 999}, "newer impasto"),
        ({}, {"halo": 8}, "halo"),
        ({}, {"canary": [9.0, 9.0]}, "test picture"),
        ({}, {"defaults": {"strength": 7}}, "does not fit"),
        ({}, {"licence": None, "title": ""}, "empty"),
        ({}, {"nonsense": 1}, "does not fit"),
    ],
)
def test_a_file_that_is_not_what_its_card_says_is_refused(
    style: Style, tensors: dict[str, torch.Tensor], card: dict[str, Any], message: str
) -> None:
    assert style.path is not None
    rewrite(style.path, tensors=tensors, card=card)
    with pytest.raises(StyleError, match=message):
        load_style(style.path)


def test_a_duplicate_key_in_the_header_is_refused(style: Style) -> None:
    assert style.path is not None
    stored = style.path.read_bytes()
    length = struct.unpack("<Q", stored[:8])[0]
    header = stored[8 : 8 + length].rstrip()
    doubled = header[:-1] + b',"head.bias":' + json.dumps(json.loads(header)["head.bias"]).encode() + b"}"
    style.path.write_bytes(struct.pack("<Q", len(doubled)) + doubled + stored[8 + length :])
    with pytest.raises(StyleError, match="twice"):
        load_style(style.path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64, b"not a style at all, but long enough"])
def test_what_is_no_style_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(StyleError):
        load_style(path)


def test_a_truncated_style_is_refused(style: Style) -> None:
    assert style.path is not None
    stored = style.path.read_bytes()
    style.path.write_bytes(stored[: len(stored) - 100])
    with pytest.raises(StyleError):
        load_style(style.path)


def test_a_style_without_a_card_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(StyleError, match="card"):
        load_style(path)


def test_a_style_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ImpastoError):
        save_style(blocked / "mine.safetensors", CARD, UNet(CONFIG))


def test_a_weight_that_overflows_half_is_not_written(tmp_path: Path) -> None:
    net = UNet(CONFIG)
    with torch.no_grad():
        net.head.bias[0] = 1e6
    with pytest.raises(StyleError, match="finite"):
        save_style(tmp_path / "mine.safetensors", CARD, net)
    assert not list(tmp_path.iterdir())


def deep(levels: int) -> Any:
    """Lists in lists; those that json.dumps cannot write are put in as text, by the test."""
    if levels > 1000:
        return f"DEEP {levels}"
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


def trained(**changed: Any) -> dict[str, Any]:
    return {"recipe": {}, "data_sha256": "a", "pictures": 1, "steps": 1, "seconds": 1.0, "date": "2026"} | changed


@pytest.mark.parametrize(
    "odd",
    [
        {"schema": 0},
        {"schema": -3},
        {"credits": 7},
        {"credits": [1, 2]},
        {"title": 5},
        {"description": None},
        {"defaults": {"strength": 10**400}},
        {"defaults": []},
        {"training": "yes"},
        {"halo": 1e308},
        {"halo": True},
        {"canary": [float("inf")] * 2},
        {"canary": [float("nan"), 0.1]},
        {"canary": [0.1]},
        {"canary": ["0.1", "0.1"]},
        {"config": [1]},
        {"config": {"widths": deep(40)}},
        {"tileable": "yes"},
        {"version": 1},
        {"title": "\ud800"},
        {"\ud800": 1},
        {"training": trained(recipe=[1])},
        {"training": trained(recipe={"a": deep(9000)})},
        {"training": trained(metrics={"loss": "low"})},
        {"training": trained(steps="many")},
        {"training": trained(seconds=None)},
        {"training": trained(date=5)},
    ],
    ids=lambda odd: str(odd)[:60],
)
def test_a_card_with_odd_facts_is_refused_as_a_style_error(style: Style, odd: dict[str, Any]) -> None:
    text = json.dumps({**json.loads(style.card.to_json()), **odd}).replace('"DEEP 9000"', "[" * 9000 + "]" * 9000)
    with pytest.raises(StyleError):
        card_from_json(text, "odd.safetensors")


def test_a_test_picture_that_every_result_would_match_is_refused(style: Style) -> None:
    assert style.path is not None
    stored = style.path.read_bytes()
    for value in (float("inf"), float("-inf"), float("nan")):
        style.path.write_bytes(stored)
        rewrite(style.path, card={"canary": [value, value]})
        with pytest.raises(StyleError, match="test picture"):
            load_style(style.path)


def test_a_card_of_endless_depth_is_refused_as_a_style_error() -> None:
    with pytest.raises(StyleError):
        card_from_json("[" * 100_000, "deep.safetensors")
