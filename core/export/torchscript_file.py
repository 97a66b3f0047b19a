"""TorchScript files: a network written, and a file run by torch.

Nuke's CatFileCreator takes them: one input and one output tensor, any height and width, float16 as well as float32,
CPU as well as GPU, no operator newer than torch 1.12 (Nuke 14). The attribute `linear` can be bound to a
Boolean knob of that name. The file is written without the debugging records that hold paths of this machine.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from impasto.core.errors import OutputError
from impasto.core.export.facts import facts_json
from impasto.core.export.picture_net import PictureNet
from impasto.core.frame import Samples

FACTS = "impasto.json"
"""Name under which torch.jit.load hands out the facts, in `_extra_files`."""
EXAMPLE = """\
import torch
net = torch.jit.load(path)
painted = net(picture)  # a tensor of float32, or of float16 after net.half(), laid out as input and output say"""
FIXED_HEADER, PADDING_HEADER, ALIGNMENT = 30, 4, 64
"""Bytes: of an entry of a zip archive before its name, of the field that pads it, and where torch starts a record."""


def write(net: PictureNet, channels: int, facts: dict[str, str], path: Path) -> None:
    """Store a network and its facts as one TorchScript file, whose parameters can change type and device.

    The inner network is traced (its shapes follow the picture's); the code around it is compiled, with its branches.
    Raises OutputError for a network that torch cannot turn into TorchScript.
    """
    made = io.BytesIO()
    with _quiet(), torch.inference_mode():
        try:
            traced = torch.jit.trace(net.net, torch.rand(1, channels, 8 * net.stride, 12 * net.stride))
            script = torch.jit.script(PictureNet(traced, net.reader, net.stride, linear=net.linear).eval())
        except RuntimeError as error:
            raise OutputError(f"expected a network that becomes TorchScript, it does not: {error}; try onnx") from error
        torch.jit.save(script, made, _extra_files={FACTS: facts_json(facts).encode()})
    _store_without_debug_records(made, path)


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
    """The facts in a TorchScript file."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(f"/extra/{FACTS}"))
        facts: dict[str, str] = json.loads(archive.read(name))
    return facts


def _store_without_debug_records(made: io.BytesIO, path: Path) -> None:
    """Copy a TorchScript archive without its source lines and under one folder name, as torch lays archives out.

    Records stay uncompressed and begin at multiples of 64 bytes.
    """
    with zipfile.ZipFile(made) as old, path.open("wb") as file, zipfile.ZipFile(file, "w") as new:
        for record in old.infolist():
            if record.filename.endswith(".debug_pkl"):
                continue
            entry = zipfile.ZipInfo(f"impasto/{record.filename.partition('/')[2]}")
            before = file.tell() + FIXED_HEADER + len(entry.filename.encode()) + PADDING_HEADER
            padding = -before % ALIGNMENT
            entry.extra = b"FB" + padding.to_bytes(2, "little") + bytes(padding)
            new.writestr(entry, old.read(record))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the deprecation of TorchScript in newer versions of torch; its hosts take nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
