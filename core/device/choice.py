"""Which device and which precision a network counts on."""

from __future__ import annotations

from typing import Literal

import torch

from impasto.core.errors import DeviceError, UsageError

Precision = Literal["auto", "float32", "float16", "bfloat16"]
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_device(asked: str) -> str:
    """The device by name, 'auto' being the best one here; DeviceError for a device that is not here."""
    if asked == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    there = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    name = "cuda:0" if asked == "cuda" else asked
    if name not in there:
        raise DeviceError(f"expected a device among {', '.join(there)}, got '{asked}'; use --device auto")
    return name


def choose_precision(asked: Precision, device: str, *, eight_bit: bool = False) -> str:
    """'auto' as the quickest precision that is exact enough for a result.

    float16 on CUDA. On a processor with bfloat16 units bfloat16 for results of 8 bits, which differ from those of
    float32 by 50 dB and more; float32 for everything else. UsageError for a precision that the device lacks.
    """
    if asked == "auto":
        if device.startswith("cuda"):
            return "float16"
        return "bfloat16" if eight_bit and device == "cpu" and has_bfloat16_units() else "float32"
    if asked not in PRECISIONS:
        raise UsageError(f"expected a precision among auto, {', '.join(PRECISIONS)}, got '{asked}'")
    if asked == "float16" and device == "cpu":
        raise UsageError(
            "expected float32 or bfloat16 on the CPU, got float16; give --precision bfloat16 for quick drafts"
        )
    return asked


def has_bfloat16_units() -> bool:
    """Whether this processor multiplies bfloat16 by itself (AMX, or AVX-512 BF16), rather than by way of float32."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
