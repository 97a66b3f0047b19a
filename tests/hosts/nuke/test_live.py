"""`impasto nuke live`: a style that NukeX runs by itself, and the script that builds its .cat."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.core.export.parity import TOLERANCE, largest_difference
from impasto.core.export.torchscript_file import open_net
from impasto.core.style_file import find_style, load_style
from impasto.hosts.terminal.app import run
from impasto.hosts.terminal.exit_codes import USAGE
from impasto.hosts.terminal.install.nuke_live import live_script, quoted

STYLE = "wheatfield-draft"
CHANNELS = "rgba.red, rgba.green, rgba.blue"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("live folder")
    assert run(["nuke", "live", STYLE, "-o", str(folder)]) == 0
    return folder


def nodes_of(script: str) -> dict[str, dict[str, str]]:
    """Class -> knobs of a script of plain nodes; fails on what TCL would not read as such."""
    found: dict[str, dict[str, str]] = {}
    for kind, body in re.findall(r"^(\w+) \{\n(.*?)^\}\n", script, flags=re.MULTILINE | re.DOTALL):
        lines = re.findall(r'^ (\w+) ("(?:[^"\\]|\\.)*"|[\w.-]+)$', body, flags=re.MULTILINE)
        assert len(lines) == body.count("\n"), f"a line of {kind} is no knob and value"
        found[kind] = {name: re.sub(r"\\(.)", r"\1", value).strip('"') for name, value in lines}
    return found


def test_the_script_builds_the_cat_of_the_network_beside_it(made: Path) -> None:
    nodes = nodes_of((made / f"{STYLE}.nk").read_text())
    creator, inference = nodes["CatFileCreator"], nodes["Inference"]
    assert Path(creator["torchScriptFile"]) == made / f"{STYLE}.pt"
    assert Path(creator["catFile"]) == Path(inference["modelFile"]) == made / f"{STYLE}.cat"
    assert creator["channelsIn"] == creator["channelsOut"] == CHANNELS
    assert {"Root", "StickyNote", "Dot"} <= nodes.keys()


def test_the_network_paints_scene_linear_light_as_the_engine_does(made: Path) -> None:
    difference = largest_difference(load_style(find_style(STYLE)), open_net(made / f"{STYLE}.pt"), linear=True)
    assert difference <= TOLERANCE


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (64, 96)])
def test_the_network_takes_what_nuke_hands_it(made: Path, size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of a format that Nuke asks for
        net = torch.jit.load(str(made / f"{STYLE}.pt"))
    picture = torch.from_numpy(np.linspace(-0.5, 20, 3 * size[0] * size[1], dtype=np.float32).reshape(1, 3, *size))
    with torch.inference_mode():
        painted = net(picture)
        # "Optimize for Speed and Memory" in the Inference node.
        halved = net.half()(picture.half())
    assert painted.shape == halved.shape == picture.shape
    assert (painted.dtype, halved.dtype) == (torch.float32, torch.float16)
    assert bool(torch.isfinite(painted).all())


def test_a_second_time_needs_leave(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nuke", "live", STYLE, "-o", str(made)]) == USAGE
    assert "--overwrite" in capsys.readouterr().err
    assert run(["nuke", "live", STYLE, "-o", str(made), "--overwrite"]) == 0


def test_text_that_tcl_would_run_is_text(tmp_path: Path) -> None:
    title = 'The "best" [exec rm] $HOME \\ {'
    facts = {"impasto.title": title, "impasto.licence": "Apache-2.0", "impasto.colour": "any"}
    script = live_script(tmp_path / "a b.pt", facts)
    assert quoted(title) in script
    assert re.search(r"(?<!\\)[\[$]", script) is None
    # Once by the script, once by the knob.
    assert re.sub(r"\\(.)", r"\1", nodes_of(script)["Inference"]["label"]) == title
