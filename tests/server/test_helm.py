"""Who listens to a connection's files: one at a time, and nothing that comes is missed when they change hands."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from impasto.server.helm import Helm

LIMIT_S = 5.0
changes_hands = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the files' own thread listens always")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_the_own_thread_hears_what_comes(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    helm = Helm((ours.fileno(),))
    assert helm.wait(0.0) == set()
    helm.release()
    theirs.send(b"x")
    assert helm.wait(LIMIT_S) == {ours.fileno()}
    helm.release()
    helm.close()


@changes_hands
def test_who_has_taken_over_hears_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    helm = Helm((ours.fileno(),))
    assert helm.take_over()
    assert not helm.take_over()
    theirs.send(b"x")
    assert helm.wait(0.0) is None
    assert helm.poll(LIMIT_S) == {ours.fileno()}
    helm.give_back()
    helm.close()


@changes_hands
def test_what_nobody_acted_on_wakes_the_own_thread_again(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    helm = Helm((ours.fileno(),))
    assert helm.take_over()
    theirs.send(b"x")
    helm.give_back()
    assert helm.wait(LIMIT_S) == {ours.fileno()}
    helm.release()
    helm.close()


@changes_hands
def test_nobody_takes_over_what_is_acted_on_or_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    helm = Helm((ours.fileno(),))
    assert helm.wait(0.0) == set()
    assert not helm.take_over()
    helm.release()
    helm.close()
    assert not helm.take_over()


@changes_hands
def test_whoever_gives_back_twice_or_has_nothing_changes_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    helm = Helm((ours.fileno(),))
    assert helm.take_over()
    stranger = threading.Thread(target=helm.give_back)
    stranger.start()
    stranger.join(LIMIT_S)
    assert helm.wait(0.0) is None
    helm.give_back()
    helm.give_back()
    theirs.send(b"x")
    assert helm.wait(LIMIT_S) == {ours.fileno()}
    helm.release()
    helm.close()


@changes_hands
@pytest.mark.parametrize("point", ["remove", "add"])
def test_ctrl_c_while_the_files_change_hands_leaves_their_own_thread_listening(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    ours, theirs = pair
    helm = Helm((ours.fileno(),))

    def interrupted(self: object, file: int) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(f"impasto.server.helm._Watch.{point}", interrupted)
    try:
        try:
            helm.take_over()
        finally:
            helm.give_back()
    except KeyboardInterrupt:
        helm.give_back()
    theirs.send(b"x")
    assert helm.wait(LIMIT_S) == {ours.fileno()}
    helm.release()
    helm.close()
