"""The OpenColorIO configuration of whoever orders a shot decides its colours, whatever the server was started with."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from impasto.core import colour
from impasto.core.engine import Engine
from impasto.core.errors import IncompatibleServer, UnknownName, UsageError
from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.server.client.versions import require_minor, require_ocio
from impasto.server.front.shots import _with_paths
from impasto.server.protocol.colour_configuration import BUILT_IN, named_here, sha256_of, with_configuration
from impasto.server.protocol.messages import RenderSettings, ShotDone, ShotJob, Submit
from impasto.server.protocol.pixels import picture_of
from impasto.server.settings import Root
from impasto.server.shots.configuration import configured
from impasto.server.shots.render import render_shot
from impasto.server.worker.frames import paint_frame
from impasto.server.worker.painting_device import FrameTask

SHOW = """ocio_profile_version: 2
environment: {{}}
search_path: luts
roles:
  default: raw
  aces_interchange: aces
  scene_linear: lin
file_rules:
  - !<Rule> {{name: Default, colorspace: default}}
displays:
  sRGB:
    - !<View> {{name: Raw, colorspace: raw}}
colorspaces:
  - !<ColorSpace>
    name: raw
    isdata: true
  - !<ColorSpace>
    name: aces
    encoding: scene-linear
  - !<ColorSpace>
    name: lin
    encoding: scene-linear
  - !<ColorSpace>
    name: plate
    to_scene_reference: !<ExponentTransform> {{value: [{gamma}, {gamma}, {gamma}, 1]}}
"""


def show(path: Path, gamma: float) -> str:
    path.write_text(SHOW.format(gamma=gamma))
    return str(path)


@pytest.fixture
def plate(tmp_path: Path) -> str:
    path = str(tmp_path / "n.exr")
    with open_writer(path, ShotInfo("", "image", 1, 1, 16, 8)) as writer:
        writer.write(Frame.from_pixels(np.full((8, 16, 3), 0.5, np.float32)))
    return path


def job(plate: str, output: Path) -> ShotJob:
    return ShotJob(
        RenderSettings("identity"), plate, str(output), input_space="plate", output_space="lin_rec709", overwrite=True
    )


@cache
def identity() -> Engine:
    return Engine("identity", device="cpu")


def painted(job: ShotJob) -> float:
    """The first sample of what an identity makes of the plate."""
    end = render_shot(job, identity())
    assert isinstance(end, ShotDone)
    return float(next(iter(open_reader(end.path))).colour[4, 8, 0])


@pytest.fixture
def no_ocio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCIO", raising=False)


def ordered(job: ShotJob, source: str) -> ShotJob:
    """The job as a client with this $OCIO sends it."""
    return with_configuration(job, {"OCIO": source})


def test_each_job_has_the_configuration_of_its_client(
    plate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = show(tmp_path / "a.ocio", 1.0), show(tmp_path / "b.ocio", 3.0)
    monkeypatch.setenv("OCIO", a)  # of the server
    asked = job(plate, tmp_path / "o.exr")
    assert painted(ordered(asked, a)) == pytest.approx(0.5, abs=0.01)
    assert painted(ordered(asked, b)) == pytest.approx(0.125, abs=0.01)
    assert painted(asked) == pytest.approx(0.5, abs=0.01), "a client of 1.1 gets the server's, as ever"


def test_the_same_path_with_other_content_is_another_configuration(plate: str, tmp_path: Path, no_ocio: None) -> None:
    path = tmp_path / "show.ocio"
    asked = job(plate, tmp_path / "o.exr")
    found = [painted(ordered(asked, show(path, gamma))) for gamma in (1.0, 2.0, 1.0)]
    assert found == pytest.approx([0.5, 0.25, 0.5], abs=0.01)


def test_a_client_without_one_gets_the_built_in_one_alone(
    plate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCIO", show(tmp_path / "a.ocio", 1.0))
    with pytest.raises(Exception, match="colour space"):
        painted(with_configuration(job(plate, tmp_path / "o.exr"), {}))


def test_a_file_that_changed_after_the_order_is_refused(plate: str, tmp_path: Path, no_ocio: None) -> None:
    path = tmp_path / "show.ocio"
    asked = ordered(job(plate, tmp_path / "o.exr"), show(path, 1.0))
    show(path, 2.0)
    with pytest.raises(UsageError, match=r"expected the OpenColorIO configuration of the order.*show\.ocio"):
        painted(asked)


@pytest.mark.parametrize("content", [None, "no configuration", ""])
def test_a_missing_or_broken_one_is_told(plate: str, tmp_path: Path, no_ocio: None, content: str | None) -> None:
    path = tmp_path / "broken.ocio"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"broken\.ocio"):
        painted(ordered(job(plate, tmp_path / "o.exr"), str(path)))


def test_a_resumed_shot_agrees_only_under_the_same_content(plate: str, tmp_path: Path, no_ocio: None) -> None:
    engine = identity()
    a = show(tmp_path / "a.ocio", 1.0)
    asked = ordered(job(plate, tmp_path / "o.exr"), a)
    render_shot(asked, engine)
    noted = next(iter(open_reader(str(tmp_path / "o.exr")))).provenance["settings"]
    assert asked.ocio_sha256 in noted
    again = replace(asked, resume=True, overwrite=False)
    for source, skipped in ((a, 1), (shutil.copy(a, tmp_path / "copy.ocio"), 1), (show(tmp_path / "b.ocio", 2.0), 0)):
        found = replace(again, ocio="", ocio_sha256="")
        end = render_shot(ordered(found, str(source)), engine)
        assert isinstance(end, ShotDone)
        assert end.skipped == skipped


def test_two_configurations_at_once_do_not_meet(tmp_path: Path) -> None:
    a, b = show(tmp_path / "a.ocio", 1.0), show(tmp_path / "b.ocio", 2.0)
    with colour.configuration(a):
        with colour.configuration(b):
            assert colour.config_name() == b
        assert colour.config_name() == a
    with colour.configuration(""):
        assert colour.config_name().startswith("ocio://")


def test_an_older_server_is_not_sent_what_it_would_skip() -> None:
    old = SimpleNamespace(major=1, minor=1, server="impasto 0.1.0")
    plain = ShotJob(RenderSettings("identity"), "/a.exr", "/b.exr")
    require_minor(with_configuration(plain, {}), old)  # type: ignore[arg-type]
    with pytest.raises(IncompatibleServer, match="OpenColorIO"):
        require_minor(replace(plain, ocio="/show.ocio"), old)  # type: ignore[arg-type]


def test_a_server_of_another_machine_must_have_the_same_content(
    plate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = SimpleNamespace(local=False)
    roots = {"plates": Root(tmp_path, writable=True)}
    mine = show(tmp_path / "mine.ocio", 2.0)
    asked = ordered(replace(job(plate, tmp_path / "o.exr"), input="plates:n.exr", output="plates:o.exr"), mine)
    sent = _with_paths(far, asked, roots)  # type: ignore[arg-type]
    assert (sent.ocio, sent.ocio_sha256) == ("", asked.ocio_sha256)
    monkeypatch.setenv("OCIO", show(tmp_path / "theirs.ocio", 1.0))
    with pytest.raises(UsageError, match=r"theirs\.ocio"), configured(sent):
        pass
    monkeypatch.setenv("OCIO", str(shutil.copy(mine, tmp_path / "same.ocio")))
    with configured(sent) as noted:
        assert noted == asked.ocio_sha256
    with pytest.raises(UsageError, match="can be read"):
        _with_paths(far, replace(asked, ocio_sha256=""), roots)  # type: ignore[arg-type]


def test_what_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    show(tmp_path / "a.ocio", 1.0)
    assert named_here({}) == named_here({"OCIO": " "}) == (BUILT_IN, "")
    assert named_here({"OCIO": "ocio://default"}) == ("ocio://default", "")
    source, digest = named_here({"OCIO": "a.ocio"})
    assert (source, len(digest)) == (os.path.join(tmp_path, "a.ocio"), 64)
    os.mkfifo(tmp_path / "pipe.ocio")
    assert named_here({"OCIO": "pipe.ocio"})[1] == ""


def with_table(folder: Path, middle: float, search: str = "luts") -> str:
    """A configuration whose 'plate' goes through a table beside it, which leads half to `middle`."""
    (folder / "luts").mkdir(parents=True, exist_ok=True)
    values = "\n".join(f"{each:.6f}" for each in (0.0, middle, 1.0))
    (folder / "luts" / "curve.spi1d").write_text(f"Version 1\nFrom 0 1\nLength 3\nComponents 1\n{{\n{values}\n}}\n")
    text = SHOW.format(gamma=1.0).replace("search_path: luts", f"search_path: {search}")
    exponent = "!<ExponentTransform> {value: [1.0, 1.0, 1.0, 1]}"
    assert exponent in text
    (folder / "show.ocio").write_text(text.replace(exponent, "!<FileTransform> {src: curve.spi1d}"))
    return str(folder / "show.ocio")


@pytest.mark.parametrize("search", ["luts", "none:luts", "${MISSING}:luts", "\n  - none\n  - luts"])
def test_tables_beside_a_configuration_are_of_its_content(tmp_path: Path, search: str) -> None:
    (tmp_path / "b").mkdir()
    digests = [sha256_of(with_table(tmp_path, middle, search)) for middle in (0.5, 0.25, 0.5)]
    assert digests[0] == digests[2] != digests[1]
    assert sha256_of(with_table(tmp_path / "b", 0.5, search)) == digests[0], "wherever it lies"
    (tmp_path / "luts" / "another.spi1d").write_text("not named")
    assert sha256_of(str(tmp_path / "show.ocio")) == digests[0]
    alone = show(tmp_path / "alone.ocio", 1.0)
    assert sha256_of(alone) == hashlib.sha256(Path(alone).read_bytes()).hexdigest()


def test_a_table_that_was_changed_counts_at_the_next_shot(plate: str, tmp_path: Path, no_ocio: None) -> None:
    asked = job(plate, tmp_path / "o.exr")
    found = [painted(ordered(asked, with_table(tmp_path, middle))) for middle in (0.25, 0.75, 0.25)]
    assert found == pytest.approx([0.25, 0.75, 0.25], abs=0.01)
    stale = ordered(asked, with_table(tmp_path, 0.25))
    with_table(tmp_path, 0.75)
    with pytest.raises(UsageError, match="expected the OpenColorIO configuration of the order"):
        painted(stale)


def pale_frame(ocio: str, ocio_sha256: str = "") -> np.ndarray:
    """A frame in the space 'plate', its colours paled by a grade, as a worker paints it for this configuration."""
    pixels = np.tile(np.float32([0.5, 0.2, 0.8]), (8, 8, 1))
    picture = picture_of(pixels, colour_space="plate")
    look = RenderSettings("identity", after={"saturation": 0.3})
    segment = mmap.mmap(-1, 2 * pixels.nbytes)
    segment[: pixels.nbytes] = pixels.tobytes()
    request = Submit(bytes(16), look, picture, ocio=ocio, ocio_sha256=ocio_sha256)
    painter = SimpleNamespace(style=identity().style, delivers=False, render=identity().render)
    task = FrameTask(request, "", segment, 0, pixels.nbytes)
    paint_frame(task, painter, lambda: None)  # type: ignore[arg-type]  # what a frame needs of it
    return np.frombuffer(segment[pixels.nbytes :], np.float32).reshape(pixels.shape).copy()


def test_each_frame_has_the_configuration_of_its_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = show(tmp_path / "a.ocio", 1.0), show(tmp_path / "b.ocio", 3.0)
    monkeypatch.setenv("OCIO", a)  # of the server
    mine, theirs = pale_frame(b, sha256_of(b)), pale_frame(a, sha256_of(a))
    assert not np.allclose(mine, theirs, atol=0.02)
    np.testing.assert_array_equal(pale_frame(""), theirs)
    with pytest.raises(UnknownName, match="plate"):
        pale_frame(BUILT_IN)
    with pytest.raises(UsageError, match="expected the OpenColorIO configuration of the order"):
        pale_frame(a, sha256_of(b))
    show(Path(a), 3.0)
    np.testing.assert_allclose(pale_frame(a, sha256_of(a)), mine, atol=1e-6)


def test_a_table_that_was_changed_counts_for_frames_of_a_client_that_has_seen_it(tmp_path: Path) -> None:
    """A worker looks at the file of the configuration alone, until a client says that the content is another."""
    path = with_table(tmp_path, 0.25)
    before = pale_frame(path, sha256_of(path))
    with_table(tmp_path, 0.75)
    assert not np.allclose(pale_frame(path, sha256_of(path)), before, atol=0.02)


def test_a_frame_is_not_sent_to_a_server_that_would_use_its_own() -> None:
    old = SimpleNamespace(major=1, minor=1, server="impasto 0.1.0")
    require_ocio(BUILT_IN, old)  # type: ignore[arg-type]
    with pytest.raises(IncompatibleServer, match="OpenColorIO"):
        require_ocio("/show.ocio", old)  # type: ignore[arg-type]
