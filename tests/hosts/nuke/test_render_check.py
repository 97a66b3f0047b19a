"""Before a final render: loud where frames are missing or old, silent where all is well, no render of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.hosts.bridge.catalogue import CATALOGUE_FILE
from tests.hosts.nuke.conftest import ALL_GOOD, FIRST, OpenNuke, Pretend, Session


@pytest.fixture
def session(open_nuke: OpenNuke, pretend: Pretend) -> Session:
    """Nuke with its window, and a command that paints by copying plates."""
    pretend(ALL_GOOD)
    return open_nuke()


@pytest.fixture
def painted(session: Session) -> tuple[Session, object]:
    node = session.node("identity")
    session.paint(node)
    return session, node


def test_a_node_that_was_never_painted_stops_the_render(open_nuke: OpenNuke) -> None:
    session = open_nuke(gui=False)
    final = session.final(session.node())
    with pytest.raises(RuntimeError, match="Impasto1 to be there and up to date, it was never painted"):
        session.render(final)
    assert session.nuke.script.rendered == []


def test_a_node_that_is_up_to_date_lets_the_render_pass(painted: tuple[Session, object]) -> None:
    session, node = painted
    assert len(session.render(session.final(node))) == 3


def test_a_missing_frame_stops_the_render_before_it_begins(painted: tuple[Session, object]) -> None:
    session, node = painted
    final = session.final(node)
    session.painted(node)[1].unlink()
    before = len(session.nuke.script.rendered)
    with pytest.raises(RuntimeError, match="frames 1002 are not in"):
        session.render(final)
    assert len(session.nuke.script.rendered) == before


def test_a_frame_outside_what_was_painted_stops_the_render_at_it(painted: tuple[Session, object]) -> None:
    session, node = painted
    final = session.final(node)
    with pytest.raises(RuntimeError, match="1000"):
        session.nuke.execute(final, FIRST - 1, FIRST)


def test_behind_a_time_offset_the_numbers_of_the_write_are_others(session: Session) -> None:
    root = session.nuke.root()
    root["first_frame"].setValue(1)
    root["last_frame"].setValue(3)
    node = session.node("identity")
    session.paint(node)
    offset = session.nuke.nodes.TimeOffset(time_offset=1 - FIRST)
    offset.setInput(0, node)
    session.nuke.execute(session.final(offset), 1, 3)
    assert len(session.nuke.script.rendered) == 6


def test_a_farm_without_the_list_of_styles_checks_all_the_same(
    painted: tuple[Session, object], installed: Path
) -> None:
    session, node = painted
    (installed / CATALOGUE_FILE).unlink()
    assert len(session.render(session.final(node))) == 3


def test_old_frames_stop_the_render_unless_the_artist_relaxes_the_check(painted: tuple[Session, object]) -> None:
    session, node = painted
    final = session.final(node)
    session.grade["white"].setValue(0.5)
    with pytest.raises(RuntimeError, match="the input or the settings changed"):
        session.render(final)
    node["check"].setValue("frames")  # type: ignore[index]
    assert len(session.render(final)) == 3


@pytest.mark.parametrize(("knob", "value"), [("shown", "plate"), ("disable", True), ("check", "nothing")])
def test_what_shows_no_painted_frames_is_not_checked(open_nuke: OpenNuke, knob: str, value: object) -> None:
    session = open_nuke()
    node = session.node()
    node[knob].setValue(value)
    assert len(session.render(session.final(node))) == 3


def test_a_write_that_no_impasto_node_feeds_is_left_alone(open_nuke: OpenNuke) -> None:
    session = open_nuke()
    session.node()
    assert len(session.render(session.final(session.grade))) == 3


def test_a_node_inside_a_group_is_found(open_nuke: OpenNuke) -> None:
    session = open_nuke()
    around = session.nuke.nodes.Group()
    with around:
        plate = session.nuke.nodes.Input()
        node = session.panel.create()
        out = session.nuke.nodes.Output()
    around.setInput(0, session.grade)
    node.setInput(0, plate)
    out.setInput(0, node)
    with pytest.raises(RuntimeError, match=r"Group1\.Impasto1"):
        session.render(session.final(around))


def test_a_style_that_was_trained_anew_makes_its_frames_old(
    painted: tuple[Session, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, node = painted
    monkeypatch.setattr("impasto.hosts.bridge.catalogue.Catalogue.digest_of_style", lambda self, name: "another")
    with pytest.raises(RuntimeError, match="trained anew"):
        session.render(session.final(node))


def test_stylize_is_refused_inside_a_render(painted: tuple[Session, object]) -> None:
    session, node = painted
    session.expects_errors = True
    session.nuke.script.on_frame = lambda number: session.panel.stylize(node)
    session.render(session.final(node))
    assert session.nuke.said[0].startswith("expected Nuke to be idle, it renders")


def test_of_two_nodes_in_a_row_the_upper_one_must_be_painted_before_the_lower(session: Session) -> None:
    upper = session.node("identity")
    lower = session.node("identity")
    lower.setInput(0, upper)
    session.expects_errors = True
    session.paint(lower)
    assert "Impasto1 to be there and up to date, it was never painted" in session.nuke.said[0]
    session.nuke.said.clear()
    session.paint(upper)
    session.paint(lower)
    assert lower["impasto_state"].value().startswith("up to date")
