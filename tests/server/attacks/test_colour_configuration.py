"""The OpenColorIO configuration of whoever orders a shot decides its colours, whatever the server was started with."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core import colour
from impasto.core.errors import IncompatibleServer, UsageError
from impasto.core.frame import Frame
from impasto.core.media import ShotInfo, open_reader, open_writer
from impasto.server.client.shots import require_minor
from impasto.server.front.shots import _with_paths
from impasto.server.protocol.colour_configuration import BUILT_IN, named_here, with_configuration
from impasto.server.protocol.messages import RenderSettings, ShotDone, ShotJob
from impasto.server.settings import Root
from impasto.server.shots.configuration import configured
from impasto.server.shots.render import render_shot

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


def painted(job: ShotJob) -> float:
    """The first sample of what an identity makes of the plate."""
    from impasto.core.engine import Engine

    end = render_shot(job, Engine("identity", device="cpu"))
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
    from impasto.core.engine import Engine

    engine = Engine("identity", device="cpu")
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
    from types import SimpleNamespace

    old = SimpleNamespace(major=1, minor=1, server="impasto 0.1.0")
    plain = ShotJob(RenderSettings("identity"), "/a.exr", "/b.exr")
    require_minor(with_configuration(plain, {}), old)  # type: ignore[arg-type]
    with pytest.raises(IncompatibleServer, match="OpenColorIO"):
        require_minor(replace(plain, ocio="/show.ocio"), old)  # type: ignore[arg-type]


def test_a_server_of_another_machine_must_have_the_same_content(
    plate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

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
