"""Networks as TorchScript files, and such files run by torch.

Nuke's CatFileCreator takes them: one input and one output tensor, any height and width, float16 as well as float32,
CPU as well as GPU, no operator that torch 1.12 (Nuke 14) does not know. The attribute `linear` can be bound to a
Boolean knob of that name. The file is written without the debugging records that hold paths of this machine.
"""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from impasto.core.export.facts import facts_json
from impasto.core.frame import Samples

if TYPE_CHECKING:
    from impasto.core.export.picture_net import PictureNet

FACTS = "impasto.json"
"""Name under which torch.jit.load hands out the facts, in `_extra_files`."""


def write(net: PictureNet, channels: int, facts: dict[str, str], path: Path) -> None:
    """Store a network and its facts as one TorchScript file. Parameters are free to change their type and device.

    The network inside is traced (its shapes follow the picture's), what stands around it is compiled with its branches.
    """
    from impasto.core.export.picture_net import PictureNet

    raw = path.with_name(f"{path.name}.raw")
    try:
        with _quiet(), torch.inference_mode():
            traced = torch.jit.trace(net.net, torch.rand(1, channels, 8 * net.stride, 12 * net.stride))
            script = torch.jit.script(PictureNet(traced, net.stride, linear=net.linear).eval())
            torch.jit.save(script, str(raw), _extra_files={FACTS: facts_json(facts).encode()})
        _without_debug_records(raw, path)
    finally:
        raw.unlink(missing_ok=True)


def open_net(path: Path) -> Callable[[Samples], Samples]:
    """A TorchScript file on the CPU, as a function from (1, C, H, W) to (1, 3, H, W)."""
    with _quiet():
        net = torch.jit.load(str(path), map_location="cpu")

    def run(picture: Samples) -> Samples:
        with torch.inference_mode():
            painted: Samples = net(torch.from_numpy(picture)).numpy()
        return painted

    return run


def facts_in(path: Path) -> dict[str, str]:
    """The facts that a TorchScript file carries."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(f"/extra/{FACTS}"))
        facts: dict[str, str] = json.loads(archive.read(name))
    return facts


def _without_debug_records(source: Path, target: Path) -> None:
    """Copy a TorchScript archive without its source lines; records stay uncompressed and 64-byte aligned, as torch has them."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for record in old.infolist():
            if record.filename.endswith(".debug_pkl"):
                continue
            entry = zipfile.ZipInfo(record.filename)
            # The name and a field of padding stand between an entry's start and its data.
            begin = new.fp.tell() + 30 + len(record.filename.encode()) + 4  # type: ignore[union-attr]
            padding = -begin % 64
            entry.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            new.writestr(entry, old.read(record))
    with target.open("rb") as written:
        os.fsync(written.fileno())


@contextmanager
def _quiet() -> Iterator[None]:
    """Newer versions of torch discourage TorchScript altogether; the hosts that take it have no other way in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
