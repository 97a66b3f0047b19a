"""Who listens to a connection's files: one at a time, and nothing that comes is missed when they change hands."""

from __future__ import annotations

import socket
import sys
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
