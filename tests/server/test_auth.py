"""Keys: whose are let in, and that nobody else reads them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import zmq
import zmq.auth

from impasto.core.errors import NotPermitted, UnknownName, UsageError
from impasto.server.auth import (
    AllowedClient,
    AllowList,
    add,
    auth_folder,
    client_auth,
    new_pair,
    own_pair,
    public_key,
    revoke,
    server_pair,
    trust,
    trusted,
)

ADDRESS = "tcp://render1:7780"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def someone() -> str:
    return zmq.curve_keypair()[0].decode()


def test_a_pair_is_what_zmq_reads(folder: Path) -> None:
    pair = new_pair(folder, "client")
    assert zmq.auth.load_certificate(folder / "client.key_secret") == (pair.public, pair.secret)
    assert zmq.auth.load_certificate(folder / "client.key") == (pair.public, None)
    assert zmq.curve_public(pair.secret) == pair.public


def test_what_is_stored_is_for_its_owner_alone(folder: Path) -> None:
    new_pair(folder, "client")
    add(folder, "anna", someone())
    trust(folder, ADDRESS, someone())
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()] if path.is_dir()} == {0o700}
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize(("name", "mode"), [("client.key_secret", 0o640), (".", 0o750), (".", 0o705)])
def test_what_others_can_read_is_refused(name: str, mode: int, folder: Path) -> None:
    new_pair(folder, "client")
    (folder / name).chmod(mode)
    with pytest.raises(NotPermitted, match=r"run: chmod [67]00"):
        own_pair(folder)


def test_a_public_key_is_no_option_of_a_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = zmq.curve_keypair
    bad = (b"-" + made()[0][1:], made()[1])
    pairs = iter([bad, bad])
    monkeypatch.setattr("zmq.curve_keypair", lambda: next(pairs, None) or made())
    pair = new_pair(folder, "client")
    assert not pair.public.startswith(b"-")
    assert zmq.curve_public(pair.secret) == pair.public


def test_a_pair_is_not_replaced_by_accident(folder: Path) -> None:
    first = new_pair(folder, "client")
    with pytest.raises(UsageError, match="--overwrite"):
        new_pair(folder, "client")
    assert own_pair(folder) == first
    assert new_pair(folder, "client", replace=True) != first


def test_the_server_makes_its_pair_once(folder: Path) -> None:
    assert server_pair(folder) == server_pair(folder)


def test_a_client_needs_its_own_keys_and_the_servers(folder: Path) -> None:
    with pytest.raises(NotPermitted, match="impasto auth new"):
        client_auth(folder, ADDRESS)
    own = new_pair(folder, "client")
    with pytest.raises(NotPermitted, match=f"impasto auth trust {ADDRESS}"):
        client_auth(folder, ADDRESS)
    key = someone()
    trust(folder, ADDRESS, key)
    assert trusted(folder) == {ADDRESS: key.encode()}
    keys = client_auth(folder, ADDRESS)
    assert (keys.public, keys.secret, keys.server) == (own.public, own.secret, key.encode())
    other = someone()
    assert client_auth(folder, ADDRESS, other).server == other.encode()


def test_an_added_key_is_known_until_it_is_revoked(folder: Path) -> None:
    key = someone()
    known = AllowList(folder)
    assert known.user_of(key.encode()) is None
    anna = add(folder, "anna", key, "admin")
    assert anna == AllowedClient("anna", "admin", key.encode())
    assert known.user_of(key.encode()) == anna
    assert known.user_of(zmq.utils.z85.decode(key)) == anna
    assert known.user_of(someone().encode()) is None
    revoke(folder, "anna")
    assert known.user_of(key.encode()) is None
    with pytest.raises(UnknownName):
        revoke(folder, "anna")


def test_a_key_can_be_given_as_its_file(folder: Path, tmp_path: Path) -> None:
    pair = new_pair(tmp_path / "other", "client")
    assert add(folder, "ben", str(tmp_path / "other" / "client.key")).public == pair.public
    with pytest.raises(UsageError, match="secret never leaves"):
        public_key(str(tmp_path / "other" / "client.key_secret"))


@pytest.mark.parametrize("name", ["", "../anna", "a/b", ".hidden", "a b", "x" * 64, "a\n"])
def test_a_name_is_no_path(name: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="expected a name"):
        add(folder, name, someone())
    assert not (folder / "allowed").exists()


@pytest.mark.parametrize("text", ["", "short", "x" * 39, "x" * 41, "é" * 40, '"' * 40, "~" * 40, "nowhere.key"])
def test_what_is_no_key_is_refused(text: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="expected a public key"):
        add(folder, "anna", text)


@pytest.mark.parametrize(
    "address", ["render1:7780", "tcp://render1", "tcp://a/../b:1", "tcp://*:7780", "tcp://h:65535", "ipc://x", ""]
)
def test_what_is_no_address_is_refused(address: str, folder: Path) -> None:
    with pytest.raises(UsageError, match="tcp://HOST:PORT"):
        trust(folder, address, someone())


def test_one_key_has_one_name_and_one_name_one_key(folder: Path) -> None:
    key = someone()
    add(folder, "anna", key)
    with pytest.raises(UsageError, match="'anna' has a key already"):
        add(folder, "anna", someone())
    with pytest.raises(UsageError, match="'anna' has this one"):
        add(folder, "ben", key)
    with pytest.raises(UsageError, match="render or admin"):
        add(folder, "ben", someone(), "root")


def test_a_broken_file_lets_nobody_in_and_shuts_nobody_out(folder: Path) -> None:
    key = someone()
    add(folder, "anna", key)
    bad = folder / "allowed" / "ben.key"
    bad.write_bytes(os.urandom(200))
    bad.chmod(0o600)
    known = AllowList(folder)
    assert [each.name for each in known.entries()] == ["anna"]
    assert [str(bad) in problem for problem in known.problems] == [True]


def test_a_list_that_others_can_write_lets_nobody_in(folder: Path) -> None:
    key = someone()
    add(folder, "anna", key)
    known = AllowList(folder)
    assert known.user_of(key.encode()) is not None
    (folder / "allowed").chmod(0o770)
    assert known.user_of(key.encode()) is None


def test_a_change_of_role_is_seen(folder: Path) -> None:
    key = someone()
    add(folder, "anna", key)
    known = AllowList(folder)
    assert known.user_of(key.encode()) == AllowedClient("anna", "render", key.encode())
    path = folder / "allowed" / "anna.key"
    path.write_text(path.read_text().replace("render", "admin"))
    os.utime(path, ns=(0, time.time_ns() + 10**9))
    assert known.user_of(key.encode()) == AllowedClient("anna", "admin", key.encode())


def test_the_folder_is_named_by_the_environment(tmp_path: Path) -> None:
    assert auth_folder({"IMPASTO_KEYS": str(tmp_path)}) == tmp_path
    assert auth_folder({"XDG_CONFIG_HOME": "/c"}) == Path("/c/impasto/keys")
