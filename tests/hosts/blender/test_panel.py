"""What the sidebar shows, and how the connection that it shows behaves, in the real Blender."""

from __future__ import annotations

import pytest

from impasto.core.params import PARAMETERS
from tests.hosts.blender.conftest import RenderServer
from tests.hosts.blender.in_blender import in_blender
from tests.hosts.blender.inside import panel_scenes

pytestmark = pytest.mark.blender


def test_without_a_server_the_panel_offers_to_start_one(blender_version: str) -> None:
    found = in_blender(
        blender_version, panel_scenes.panels_without_a_server, environment={"IMPASTO_COMMAND": "/studio/bin/impasto"}
    )
    assert found["error"] == ""
    assert found["preferences"][1] == "The server is started by /studio/bin/impasto"
    assert found["drawn"]["Impasto"][:2] == ["Server not connected", "[Start]"]


def test_every_parameter_the_error_and_the_job_are_drawn(blender_version: str, render_server: RenderServer) -> None:
    found = in_blender(
        blender_version, panel_scenes.panels_with_a_server, "wheatfield", environment=render_server.environment
    )
    assert found["error"] == "expected a strip, got none; select one", "drawing a panel must not fail"
    said = found["drawn"]["Impasto"]
    assert said[0] == "Server is ready"
    assert said[1].startswith("impasto ")
    assert {each.name for each in PARAMETERS} | {"style"} <= set(said)
    assert "select one" in " ".join(said)
    assert {"matte", "matte_strip", "range", "first", "last"} == set(found["drawn"]["Matte and Range"])
    assert any("painting 12 of 48" in each for each in found["drawn"]["Stylize"])
    assert found["dismissed"] == ""
    assert found["cancelling"]
    assert found["tooltip"].startswith("Remove the last error")


def test_connecting_never_waits_and_a_lost_server_is_noticed_and_found_again(
    blender_version: str, server_environment: dict[str, str]
) -> None:
    found = in_blender(blender_version, panel_scenes.states_of_the_connection, environment=server_environment)
    assert [found["before"], found["soon"], found["ready"], found["again"]] == ["absent", "starting", "ready", "ready"]
    assert not found["waited"], "it came back only when the server was there"
    assert found["sentence"].startswith("impasto ")
    assert found["lost"] == "the server is gone; the next request starts it again"
    assert found["same"]
    assert found["left"] == [
        "absent", True, "the preferences name another server", ["Server not connected", "[Start]"],
    ]  # fmt: skip
    assert found["back"] == "ready"


def test_a_missing_command_is_one_sentence_with_what_to_do(
    blender_version: str, server_environment: dict[str, str]
) -> None:
    found = in_blender(
        blender_version, panel_scenes.missing_command, "/nowhere/impasto", environment=server_environment, leave=True
    )
    assert found["sentence"] == found["last"]
    assert found["sentence"].startswith("expected the command '/nowhere/impasto' to start a render server, found none;")
    assert "preferences" in found["sentence"]
    assert found["state"] == "absent"
    assert found["operator"] == ["FINISHED"]


def test_blender_ends_cleanly_while_a_server_starts(blender_version: str, server_environment: dict[str, str]) -> None:
    in_blender(blender_version, panel_scenes.leave_while_it_starts, environment=server_environment, leave=True)


def test_a_far_server_is_left_alone_while_blender_works_offline(blender_version: str) -> None:
    found = in_blender(blender_version, panel_scenes.far_server_offline, "tcp://render1.example:7780")
    assert found["online"] is False
    assert "Allow Online Access" in found["sentence"]


def test_the_switch_of_the_wipe_has_it_drawn_and_not_longer(blender_version: str) -> None:
    assert in_blender(blender_version, panel_scenes.wipe_switched, leave=True) == [False, True, False]


def test_a_fault_in_an_operator_is_a_sentence_and_no_traceback(blender_version: str) -> None:
    found = in_blender(blender_version, panel_scenes.operator_that_fails)
    assert "impasto itself is at fault (ZeroDivisionError: of a test)" in found["last"]
    assert found["last"] in found["reported"]
    assert "Traceback" not in found["reported"]
