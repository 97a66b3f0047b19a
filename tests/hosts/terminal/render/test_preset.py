"""`impasto render --preset`: a look from its file, under the options beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.core.preset import ENDING, Preset, preset_folder, preset_text
from impasto.hosts.terminal.exit_codes import INPUT, USAGE
from impasto.hosts.terminal.render import command
from impasto.server.protocol.messages import ShotJob
from tests.hosts.terminal.conftest import Impasto

LOOK = Preset("ink", {"strength": 0.8, "stroke": 2.0}, {"denoise": 0.2}, {"gamma": 1.1}, "50%", "")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[ShotJob]:
    """What would be rendered; the preset 'warm' is stored."""
    found: list[ShotJob] = []
    monkeypatch.setattr(command, "_here", lambda job, *more: found.append(job) or True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = preset_folder()
    folder.mkdir(parents=True)
    (folder / f"warm{ENDING}").write_text(preset_text(LOOK), encoding="utf-8")
    return found


@pytest.mark.parametrize("name", ["warm", "path"])
def test_a_preset_is_the_whole_look(name: str, jobs: list[ShotJob], impasto: Impasto) -> None:
    preset = str(preset_folder() / f"warm{ENDING}") if name == "path" else name
    assert impasto("render", "i.mov", "o.mov", "--preset", preset).code == 0
    (job,) = jobs
    assert (job.look.style, job.look.params, job.look.before, job.look.after) == (
        LOOK.style, LOOK.params, LOOK.before, LOOK.after,
    )  # fmt: skip
    assert (job.before_resize, job.after_resize) == ("50%", "")


def test_options_go_before_the_preset(jobs: list[ShotJob], impasto: Impasto) -> None:
    options = ("--style", "cel", "--stroke", 1, "--after-gamma", 1, "--before-resize", "25%")
    assert impasto("render", "i.mov", "o.mov", "--preset", "warm", *options).code == 0
    (job,) = jobs
    assert (job.look.style, job.look.params) == ("cel", {"strength": 0.8, "stroke": 1.0})
    assert (job.look.after, job.before_resize) == ({"gamma": 1.0}, "25%")


@pytest.mark.parametrize(
    ("preset", "code", "said"),
    [
        ("worm", USAGE, "no preset is called 'worm'; did you mean 'warm'?"),
        ("nowhere.toml", INPUT, "expected a preset at 'nowhere.toml'"),
    ],
)
def test_a_preset_that_is_not_there_is_a_sentence(
    preset: str, code: int, said: str, jobs: list[ShotJob], impasto: Impasto
) -> None:
    done = impasto("render", "i.mov", "o.mov", "--preset", preset)
    assert (done.code, jobs) == (code, [])
    assert said in done.err
