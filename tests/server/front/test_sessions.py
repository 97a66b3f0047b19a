"""Sessions: leases, resuming, room, and answers that are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from impasto.core.errors import InvalidRequest, NotPermitted, ServerBusy
from impasto.server.front.access import Identity
from impasto.server.front.outbox import Channel, PeerAddress
from impasto.server.front.sessions import AnswerCache, Session, Sessions, StoredAnswer
from impasto.server.protocol.limits import Limits
from impasto.server.protocol.messages import Cancelled, Hello
from impasto.server.protocol.version import Offer, negotiate

LIMITS = Limits(sessions=3, sessions_per_user=2)
HELLO = Hello("test", 1, 0, 42)
HERE = Identity()


def route(peer: bytes, channel: Channel = Channel.CONTROL, *, local: bool = True) -> PeerAddress:
    return PeerAddress(local, channel, peer)


def admit(sessions: Sessions, peer: bytes, identity: Identity = HERE, now: float = 0.0, **hello: object) -> Session:
    asked = replace(HELLO, **hello)  # type: ignore[arg-type]
    local = not identity.key
    agreed = negotiate(asked, Offer(local=local, limits=LIMITS))
    return sessions.admit(asked, identity, route(peer, local=local), agreed, now)


def test_a_connection_leads_to_its_session() -> None:
    sessions = Sessions(LIMITS)
    first, second = admit(sessions, b"1"), admit(sessions, b"2")
    assert sessions.at(route(b"1")) is first
    assert sessions.at(route(b"2")) is second
    assert sessions.at(route(b"1", Channel.DATA)) is None
    assert first.token != second.token


def test_who_only_asks_or_ends_the_server_finds_room_where_others_leave_none() -> None:
    limits = Limits(sessions=3, sessions_kept=2)
    sessions = Sessions(limits, has_room=lambda: len(sessions) < 3)
    for peer in (b"1", b"2", b"3"):
        admit(sessions, peer)
    for peer in (b"4", b"5"):
        assert admit(sessions, peer, control_only=True).hello.control_only
    for control_only in (True, False):
        with pytest.raises(ServerBusy, match="clients at once"):
            admit(sessions, b"6", control_only=control_only)


def test_room_that_is_kept_is_not_taken_from_those_who_work() -> None:
    sessions = Sessions(Limits(sessions=2, sessions_kept=2))
    for peer in (b"1", b"2"):
        admit(sessions, peer, control_only=True)
    for peer in (b"3", b"4"):
        admit(sessions, peer)
    with pytest.raises(ServerBusy):
        admit(sessions, b"5")


def test_a_user_of_another_machine_has_one_more_to_ask_with() -> None:
    sessions = Sessions(LIMITS)
    anna = Identity("anna", admin=False)
    for peer in (b"1", b"2"):
        admit(sessions, peer, anna)
    admit(sessions, b"3", anna, control_only=True)
    with pytest.raises(ServerBusy, match="clients of 'anna'"):
        admit(sessions, b"4", anna, control_only=True)


def test_who_said_that_nothing_would_be_rendered_is_held_to_it() -> None:
    sessions = Sessions(LIMITS)
    admit(sessions, b"1").require_work()
    with pytest.raises(InvalidRequest, match="connect without it"):
        admit(sessions, b"2", control_only=True).require_work()


def test_who_found_room_by_only_asking_does_not_go_on_as_one_who_works() -> None:
    sessions = Sessions(LIMITS)
    asker = admit(sessions, b"1", control_only=True)
    back = Hello("test", 1, 1, 1, resume=asker.token, control_only=True)
    assert sessions.resume(replace(back, control_only=False), HERE, route(b"2"), asker.agreed, 0.0) is None
    assert sessions.resume(back, HERE, route(b"2"), asker.agreed, 0.0) is asker


def test_a_session_lives_as_long_as_its_lease() -> None:
    sessions = Sessions(LIMITS)
    short, long = admit(sessions, b"1"), admit(sessions, b"2", lane="batch")
    assert sessions.expired(LIMITS.interactive_lease_s) == []
    assert sessions.expired(LIMITS.interactive_lease_s + 0.1) == [short]
    sessions.extend_leases(1.0)
    assert sessions.expired(LIMITS.interactive_lease_s + 0.1) == []
    assert long in sessions.expired(LIMITS.batch_lease_s + 1.1)


def test_a_resumed_session_answers_on_its_new_connection_alone() -> None:
    sessions = Sessions(LIMITS)
    session = admit(sessions, b"1")
    again = replace(HELLO, resume=session.token)
    assert sessions.resume(again, HERE, route(b"2"), session.agreed, 1.0) is session
    assert sessions.at(route(b"1")) is None
    assert sessions.at(route(b"2")) is session


def test_what_is_said_to_a_resumed_session_waits_until_it_has_joined_again() -> None:
    sessions = Sessions(LIMITS)
    session = admit(sessions, b"1")
    sessions.join(session.token, HERE, route(b"old", Channel.DATA), 0.0)
    sessions.resume(replace(HELLO, resume=session.token), HERE, route(b"2"), session.agreed, 1.0)
    assert session.data.address is None
    sessions.join(session.token, HERE, route(b"new", Channel.DATA), 1.0)
    assert session.data.address == route(b"new", Channel.DATA)
    assert sessions.at(route(b"old", Channel.DATA)) is None


def test_nobody_resumes_or_joins_the_session_of_another_key() -> None:
    sessions = Sessions(LIMITS)
    session = admit(sessions, b"1", Identity("anna", False))
    thief = Identity("thief", False)
    again = replace(HELLO, resume=session.token)
    assert sessions.resume(again, thief, route(b"2", local=False), session.agreed, 1.0) is None
    with pytest.raises(NotPermitted):
        sessions.join(session.token, thief, route(b"2", Channel.DATA, local=False), 1.0)


def test_a_removed_session_is_joined_no_more() -> None:
    sessions = Sessions(LIMITS)
    session = admit(sessions, b"1")
    sessions.remove(session)
    assert session.closed
    with pytest.raises(InvalidRequest, match="say Hello"):
        sessions.join(session.token, HERE, route(b"1", Channel.DATA), 1.0)


def test_there_is_room_for_so_many_sessions() -> None:
    sessions = Sessions(LIMITS)
    for peer in (b"1", b"2", b"3"):
        admit(sessions, peer)
    with pytest.raises(ServerBusy, match="at most 3"):
        admit(sessions, b"4")


def test_a_key_has_so_many_sessions() -> None:
    sessions = Sessions(LIMITS)
    anna = Identity("anna", False)
    admit(sessions, b"1", anna)
    admit(sessions, b"2", anna)
    with pytest.raises(ServerBusy, match="'anna'"):
        admit(sessions, b"3", anna)
    admit(sessions, b"4", Identity("ben", False))


def test_a_storm_of_hellos_is_slowed_down() -> None:
    sessions = Sessions(LIMITS)
    for _ in range(100):
        sessions.check_rate(0.0)
    with pytest.raises(ServerBusy):
        sessions.check_rate(0.0)
    sessions.check_rate(1.0)


def test_answers_are_kept_up_to_a_number_and_an_age() -> None:
    answers = AnswerCache(2, 10.0)
    for number in range(3):
        answers.keep(bytes([number]), StoredAnswer(b"", Cancelled(bytes(16)), float(number)))
    assert answers.find(b"\x00", 3.0) is None
    assert answers.find(b"\x02", 3.0) is not None
    assert answers.find(b"\x02", 13.0) is None


def test_only_the_owner_of_a_session_can_replace_it() -> None:
    sessions = Sessions(LIMITS)
    own = admit(sessions, b"1", Identity("anna", admin=False))
    hello = replace(HELLO, replaces=own.token)
    assert sessions.replaced(hello, own.identity, route(b"2", local=False)) is own
    assert sessions.replaced(hello, Identity("bert", admin=False), route(b"2", local=False)) is None
    assert sessions.replaced(hello, HERE, route(b"2")) is None
    assert sessions.replaced(HELLO, own.identity, route(b"2", local=False)) is None
