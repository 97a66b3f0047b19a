"""The network of a trained keyframe style leaves for other programs, without its keys, and paints there as here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.export.exporting import FORMATS, export_to
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.params import Params
from impasto.core.style_file import load_style
from impasto.training.data.keyframes import load_keyframes
from impasto.training.export import Label
from impasto.training.loop import run
from impasto.training.objectives.keyframes import RECIPE, hold_out, task_for
from impasto.training.task import Schedule
from tests.training.pictures import painted, plate, write_shot

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks")
def test_a_keyframe_style_paints_elsewhere_as_its_network_paints_here(tmp_path: Path) -> None:
    split = hold_out(load_keyframes(write_shot(tmp_path), tmp_path / "keys"), 1)
    recipe = dataclasses.replace(RECIPE, size="draft", minutes=0.0, steps=60, batch=2, crop=48, mixed_precision=False)
    run(task_for(split, recipe, tmp_path / "hero.safetensors", Label("hero")), recipe, Schedule(tmp_path / "run"))
    style = load_style(tmp_path / "hero.safetensors")
    assert style.card.generator == "resunet"
    assert style.keys is not None
    picture = np.ascontiguousarray(plate(5)[:91, :117])  # off the stride
    frame = Frame.from_pixels(picture, colour_space="srgb")
    wanted = Engine(style, device="cpu", precision="float32")(frame, FrameSettings(Params(keys=0))).colour
    goal = painted(picture)
    assert np.abs(wanted - goal).mean() < 0.5 * np.abs(picture - goal).mean(), "it must have learned something"
    for to, ending in (("onnx", "onnx"), ("torchscript", "pt")):
        exported = export_to(to, style, tmp_path / f"hero.{ending}")
        assert exported.largest_difference < 1e-4
        assert exported.facts["impasto.keys"].startswith("none: the 1 painted keys of the style stay behind")
        came = FORMATS[to].backend().open_net(exported.path)(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])
        np.testing.assert_allclose(came[0].transpose(1, 2, 0), wanted, atol=1e-4)
