"""The health of a server, and its reasons."""

from __future__ import annotations

from typing import Any

import pytest

from impasto.server.front.status import PROBLEMS_SHOWN, health
from impasto.server.protocol.messages import DeviceFacts


def device(state: Any, name: str = "cuda:0") -> DeviceFacts:
    return DeviceFacts(name, "A card", state, 1, "float16", 0, (), 0, 0, 0)


@pytest.mark.parametrize(
    ("states", "problems", "draining", "expected", "reason"),
    [
        (["ready"], [], False, "ok", None),
        (["busy", "ready"], [], False, "ok", None),
        (["ready", "starting"], [], False, "ok", None),
        (["starting"], [], False, "starting", "'cuda:0' is starting"),
        (["starting"], ["the log cannot be written"], False, "degraded", "no worker is ready"),
        (["lost"], [], False, "degraded", "no worker is ready"),
        ([], [], False, "degraded", "no worker is ready"),
        (["ready", "lost"], [], False, "degraded", "a worker is lost"),
        (["ready"], ["the log cannot be written"], False, "degraded", "the log cannot be written"),
        (["ready"], [], True, "draining", "takes no more work"),
        (["lost"], ["a worker died"], True, "draining", "takes no more work"),
    ],
)
def test_the_health_follows_from_facts_and_has_reasons(
    states: list[str], problems: list[str], draining: bool, expected: str, reason: str | None
) -> None:
    found, reasons = health([device(state) for state in states], problems, draining=draining)
    assert found == expected
    assert (reasons == ()) == (expected == "ok")
    if reason is not None:
        assert reason in reasons[0]
    assert set(problems) <= set(reasons)


def test_more_reasons_than_a_status_holds_are_counted() -> None:
    _, reasons = health([device("ready")], [f"problem {number}" for number in range(40)])
    assert len(reasons) == PROBLEMS_SHOWN
    assert reasons[-1] == "and 25 more; the log has them all"
