"""What of the machine and of the program decides the samples of a painted frame."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final

import cv2
import numpy as np
import torch
from blake3 import blake3

_LIBRARIES: Final = (f"torch {torch.__version__}", f"cv2 {cv2.__version__}", f"numpy {np.__version__}")


def machine_of(device: str, device_name: str) -> tuple[str, ...]:
    """A device of this make and the program, such that equal ones paint equal samples; its number does not count."""
    arithmetic = (device.partition(":")[0], device_name, platform.machine(), torch.backends.cpu.get_cpu_capability())
    return (*arithmetic, str(torch.get_num_threads()), *_LIBRARIES, version("impasto"), sources_digest())


@lru_cache(maxsize=1)
def sources_digest() -> str:
    """A digest of the program that paints: a version number alone says nothing about a checkout that is worked on."""
    digest = blake3()
    pending = [files("impasto.core")]
    while pending:
        folder = pending.pop()
        for each in sorted(folder.iterdir(), key=lambda each: each.name):
            if each.is_dir():
                pending.append(each)
            elif each.name.endswith(".py"):
                digest.update(each.name.encode() + each.read_bytes())
    return digest.hexdigest(16)
