"""Export of a style for programs that run networks themselves, checked against the engine before it is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from impasto.core.errors import OutputError, OutputExists, UnknownName, UsageError
from impasto.core.export.facts import facts_of
from impasto.core.export.parity import TOLERANCE, largest_difference
from impasto.core.export.picture_net import PictureNet, picture_net
from impasto.core.frame import Samples
from impasto.core.media.commit import committed, make_folder
from impasto.core.style_file import Style


class Backend(Protocol):
    """A module that writes one kind of file and runs it."""

    EXAMPLE: str
    """How to load and run such a file: lines of Python that make `painted` of `picture` by the file at `path`."""

    def write(self, net: PictureNet, channels: int, facts: dict[str, str], path: Path) -> None: ...

    def open_net(self, path: Path) -> Callable[[Samples], Samples]: ...

    def facts_in(self, path: Path) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its endings, and its writer, imported on demand."""

    endings: tuple[str, ...]
    backend: Callable[[], Backend]


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file, and its difference from the engine."""

    path: Path
    facts: dict[str, str]
    """The file's metadata, read back from it."""
    largest_difference: float
    """Against the engine (see `impasto.core.export.parity`)."""


def _onnx() -> Backend:
    from impasto.core.export import onnx_file

    return onnx_file


def _torchscript() -> Backend:
    from impasto.core.export import torchscript_file

    return torchscript_file


FORMATS = {
    "onnx": Format((".onnx",), _onnx),
    "torchscript": Format((".pt", ".ts", ".torchscript"), _torchscript),
}


def check_target(to: str, output: Path, *, overwrite: bool) -> Format:
    """The format by name. Raises UnknownName, UsageError for a wrong ending, and OutputExists."""
    if to not in FORMATS:
        raise UnknownName("export format", to, FORMATS)
    wanted = FORMATS[to].endings
    if output.suffix.lower() not in wanted:
        raise UsageError(f"expected a file that ends in {' or '.join(wanted)}, got '{output}'; rename the output")
    if output.exists() and not overwrite:
        raise OutputExists(f"expected no file at '{output}', but there is one; give --overwrite or another name")
    return FORMATS[to]


def export_to(to: str, style: Style, output: Path, *, linear: bool = False, overwrite: bool = False) -> Exported:
    """Write a style's network in this format; the file is whole and agrees with the engine, or there is none.

    `linear` chooses the input and output space: see `PictureNet`. Raises UnknownName, UsageError,
    OutputExists, OutputError, and ModuleNotFoundError where a package of the extra `export` is missing.
    """
    kind = check_target(to, output, overwrite=overwrite)
    backend = kind.backend()
    make_folder(str(output))
    with committed(str(output), replace=overwrite) as name:
        partial = Path(name)
        net = picture_net(style.generator, style.card.guides, linear=linear)
        facts = facts_of(style.card, linear=linear, example=backend.EXAMPLE)
        backend.write(net, 3 + len(style.card.guides), facts, partial)
        difference = largest_difference(style, backend.open_net(partial), linear=linear)
        if math.isnan(difference) or difference > TOLERANCE:
            raise OutputError(
                f"expected '{output}' to paint as the engine does, to {TOLERANCE:g}; it differs by {difference:.3g} "
                "and was not kept; please report it with the versions that `impasto doctor` shows"
            )
        stored = backend.facts_in(partial)
    return Exported(output, stored, difference)
