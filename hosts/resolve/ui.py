"""Whoever stands before a person: the dialog in Resolve, or the command line outside."""

from __future__ import annotations


class Front:
    """What a job needs of it. This one is silent and never asks to stop."""

    def say(self, text: str) -> None:
        """Something to be read."""

    def tell(self, fraction: float, text: str) -> None:
        """How far a step is, 0 to 1, and which one it is."""

    def stopped(self) -> bool:
        """Whether the person asked to stop."""
        return False

    def pause(self, seconds: float) -> None:
        """Wait, and let the person's wishes in."""


class Stopped(Exception):  # it is no error: somebody asked for it
    """The person asked to stop."""
