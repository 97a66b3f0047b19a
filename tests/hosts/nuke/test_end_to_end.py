"""From the node through a real server and back: the pixels of the engine, and nothing else touched."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from impasto.core.engine import Engine
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import open_reader
from impasto.core.params import Params
from impasto.core.style_file import find_style
from impasto.server.runtime_dir import running
from tests.hosts.nuke.conftest import FIRST, LAST, STYLE, OpenNuke, Serving, Session, colour_of, exr, write_plate

pytestmark = pytest.mark.slow

NUMBERS = range(FIRST, LAST + 1)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(STYLE, device="cpu")


def by_engine(engine: Engine, plates: Path, params: dict[int, Params] | None = None) -> list[np.ndarray]:
    """What the engine makes of plates that a Write stored as half, RGBA alone."""
    with open_reader(str(plates)) as reader:
        return [
            engine(frame, FrameSettings((params or {}).get(number, Params())))
            .colour.astype(np.float16)
            .astype(np.float32)
            for number, frame in zip(NUMBERS, reader, strict=True)
        ]


def test_the_node_shows_what_the_engine_paints(session: Session, plates: Path, engine: Engine) -> None:
    node = session.node()
    session.paint(node)
    for path, wanted, plate in zip(
        session.render(session.final(node)), by_engine(engine, plates), sorted(plates.iterdir()), strict=True
    ):
        assert np.array_equal(colour_of(path), wanted)
        assert not np.array_equal(colour_of(path), colour_of(plate))
    assert node["impasto_state"].value() == "up to date (3 frames, lin_rec709)"


def test_every_other_layer_and_the_metadata_come_out_as_they_went_in(session: Session, plates: Path) -> None:
    node = session.node()
    session.paint(node)
    for path, plate in zip(session.render(session.final(node)), sorted(plates.iterdir()), strict=True):
        (channels, attributes), (before, noted) = exr(path), exr(plate)
        for name in ("A", "depth.Z"):
            assert np.array_equal(channels[name], before[name])
        assert (attributes["camera"], attributes["reelName"]) == ("A001", noted["reelName"])
    # The painted files themselves too.
    assert [exr(path)[1]["reelName"] for path in session.painted(node)] == [f"reel {number}" for number in NUMBERS]


def test_strength_and_matte_are_turned_without_painting(session: Session, plates: Path, engine: Engine) -> None:
    for number in NUMBERS:
        write_plate(str(plates.parent / f"matte.{number}.exr"), number, alpha=0.5)
    matte = session.nuke.nodes.Read(file=str(plates.parent / "matte.%04d.exr"), first=FIRST, last=LAST)
    node = session.node()
    node.setInput(1, matte)
    session.paint(node)
    before = [path.stat().st_mtime_ns for path in session.painted(node)]
    node["strength"].setValue(0.25)
    node["use_matte"].setValue(True)
    path, *_ = session.render(session.final(node))
    plate = colour_of(plates / f"plate.{FIRST}.exr")
    wanted = plate * 0.875 + by_engine(engine, plates)[0] * (0.25 * 0.5)
    assert np.allclose(colour_of(path), wanted.astype(np.float16), atol=1e-3)
    assert [path.stat().st_mtime_ns for path in session.painted(node)] == before
    assert node["impasto_state"].value().startswith("up to date")


def test_an_animated_knob_reaches_the_server_frame_by_frame(session: Session, plates: Path, engine: Engine) -> None:
    node = session.node()
    node["stroke"].setValueAt(0.5, FIRST)
    node["stroke"].setValueAt(1.5, LAST)
    session.paint(node)
    curve = {FIRST: Params(stroke=0.5), FIRST + 1: Params(stroke=1.0), LAST: Params(stroke=1.5)}
    for path, wanted in zip(session.painted(node), by_engine(engine, plates, curve), strict=True):
        assert np.array_equal(colour_of(path), wanted)


def test_a_style_file_of_the_artist_s_own_paints(
    session: Session, plates: Path, engine: Engine, tmp_path: Path
) -> None:
    own = tmp_path / "my style.safetensors"
    shutil.copy(find_style(STYLE), own)
    node = session.node("identity")
    node["style_file"].setValue(str(own))
    session.paint(node)
    assert np.array_equal(colour_of(session.painted(node)[0]), by_engine(engine, plates)[0])
    own.unlink()
    session.expects_errors = True
    session.press(node)
    assert "expected a style file at" in session.nuke.said[0]


def test_a_list_of_frames_is_painted_and_nothing_old_shows_between_them(
    session: Session, plates: Path, engine: Engine
) -> None:
    node = session.node("identity")
    session.paint(node)
    node["style"].setValue(STYLE)
    node["range"].setValue("list")
    node["list"].setValue(f"{FIRST}-{LAST}x2")
    session.paint(node)
    first, last = session.painted(node)
    wanted = by_engine(engine, plates)
    assert np.array_equal(colour_of(first), wanted[0])
    assert np.array_equal(colour_of(last), wanted[-1])
    assert node["impasto_state"].value() == "up to date (2 frames, lin_rec709)"
    with pytest.raises(RuntimeError):
        session.render(session.final(node))


def test_a_second_press_paints_what_changed_and_nothing_else(session: Session, plates: Path) -> None:
    node = session.node()
    session.paint(node)
    before = [path.stat().st_mtime_ns for path in session.painted(node)]
    session.paint(node)
    assert [path.stat().st_mtime_ns for path in session.painted(node)] == before
    write_plate(str(plates / f"plate.{FIRST + 1}.exr"), FIRST + 1, tint=0.5)
    session.paint(node)
    after = [path.stat().st_mtime_ns for path in session.painted(node)]
    assert [now != then for now, then in zip(after, before, strict=True)] == [False, True, False]


def test_every_view_is_painted_in_a_folder_of_its_own(session: Session, plates: Path, engine: Engine) -> None:
    session.nuke.script.views = ["left", "right"]
    node = session.node()
    session.paint(node)
    for view in ("left", "right"):
        assert np.array_equal(colour_of(session.painted(node, view)[0]), by_engine(engine, plates)[0])
    node["views"].setValue("right")
    assert "changed" in node["impasto_state"].value()


def test_proxy_mode_is_off_for_the_plate_and_on_again_behind(session: Session) -> None:
    session.nuke.root()["proxy"].setValue(True)
    node = session.node()
    session.paint(node)
    assert colour_of(session.painted(node)[0]).shape == (40, 56, 3)
    assert session.nuke.root()["proxy"].value() is True


def test_a_plate_without_alpha_is_painted_whole(session: Session, plates: Path, engine: Engine) -> None:
    node = session.node()
    node["use_alpha"].setValue(False)
    session.paint(node)
    assert "A" not in exr(session.painted(node)[0])[0]
    assert np.array_equal(colour_of(session.painted(node)[0]), by_engine(engine, plates)[0])


def test_the_working_space_of_the_script_reaches_the_server(session: Session) -> None:
    node = session.node()
    session.paint(node)
    as_rec709 = colour_of(session.painted(node)[0])
    session.nuke.root()["workingSpaceLUT"].setValue("ACES - ACEScg")
    session.paint(node)
    assert "ACEScg" in node["impasto_state"].value()
    assert not np.array_equal(colour_of(session.painted(node)[0]), as_rec709)


def test_several_nodes_are_painted_at_once_and_write_one_after_the_other(session: Session, engine: Engine) -> None:
    nodes = [session.node(), session.node("identity"), session.node()]
    session.paint(*nodes)
    writes = [name for name, _, _ in session.nuke.script.rendered]
    # The fake refuses a render inside a render; here each node's three frames also stand together.
    assert [writes[index] for index in (0, 3, 6)] == list(dict.fromkeys(writes))
    assert all(node["impasto_state"].value().startswith("up to date") for node in nodes)


def test_without_a_window_stylize_paints_at_once(
    open_nuke: OpenNuke, server: Serving, plates: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_RUNTIME", str(server.runtime))
    session = open_nuke(gui=False)
    node = session.node()
    session.panel.stylize(node)
    assert np.array_equal(colour_of(session.painted(node)[0]), by_engine(engine, plates)[0])


def test_a_server_that_is_killed_in_the_middle_costs_nothing(
    session: Session, plates: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory(prefix="impasto-") as made:
        folder = Path(made) / "run"
        monkeypatch.setenv("IMPASTO_RUNTIME", str(folder))
        node = session.node()
        session.press(node)
        session.nuke.pump(lambda: any("painted" in message for message in session.bars[0].messages))
        owner = running(folder)
        assert owner is not None
        os.kill(owner.pid, signal.SIGKILL)
        session.wait(node)
        owner = running(folder)
        if owner is not None:
            os.kill(owner.pid, signal.SIGTERM)
            session.nuke.pump(lambda: running(folder) is None)
    assert node["impasto_state"].value().startswith("up to date")
    for path, wanted in zip(session.painted(node), by_engine(engine, plates), strict=True):
        assert np.array_equal(colour_of(path), wanted)


@pytest.mark.shared
def test_a_production_file_with_many_layers_keeps_every_one(session: Session, shared_media: Path) -> None:
    plates = shared_media / "exr" / "Beachball"
    session.plate["file"].setValue(str(plates / "singlepart.%04d.exr"))
    for knob, number in (("first", 1), ("last", 2)):
        session.plate[knob].setValue(number)
    node = session.node()
    session.paint(node)
    final = session.final(node)
    final["datatype"].setValue("32 bit float")
    session.nuke.execute(final, 1, 2)
    for number in (1, 2):
        before, after = (
            exr(plates / f"singlepart.{number:04}.exr")[0],
            exr(session.folder / f"final/f.{number:04}.exr")[0],
        )
        assert after.keys() == before.keys()
        assert len(before) > 8
        painted = {name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)}
        assert painted == {"R", "G", "B"}
