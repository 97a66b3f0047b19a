"""What a server of an earlier minor version would skip of a request, and is therefore not sent."""

from __future__ import annotations

from collections.abc import Iterable

from impasto.core.errors import IncompatibleServer
from impasto.server.protocol.colour_configuration import BUILT_IN
from impasto.server.protocol.limits import (
    ANIMATION_MINOR,
    FIELDS_MINOR,
    LAYOUT_MINOR,
    OCIO_MINOR,
    RATE_MINOR,
    SMOOTHING_MINOR,
    WITHIN_MINOR,
)
from impasto.server.protocol.messages import RenderSettings, ShotJob, Welcome

_CONFIGURATION = "an OpenColorIO configuration of your own"


def require_minor(job: ShotJob, welcome: Welcome) -> None:
    """Raise IncompatibleServer for a server that would skip what its version does not know of a job."""
    _require(
        welcome,
        (
            (_CONFIGURATION, job.ocio not in ("", BUILT_IN), OCIO_MINOR),
            ("a frame rate", bool(job.rate), RATE_MINOR),
            ("the sound of another file", bool(job.sound), RATE_MINOR),
            ("smoothing", job.smoothing > 0, SMOOTHING_MINOR),
            ("the fields of movies", job.fields != "auto", FIELDS_MINOR),
            *_layouts(job.look),
            ("folders that no link leads out of", bool(job.within), WITHIN_MINOR),
            ("parameters that change over a shot", bool(job.animated), ANIMATION_MINOR),
            ("guide layers", bool(job.guides), ANIMATION_MINOR),
            ("motion vectors", bool(job.motion), ANIMATION_MINOR),
        ),
    )


def require_layout(look: RenderSettings, welcome: Welcome) -> None:
    """Raise IncompatibleServer for a server that would paint a sphere or two eyes of a frame as one flat picture."""
    _require(welcome, _layouts(look))


def _layouts(look: RenderSettings) -> Iterable[tuple[str, bool, int]]:
    return (("spheres and stereo", (look.projection, look.stereo) != ("auto", "auto"), LAYOUT_MINOR),)


def require_ocio(ocio: str, welcome: Welcome) -> None:
    """Raise IncompatibleServer for a server that would paint a frame under another configuration than the one named."""
    _require(welcome, ((_CONFIGURATION, ocio not in ("", BUILT_IN), OCIO_MINOR),))


def _require(welcome: Welcome, asked: Iterable[tuple[str, bool, int]]) -> None:
    for what, given, minor in asked:
        if given and welcome.minor < minor:
            raise IncompatibleServer(
                f"expected a server of protocol {welcome.major}.{minor} for {what}, "
                f"{welcome.server} speaks {welcome.major}.{welcome.minor}; upgrade it, or on this machine run "
                f"`impasto stop` and render again"
            )
