"""An outlet that keeps whatever it is shown."""

from __future__ import annotations

from impasto.hosts.live.pictures import ShownPicture


class KeptPictures:
    """Every picture of a session, in order."""

    wanted = True

    def __init__(self) -> None:
        self.shown: list[ShownPicture] = []

    def offer(self, shown: ShownPicture) -> None:
        self.shown.append(shown)

    @property
    def marks(self) -> list[str]:
        return [each.mark for each in self.shown]
