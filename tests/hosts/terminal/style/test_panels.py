"""Pictures side by side under their names."""

from __future__ import annotations

import numpy as np
import pytest

from impasto.hosts.terminal.style.panels import GAP, GROUND, PAGE_WIDTH, layout_for, page


@pytest.mark.parametrize("size", [(48, 32), (49, 33), (960, 540), (4096, 2160), (1, 1), (101, 1001)])
def test_a_page_is_even_and_no_wider_than_players_take(size: tuple[int, int]) -> None:
    layout = layout_for(*size, 1.0, 3)
    assert layout.page_width <= PAGE_WIDTH
    assert layout.page_width % 2 == layout.page_height % 2 == 0
    assert layout.caption + layout.height == layout.page_height


def test_pictures_are_not_enlarged_and_squeezed_ones_are_stretched() -> None:
    layout = layout_for(960, 540, 1.0, 3)
    assert (layout.width, layout.height) == (960, 540)
    wide = layout_for(960, 540, 2.0, 3)
    assert wide.width / wide.height == pytest.approx(2 * 960 / 540, rel=0.01)


def test_each_picture_stands_under_its_own_name() -> None:
    layout = layout_for(120, 60, 1.0, 3)
    levels = (0.25, 0.5, 0.75)
    pictures = [np.full((60, 120, 3), level, np.float32) for level in levels]
    sheet = page(pictures, ("plate", "a name far too long for a picture as small as this", ""), layout)
    assert sheet.shape == (layout.page_height, layout.page_width, 3)
    for column, level in enumerate(levels):
        left = column * (layout.width + GAP)
        assert (sheet[layout.caption :, left : left + layout.width] == round(level * 255)).all()
        inked = (sheet[: layout.caption, left : left + layout.width] > 2 * GROUND).any()
        assert inked == (column < 2)
        assert (sheet[:, left + layout.width : left + layout.width + GAP] == GROUND).all()
