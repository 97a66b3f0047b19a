"""`impasto render --motion`: a renderer's vectors on the way to painted keys, here and through the server."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from impasto.core.keyframe_paint.stored_keys import Keys
from impasto.core.media import open_reader
from impasto.core.style_file import save_style
from impasto.hosts.terminal.exit_codes import INPUT, USAGE
from tests.core.keyframe_paint.test_painted_frames import CARD, NET, keys_of
from tests.core.media.builders import write_layers
from tests.hosts.terminal.conftest import HEIGHT, WIDTH, Impasto, names

STYLE = ("--style", "hero.safetensors")


@pytest.fixture
def shot(sequence: str) -> tuple[str, str]:
    """A plate of frames 1001 to 1006, and vectors for them, typed relative; a style with keys at 1002 and 1005."""
    chance = np.random.default_rng(1)
    pairs = [tuple(chance.integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype(np.uint8)) for _ in range(2)]
    made = keys_of(*pairs)  # type: ignore[arg-type]  # two of each
    facts = replace(made.facts, frames=(1002, 1005))
    save_style(
        Path("hero.safetensors"), replace(CARD, keys=facts), NET, Keys(facts, made.plates, made.paints, made.painted)
    )
    for number in range(1001, 1007):
        slide = np.full((HEIGHT, WIDTH), 1.5, np.float32)
        layers = {"vector.X": -slide, "vector.Y": 0 * slide, "vector.Z": -slide, "vector.W": 0 * slide}
        write_layers(f"aov/v.{number}.exr", layers)
    return sequence, "aov/v.####.exr"


def frames_of(pattern: str) -> list[np.ndarray]:
    with open_reader(pattern) as reader:
        return [frame.colour for frame in reader]


@pytest.mark.skipif(os.name == "nt", reason="the server's socket is one of POSIX")
def test_the_server_follows_vectors_as_this_process_does(
    shot: tuple[str, str], served: Impasto, impasto: Impasto
) -> None:
    plate, vectors = shot
    motion = ("--motion", f"{vectors}:vector=blender")
    try:
        there, here = (
            call("render", plate, f"{name}/o.####.exr", *STYLE, *motion)
            for call, name in ((served, "there"), (impasto, "here"))
        )
        assert (there.code, here.code) == (0, 0), there.err + here.err
        for one, other in zip(frames_of("there/o.####.exr"), frames_of("here/o.####.exr"), strict=True):
            assert np.array_equal(one, other)
        wrongs = (
            ("aov/none.####.exr:vector", INPUT, "found none"),
            ("aov/v.####.exr:vectr", USAGE, "did you mean 'vector'? (in 'aov/v.1001.exr')"),
            (":vector", USAGE, "no layer is called 'vector'"),
        )
        for wish, code, said in wrongs:
            for call in (served, impasto):
                done = call("render", plate, "w/o.####.exr", *STYLE, "--motion", wish)
                assert (done.code, done.err.count("\n")) == (code, 1), done.err
                assert said in done.err
        assert names(Path("w")) == []
    finally:
        served("stop")
    with open_reader("there/o.####.exr") as reader:
        noted = next(iter(reader)).provenance
    assert json.loads(noted["settings"])["motion"] == [os.path.abspath(vectors), "vector=blender"]
    assert len(noted["motion_stamps"]) == 32


def test_running_again_paints_what_a_changed_file_of_vectors_touches(shot: tuple[str, str], impasto: Impasto) -> None:
    plate, vectors = shot
    arguments = ("render", plate, "o/o.####.exr", *STYLE, "--motion", vectors, "--resume", "--json")

    def painted() -> list[int]:
        return [event["number"] for event in impasto(*arguments).events if event["event"] == "frame"]

    assert painted() == list(range(1001, 1007))
    assert painted() == []
    still = np.zeros((HEIGHT, WIDTH), np.float32)
    write_layers("aov/v.1006.exr", {f"vector.{leaf}": still for leaf in "XYZW"} | {"more.Z": still})
    assert painted() == [1006], "no other frame's way to a key goes over the last"


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("", "expected --motion as PATH:LAYER, got ''"),
        ("v.####.exr:motion=nxt", "did you mean 'next'"),
        ("v.mov:motion", "expected motion vectors in pictures, EXR for example, got 'v.mov'"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(wish: str, said: str, shot: tuple[str, str], impasto: Impasto) -> None:
    done = impasto("render", shot[0], "o/o.####.exr", *STYLE, "--motion", wish)
    assert (done.code, done.err.count("\n")) == (USAGE, 1)
    assert said in done.err
    assert names(Path("o")) == []


def test_a_style_without_painted_keys_says_so(shot: tuple[str, str], impasto: Impasto) -> None:
    done = impasto("render", shot[0], "o/o.####.exr", "--style", "identity", "--motion", f"{shot[1]}:vector")
    assert (done.code, "'identity' has none; leave out --motion" in done.err) == (USAGE, True)


def test_a_movie_has_no_vectors_of_its_own(movie: str, shot: tuple[str, str], impasto: Impasto) -> None:
    done = impasto("render", movie, "o/o.####.png", *STYLE, "--motion", ":vector")
    assert (done.code, "expected motion vectors in pictures" in done.err) == (USAGE, True)
