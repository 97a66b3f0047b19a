"""The extension inside the real Blender: registered, used, taken out."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.frame import Frame
from impasto.core.params import PARAMETERS, Params
from impasto.core.style_file import offered_by, style_files
from impasto.core.style_reference import name_of
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import in_blender
from tests.hosts.blender.inside import basics

pytestmark = pytest.mark.blender

OFFERED = [name_of(str(each)) for _, path in sorted(style_files().items()) for each, _ in offered_by(path)]


def test_the_extension_registers_and_blender_ends_cleanly(blender_version: str) -> None:
    found = in_blender(blender_version, basics.what_it_is, leave=True)
    assert ".".join(map(str, found["version"][:2])) == blender_version
    assert found["type"] == "IMPASTO_AP_preferences"
    assert found["command"] == "/somewhere/impasto"


def test_the_sliders_are_the_table_of_parameters(blender_version: str) -> None:
    found = in_blender(blender_version, basics.settings)
    assert found["defaults"] == Params().as_dict()
    assert found["ranges"] == {each.name: [each.minimum, each.maximum, each.help.rstrip(".")] for each in PARAMETERS}


def test_an_animated_slider_is_read_at_any_frame_without_moving_the_scene(blender_version: str) -> None:
    found = in_blender(blender_version, basics.settings)
    assert found["halfway"] == pytest.approx(0.5)
    assert found["animated"]
    assert found["frame"] == 1


def test_styles_come_from_the_server_with_their_pictures(blender_version: str, render_server: RenderServer) -> None:
    found = in_blender(blender_version, basics.chosen_style, "wheatfield", environment=render_server.environment)
    assert found["name"] == found["style"] == "wheatfield"
    assert found["names"] == OFFERED
    assert found["pictures"] == len(OFFERED) - 1, "all but identity"
    assert found["picture"] == [160, 90]
    assert found["colour"] == 0.25


def test_a_frame_from_inside_blender_comes_back_as_the_engine_paints_it(
    blender_version: str, render_server: RenderServer
) -> None:
    found = in_blender(blender_version, basics.painted_frame, "wheatfield-draft", environment=render_server.environment)
    plate = np.random.default_rng(3).random((64, 96, 4), dtype=np.float32)
    plate[..., 3] = 1
    pixels = np.frombuffer(bytes.fromhex(found["pixels"]), np.float32).reshape(plate.shape)
    np.testing.assert_array_equal(pixels, Engine("wheatfield-draft")(Frame.from_pixels(plate)).part.pixels)
    assert found["numpy"].startswith("1.26.")
    assert found["transport"] == "ring"
    assert found["state"] == "ready"
    assert {"identity", "wheatfield", "wheatfield-draft"} <= set(found["styles"])
