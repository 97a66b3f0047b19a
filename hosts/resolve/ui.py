"""What a job needs of its user interface: the dialog in Resolve, its console, or the command line outside."""

from __future__ import annotations


class UserInterface:
    """Shows texts and progress, and asks for a stop. This one is silent and never asks."""

    def say(self, text: str) -> None:
        """Show a note to the user."""

    def show_progress(self, fraction: float, text: str) -> None:
        """Show how far a step is, 0 to 1, and which one it is."""

    def stop_requested(self) -> bool:
        """Whether the user asked to stop."""
        return False

    def pause(self, seconds: float) -> None:
        """Wait, and process the user's input meanwhile."""


class JobStopped(Exception):  # no error: the user asked for it
    """The user asked to stop."""
