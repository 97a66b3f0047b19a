"""What paints the frames of a shot job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from impasto.core.card import Card
from impasto.core.frame import Frame, Samples
from impasto.core.frame_settings import FrameSettings

if TYPE_CHECKING:
    from impasto.core.engine import Rendered


class HasCard(Protocol):
    """A style, as far as a shot job reads it."""

    @property
    def card(self) -> Card: ...


class Painter(Protocol):
    """The part of `impasto.core.engine.Engine` that a shot needs, so that it can be tested without a network."""

    @property
    def style(self) -> HasCard: ...

    def precision_for(self, *, eight_bit: bool) -> str:
        """What the network counts in for results of 8 bits, or for deeper ones; asked when a shot is resumed."""
        ...

    def render(
        self,
        frame: Frame,
        settings: FrameSettings | None = None,
        *,
        matte: Samples | None = None,
        cancelled: Callable[[], None] = ...,
    ) -> Rendered: ...
