"""Bounds on everything that comes over the wire, and the server's own settings with their defaults.

The wire limits are part of the protocol and cannot be turned; what an administrator may turn is in `Limits`.
Sources: the measurements of msgpack's own bounds and the incidents of comparable servers.
"""

from __future__ import annotations

from typing import Final

from impasto.core.frozen_dataclass import frozen_dataclass

MAJOR: Final = 1
MINOR: Final = 2
"""The protocol. Another major is refused; a higher minor adds optional fields and messages."""
ANIMATION_MINOR: Final = 1
"""From which on `SubmitShot` may bear animated parameters, guides and motion."""
RATE_MINOR: Final = 2
"""From which on `SubmitShot` may bear a frame rate."""
OCIO_MINOR: Final = 2
"""From which on it may bear the OpenColorIO configuration."""
FIELDS_MINOR: Final = 2
"""From which on it may say what becomes of the fields of movies."""
WITHIN_MINOR: Final = 2
"""From which on it may say in which folders its paths stay."""
SMOOTHING_MINOR: Final = 2
"""Of the protocol from which on shots are smoothed."""
LAYOUT_MINOR: Final = 2
"""From which on a look may say that pictures show a sphere, or two eyes."""

MAGIC: Final = b"IMPA"
PREAMBLE_BYTES: Final = 8
HEADER_BYTES: Final = 64 * 1024
PARTS: Final = 16
"""Parts of a message, preamble and header included."""
DEPTH: Final = 8
TEXT_BYTES: Final = 4096
BLOB_BYTES: Final = 4096
ARRAY_ITEMS: Final = 256
MAP_ITEMS: Final = 64
NAME_BYTES: Final = 255
ANIMATED_BYTES: Final = 50_000
"""Of the animated parameters in one shot job: with three paths of the longest kind they fit into its header. More paths
of that kind, of guides and motion, do not: then the message is refused whole."""

SIDE: Final = 32768
PIXELS: Final = 67_108_864
"""Pixels of one picture: 8192 x 8192."""
RAW_BYTES: Final = 1 << 30
"""Bytes of one picture as samples."""


@frozen_dataclass
class Limits:
    """What a server lets its clients do. Every number is checked before it is used."""

    sessions: int = 64
    sessions_kept: int = 8
    """Beyond `sessions`, for clients that have nothing rendered: whoever asks what is wrong, or ends the server."""
    sessions_per_user: int = 8
    queued_requests: int = 1024
    queued_bytes: int = 8 << 30
    interactive_frames: int = 3
    interactive_bytes: int = 512 << 20
    """Three 4K frames of RGBA float32, which a viewer holds while it scrubs, are 380 MiB."""
    batch_frames: int = 8
    batch_bytes: int = 1 << 30
    interactive_lease_s: float = 15.0
    batch_lease_s: float = 60.0
    heartbeat_s: float = 2.0
    pixels: int = PIXELS
    raw_bytes: int = RAW_BYTES
    job_frames: int = 100_000
    batch_share: float = 0.15
    """Of the workers' time over ten seconds, however many interactive requests wait."""
    hang_floor_s: float = 60.0
    """A frame that shows no progress for this long, or for ten times the median, is taken as hung."""
    worker_rss_bytes: int = 16 << 30
    replay_answers: int = 256
    """Terminal answers that are kept for each session, to be repeated to whoever asks again."""
    replay_s: float = 600.0
    drain_s: float = 30.0
