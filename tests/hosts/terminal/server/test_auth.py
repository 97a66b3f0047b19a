"""Key files from the command line, and a render on another machine: this one, in two roles."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from impasto.core.media import open_reader
from impasto.hosts.terminal.exit_codes import SERVER, USAGE
from tests.hosts.terminal.conftest import Impasto, names, next_event, server_process
from tests.server.running_server import free_port

pytestmark = pytest.mark.skipif(os.name == "nt", reason="roots are served on POSIX alone")

KEY = re.compile(r"'(\S{40})'")


def test_key_pairs_are_made_listed_and_revoked(impasto: Impasto) -> None:
    done = impasto("auth", "new")
    assert done.code == 0
    mine = KEY.search(done.out)
    assert mine is not None
    assert impasto("auth", "new").code == USAGE
    assert impasto("auth", "add", "anna", mine[1], "--role", "admin").out == "anna may use the server (admin)\n"
    listed = impasto("auth", "list")
    assert f"your public key: {mine[1]}" in listed.out
    assert f"  anna  admin  {mine[1]}" in listed.out
    assert impasto("auth", "trust", "tcp://render1:7780", mine[1]).code == 0
    assert f"  tcp://render1:7780  {mine[1]}" in impasto("auth", "list").out
    assert impasto("auth", "revoke", "anna").code == 0
    assert "nobody may use your server" in impasto("auth", "list").out
    gone = impasto("auth", "revoke", "anna")
    assert (gone.code, len(gone.err.splitlines())) == (USAGE, 1)


def test_key_files_that_others_can_read_are_refused_with_what_to_run(impasto: Impasto) -> None:
    impasto("auth", "new")
    Path("keys").chmod(0o755)
    done = impasto("render", "plates:p.exr", "out:o.exr", "--style", "identity")
    assert done.code != 0
    refused = impasto("status", "--server", "tcp://127.0.0.1:7780", "--server-key", "x" * 40)
    assert (refused.code, "run: chmod 700" in refused.err) == (SERVER, True)


@pytest.fixture
def machine(tmp_path: Path, sequence: str) -> Iterator[tuple[str, str, Path, Path]]:
    """A render machine: its address, its public key, its folder of keys and the folder for results."""
    keys, out = tmp_path / "theirs", tmp_path / "results"
    out.mkdir()
    address = f"tcp://127.0.0.1:{free_port()}"
    roots = ("--root", f"plates={Path(sequence).parent}", "--root", f"out={out}:rw")
    with (
        TemporaryDirectory(prefix="impasto-") as folder,
        server_process("--listen", address, *roots, folder=Path(folder) / "run", IMPASTO_KEYS=str(keys)) as server,
    ):
        serving, warning = next_event(server), next_event(server)
        assert (serving["event"], "nobody may connect yet" in warning["message"]) == ("serving", True)
        assert address in serving["endpoints"]
        yield address, serving["public_key"], keys, out


def test_a_shot_is_rendered_on_another_machine(
    machine: tuple[str, str, Path, Path], sequence: str, served: Impasto, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, server_key, theirs, out = machine
    mine = KEY.search(served("auth", "new").out)
    assert mine is not None
    render = ("render", "plates:plate.####.exr", "out:o.####.exr", "--style", "identity", "--server", address, "--json")

    stranger = served("render", *render[1:])
    assert (stranger.code, "impasto auth trust" in stranger.events[-1]["message"]) == (SERVER, True)
    served("auth", "trust", address, server_key)
    denied = served(*render)
    assert (denied.code, [event["event"] for event in denied.events]) == (SERVER, ["failed"])

    with monkeypatch.context() as there:
        there.setenv("IMPASTO_KEYS", str(theirs))
        assert served("auth", "add", "anna", mine[1]).code == 0
    done = served(*render)
    assert done.code == 0, done.events[-1]
    assert names(out) == [f"o.{number}.exr" for number in range(1001, 1007)]
    with open_reader(sequence) as before, open_reader(str(out / "o.####.exr")) as after:
        for plate, painted in zip(before, after, strict=True):
            assert np.array_equal(plate.colour, painted.colour)
    assert str(out) not in done.out, "a client is told no path of the server"

    outside = served("render", "plates:../secret.exr", "out:o.exr", *render[3:])
    assert (outside.code, outside.events[-1]["code"]) == (SERVER, "not_permitted")
    assert served("status", "--server", address, "--json").events[0]["clients"][0]["user"] == "anna"
    assert served("stop", "--server", address).code == SERVER, "only an admin ends a server"

    with monkeypatch.context() as there:
        there.setenv("IMPASTO_KEYS", str(theirs))
        served("auth", "revoke", "anna")
    assert served(*render).code == SERVER
