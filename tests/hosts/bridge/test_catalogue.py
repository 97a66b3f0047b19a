"""Styles and parameters as the command tells them, and as the installation noted them."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.core.params import PARAMETERS
from impasto.core.style_file import offered_by, style_files
from impasto.core.style_reference import name_of
from impasto.hosts.bridge.catalogue import Catalogue, load_catalogue, read_catalogue, store_catalogue
from impasto.hosts.bridge.command import Command
from impasto.hosts.bridge.errors import BridgeError
from impasto.hosts.terminal.install.host_files import own_catalogue
from tests.hosts.bridge.conftest import Scripted
from tests.hosts.terminal.conftest import IMPASTO


def test_the_command_tells_what_the_installation_notes() -> None:
    told = read_catalogue(Command(IMPASTO))
    assert told == own_catalogue()
    offered = {name_of(str(each)) for path in style_files().values() for each, _ in offered_by(path)}
    assert {each.name for each in told.styles} == offered
    assert [each.name for each in told.parameters] == [each.name for each in PARAMETERS]
    assert told.style_names()[-1] == "identity"


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    store_catalogue(own_catalogue(), tmp_path / "c.json")
    assert load_catalogue(tmp_path / "c.json") == own_catalogue()


@pytest.mark.parametrize("text", [None, "", "{}", '{"styles": [{"colour": 1}], "parameters": []}'])
def test_a_catalogue_that_cannot_be_read_is_empty(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "c.json").write_text(text)
    assert load_catalogue(tmp_path / "c.json") == Catalogue()


def test_the_error_of_a_command_is_passed_on(scripted: Scripted) -> None:
    with pytest.raises(BridgeError, match="expected the package 'torch'"):
        read_catalogue(scripted("say('failed', message=\"expected the package 'torch'\")"))
