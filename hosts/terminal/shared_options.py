"""Options that several commands share, written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, get_type_hints

import typer

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object a line for programs.")]
Overwrite: TypeAlias = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Server: TypeAlias = Annotated[
    str | None, typer.Option("--server", metavar="tcp://HOST:PORT", help="A server on another machine.")
]
ServerKey: TypeAlias = Annotated[
    str | None, typer.Option("--server-key", metavar="KEY", help="Its public key; see `impasto auth trust`.")
]
Preset: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="NAME|FILE", help="A look that was saved: style, parameters, grade; options go before it."
    ),
]
LOOPBACK: Final = "127.0.0.1"
Host: TypeAlias = Annotated[
    str, typer.Option("--host", metavar="ADDRESS", help="Listen on this address of the machine; needs --tls.")
]
Tls: TypeAlias = Annotated[
    tuple[Path, Path] | None, typer.Option("--tls", metavar="CERT KEY", help="Certificate and key, as PEM files.")
]
EncoderSpeed: TypeAlias = Annotated[
    str,
    typer.Option(
        "--encoder-speed",
        metavar="auto|ultrafast|…|veryslow",
        help="Preset of H.264 and H.265 movies: superfast takes half the time of fast, for files up to a third larger. "
        "auto: superfast for draft styles, else fast.",
    ),
]
KeysQuality: TypeAlias = Annotated[
    str,
    typer.Option(
        "--keys-quality",
        metavar="draft|standard|best",
        help="Of keys painted by a hand: draft follows one quickly, standard two down to the pixel, best four, and "
        "invents paint from theirs where none shows what the frame does.",
    ),
]
Projection: TypeAlias = Annotated[
    str,
    typer.Option(
        "--projection",
        metavar="auto|flat|equirectangular",
        help="equirectangular: paint a 360 degree picture or movie as the sphere that it shows, with no seam and "
        "with strokes of one size up to the poles. auto: what the file says.",
    ),
]
Stereo: TypeAlias = Annotated[
    str,
    typer.Option(
        "--stereo",
        metavar="auto|off|sbs|ou|views",
        help="Two eyes that get the same strokes: sbs side by side, ou over under, views the two views of an EXR. "
        "auto: what the file says.",
    ),
]
Rate: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="FPS",
        help="Frames per second of pictures, in the place of what they state: 24 or 24000/1001.",
    ),
]
Fields: TypeAlias = Annotated[
    str,
    typer.Option(
        "--fields",
        metavar="auto|deinterlace|keep",
        help="Of interlaced movies. auto: deinterlace, and keep them for the style identity alone.",
    ),
]


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the command's one dataclass parameter by one parameter for each field, after the command's own.

    Typer reads the new signature; the command still gets the dataclass.
    """
    hints = get_type_hints(command, include_extras=True)
    hints.pop("return", None)
    (name,) = [name for name, kind in hints.items() if is_dataclass(kind)]
    shared: Any = hints.pop(name)
    own = inspect.signature(command).parameters
    fields = inspect.signature(shared).parameters
    kinds = get_type_hints(shared, include_extras=True)
    flat = [
        *(own[each].replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY) for each, kind in hints.items()),
        *(field.replace(annotation=kinds[each], kind=inspect.Parameter.KEYWORD_ONLY) for each, field in fields.items()),
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{name: shared(**{each: given.pop(each) for each in fields})}, **given)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]  # inspect looks for this attribute
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return run
