"""The look of a session: which styles there are, and what may be set."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.core.errors import UnknownName, UsageError
from impasto.core.params import PARAMETERS
from impasto.hosts.live.governor import Rung
from impasto.hosts.live.look import LookSetting, offered_styles, with_reference

FOUND = [
    ("atelier", "Atelier", "", {}, True),
    ("atelier@ink", "Atelier: Ink", "", {}, True),
    ("clean-draft", "Clean", "", {}, True),
    ("oil", "Oil", "Thick.", {"stroke": 2.0}, True),
    ("oil-draft", "Oil", "", {}, True),
    ("ink", "Ink", "", {}, False),
]
STYLES = offered_styles(FOUND)


def test_a_draft_goes_with_its_style_and_styles_that_keep_time_come_first() -> None:
    assert list(STYLES) == ["oil", "atelier", "clean-draft", "ink", "atelier@ink"]
    assert STYLES["oil"].draft == "oil-draft"
    assert STYLES["clean-draft"].draft == ""


def test_the_network_of_a_rung() -> None:
    setting = LookSetting(STYLES, "oil")
    assert [setting.network(rung) for rung in setting.rungs()][:2] == ["oil", "oil-draft"]
    setting.choose_style("ink")
    assert {setting.network(rung) for rung in setting.rungs()} == {"ink"}
    assert setting.rungs()[0] == Rung(False, 1.0)


def test_values_are_those_that_were_set_or_the_style_has_or_all_have() -> None:
    setting = LookSetting(STYLES, "oil", {"detail": 0.5})
    assert setting.values() == {**{each.name: each.default for each in PARAMETERS}, "stroke": 2.0, "detail": 0.5}
    setting.set_params({"stroke": 1, "detail": None})
    assert (setting.values()["stroke"], setting.values()["detail"]) == (1.0, 0.0)


@pytest.mark.parametrize("value", [1.1, "1", True, float("nan")])
def test_a_value_that_cannot_be_is_refused_and_nothing_changes(value: float) -> None:
    setting = LookSetting(STYLES, "oil")
    with pytest.raises(UsageError):
        setting.set_params({"strength": value})
    assert (setting.look.params, setting.revision) == ({}, 0)


def test_a_parameter_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownName, match="strength"):
        LookSetting(STYLES, "oil", {"strenght": 1.0})


def test_a_file_and_a_blend_are_styles_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    styles, name = with_reference(STYLES, "mine.safetensors")
    assert name == str(tmp_path / "mine.safetensors")
    assert styles[name].title == "mine.safetensors"
    styles, name = with_reference(STYLES, "atelier@ink=0.6+oil=0.4")
    assert LookSetting(styles, name).network(Rung(False, 1.0)) == "atelier@ink=0.6+oil=0.4"
    with pytest.raises(UsageError, match="found none"):
        with_reference(STYLES, "other.safetensors")
    with pytest.raises(UnknownName, match="oil"):
        LookSetting(*with_reference(STYLES, "oill"))
