"""Networks that train in seconds."""

from __future__ import annotations

import pytest

from impasto.core.generators.resunet import RES_SIZES, ResUNetConfig
from impasto.core.generators.unet import SIZES, UNetConfig


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size draft becomes tiny in both families."""
    monkeypatch.setitem(RES_SIZES, "draft", ResUNetConfig(widths=(8, 12, 16), blocks=(0, 0, 1)))
    monkeypatch.setitem(SIZES, "draft", UNetConfig(widths=(16, 24), blocks=(1, 1)))
