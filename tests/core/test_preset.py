"""Presets: what is stored comes back, and what is none is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import ImpastoError, UnknownName, UnreadableMedia, UsageError
from impasto.core.preset import (
    ENDING,
    Preset,
    new_preset_path,
    preset_folder,
    preset_names,
    preset_path,
    preset_text,
    read_preset,
)

FULL = Preset("atelier@ink=0.6", {"strength": 0.8, "stroke": 1.5}, {"denoise": 0.2}, {"gamma": 1.1}, "50%", "1280x720")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.preset.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_preset_comes_back_as_it_was(tmp_path: Path) -> None:
    assert read_preset(written(tmp_path, preset_text(FULL))) == FULL
    assert read_preset(written(tmp_path, preset_text(Preset("ink")))) == Preset("ink")


@given(
    name=st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/"), min_size=1, max_size=50),
    strength=st.floats(0, 1),
)
def test_any_name_and_number_comes_back(tmp_path_factory: pytest.TempPathFactory, name: str, strength: float) -> None:
    preset = Preset(name, {"strength": strength})
    assert read_preset(written(tmp_path_factory.mktemp("p"), preset_text(preset))) == preset


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ('style = "ink"\n[parameters]\nstrenght = 1', UnknownName, "did you mean 'strength'"),
        ('style = "ink"\n[params]\nstrength = 1', UnknownName, "did you mean 'parameters'"),
        ('style = "ink"\nstrength = 1', UnknownName, "entry of the preset"),
        ('style = "ink"\n[after]\nresize = 3', UsageError, 'expected resize = "50%"'),
        ('style = "ink"\n[after]\nresize = "half"', UsageError, "expected a size as 50%"),
        ('style = "ink"\n[parameters]\nresize = "50%"', UsageError, "expected a number for resize"),
        ('style = "ink"\n[parameters]\nstrength = 7', UsageError, "strength between 0 and 1, got 7.0, in the preset"),
        ('style = "ink"\n[parameters]\nstrength = nan', UsageError, "expected a number for strength"),
        ('style = "ink"\n[parameters]\nstrength = true', UsageError, "expected a number for strength"),
        ('style = "ink"\nbefore = 3', UsageError, "expected [before] with values"),
        ("[parameters]\nstrength = 1", UsageError, 'expected style = "NAME"'),
        ("style = 3", UsageError, "name its style"),
        ("not a preset", UsageError, "expected a preset in TOML"),
        ("a" * 70_000, UsageError, "at most 64 KiB"),
    ],
)
def test_what_is_no_preset_is_a_sentence(tmp_path: Path, text: str, kind: type[ImpastoError], said: str) -> None:
    with pytest.raises(kind) as raised:
        read_preset(written(tmp_path, text))
    assert said in str(raised.value)


def test_a_style_beside_the_preset_is_found_from_anywhere(tmp_path: Path) -> None:
    path = written(tmp_path, 'style = "./mine.safetensors@wave"')
    assert Path(read_preset(path).style) == tmp_path / "mine.safetensors@wave"


def test_presets_are_named(tmp_path: Path) -> None:
    folder = preset_folder({"XDG_CONFIG_HOME": str(tmp_path)})
    assert preset_names(folder) == []
    folder.mkdir(parents=True)
    path = new_preset_path("warm ink (2)", folder)
    path.write_text(preset_text(FULL), encoding="utf-8")
    assert preset_names(folder) == ["warm ink (2)"]
    assert preset_path("warm ink (2)", folder) == path
    assert preset_path(str(path), Path("/nowhere")) == path
    with pytest.raises(UnknownName, match="did you mean 'warm ink"):
        preset_path("warm ink", folder)
    with pytest.raises(UnreadableMedia, match="expected a preset at"):
        read_preset(tmp_path / f"gone{ENDING}")
    for name in ("../out", "", ".hidden", "a/b", "ends.", "a" * 81, "new\nline"):
        with pytest.raises(UsageError, match="expected a name of letters"):
            new_preset_path(name, folder)
