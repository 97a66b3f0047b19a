"""Shots whose parameters change: every frame has its own, bears them, and is rendered again where they changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from impasto.core.engine import Rendered, Report
from impasto.core.frame import Frame
from impasto.core.frame_settings import FrameSettings
from impasto.core.media import open_reader
from impasto.core.params import Params
from impasto.server.protocol.animation import animated_of
from impasto.server.protocol.messages import RenderSettings, ShotDone, ShotJob
from impasto.server.shots.frame_settings import ShotSettings
from impasto.server.shots.render import render_shot
from tests.plates import write_sequence
from tests.server.shots.test_shots import CARD, STYLE, FakeStyle, with_params

DEFAULTS = Params(detail=0.25)


class ParamsPainter:
    """Answers every frame with itself, and remembers its parameters."""

    style = FakeStyle(replace(CARD, defaults=DEFAULTS))
    precision = "float32"

    def precision_for(self, *, eight_bit: bool) -> str:
        return self.precision

    def __init__(self) -> None:
        self.asked: dict[int, Params] = {}

    def render(self, frame: Frame, settings: FrameSettings | None = None, **more: object) -> Rendered:
        assert settings is not None
        assert settings.params is not None
        self.asked[frame.number] = settings.params
        record = {"style_sha256": self.style.card.weights_sha256, "precision": self.precision}
        return Rendered(replace(frame, provenance=record), Report(0, {}, None))


def all_params(**changed: float) -> RenderSettings:
    """Every parameter, so that none is left to the style."""
    return with_params(**Params(**changed).as_dict())


@pytest.fixture
def job(tmp_path: Path) -> ShotJob:
    """Ten frames from 1001; the strength rises."""
    plate = write_sequence(tmp_path, range(1001, 1011), size=(8, 8))
    animated = animated_of({"strength": {1001: 0.0, 1010: 0.9}})
    return ShotJob(STYLE, plate, str(tmp_path / "out" / "o.####.exr"), animated=animated)


def rendered(job: ShotJob) -> tuple[dict[int, Params], ShotDone]:
    painter = ParamsPainter()
    result = render_shot(job, painter)
    assert isinstance(result, ShotDone)
    return dict(sorted(painter.asked.items())), result


def test_every_frame_is_painted_with_its_own_parameters(job: ShotJob) -> None:
    asked, _ = rendered(job)
    assert {number: params.strength for number, params in asked.items()} == {
        1001 + step: pytest.approx(0.1 * step) for step in range(10)
    }
    assert {replace(params, strength=1.0) for params in asked.values()} == {DEFAULTS}


def test_every_frame_bears_its_own_parameters(job: ShotJob) -> None:
    rendered(job)
    with open_reader(job.output) as reader:
        settings = [json.loads(frame.provenance["settings"])["params"] for frame in reader]
    assert [each["strength"] for each in settings] == pytest.approx([0.1 * step for step in range(10)])
    assert {each["detail"] for each in settings} == {0.25}


def test_running_again_renders_only_the_frames_whose_values_changed(job: ShotJob) -> None:
    values = {number: (number - 1001) / 10 for number in range(1001, 1011)}
    job = replace(job, resume=True, animated=animated_of({"strength": values}))
    assert len(rendered(job)[0]) == 10
    assert rendered(job)[0] == {}

    values |= {1004: 1.0, 1008: 1.0}
    asked, result = rendered(replace(job, animated=animated_of({"strength": values})))
    assert list(asked) == [1004, 1008]
    assert (result.rendered, result.skipped) == (2, 8)


def test_frames_rendered_with_a_parameter_that_stood_still_agree_where_it_still_has_that_value(job: ShotJob) -> None:
    rendered(replace(job, animated=(), look=all_params(strength=0.5)))
    animated = animated_of({"strength": {1005: 0.5, 1006: 0.75}})
    asked, _ = rendered(replace(job, look=all_params(), animated=animated, resume=True))
    assert list(asked) == [1006, 1007, 1008, 1009, 1010]


def test_a_range_of_a_shot_is_brought_up_to_date_alone(job: ShotJob) -> None:
    rendered(replace(job, animated=(), look=all_params(strength=0.5)))
    changed = replace(job, look=all_params(strength=0.75), animated=(), resume=True, first=1003, last=1005)
    assert list(rendered(changed)[0]) == [1003, 1004, 1005]
    assert rendered(changed)[0] == {}
    assert list(rendered(replace(changed, first=None, last=None))[0]) == [1001, 1002, 1006, 1007, 1008, 1009, 1010]


def test_the_defaults_of_a_style_are_the_same_whether_they_are_given_or_not(job: ShotJob) -> None:
    rendered(replace(job, animated=(), look=STYLE))
    assert rendered(replace(job, animated=(), look=with_params(**DEFAULTS.as_dict()), resume=True))[0] == {}


def test_a_parameter_at_its_default_is_not_noted_so_that_a_new_one_makes_no_frame_stale(job: ShotJob) -> None:
    settings = ShotSettings(replace(job, look=all_params(stroke=2.0), animated=()), DEFAULTS).text(1001)
    assert json.loads(settings) == {"params": {"stroke": 2.0}}
