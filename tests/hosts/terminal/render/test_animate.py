"""`impasto render --animate`: parameters that change over a shot, here and through the server."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core.errors import IncompatibleServer
from impasto.core.media import open_reader
from impasto.hosts.terminal.exit_codes import USAGE
from impasto.server.client import Client
from impasto.server.client.versions import require_minor
from impasto.server.protocol.animation import animated_of
from impasto.server.protocol.messages import AnimatedParameter, RenderSettings, ShotJob
from tests.compat.samples import SERVERS
from tests.hosts.terminal.conftest import Impasto

STYLE = ("--style", "wheatfield-draft")
KEYS = {"strength": {"1001": 0.2, "1006": 1.0}, "exposure": {"1003": 1.5}}


def write_keys(keys: object) -> str:
    Path("keys.json").write_text(keys if isinstance(keys, str) else json.dumps(keys), encoding="utf-8")
    return "keys.json"


def frames_of(pattern: str) -> list[np.ndarray]:
    with open_reader(pattern) as reader:
        return [frame.colour for frame in reader]


def rendered(events: list[dict[str, object]]) -> list[object]:
    return [event["number"] for event in events if event["event"] == "frame"]


def test_a_change_of_some_values_renders_those_frames_again(sequence: str, impasto: Impasto) -> None:
    values = {str(number): 0.1 * (number - 1000) for number in range(1001, 1007)}
    arguments = ("render", sequence, "o.####.exr", *STYLE, "--resume", "--json", "--animate")
    assert len(rendered(impasto(*arguments, write_keys({"strength": values})).events)) == 6
    assert rendered(impasto(*arguments, write_keys({"strength": values})).events) == []
    values |= {"1002": 0.9, "1005": 0.9}
    assert rendered(impasto(*arguments, write_keys({"strength": values})).events) == [1002, 1005]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"strenght": {"1": 0.5}}, "did you mean 'strength'"),
        ({"strength": {"1004": 2}}, "strength between 0 and 1 at frame 1004, got 2"),
        ({"strength": {"one": 0.5}}, "frame numbers as keys of strength in 'keys.json', got 'one'"),
        ({"strength": {"1": True}}, "a number for strength at frame 1 in 'keys.json', got true"),
        ({"strength": {"1": 0.5, "01": 0.5}}, "frame 1 of strength once"),
        ({"strength": [0.5]}, "values by frame for strength in 'keys.json'"),
        ({"strength": {}}, "give at least one"),
        ([], "name a parameter"),
        ('{"strength": {"1": 0.5, "1": 0.7}}', "the key '1' stands twice"),
        ('{"strength": {"1": NaN}}', "at frame 1, got nan"),
        ("[" * 100_000, "expected JSON such as"),
        ("{", "expected JSON such as"),
    ],
)
def test_keys_that_cannot_be_are_one_sentence(keys: object, said: str, sequence: str, impasto: Impasto) -> None:
    done = impasto("render", sequence, "o.####.exr", *STYLE, "--animate", write_keys(keys))
    assert (done.code, done.out, done.err.count("\n")) == (USAGE, "", 1)
    assert said in done.err
    assert not Path("o.1001.exr").exists()


def test_a_parameter_is_given_once(sequence: str, impasto: Impasto) -> None:
    done = impasto("render", sequence, "o.####.exr", *STYLE, "--strength", 1, "--animate", write_keys(KEYS))
    assert (done.code, "expected strength as --strength or among the keys" in done.err) == (USAGE, True)


def test_a_file_that_is_not_there_is_said(sequence: str, impasto: Impasto) -> None:
    done = impasto("render", sequence, "o.####.exr", *STYLE, "--animate", "nowhere.json")
    assert (done.code, "expected a file of keys at 'nowhere.json'" in done.err) == (USAGE, True)


def test_a_server_that_would_pass_over_what_a_shot_asks_for_is_not_asked() -> None:
    old = SERVERS["welcome"]
    plain = ShotJob(RenderSettings("identity"), "/i.exr", "/o.exr")
    require_minor(plain, old)  # type: ignore[arg-type]  # it is a welcome
    for shot, what in (
        (replace(plain, animated=(AnimatedParameter("strength", ()),)), "parameters that change over a shot"),
        (replace(plain, guides=("/g.exr",)), "guide layers"),
        (replace(plain, motion="/v.exr"), "motion vectors"),
        (replace(plain, rate="25"), "a frame rate"),
        (replace(plain, fields="keep"), "the fields of movies"),
        (replace(plain, smoothing=0.7), "smoothing"),
        (replace(plain, look=RenderSettings("identity", stereo="sbs")), "spheres and stereo"),
    ):
        with pytest.raises(IncompatibleServer, match=rf"for {what}, .* speaks 1\.0; upgrade it"):
            require_minor(shot, old)  # type: ignore[arg-type]  # it is a welcome


@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
def test_the_server_paints_changing_parameters_as_this_process_does(
    sequence: str, runtime: Path, served: Impasto, impasto: Impasto
) -> None:
    arguments = (*STYLE, "--animate", write_keys(KEYS))
    try:
        assert served("render", sequence, "there/o.####.exr", *arguments).code == 0
        with Client.connect(start=False) as client:
            shot = ShotJob(RenderSettings("wheatfield-draft"), sequence, str(Path("python/o.####.exr").absolute()))
            keys = {name: {int(frame): value for frame, value in track.items()} for name, track in KEYS.items()}
            assert client.render_shot(replace(shot, animated=animated_of(keys))).rendered == 6
            with pytest.raises(Exception, match="strength between 0 and 1 at frame 5, got 7"):
                animated_of({"strength": {5: 7}})
    finally:
        served("stop")
    assert impasto("render", sequence, "here/o.####.exr", *arguments).code == 0
    for there, python, here in zip(
        *(frames_of(f"{name}/o.####.exr") for name in ("there", "python", "here")), strict=True
    ):
        assert np.array_equal(there, here)
        assert np.array_equal(python, here)
