"""Paths on their way to the server: what the wire would refuse, said in the words of whoever named them."""

from __future__ import annotations

from impasto.core.errors import UsageError
from impasto.server.protocol.animation import require_sendable_animation
from impasto.server.protocol.limits import TEXT_BYTES
from impasto.server.protocol.messages import ShotJob
from impasto.server.protocol.text import offence, shown


def require_sendable(what: str, path: str) -> None:
    """Raise UsageError for a path that no message can carry; `what` is what it was given as."""
    if path.isascii() and path.isprintable() and len(path) <= TEXT_BYTES:
        return
    if (size := len(path.encode(errors="surrogatepass"))) > TEXT_BYTES:
        raise UsageError(
            f"expected a path of at most {TEXT_BYTES} bytes as {what}, got {size} in {shown(path)}; move it up"
        )
    if (wrong := offence(path)) is not None:
        raise UsageError(
            f"expected a path in UTF-8 without control characters as {what}, got {shown(path)} ({wrong}); rename it"
        )


def require_sendable_shot(job: ShotJob) -> None:
    """Raise UsageError for the first path of a shot job that no message can carry, and for too long an animation."""
    for what, path in (*job.paths(), ("style", job.look.style), ("OpenColorIO configuration", job.ocio)):
        require_sendable(what, path)
    require_sendable_animation(job.animated)
