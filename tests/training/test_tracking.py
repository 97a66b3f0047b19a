"""What a run tells to those who follow it from elsewhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from impasto.core.errors import TrainingError
from impasto.training.tracking import FOLDER, trackers


def test_tensorboard_reads_back_figures_and_sheets(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sheet = tmp_path / "preview.png"
    cv2.imwrite(str(sheet), np.full((8, 12, 3), (10, 20, 200), np.uint8))
    with trackers(tmp_path) as opened:
        for tracker in opened:
            tracker.figures(50, {"loss": 0.5, "texture": 0.25})
            tracker.figures(100, {"loss": 0.125, "texture": 0.25})
            tracker.sheet(100, sheet)
    log = EventAccumulator(str(tmp_path / FOLDER)).Reload()
    assert [(event.step, event.value) for event in log.Scalars("loss")] == [(50, 0.5), (100, 0.125)]
    (image,) = log.Images("preview")
    assert (image.step, image.width, image.height) == (100, 12, 8)
    stored = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert stored is not None
    assert tuple(stored[0, 0]) == (10, 20, 200)


def test_weights_and_biases_is_missed_before_the_training_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    with pytest.raises(TrainingError, match="pip install wandb"), trackers(tmp_path, wandb="styles"):
        pytest.fail("expected the way in to be refused")
