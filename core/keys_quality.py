"""How much is spent on the carried paint of keys by a hand: see `impasto.core.keyframe_paint.carried_keys`."""

from __future__ import annotations

from typing import Literal

KeysQuality = Literal["draft", "standard", "best"]
"""A draft follows one key, quickly; standard follows two, down to the pixel; best four, and invents what none shows."""
