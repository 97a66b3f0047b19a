"""Paths that neither a message nor a codec can carry are one sentence, in the words of whoever named them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from impasto.core.errors import UsageError
from impasto.hosts.terminal.exit_codes import USAGE
from impasto.server.client.paths import require_sendable, require_sendable_shot
from impasto.server.protocol.messages import RenderSettings, ShotJob
from tests.hosts.terminal.conftest import Impasto

LOOK = RenderSettings("identity")
SHOT = ShotJob(LOOK, "/in.exr", "/out.exr")
LATIN = os.fsdecode(b"caf\xe9")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="such names are those of POSIX")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/a\nb.exr", r"as input, got '/a\\nb.exr' \(U\+000A at 2\); rename it"),
        (f"/{LATIN}.exr", r"in UTF-8 without control characters as input, got '/caf\\udce9.exr'"),
        ("/a\u202eb.exr", r"U\+202E"),
        ("/" + "é" * 2048, "at most 4096 bytes as input, got 4097"),
    ],
)
def test_a_path_that_no_message_carries_is_named(path: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        require_sendable("input", path)


def test_paths_in_any_script_are_sendable() -> None:
    for path in ("/plates/麦畑/Öl.####.exr", "camera:0", "", "ROOT:a b"):
        require_sendable("input", path)


@pytest.mark.parametrize(
    "shot",
    [
        ShotJob(LOOK, "/in\n", "/o"),
        ShotJob(LOOK, "/in", "/o\n"),
        ShotJob(LOOK, "/in", "/o", matte="/m\n"),
        ShotJob(LOOK, "/in", "/o", guides=("/g", "/h\n")),
        ShotJob(LOOK, "/in", "/o", motion="/v\n"),
        ShotJob(RenderSettings("/s\n.safetensors"), "/in", "/o"),
    ],
)
def test_every_path_of_a_shot_is_looked_at(shot: ShotJob) -> None:
    require_sendable_shot(SHOT)
    with pytest.raises(UsageError, match="rename it"):
        require_sendable_shot(shot)


@pytest.mark.parametrize("where", [(), ("--local",)])
def test_a_name_that_is_not_utf8_is_one_sentence(where: tuple[str, ...], served: Impasto) -> None:
    done = served("render", f"{LATIN}.exr", "o.exr", "--style", "identity", *where)
    assert (done.code, done.err) == (
        USAGE,
        "impasto: expected a path in UTF-8 as input, got 'caf\\xe9.exr'; rename it\n",
    )


def test_a_folder_that_is_not_utf8_is_one_sentence(
    sequence: str, impasto: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(LATIN)
    folder.mkdir()
    monkeypatch.chdir(folder)
    done = impasto("render", sequence, "o.####.exr", "--style", "identity")
    assert (done.code, "caf\\xe9/o.####.exr'; rename it" in done.err) == (USAGE, True)
