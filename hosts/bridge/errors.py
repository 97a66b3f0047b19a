"""The one error of the bridge."""

from __future__ import annotations


class BridgeError(Exception):
    """An error that a host shows as one sentence: what was expected, what came, and what to do."""
