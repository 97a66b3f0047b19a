"""The node itself: knobs, undo, copies, and a script that needs none of us."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from impasto.core.params import PARAMETERS
from tests.hosts.nuke.conftest import ALL_GOOD, FIRST, LAST, STYLE, OpenNuke, Pretend, Session, colour_of, exr


@pytest.fixture
def session(open_nuke: OpenNuke, pretend: Pretend) -> Session:
    """Nuke with its window, and a command that paints by copying plates."""
    pretend(ALL_GOOD)
    return open_nuke()


@pytest.fixture
def alone(open_nuke: OpenNuke) -> Session:
    """Nuke with its window; nobody asks for a server."""
    return open_nuke()


def test_the_toolbar_makes_a_node(alone: Session) -> None:
    alone.nuke.menus["Nodes"].entries["Impasto"].entries["Impasto"]()
    assert [node.name() for node in alone.graph.impasto_nodes()] == ["Impasto1"]


def test_every_parameter_of_the_server_is_a_slider_with_its_range_and_help(alone: Session) -> None:
    node = alone.node()
    for each in PARAMETERS:
        knob = node[each.name]
        assert (knob.min(), knob.max(), knob.value(), knob.tooltip()) == (
            each.minimum, each.maximum, each.default, each.help,
        )  # fmt: skip


def test_the_styles_are_those_of_the_installation(alone: Session) -> None:
    assert {"identity", "wheatfield", STYLE} <= set(alone.node()["style"].values())


def test_making_a_node_is_one_step_of_undo(alone: Session) -> None:
    before = alone.nuke.script.steps
    alone.panel.create()
    assert alone.nuke.script.steps == before + 1
    alone.nuke.script.undo()
    assert alone.graph.impasto_nodes() == []


def test_showing_what_was_painted_is_one_step_of_undo(session: Session) -> None:
    node = session.node("identity")
    session.nuke.script._undo.clear()
    session.paint(node)
    states = [session.knobs.shown_frames(node).ready]
    while session.nuke.script.steps:
        session.nuke.script.undo()
        states.append(session.knobs.shown_frames(node).ready)
    assert states == [True, False]
    assert node.node("PlateWrite")["disable"].value() is True


def test_a_new_node_goes_between_the_selected_one_and_what_it_feeds(alone: Session) -> None:
    below = alone.nuke.nodes.Keymix()
    below.setInput(0, alone.plate)
    below.setInput(1, alone.grade)
    alone.grade.setSelected(True)
    node = alone.panel.create()
    assert node.input(0) is alone.grade
    assert (below.input(0), below.input(1)) == (alone.plate, node)


def test_the_state_in_the_panel_is_no_step_of_undo_and_no_change_of_the_script(alone: Session) -> None:
    node = alone.node()
    node.showControlPanel()
    said, steps = node["impasto_state"], alone.nuke.script.steps
    said.setValue = None
    node.showControlPanel()
    del said.setValue
    assert said.value().startswith("not painted yet")
    assert alone.nuke.script.steps == steps


def test_while_the_panel_is_closed_a_new_wire_starts_no_walk_of_the_tree(
    alone: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = alone.node()
    looked: list[object] = []
    monkeypatch.setattr(alone.panel, "refresh", looked.append)
    node.setInput(0, alone.plate)
    node._shown = False
    node.setInput(0, alone.grade)
    assert looked == [node]


def test_buttons_leave_no_name_that_an_artist_s_script_might_use(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    assert {name for name in session.nuke.script.main_names if not name.startswith("__")} == {"nuke", "impasto_panel"}


def test_a_button_finds_its_node_although_it_runs_inside_the_group(alone: Session) -> None:
    node = alone.node()
    with node:
        assert alone.nuke.allNodes("Group", recurseGroups=True) == []
        assert alone.graph.impasto_nodes() == [node]


def test_a_pasted_node_has_a_job_of_its_own(alone: Session) -> None:
    node = alone.node()
    copy = alone.nuke.script.copied(node)
    assert copy["identity"].value() != node["identity"].value()
    assert alone.knobs.plan_of(copy).folders != alone.knobs.plan_of(node).folders


def test_a_pasted_node_does_not_show_the_frames_of_the_first(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    copy = session.nuke.script.copied(node)
    assert copy["ready"].value() is False
    assert copy["impasto_state"].value().startswith("not painted yet")
    assert node["ready"].value() is True
    session.nuke.script.callbacks.clear()
    session.nuke.script.GUI = False
    with pytest.raises(RuntimeError, match="not_painted_yet"):
        session.render(session.final(copy))


def test_a_changed_setting_shows_in_the_state_at_once(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    node["detail"].setValue(0.5)
    assert node["impasto_state"].value().startswith("out of date")
    node["detail"].setValue(0.0)
    session.press(node, "reload")
    assert node["impasto_state"].value().startswith("up to date")


def test_a_change_above_the_node_is_noticed_and_a_new_name_is_none(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    session.grade.setName("Warmer")
    session.panel.refresh(node)
    assert node["impasto_state"].value().startswith("up to date")
    session.grade["white"].setValue(0.5)
    session.panel.refresh(node)
    assert node["impasto_state"].value() == "out of date: the input or the settings changed since it was painted"


def test_a_plate_that_was_rendered_anew_is_noticed(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    os.utime(session.folder / "in" / f"plate.{LAST}.exr", (1, 1))
    session.panel.refresh(node)
    assert node["impasto_state"].value().startswith("out of date: the input")
    session.paint(node)
    assert node["impasto_state"].value().startswith("up to date")


def test_a_node_inside_a_group_sees_what_is_above_the_group(alone: Session) -> None:
    around = alone.nuke.nodes.Group()
    with around:
        plate = alone.nuke.nodes.Input()
        node = alone.panel.create()
    around.setInput(0, alone.grade)
    node.setInput(0, plate)
    before = alone.graph.digest_above(node)
    alone.grade["white"].setValue(0.5)
    assert alone.graph.digest_above(node) != before
    assert alone.graph.impasto_nodes() == [node]


def test_without_a_plate_one_sentence_says_what_to_do(alone: Session) -> None:
    node = alone.panel.create()
    alone.press(node)
    assert alone.nuke.said == ["expected a plate at the first input of Impasto1, it is not connected; connect it"]


def test_a_missing_matte_is_an_error_and_not_black(alone: Session) -> None:
    node = alone.node()
    node["use_matte"].setValue(True)
    alone.press(node)
    assert alone.nuke.said[0].startswith("expected a matte at the second input of Impasto1, it is not connected")


@pytest.mark.parametrize(
    ("knob", "value", "said"),
    [
        ("views", "left", "expected views of this script (main), got 'left'"),
        ("last", 1000, "expected a range whose end is not before its start, got 1001-1000"),
        ("list", "1,x", "expected frames as 1001-1100, 1-19x2 or 1,3,5, got '1,x'"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error(alone: Session, knob: str, value: object, said: str) -> None:
    node = alone.node()
    node["range"].setValue("list" if knob == "list" else "custom")
    node["first"].setValue(FIRST)
    node["last"].setValue(LAST)
    node[knob].setValue(value)
    alone.press(node)
    assert said in alone.nuke.said[0]


def test_a_working_space_that_is_not_known_is_never_guessed(alone: Session) -> None:
    alone.nuke.root()["workingSpaceLUT"].setValue("Studio Log")
    node = alone.node()
    alone.press(node)
    assert "got 'Studio Log'" in alone.nuke.said[0]
    node["plate_space"].setValue("ACEScg")
    assert alone.knobs.plan_of(node).render.input_space == "ACEScg"


def test_a_script_never_renders_the_plate_of_a_node_by_itself(alone: Session) -> None:
    node = alone.node()
    write = node.node("PlateWrite")
    assert write["disable"].value() is True
    with pytest.raises(RuntimeError, match="disabled"):
        alone.nuke.execute(write, FIRST, LAST)


def test_a_painted_script_renders_where_impasto_is_not_installed(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    session.nuke.script.callbacks.clear()
    session.nuke.script.GUI = False
    files = session.render(session.final(node))
    assert len(files) == 3
    assert np.array_equal(colour_of(files[0]), colour_of(session.painted(node)[0]))


def test_an_unpainted_script_fails_where_impasto_is_not_installed(alone: Session) -> None:
    node = alone.node()
    alone.nuke.script.callbacks.clear()
    final = alone.final(node)
    assert len(alone.render(final)) == 3, "in the window it shows the plate"
    alone.nuke.script.GUI = False
    with pytest.raises(RuntimeError, match="not_painted_yet"):
        alone.render(final)


def test_a_missing_frame_fails_where_impasto_is_not_installed(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    session.painted(node)[1].unlink()
    session.nuke.script.callbacks.clear()
    with pytest.raises(RuntimeError, match="1002"):
        session.render(session.final(node))


def test_a_button_without_impasto_shows_a_message(alone: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    node = alone.node()
    monkeypatch.setitem(sys.modules, "impasto.hosts.nuke", None)
    alone.press(node)
    assert "impasto nuke install" in alone.nuke.said[0]


def test_show_plate_shows_the_plate(
    session: Session,
) -> None:
    node = session.node()
    session.paint(node)
    node["shown"].setValue("plate")
    path, *_ = session.render(session.final(node))
    assert np.array_equal(colour_of(path), colour_of(session.folder / "in" / f"plate.{FIRST}.exr"))


def test_reload_reads_the_list_of_styles_again(session: Session, installed: object) -> None:
    node = session.node("identity")
    node["style"].setValues(["identity"])
    session.press(node, "reload")
    session.nuke.pump(lambda: STYLE in node["style"].values())
    assert node["style"].value() == "identity"


def test_frames_lie_beside_the_script_or_in_the_chosen_folder(alone: Session) -> None:
    node = alone.node()
    identity = node["identity"].value()
    assert alone.knobs.plan_of(node).folders.root == alone.folder / "impasto" / "shot_v001" / identity
    node["scratch"].setValue("/mnt/fast")
    assert str(alone.knobs.plan_of(node).folders.root) == f"/mnt/fast/shot_v001/{identity}"


def test_files_are_found_where_a_filename_filter_says(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    folder = session.folder.as_posix()
    for read in (session.plate, node.node("Painted")):
        read["file"].setValue(read["file"].value().replace(folder, "P:"))
    session.nuke.filters = lambda name: name.replace("P:", folder)
    shown = session.knobs.shown_frames(node)
    assert shown.settings.key
    assert len(session.graph._files_of(session.plate)) == 3


def test_the_plate_is_written_as_half_exr_at_full_size(session: Session) -> None:
    node = session.node("identity")
    session.paint(node)
    plates = sorted((session.knobs.plan_of(node).folders.root / "plates" / "main").glob("*.exr"))
    channels, _ = exr(plates[0])
    assert sorted(channels) == ["A", "B", "G", "R"]
    assert np.array_equal(colour_of(plates[0]), colour_of(session.folder / "in" / f"plate.{FIRST}.exr"))
