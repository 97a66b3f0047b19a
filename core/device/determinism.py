"""The settings by which CUDA gives the same pixels for the same frame."""

from __future__ import annotations

import torch


def be_deterministic() -> None:
    """Make torch on CUDA deterministic for the whole process; an engine that takes a GPU calls this.

    No algorithm is chosen by a timing run, no sum depends on the order of threads, no float32 is computed in fewer
    bits (TF32) and no sum of halves in half. These are settings of torch, not of an engine: code that trains in the
    same process sets them again.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
