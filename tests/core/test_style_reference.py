"""A choice among the styles in one file: how it is spelled, and what it paints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from impasto.core.card import Card
from impasto.core.engine import Engine
from impasto.core.errors import StyleError, UnknownName, UsageError
from impasto.core.frame import Frame
from impasto.core.generators.resunet import ResUNet, ResUNetConfig
from impasto.core.generators.unet import UNet, UNetConfig
from impasto.core.style_file import Style, find_style, load_style, offered_by, read_card, save_style
from impasto.core.style_reference import name_of, parse_choice, split_reference

CODES = ("wave", "wheat", "dark ink")
CARD = Card(
    name="many", title="Many", description="", generator="resunet", config={}, size="draft", halo=1, stride=1,
    licence="Apache-2.0", weights_sha256="-", canary=(0.0, 0.0), codes=CODES,
)  # fmt: skip
NETS = {
    "resunet": ResUNetConfig(widths=(8, 12, 16), blocks=(0, 0, 1), styles=3, code_width=4),
    "unet": UNetConfig(widths=(8, 16), blocks=(1, 1), styles=3, code_width=4),
}


@pytest.fixture(params=sorted(NETS))
def many(request: pytest.FixtureRequest, tmp_path: Path) -> Style:
    torch.manual_seed(1)
    config = NETS[request.param]
    net = ResUNet(config) if isinstance(config, ResUNetConfig) else UNet(config)
    for parameter in net.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return save_style(tmp_path / "many.safetensors", replace(CARD, generator=request.param), net)


def path_of(style: Style) -> Path:
    assert style.path is not None
    return style.path


@pytest.mark.parametrize(
    ("reference", "style", "choice"),
    [
        ("many", "many", ""),
        ("many@wave", "many", "wave"),
        ("many@wave=0.7+wheat=0.3", "many", "wave=0.7+wheat=0.3"),
        ("/home/me@work/many.safetensors", "/home/me@work/many.safetensors", ""),
        ("/home/me@work/many.safetensors@wave", "/home/me@work/many.safetensors", "wave"),
        ("C:\\a@b\\my@style.safetensors", "C:\\a@b\\my@style.safetensors", ""),
    ],
)
def test_a_choice_stands_behind_the_last_mark_that_belongs_to_no_path(reference: str, style: str, choice: str) -> None:
    assert split_reference(reference) == (style, choice)


@pytest.mark.parametrize(
    ("choice", "spelled"),
    [
        ("wave", "wave"),
        ("wave=3", "wave"),
        ("wheat + wave", "wave=0.5+wheat=0.5"),
        ("wave=7+wheat=3", "wave=0.7+wheat=0.3"),
        ("wave=0.5+wave=0.5+dark ink=0", "wave"),
    ],
)
def test_the_same_blend_has_one_spelling(choice: str, spelled: str) -> None:
    mix = parse_choice(choice, CODES, "many")
    assert str(mix) == spelled
    assert sum(mix.weights) == pytest.approx(1)


def test_what_cannot_be_chosen_is_said_with_what_can() -> None:
    with pytest.raises(UnknownName, match="did you mean 'wheat'"):
        parse_choice("weat", CODES, "many")
    with pytest.raises(UsageError, match="weight of 0 or more for 'wave', got 'much'"):
        parse_choice("wave=much", CODES, "many")
    with pytest.raises(UsageError, match="one weight above 0"):
        parse_choice("wave=0", CODES, "many")
    with pytest.raises(StyleError, match="it holds one"):
        load_style(find_style("identity@wave"))


def test_a_choice_paints_what_its_code_paints_and_a_blend_what_lies_between_the_codes(many: Style) -> None:
    picture = torch.rand(1, 3, 32, 40)
    codes = many.generator.codes
    assert codes is not None
    wanted = {
        "wheat": codes[1:2],
        "wave=0.25+dark ink=0.75": 0.25 * codes[:1] + 0.75 * codes[2:],
    }
    for choice, code in wanted.items():
        chosen = load_style(Path(f"{path_of(many)}@{choice}")).generator
        with torch.inference_mode():
            for one, other in zip(many.generator(picture, code), chosen.fold()(picture), strict=True):
                assert torch.allclose(one, other, atol=1e-4)
    with torch.inference_mode():
        assert not torch.allclose(many.generator(picture)[1], many.generator(picture, codes[1:2])[1], atol=1e-3)


def test_a_frame_says_which_of_the_styles_painted_it(many: Style) -> None:
    frame = Frame.from_pixels(np.random.default_rng(1).integers(0, 256, (48, 56, 3), np.uint8))
    painted = [Engine(f"{path_of(many)}{choice}")(frame) for choice in ("", "@wave", "@wheat", "@wave+wheat")]
    names = [each.provenance["style"] for each in painted]
    assert names == ["many", "many@wave", "many@wheat", "many@wave=0.5+wheat=0.5"]
    assert len({each.provenance["style_sha256"] for each in painted}) == 4
    assert np.array_equal(painted[0].colour, painted[1].colour)  # the first of them is what paints unasked
    assert not np.array_equal(painted[1].colour, painted[2].colour)


def test_a_file_offers_itself_and_each_of_its_styles(many: Style) -> None:
    offered = offered_by(path_of(many))
    assert [name_of(str(path)) for path, _ in offered] == ["many", "many@wave", "many@wheat", "many@dark ink"]
    assert [card.title for _, card in offered][1:] == ["Many: Wave", "Many: Wheat", "Many: Dark ink"]
    assert all(read_card(path) == card for path, card in offered)
    assert len(offered_by(find_style("identity"))) == 1


@pytest.mark.parametrize("codes", [(), ("wave",), ("wave", "wave", "ink"), ("wave", "a@b", "ink")])
def test_a_card_must_name_the_styles_apart(many: Style, codes: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    odd = replace(many.card, codes=codes)
    with pytest.raises(StyleError, match="was not written"):
        save_style(path, odd, many.generator)
    assert not path.exists()
    save_file(load_file(path_of(many)), path, metadata={"card": odd.to_json()})
    with pytest.raises(StyleError, match="the names of the styles"):
        load_style(path)


def test_a_file_with_the_mark_in_its_name_is_found_whole(many: Style, tmp_path: Path) -> None:
    path = tmp_path / "me@home.safetensors"
    path.write_bytes(path_of(many).read_bytes())
    assert find_style("me@home", [tmp_path]) == path
