"""What many scenarios of bakes said that one Blender ran in one go."""

from __future__ import annotations

from typing import Any

Answers = dict[str, Any]


def answer(answers: Answers, name: str) -> Any:
    """What a scenario said; its traceback where it raised."""
    found = answers[name]
    assert not (isinstance(found, dict) and "error" in found), found.get("error")
    return found
