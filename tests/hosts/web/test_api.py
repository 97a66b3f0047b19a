"""What the pages ask, answered by real processes: plates, painted frames, command lines, presets, the server."""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from impasto.core.preset import Preset, read_preset
from impasto.hosts.web.look import command_line
from impasto.hosts.web.pictures import PreviewPlate
from impasto.server.client import Client
from impasto.server.settings import Root
from tests.hosts.web.conftest import Pages, running_pages, settings_in
from tests.server.running_server import served
from tests.waiting import until

STILL = "media:lantern.####.exr"


def opened(pages: Pages, path: str = STILL, frame: int | None = 1003) -> dict[str, Any]:
    """A plate below a root."""
    answer = pages.ask("/api/plate", sent={"path": path, "frame": frame})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def pixels_of(body: bytes) -> np.ndarray:
    """A picture as (H, W, 3), sRGB."""
    found = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found[..., ::-1]


def test_a_frame_of_a_sequence_is_painted_by_the_server(pages: Pages) -> None:
    plate = opened(pages)
    assert (plate["first"], plate["frames"], plate["frame"], plate["kind"]) == (1001, 8, 1003, "sequence")
    plain = pixels_of(pages.ask(f"/api/pictures/{plate['id']}?as=png").body)
    assert plain.shape == (plate["height"], plate["width"], 3)
    answer = pages.ask("/api/frame", sent={"picture": plate["id"], "style": "invert", "as": "png", "viewer": "v"})
    assert answer.status == 200, answer.body
    assert np.array_equal(pixels_of(answer.body), 255 - plain)
    facts = json.loads(answer.headers["x-painted"])
    assert (facts["width"], facts["height"]) == (plate["width"], plate["height"])


def test_a_preview_is_scaled_by_its_longer_side(pages: Pages) -> None:
    plate = opened(pages, "media:harbour.mp4", 5)
    assert (plate["width"], plate["height"], plate["frame"]) == (960, 540, 5)
    answer = pages.ask("/api/frame", sent={"picture": plate["id"], "style": "echo", "side": 320, "viewer": "v"})
    assert pixels_of(answer.body).shape == (180, 320, 3)


def test_a_dropped_picture_is_painted_and_never_stored(pages: Pages) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    body = bytes(cv2.imencode(".png", pixels[..., ::-1])[1])
    plate = pages.ask("/api/pictures", body=body, headers={"X-Name": "sch%C3%B6n.png"}).json
    assert (plate["name"], plate["dropped"], plate["width"], plate["height"]) == ("schön.png", True, 30, 20)
    assert np.array_equal(pixels_of(pages.ask(f"/api/pictures/{plate['id']}?as=png").body), pixels)


@pytest.mark.parametrize(
    ("name", "body", "status", "said"),
    [
        ("shot.mov", b"x" * 100, 422, "expected a picture, got the movie 'shot.mov'"),
        ("shot.png", Path(__file__).parents[2] / "media" / "harbour.mp4", 422, "'shot.png'"),
        ("shot.png", b"", 422, "'shot.png'"),
        ("notes.txt", b"hello", 422, "expected a picture (."),
        ("a/../../b.png", b"no", 422, "a_.._.._b.png"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(
    pages: Pages, name: str, body: bytes | Path, status: int, said: str
) -> None:
    data = body if isinstance(body, bytes) else body.read_bytes()
    answer = pages.ask("/api/pictures", body=data, headers={"X-Name": name})
    assert (answer.status, said in answer.json["message"]) == (status, True), answer.body
    assert "impasto-web-" not in answer.json["message"]


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"style": "fail"}, 422, "expected a style that paints"),
        ({"style": "nowhere"}, 404, "no style is called 'nowhere'"),
        ({"style": "/etc/hidden.safetensors"}, 403, "expected the name of a style, got the path"),
        ({"style": "media:../x.safetensors"}, 403, ""),
        ({"style": "runs:missing.safetensors"}, 422, "found none"),
        ({"style": "echo", "params": {"strenght": 1}}, 404, "did you mean 'strength'"),
        ({"style": "echo", "params": {"strength": 7}}, 400, "strength between 0 and 1"),
        ({"style": "echo", "params": {"strength": True}}, 400, "expected numbers by name"),
        ({"style": "echo", "before": {"white": 0, "black": 0.5}}, 400, "expected white above black"),
        ({"style": ""}, 400, "expected a style"),
        ({"style": "echo", "side": 100_000}, 400, "expected a side"),
        ({"style": "echo", "picture": "0" * 16}, 422, "choose it again"),
    ],
)
def test_a_frame_that_cannot_be_painted_is_a_sentence(
    pages: Pages, sent: dict[str, Any], status: int, said: str
) -> None:
    asked = {"picture": opened(pages)["id"], "viewer": "v", **sent}
    answer = pages.ask("/api/frame", sent=asked)
    assert answer.status == status, answer.body
    assert said in answer.json["message"]
    assert answer.json["code"]


@pytest.mark.parametrize(
    "path",
    [
        *("media:../conftest.py", "media:/etc/passwd", "nowhere:a.png", "media:link.png", "media:linked/a.png"),
        *("/etc/passwd", "media:conftest.py", ""),
    ],
)
def test_nothing_outside_the_named_roots_is_read(pages: Pages, tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    (tmp_path / "secret").mkdir()
    cv2.imwrite(str(tmp_path / "secret" / "a.png"), np.zeros((4, 4, 3), np.uint8))
    root.mkdir()
    (root / "link.png").symlink_to(tmp_path / "secret" / "a.png")
    (root / "linked").symlink_to(tmp_path / "secret")
    with running_pages(settings_in(tmp_path, plates={"media": Root(root)})) as apart:
        answer = apart.ask("/api/plate", sent={"path": path, "frame": None})
        assert answer.status in (400, 403, 422), answer.body
        assert apart.ask("/api/folder?path=media").json["entries"] == []
        assert apart.ask("/api/folder?path=media:linked").status == 403


def test_a_folder_lists_shots_once_and_says_what_it_leaves_out(pages: Pages, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    for name in ("b.0001.png", "b.0002.png", "a.mov", "still.jpg", "notes.txt", ".hidden.png", "odd[1].png"):
        (root / name).write_bytes(b"x")
    with running_pages(settings_in(tmp_path, plates={"plates": Root(root)})) as apart:
        found = apart.ask("/api/folder?path=plates").json
    shown = [(each["name"], each["kind"], each["frames"]) for each in found["entries"]]
    assert shown == [
        ("inner", "folder", 0),
        ("a.mov", "movie", 0),
        ("b.####.png", "sequence", 2),
        ("still.jpg", "still", 0),
    ]
    assert found["entries"][2]["path"] == "plates:b.####.png"
    assert found["left_out"] == 1


def test_a_plate_that_was_painted_over_is_read_again(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with running_pages(settings_in(tmp_path, plates={"plates": Root(root)})) as apart:
        ids = []
        for value in (10, 200):
            cv2.imwrite(str(root / "a.png"), np.full((4, 4, 3), value, np.uint8))
            ids.append(opened(apart, "plates:a.png", None)["id"])
            assert pixels_of(apart.ask(f"/api/pictures/{ids[-1]}?as=png").body)[0, 0, 0] == value
        assert opened(apart, "plates:a.png", None)["id"] == ids[1]


LOOK = Preset(
    "atelier@ink=0.6+pencil=0.4", {"strength": 0.8, "exposure": -1.25}, {"denoise": 0.2}, {"saturation": 1.1}, "", "50%"
)


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/p/it's a plate.####.exr", "sequence", ["/p/it's a plate.####.exr", "painted/"]),
        ("/p/shot.mov", "movie", ["/p/shot.mov", "painted/shot.mov"]),
        ("", "still", ["PLATE", "painted.png"]),
    ],
)
def test_the_command_line_is_the_look_and_the_shot(
    path: str, kind: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.hosts.terminal.app import run
    from impasto.hosts.terminal.render import command

    plate = PreviewPlate("id", "plate", np.zeros((1, 1, 3), np.uint8), path, kind)
    jobs = []
    monkeypatch.setattr(command, "_there", lambda job, *more: jobs.append(job) or True)
    typed = shlex.split(command_line(LOOK, plate, LOOK.style))
    assert typed[0] == "impasto"
    assert run(typed[1:]) == 0
    (job,) = jobs
    assert [job.input, job.output] == words
    look = job.look
    assert (look.style, look.params, look.before, look.after) == (LOOK.style, LOOK.params, LOOK.before, LOOK.after)
    assert (job.before_resize, job.after_resize) == ("", "50%")


def test_a_look_is_stored_as_a_preset_and_comes_back(pages: Pages) -> None:
    sent = {"style": "echo", "params": {"strength": 0.5}, "before": {}, "after": {"gamma": 1.2}, "name": "warm ink"}
    stored = pages.ask("/api/presets", sent=sent)
    assert stored.status == 200, stored.body
    assert read_preset(Path(stored.json["path"])) == Preset("echo", {"strength": 0.5}, {}, {"gamma": 1.2})
    assert pages.ask("/api/presets").json["names"] == ["warm ink"]
    assert pages.ask("/api/presets/warm%20ink").json["after"] == {"gamma": 1.2}
    again = pages.ask("/api/presets", sent=sent)
    assert (again.status, "is there already; choose another" in again.json["message"]) == (409, True)
    assert pages.ask("/api/presets", sent={**sent, "overwrite": True}).status == 200
    for name in ("../out", "", ".hidden", "a/b"):
        assert pages.ask("/api/presets", sent={**sent, "name": name}).status == 400
    assert pages.ask("/api/presets/..%2Fsecret").status == 404


def test_a_newer_wish_of_a_viewer_takes_the_place_of_one_that_waits(pages: Pages) -> None:
    plate = opened(pages)["id"]
    answers: dict[str, int] = {}

    def ask(name: str, viewer: str) -> threading.Thread:
        def run() -> None:
            asked = {"picture": plate, "style": "slow-400ms", "viewer": viewer, "side": 64}
            answers[name] = pages.ask("/api/frame", sent=asked).status

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    frames = pages.app.state.frames
    threads = []
    for viewer in "ab":
        threads.append(ask(viewer, viewer))
        until(lambda: frames._under_way == len(threads))
    threads.append(ask("older", "slider"))
    until(lambda: "slider" in frames._waiting)
    threads.append(ask("newer", "slider"))
    for thread in threads:
        thread.join(60)
    assert answers == {"a": 200, "b": 200, "older": 409, "newer": 200}
    assert (frames._under_way, len(frames._waiting)) == (0, 0)


def test_frames_of_the_pages_are_taken_back(pages: Pages) -> None:
    plate, frames = opened(pages)["id"], pages.app.state.frames
    answers: list[int] = []

    def ask(viewer: str) -> None:
        asked = {"picture": plate, "style": "slow-400ms", "viewer": viewer, "side": 64}
        answers.append(pages.ask("/api/frame", sent=asked).status)

    threads = [threading.Thread(target=ask, args=(viewer,)) for viewer in "abcd"]
    for thread in threads:
        thread.start()
    until(lambda: frames.counts == (2, 2))
    assert pages.ask("/api/status").json["pages"] == {"running": 2, "queued": 2}
    assert pages.ask("/api/cancel", sent={"viewer": "nobody"}).json == {"cancelled": 0}
    assert pages.ask("/api/cancel", sent={}).json["cancelled"] >= 2
    for thread in threads:
        thread.join(60)
    assert answers.count(409) >= 2
    assert frames.counts == (0, 0)


def test_the_status_is_asked_once_for_all_tabs(tmp_path: Path) -> None:
    with served(("echo",)) as server:
        connect = lambda: Client.connect(server.folder, start=False, name="impasto web")  # noqa: E731
        with running_pages(settings_in(tmp_path, connect=connect)) as apart:
            first = apart.ask("/api/status").json
            assert first["health"] in ("ok", "starting")
            assert [each["client"] for each in first["clients"]] == ["impasto web"]
            assert all(apart.ask("/api/status").json == first for _ in range(5))
            assert apart.ask("/api/shutdown", sent={"at_once": "yes"}).status == 400
            assert apart.ask("/api/shutdown", sent={"at_once": True}).status == 200
            server.thread.join(30)
            assert not server.thread.is_alive()


def test_a_question_alone_starts_no_server(tmp_path: Path) -> None:
    with running_pages(settings_in(tmp_path, is_running=lambda: False)) as apart:
        answer = apart.ask("/api/health")
    assert (answer.status, answer.json["code"]) == (502, "unreachable")
    assert "the next picture starts one" in answer.json["message"]


def test_a_fault_of_ours_is_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_pages(replace(settings_in(tmp_path), is_running=lambda: True)) as apart:
        answer = apart.ask("/api/styles")
    assert answer.status == 500
    assert "impasto itself is at fault (AssertionError: the page asked for a render server)" in answer.json["message"]
    assert "Traceback" not in answer.body.decode()
