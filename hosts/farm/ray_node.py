"""What a node of a Ray cluster does for a seat: one style on one device, kept warm, painting chunk after chunk."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from impasto.core.errors import ImpastoError, MediaError, StyleError, UsageError
from impasto.hosts.farm.job_file import FarmJob, require_same

if TYPE_CHECKING:
    from impasto.core.engine import Engine
    from impasto.server.protocol.messages import ShotJob

FAILS_EVERYWHERE = (UsageError, MediaError, StyleError)
"""Errors of the work itself, exit codes 2, 3 and 5 of a task; all others are of the node."""


@dataclass(frozen=True, slots=True)
class NodeOrder:
    """A shot as every node gets it: its farm job as plain values, and the shot as a message of the render server."""

    farm_job: Mapping[str, str]
    shot: tuple[bytes, bytes]


def order_of(shot: ShotJob, job: FarmJob) -> NodeOrder:
    """A shot, whose paths are absolute and the same on every node, as an order. TooLong beyond what a message holds."""
    from impasto.server.protocol.codec import encode
    from impasto.server.protocol.messages import SubmitShot

    return NodeOrder(asdict(job), encode(SubmitShot(os.urandom(16), shot)))


class RayNode:
    """The actor of a seat. Calls come one after the other; none raises, because what Ray pickles of an error is lost.

    `farm_job` and `shot` are those of a NodeOrder. `device` is 'cpu', or 'cuda:0' for the one GPU
    that Ray shows to the actor. Nothing is loaded before the first chunk with a frame to paint.
    """

    def __init__(self, farm_job: Mapping[str, str], shot: Sequence[bytes], device: str) -> None:
        self._farm_job, self._shot, self._device = FarmJob(**farm_job), shot, device
        self._engine: Engine | None = None

    def refusal(self) -> str:
        """Why this node cannot take part: without a token, another version, folders or a style; '' where it can."""
        if os.environ.get("RAY_AUTH_MODE") != "token":
            return "expected RAY_AUTH_MODE=token where `ray start` ran, the node takes orders from anybody; start it so"
        try:
            shot = self._order()
            require_same(self._farm_job, input=shot.input, output=shot.output, style=shot.look.style)
        except ImpastoError as error:
            return str(error)
        return ""

    def paint(self, first: int, last: int) -> tuple[int, str, bool]:
        """Paint these frames, both included: how many were not there, what went wrong, whether it does everywhere."""
        from impasto.server.shots.render import render_shot

        attempt = f"{socket.gethostname()[:200]}-{os.getpid()}"
        try:
            shot = replace(self._order(), first=first, last=last, resume=True, farm_job=self._farm_job.id)
            shot = replace(shot, attempt=attempt)
            self._engine = self._engine or self._loaded(shot)
            return render_shot(shot, self._engine).rendered, "", False
        except FAILS_EVERYWHERE as error:
            return 0, str(error), True
        except Exception as error:  # noqa: BLE001  # the loop tries again elsewhere, and shows the sentence
            self._engine = None
            said = str(error) if isinstance(error, ImpastoError) else f"{type(error).__name__}: {error}"
            return 0, said, False

    def _order(self) -> ShotJob:
        from impasto.server.protocol.codec import FROM_CLIENT, decode
        from impasto.server.protocol.messages import SubmitShot

        message, _ = decode(self._shot, FROM_CLIENT)
        assert isinstance(message, SubmitShot)
        return message.job

    def _loaded(self, shot: ShotJob) -> Engine:
        from impasto.core.engine import Engine
        from impasto.server.shots.job import tile_of

        look = shot.look
        return Engine(look.style, device=self._device, precision=look.precision, tile=tile_of(look.tile))
