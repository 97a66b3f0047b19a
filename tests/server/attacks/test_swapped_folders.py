"""A folder below a root that is swapped for a link after a job was admitted: nothing outside is read or written."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import numpy as np
import pytest
import zmq

from impasto.core.frame import Pixels
from impasto.core.media import open_reader
from impasto.server import auth
from impasto.server.auth import ClientAuth
from impasto.server.file_roots import resolve
from impasto.server.protocol.messages import FromServer, RenderSettings, ShotDone, ShotJob, ShotStarted, SubmitShot
from impasto.server.protocol.worker_messages import RunShot, ShotEnded, WorkFailed
from impasto.server.settings import Root
from impasto.server.worker.held_paths import held_job
from tests.plates import write_sequence
from tests.server.fake_worker import COMMAND
from tests.server.running_server import free_port, served
from tests.server.wire_client import WireClient
from tests.server.worker_process import new_id, worker_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="open files are paths on Linux alone")
FRAMES = range(1, 9)
OWN, OTHER = 10, 200


def grey(value: int) -> Pixels:
    return np.full((16, 32, 3), value, np.uint8)


class Place:
    """Two roots with a folder in each, and one outside."""

    def __init__(self, folder: Path) -> None:
        self.plates, self.out, self.outside = (folder / name for name in ("plates", "out", "outside"))
        for each in (self.plates / "mine", self.out / "mine", self.outside):
            each.mkdir(parents=True)
        for each, value in ((self.plates / "mine", OWN), (self.outside, OTHER)):
            write_sequence(each, FRAMES, "x", ending="png", pixels=lambda _, value=value: grey(value))  # type: ignore[misc]
        self.roots = {"plates": Root(self.plates), "out": Root(self.out, writable=True)}

    def admitted(self, style: str = "echo", **more: bool) -> RunShot:
        """The order for a worker, as the front sends it."""
        job = ShotJob(RenderSettings(style), "plates:mine/x.####.png", "out:mine/o.####.png", **more)  # type: ignore[arg-type]
        job = job.with_paths(lambda name, path: str(resolve(path, self.roots, write=name == "output")))
        roots = tuple(str(each.folder) for each in self.roots.values())
        return RunShot(SubmitShot(new_id(), job), "", 1, roots=roots)

    def swap(self, root: Path) -> None:
        (root / "mine").rename(root / "moved")
        (root / "mine").symlink_to(self.outside)

    def require_untouched(self) -> None:
        assert sorted(each.name for each in self.outside.iterdir()) == [f"x.{number:04d}.png" for number in FRAMES]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("which", ["plates", "out"])
def test_a_folder_swapped_before_the_job_begins_is_refused(which: str, place: Place) -> None:
    order = place.admitted()
    place.swap(getattr(place, which))
    with worker_process(COMMAND) as worker:
        worker.send(order)
        failed = worker.answer(WorkFailed)
    assert failed.error.code == "not_permitted"
    assert "'mine' is a link or a file" in failed.error.message
    place.require_untouched()


def test_folders_swapped_while_the_job_runs_change_nothing(place: Place, tmp_path: Path) -> None:
    pair = zmq.curve_keypair()
    auth.add(tmp_path / "keys", "anna", pair[0].decode(), "render")
    listen = f"tcp://127.0.0.1:{free_port()}"
    with (
        served(("delay-100ms",), listen=listen, keys=tmp_path / "keys", roots=place.roots) as server,
        WireClient() as anna,
    ):
        anna.connect_network(
            int(listen.rpartition(":")[2]), ClientAuth(*pair, auth.server_pair(tmp_path / "keys").public)
        )
        anna.greet()
        job = ShotJob(RenderSettings("delay-100ms"), "plates:mine/x.####.png", "out:mine/o.####.png")
        anna.send(anna.data, SubmitShot(secrets.token_bytes(16), job))
        said: list[FromServer] = []
        while not said or type(said[-1]).TYPE in ("shot_started", "shot_progress"):
            said.append(anna.answer()[0])
            if isinstance(said[-1], ShotStarted):
                place.swap(place.plates)
                place.swap(place.out)
        assert "/proc/" not in repr(said)
        assert server.log()
    assert isinstance(said[-1], ShotDone), said[-1]
    assert said[-1].path == "out:mine/o.####.png"
    place.require_untouched()
    with open_reader(str(place.out / "moved" / "o.####.png")) as reader:
        assert [int(frame.colour.mean()) for frame in reader] == [OWN] * len(FRAMES)


def test_frames_of_an_earlier_attempt_are_known_again(place: Place) -> None:
    """They bear the path of the plate, and not the number by which the worker held its folder."""
    for more, skipped in (({}, 0), ({"resume": True}, len(FRAMES))):
        with worker_process(COMMAND) as worker:
            worker.send(place.admitted(**more))
            done = worker.answer(ShotEnded).done
        assert (done.skipped, done.path) == (skipped, str(place.out / "mine" / "o.####.png"))
    with open_reader(str(place.out / "mine" / "o.####.png")) as reader:
        assert next(iter(reader)).provenance["source"] == str(place.plates / "mine" / "x.0001.png")


def test_folders_of_a_result_are_made_without_following_a_link(place: Place) -> None:
    job = ShotJob(RenderSettings("echo"), "", str(place.out / "new" / "inner" / "o.png"))
    with held_job(job, [str(place.out)]):
        assert (place.out / "new" / "inner").is_dir()


@pytest.mark.parametrize("which", ["plates", "out"])
def test_a_client_of_this_machine_can_have_links_refused(which: str, place: Place) -> None:
    """As `impasto watch` does: what it looked at may be a link by the time that the server opens it."""
    job = ShotJob(
        RenderSettings("echo"),
        str(place.plates / "mine" / "x.####.png"),
        str(place.out / "mine" / "o.####.png"),
        within=(str(place.plates), str(place.out)),
    )
    place.swap(getattr(place, which))
    with served() as server, WireClient(server.folder, hello=True) as client:
        client.send(client.data, SubmitShot(secrets.token_bytes(16), job))
        failed, _ = client.answer()
    assert failed.error.code == "not_permitted"
    place.require_untouched()


def test_a_job_of_this_machine_keeps_its_paths(place: Place) -> None:
    job = place.admitted().request.job
    with held_job(job, ()) as held:
        assert held.job is job
