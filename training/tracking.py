"""Trackers: where a run sends its figures and contact sheets, besides the files in its folder.

TensorBoard's own writer, and Weights & Biases when a user asks for it and has it: both follow a run from elsewhere.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from impasto.core.errors import TrainingError

FOLDER = "tensorboard"
"""Inside the folder of a run; `tensorboard --logdir` takes it, or any folder above it."""


class Tracker(Protocol):
    """Follows a run. After a resume it may receive a step twice."""

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Losses and measures at a step."""
        ...

    def sheet(self, step: int, path: Path) -> None:
        """The contact sheet that was drawn at a step."""
        ...


@contextmanager
def trackers(folder: Path, *, wandb: str | None = None) -> Iterator[tuple[Tracker, ...]]:
    """Open TensorBoard's log in the run's folder where it is installed, and W&B's for a project that is named.

    TrainingError where W&B is asked for and not there.
    """
    if wandb is not None and importlib.util.find_spec("wandb") is None:
        raise TrainingError("expected Weights & Biases for --wandb, it is not installed; run: pip install wandb")
    with ExitStack() as stack:
        opened: list[Tracker] = []
        if importlib.util.find_spec("tensorboard") is not None:
            opened.append(stack.enter_context(_tensorboard(folder / FOLDER)))
        if wandb is not None:
            opened.append(stack.enter_context(_weights_and_biases(folder, wandb)))
        yield tuple(opened)


class TensorBoard:
    """Scalars and sheets in TensorBoard's own files."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """One scalar each, by name."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def sheet(self, step: int, path: Path) -> None:
        """The sheet as a picture."""
        self._writer.add_image("preview", read_sheet(path), step, dataformats="HWC")
        self._writer.flush()


class WeightsAndBiases:
    """The same in a run of Weights & Biases; tried with wandb 0.31 offline, never against the service."""

    def __init__(self, run: Any, picture: Any) -> None:
        self._run, self._picture = run, picture

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """One row."""
        self._run.log(dict(figures), step=step)

    def sheet(self, step: int, path: Path) -> None:
        """The sheet as a picture."""
        self._run.log({"preview": self._picture(str(path))}, step=step)


def read_sheet(path: Path) -> npt.NDArray[np.uint8]:
    """A contact sheet, which must be there, as (H, W, 3), sRGB."""
    sheet = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert sheet is not None, path
    return np.ascontiguousarray(sheet[..., ::-1], np.uint8)


@contextmanager
def _tensorboard(folder: Path) -> Iterator[TensorBoard]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        yield TensorBoard(writer)


@contextmanager
def _weights_and_biases(folder: Path, project: str) -> Iterator[WeightsAndBiases]:
    import wandb

    with wandb.init(project=project, dir=str(folder), name=folder.stem, resume="allow", id=folder.stem) as run:
        yield WeightsAndBiases(run, wandb.Image)
